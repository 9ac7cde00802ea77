"""Rows of the benchmark about FAT: files copied into and out of volumes, against mtools and cp; the
same bytes copied to and from the disk below, by dd; and what a mounted volume takes, in process.

Everything on tmpfs. Small files are of 3 KiB on average.
"""

import json
import os
import random
import shutil
from pathlib import Path

from file_rows import FileRows

SMALL_FILES = 10_000
LARGE_BYTES = 1 << 30
MANY, FLAT = "10,000 files, 100 folders, in", "10,000 files, 1 folder, in"
IN, OUT = "1 GiB in", "1 GiB out, thrown away"
MOUNT, RECOVERY = "mount of 32 GiB", "mount of 32 GiB, not unmounted"
STREAM_IN, STREAM_OUT = "1 GiB in, in process", "1 GiB out, in process"
READS, LOOKUP = "random 4 KiB, in process", "lookup, 50,000 names, in process"
RAW = "dd, raw disk"
FAT32_STATE = 0x41  # a byte of the boot sector; its lowest bit: not unmounted


class FatRows(FileRows):
    TITLE = "FAT"
    RATIOS = [(MANY, "splitring", "mcopy", 1 / 3), (MANY, "splitring", "cp -r", 1.5),
              (IN, "splitring", "mtools", 1.0), (OUT, "splitring", "mtools", 1.0),
              (IN, "splitring", RAW, 1.1), (OUT, "splitring", RAW, 1.1),
              (STREAM_IN, "splitring", "raw disk", 1.1), (STREAM_OUT, "splitring", "raw disk", 1.1),
              (READS, "1 GiB in one piece", "raw disk", 1.5),
              (READS, "65,536 pieces", "raw disk", 1.5)]
    BOUNDS = [(FLAT, "splitring", 1000.0), (MOUNT, "splitring", 1000.0),
              (RECOVERY, "splitring", 1000.0), (LOOKUP, "splitring", 0.01)]

    def __init__(self, root):
        super().__init__()
        self.splitring = root / "splitring"
        self.load = root / "bench/fat_load"
        self.scratch = Path("/dev/shm") / f"splitring-bench-fat-{os.getpid()}"

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

    def image(self, size="2G"):
        path = self.scratch / "fat.img"
        path.unlink(missing_ok=True)
        self.run(self.splitring, "fat", "create", f"raw:{path}", "--size", size, "--type", "fat32",
                 "--cluster", "4K" if size == "2G" else "16K")
        return path

    def filled_image(self):
        """All of it has memory: a virtual machine's host gives whoever touches memory first new
        pages, which takes longer than the copy."""
        image = self.image()
        with image.open("r+b") as file:
            file.seek(64 << 20)
            for _ in range((LARGE_BYTES >> 20) + 64):
                file.write(bytes(1 << 20))
        return image

    def measure_once(self):
        self.measure_small()
        self.measure_large()
        self.measure_mounts()
        self.measure_in_process()

    def measure_small(self):
        many = self.scratch / "many"
        self.time(MANY, "splitring", self.splitring, "fat", "add", f"raw:{self.image()}", many)
        self.time(MANY, "mcopy", "mcopy", "-s", "-i", self.image(), many, "::")
        self.time(MANY, "cp -r", "cp", "-r", many, self.scratch / "copy")
        shutil.rmtree(self.scratch / "copy")
        self.time(FLAT, "splitring", self.splitring, "fat", "add", f"raw:{self.image()}",
                  self.scratch / "flat")

    def measure_large(self):
        large, image = self.scratch / "large", self.scratch / "fat.img"
        fat, disk = (self.splitring, "fat"), f"raw:{image}"
        for subject, put, get in (
                ("splitring", (*fat, "put", disk, large, "large"), (*fat, "cat", disk, "large")),
                ("mtools", ("mcopy", "-i", image, large, "::large"),
                 ("mtype", "-i", image, "::large")),
                (RAW, ("dd", "bs=1M", "conv=notrunc", "seek=64", f"if={large}", f"of={image}"),
                 ("dd", "bs=1M", "skip=64", "count=1024", f"if={image}"))):
            self.filled_image()
            self.time(IN, subject, *put)
            self.time(OUT, subject, *get)

    def measure_mounts(self):
        image = self.image("32G")
        self.time(MOUNT, "splitring", self.splitring, "fat", "info", f"raw:{image}")
        self.run(self.splitring, "fat", "add", f"raw:{image}", self.scratch / "many")
        with image.open("r+b") as file:
            file.seek(FAT32_STATE)
            file.write(b"\1")
        self.time(RECOVERY, "splitring", self.splitring, "fat", "touch", f"raw:{image}", "x")
        image.unlink()

    def measure_in_process(self):
        image = self.scratch / "fat.img"
        with image.open("wb") as file:
            file.truncate(LARGE_BYTES * 5 // 2)
        reads = json.loads(self.run(self.load, "reads", image, keep=True)[1])
        for name, subject in (("raw_us", "raw disk"), ("whole_us", "1 GiB in one piece"),
                              ("scattered_us", "65,536 pieces")):
            self.add(READS, subject, reads[name] / 1e3)
        stream = json.loads(self.run(self.load, "stream", image, keep=True)[1])
        for work, way in ((STREAM_IN, "in"), (STREAM_OUT, "out")):
            self.add(work, "splitring", stream[f"file_{way}_ms"])
            self.add(work, "raw disk", stream[f"raw_{way}_ms"])
        names = json.loads(self.run(self.load, "names", image, keep=True)[1])
        self.add(LOOKUP, "the first one", names["first_us"] / 1e3)
        self.add(LOOKUP, "splitring", names["lookup_us"] / 1e3)
        image.unlink()
