"""What the rows of the benchmark about files share: subjects are processes on CPU 1, measured as a
whole or as they say themselves, and compared by medians."""

import os
import statistics
import subprocess
import time


class FileRows:
    """TITLE; RATIOS: (work, subject, divisor, greatest ratio); BOUNDS: (work, subject, greatest
    value in ms)."""

    TITLE = ""
    RATIOS = []
    BOUNDS = []

    def __init__(self):
        self.samples = {}

    def run(self, *command, keep=False):
        """Milliseconds, and what the command printed if that is to be kept."""
        begin = time.perf_counter()
        result = subprocess.run(["taskset", "-c", "1", *map(str, command)], check=True, text=True,
                                stdout=subprocess.PIPE if keep else subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL,
                                env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
        return (time.perf_counter() - begin) * 1e3, result.stdout

    def add(self, work, subject, milliseconds):
        self.samples.setdefault((work, subject), []).append(milliseconds)

    def time(self, work, subject, *command):
        self.add(work, subject, self.run(*command)[0])

    def measure(self, rounds):
        for _ in range(rounds):
            self.measure_once()

    def median(self, work, subject):
        return statistics.median(self.samples[work, subject])

    def rows(self):
        for work, subject in self.samples:
            yield work, subject, "ms", self.median(work, subject)

    def print_table(self):
        print(f"\n{self.TITLE}")
        for work, subject, unit, value in self.rows():
            print(f"  {work:38s} {subject:16s} {value:10.4g} {unit}")
        for work, subject, other, most in self.RATIOS:
            ratio = self.median(work, subject) / self.median(work, other)
            print(f"  {'met ' if ratio <= most else 'MISS'} {work}: {subject} takes {ratio:.2f} x "
                  f"the time of {other} (at most {most:.2f})")
        for work, subject, most in self.BOUNDS:
            value = self.median(work, subject)
            print(f"  {'met ' if value <= most else 'MISS'} {work}: {subject} takes {value:.4g} ms "
                  f"(at most {most:g})")
