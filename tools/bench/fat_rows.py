"""Rows of the benchmark about FAT: files copied into and out of volumes, against mtools and cp.

Everything on tmpfs; every subject is one process on CPU 1, and its wall time counts, start and all.
Small files are of 3 KiB on average.
"""

import os
import random
import shutil
import statistics
import subprocess
import time
from pathlib import Path

SMALL_FILES = 10_000
LARGE_BYTES = 1 << 30

# (work, subject, divisor, greatest ratio) and (work, subject, greatest value in ms)
RATIOS = [("10,000 files, 100 folders, in", "splitring", "mcopy", 1 / 3),
          ("10,000 files, 100 folders, in", "splitring", "cp -r", 1.5),
          ("1 GiB in", "splitring", "mcopy", 1.0), ("1 GiB out", "splitring", "mcopy", 1.0)]
BOUNDS = [("10,000 files, 1 folder, in", "splitring", 1000.0),
          ("mount of 32 GiB", "splitring", 1000.0)]


class FatRows:
    def __init__(self, root):
        self.splitring = root / "splitring"
        self.scratch = Path("/dev/shm") / f"splitring-bench-fat-{os.getpid()}"
        self.samples = {}

    def prepare(self):
        source = random.Random(3)
        blob = source.randbytes(1 << 20)
        for name, folders in (("many", 100), ("flat", 1)):
            for number in range(SMALL_FILES):
                folder = self.scratch / name / f"folder {number % folders}"
                folder.mkdir(parents=True, exist_ok=True)
                size = min(65536, int(source.expovariate(1 / 3000)) + 1)
                (folder / f"file-{number:05d}.dat").write_bytes(blob[:size])
        with open(self.scratch / "large", "wb") as file:
            for _ in range(LARGE_BYTES >> 20):
                file.write(blob)

    def clean(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def run(self, *command):
        begin = time.perf_counter()
        subprocess.run(["taskset", "-c", "1", *map(str, command)], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
        return (time.perf_counter() - begin) * 1e3

    def add(self, work, subject, milliseconds):
        self.samples.setdefault((work, subject), []).append(milliseconds)

    def image(self, size="2G"):
        path = self.scratch / "fat.img"
        path.unlink(missing_ok=True)
        self.run(self.splitring, "fat", "create", f"raw:{path}", "--size", size, "--type", "fat32",
                 "--cluster", "4K" if size == "2G" else "16K")
        return path

    def measure(self, rounds):
        for _ in range(rounds):
            self.measure_once()

    def warm(self):
        """Memory for what is copied out: a virtual machine's host gives the first toucher new pages,
        which takes longer than the copy."""
        for name in ("back", "warm"):
            shutil.copyfile(self.scratch / "large", self.scratch / name)
        for name in ("back", "warm"):
            (self.scratch / name).unlink()

    def measure_once(self):
        many, flat, large = (self.scratch / name for name in ("many", "flat", "large"))
        image = self.image()
        work = "10,000 files, 100 folders, in"
        self.add(work, "splitring", self.run(self.splitring, "fat", "add", f"raw:{image}", many))
        image = self.image()
        self.add(work, "mcopy", self.run("mcopy", "-s", "-i", image, many, "::"))
        self.add(work, "cp -r", self.run("cp", "-r", many, self.scratch / "copy"))
        shutil.rmtree(self.scratch / "copy")
        image = self.image()
        self.add("10,000 files, 1 folder, in", "splitring",
                 self.run(self.splitring, "fat", "add", f"raw:{image}", flat))
        for subject, put, get in (
                ("splitring", (self.splitring, "fat", "put"), (self.splitring, "fat", "get")),
                ("mcopy", ("mcopy", "-i"), ("mcopy", "-i"))):
            image = self.image()
            back = self.scratch / "back"
            self.warm()
            ours = subject == "splitring"
            self.add("1 GiB in", subject,
                     self.run(*put, f"raw:{image}", large, "large") if ours else
                     self.run(*put, image, large, "::large"))
            self.add("1 GiB out", subject,
                     self.run(*get, f"raw:{image}", "large", back) if ours else
                     self.run(*get, image, "::large", back))
            back.unlink()
        image = self.image("32G")
        self.add("mount of 32 GiB", "splitring",
                 self.run(self.splitring, "fat", "info", f"raw:{image}"))
        image.unlink()

    def median(self, work, subject):
        return statistics.median(self.samples[work, subject])

    def rows(self):
        for work, subject in self.samples:
            yield work, subject, "ms", self.median(work, subject)

    def print_table(self):
        print("\nFAT")
        for work, subject, unit, value in self.rows():
            print(f"  {work:38s} {subject:12s} {value:10.2f} {unit}")
        for work, subject, other, most in RATIOS:
            ratio = self.median(work, subject) / self.median(work, other)
            print(f"  {'met ' if ratio <= most else 'MISS'} {work}: {subject} takes {ratio:.2f} x "
                  f"the time of {other} (at most {most:.2f})")
        for work, subject, most in BOUNDS:
            value = self.median(work, subject)
            print(f"  {'met ' if value <= most else 'MISS'} {work}: {value:.2f} ms (at most {most})")
