"""What else the machine was doing while a benchmark ran."""

import os
from pathlib import Path


def busy_seconds():
    """Of all CPUs since boot: (busy with anything, stolen by the host)."""
    ticks = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    per_second = os.sysconf("SC_CLK_TCK")
    return sum(ticks[i] for i in (0, 1, 2, 5, 6)) / per_second, ticks[7] / per_second
