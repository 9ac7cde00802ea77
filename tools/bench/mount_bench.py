#!/usr/bin/env python3
"""Mounts against their peers: FAT against fusefat, tar against archivemount.

Images on tmpfs, 1 MiB a call for large files. Writing counts until the file system is unmounted and
its program has ended; reading begins with a fresh mount, so that no page is in memory, and counts
from its first call. Wants root, /dev/fuse, and a quiet machine.
Usage: mount_bench.py --root BUILD/release [--out FILE] [--rounds N]
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from machine import busy_seconds  # noqa: E402

FILES = 1000
FILE_BYTES = 2048
FOLDERS = 10
LARGE_BYTES = 256 << 20
TAR_LARGE_BYTES = 32 << 20  # archivemount begins anew at the archive's start for every read
CALL_BYTES = 1 << 20
PATIENCE_S = 30
LEAST = {"fat": 3.0, "tar": 3.0}  # times as fast as the peer


class Mounted:
    """A program that serves `place` until it is unmounted."""

    def __init__(self, place, *command):
        self.place = place
        self.process = subprocess.Popen(  # fusefat says much on standard error
            [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # A call into a mount whose program hangs ends with that program only.
        self.watchdog = threading.Timer(PATIENCE_S, self.process.kill)
        self.watchdog.start()
        while not os.path.ismount(place):
            if self.process.poll() is not None:
                raise RuntimeError(f"{command[0]} did not mount {place}")
            time.sleep(0.001)

    def end(self):
        self.watchdog.cancel()
        subprocess.run(["umount", self.place], check=True)
        if self.process.wait(60) not in (0, 1):  # fusefat ends with 1
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.returncode}")


def small_path(place, number):
    return f"{place}/folder{number % FOLDERS}/file number {number}"


def write_small(place, blob):
    for number in range(FOLDERS):
        os.mkdir(f"{place}/folder{number}")
    for number in range(FILES):
        with open(small_path(place, number), "wb", buffering=0) as file:
            file.write(blob[number:number + FILE_BYTES])


def read_small(place, blob):
    for number in range(FILES):
        with open(small_path(place, number), "rb", buffering=0) as file:
            if file.read(FILE_BYTES + 1) != blob[number:number + FILE_BYTES]:
                raise RuntimeError("wrong bytes")


def write_large(place, blob, total=LARGE_BYTES):
    with open(f"{place}/large", "wb", buffering=0) as file:
        for _ in range(total // CALL_BYTES):
            file.write(blob)


def read_large(place, blob):
    with open(f"{place}/large", "rb", buffering=0) as file:
        buffer = bytearray(CALL_BYTES)
        for number in range(os.fstat(file.fileno()).st_size // CALL_BYTES):
            if file.readinto(buffer) != CALL_BYTES or (number % 64 == 0 and buffer != blob):
                raise RuntimeError("wrong bytes")


class Bench:
    def __init__(self, root, scratch):
        self.splitring = root / "splitring"
        self.scratch = scratch
        self.place = scratch / "place"
        self.place.mkdir()
        self.blob = random.Random(5).randbytes(CALL_BYTES)
        self.samples = {}

    def serve(self, subject, image):
        if subject == "splitring":
            return Mounted(self.place, self.splitring, "mount", "-f", f"raw:{image}", self.place)
        if subject == "fusefat":
            return Mounted(self.place, "fusefat", "-f", "-o", "rw+,big_writes", image, self.place)
        return Mounted(self.place, "archivemount", "-f", "-o", "readonly", image, self.place)

    def timed(self, kind, work, subject, image, call, ends=False):
        mounted = self.serve(subject, image)
        begin = time.perf_counter()
        try:
            call(self.place, self.blob)
        finally:
            took = time.perf_counter() - begin
            mounted.end()
        if ends:
            took = time.perf_counter() - begin
        self.samples.setdefault((kind, work, subject), []).append(took)

    def fat(self, subject):
        image = self.scratch / "fat.img"
        with image.open("wb") as file:
            file.truncate(LARGE_BYTES + (256 << 20))
        subprocess.run(["mkfs.fat", "-F", "32", image], check=True, stdout=subprocess.DEVNULL)
        self.timed("fat", "1,000 files of 2 KiB in", subject, image, write_small, ends=True)
        self.timed("fat", "1,000 files of 2 KiB out", subject, image, read_small)
        self.timed("fat", "256 MiB in", subject, image, write_large, ends=True)
        self.timed("fat", "256 MiB out", subject, image, read_large)
        image.unlink()

    def tar(self):
        tree = self.scratch / "tree"
        tree.mkdir()
        write_small(tree, self.blob)
        small, large = self.scratch / "small.tar", self.scratch / "large.tar"
        subprocess.run(["tar", "-cf", small, "-C", tree, "."], check=True)
        write_large(tree, self.blob, TAR_LARGE_BYTES)
        subprocess.run(["tar", "-cf", large, "-C", tree, "large"], check=True)
        subprocess.run(["rm", "-r", tree], check=True)
        for subject in ("splitring", "archivemount"):
            self.timed("tar", "1,000 files of 2 KiB out", subject, small, read_small)
            self.timed("tar", "32 MiB out", subject, large, read_large)
        small.unlink()
        large.unlink()

    def median(self, key):
        return statistics.median(self.samples[key])

    def print_table(self):
        print("mounts, seconds")
        for kind, work, subject in self.samples:
            if subject != "splitring":
                continue
            peer = {"fat": "fusefat", "tar": "archivemount"}[kind]
            ours, theirs = self.median((kind, work, subject)), self.median((kind, work, peer))
            met = "met " if theirs / ours >= LEAST[kind] else "MISS"
            print(f"  {met} {kind} {work:26s} {ours:8.3f}  {peer} {theirs:8.3f}  "
                  f"{theirs / ours:6.1f} x (at least {LEAST[kind]:g})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        sys.exit("mount_bench: root and /dev/fuse are needed to mount")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        bench = Bench(arguments.root.resolve(), Path(scratch))
        busy, steal = busy_seconds()
        begin = time.monotonic()
        for _ in range(arguments.rounds):
            for subject in ("splitring", "fusefat"):
                bench.fat(subject)
            bench.tar()
        elapsed = time.monotonic() - begin
    bench.print_table()
    _, steal_after = busy_seconds()
    print(f"\nmeanwhile: stolen by the host {(steal_after - steal) / elapsed:.0%} "
          "(above 10%, measure again)")
    out = arguments.out or arguments.root.parent / "bench-mount.json"
    out.write_text(json.dumps(
        [{"work": f"{k} {w}", "subject": s, "value": round(bench.median((k, w, s)), 4),
          "unit": "s"} for k, w, s in bench.samples], indent=1) + "\n")
    print(f"written: {out}")


main()
