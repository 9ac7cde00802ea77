"""Rows of the benchmark about archives: how long an index takes, against what lists the same file.

The archive: 100,000 members, 2 KiB on average, 277 MB, on tmpfs, made once a run. Every subject is
one process on CPU 1; its wall time counts, start and all, with its output thrown away. Only what
says "in process" leaves the start out.
"""

import io
import json
import os
import random
import statistics
import subprocess
import tarfile
import time
from pathlib import Path

MEMBERS = 100_000

# (work, subject, divisor, greatest ratio) and (work, subject, greatest value)
RATIOS = [("index 100k members", "splitring", "GNU tar -t", 0.7)]
BOUNDS = [("saved index, in process", "open", 1.0), ("1,000 members at random, in process", "read", 20.0)]


class TarRows:
    def __init__(self, root):
        self.load = root / "bench/tar_load"
        self.archive = Path("/dev/shm") / f"splitring-bench-{os.getpid()}.tar"
        self.samples = {}
        self.peak_kib = 0

    def prepare(self):
        source = random.Random(2)
        blob = source.randbytes(1 << 20)
        with tarfile.open(self.archive, "w", format=tarfile.USTAR_FORMAT) as archive:
            for number in range(MEMBERS):
                size = min(65536, int(source.expovariate(1 / 2000)) + 1)
                start = source.randrange((1 << 20) - size)
                member = tarfile.TarInfo(f"top/dir{number // 250:04d}/file{number:06d}.dat")
                member.size, member.mtime = size, 1_700_000_000
                archive.addfile(member, io.BytesIO(blob[start:start + size]))

    def clean(self):
        self.archive.unlink(missing_ok=True)
        Path(f"{self.archive}.index").unlink(missing_ok=True)

    def run(self, *command):
        begin = time.perf_counter()
        result = subprocess.run(["taskset", "-c", "1", *map(str, command)], check=True, text=True,
                                stdout=subprocess.PIPE if command[0] == self.load else
                                subprocess.DEVNULL)
        return (time.perf_counter() - begin) * 1e3, result.stdout

    def add(self, work, subject, milliseconds):
        self.samples.setdefault((work, subject), []).append(milliseconds)

    def measure(self, rounds):
        for _ in range(rounds):
            took, said = self.run(self.load, "index", self.archive)
            self.add("index 100k members", "splitring", took)
            self.peak_kib = max(self.peak_kib, json.loads(said)["peak_kib"])
            self.add("index 100k members", "GNU tar -t", self.run("tar", "-tf", self.archive)[0])
            self.add("index 100k members", "bsdtar -t", self.run("bsdtar", "-tf", self.archive)[0])
            self.run(self.load, "save", self.archive)
            said = json.loads(self.run(self.load, "open", self.archive)[1])
            self.add("saved index, in process", "open", said["us"] / 1e3)
            said = json.loads(self.run(self.load, "read", self.archive, 1000)[1])
            self.add("1,000 members at random, in process", "read", said["us"] / 1e3)

    def median(self, work, subject):
        return statistics.median(self.samples[work, subject])

    def rows(self):
        for work, subject in self.samples:
            yield work, subject, "ms", self.median(work, subject)
        yield "index 100k members", "splitring", "KiB at most", self.peak_kib

    def print_table(self):
        print("\narchives")
        for work, subject, unit, value in self.rows():
            print(f"  {work:38s} {subject:12s} {value:10.2f} {unit}")
        for work, subject, other, most in RATIOS:
            ratio = self.median(work, subject) / self.median(work, other)
            print(f"  {'met ' if ratio <= most else 'MISS'} {work}: {subject} takes {ratio:.2f} x "
                  f"the time of {other} (at most {most})")
        for work, subject, most in BOUNDS:
            value = self.median(work, subject)
            print(f"  {'met ' if value <= most else 'MISS'} {work}: {value:.2f} ms (at most {most})")
