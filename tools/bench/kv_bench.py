#!/usr/bin/env python3
"""Measures our key-value store and its peers on the same work, disk and durability, interleaved.

Keys of 16 bytes, values of 100 that do not compress. Every store is in a folder of its own below
--folder, which should be on a real disk; ours is a raw file of 10 GiB there, most of it a hole, opened
past the page cache; once more ("ring") it is such a file that our backend serves to our frontend on an
emulated host. A round runs each engine on an empty folder, then once more with nothing of it
in memory (the kernel is asked to forget the files, which is why they are flushed first). The table shows
medians of the rounds and the ratios to Splitring's targets; "disk" is what fio gets from it.

Usage: kv_bench.py --root BUILD/release [--folder DIR] [--rounds 3] [--keys 1000000] [--seconds 1.5]
                   [--only ENGINE,...]
       kv_bench.py --root BUILD/release --only big [--folder DIR]
The second is of ours alone, and in no other run: a store that is filled with 10 GiB, killed while it is
written to, and opened again. Takes minutes and 14 GB of disk.
Writes build/bench-kv.json: [{"work", "subject", "value", "unit"}, ...].
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from machine import busy_seconds

ENGINES = ["disk", "log", "lmdb", "sqlite", "leveldb", "rocksdb", "splitring", "ring"]
PEERS = ["lmdb", "sqlite", "leveldb", "rocksdb"]
COLD_GETS = 20_000
# What the disk itself gives, by fio: the limits of the rows above it.
DISK_BYTES_MEASURED = 192 << 20  # about what the stores are
DISK_WORKS = {
    **{f"durable 2 KiB write, {jobs} at once": ["--rw=randwrite", "--bs=2k", "--sync=dsync", f"--numjobs={jobs}"]
       for jobs in (1, 2, 4)},
    "random 4 KiB read, 128 at once": ["--rw=randread", "--bs=4k", "--iodepth=64", "--numjobs=2"],
    "random 128 KiB read, 16 at once": ["--rw=randread", "--bs=128k", "--iodepth=16"],
}
GET_1, GET_N = "get, cached, 1 thread", "get, cached, a thread a CPU"

# (work, compared with, least ratio); "fastest" is the fastest peer.
TARGETS = [
    ("durable put, 1 thread", "fastest", 1.2),
    ("durable put, 1 thread", "log", 0.85),
    ("durable put, 16 threads", "fastest", 4.0),
    ("durable put, 1000 a commit", "lmdb", 3.0),
    ("durable put, 1000 a commit", "leveldb", 1.0),
    (GET_1, "lmdb", 0.7),
    (GET_1, "sqlite", 2.0),
    ("scan", "lmdb", 0.5),
    ("scan", "sqlite", 1.2),
]
COLD_TARGET = 3.0  # of the better of our two ways, to LMDB's 32 readers
SCALING_TARGET = 1.6  # a thread a CPU to one, where there are two CPUs
OPEN_MS_MOST = 50
DISK_BYTES = 10 << 30  # of the ring's; as the engine makes its own
BIG_KEYS, BIG_DISK_BYTES = 10_500_000, 16 << 30  # of 1,000 bytes each
BIG_CACHES_MIB = [16, 64, 256]
BESIDES_CACHE_MB = 64  # what is replayed after a kill, its memtable, the program


def forget(folder):
    """Has the kernel drop what it keeps of the files."""
    for path in folder.rglob("*"):
        if path.is_file():
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def disk_megabytes(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 1e6


@contextlib.contextmanager
def emulated_host(root, image):
    """A host with one domain, whose disk xvda is that image; yields the environment to reach it."""
    with tempfile.TemporaryDirectory(prefix="kv-bench-host-") as directory, contextlib.ExitStack() as servers:
        def start(ready, *command):
            server = subprocess.Popen([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
            servers.callback(server.wait)
            servers.callback(server.terminate)
            while not server.stdout.readline().startswith(ready):
                if server.poll() is not None:
                    raise SystemExit(f"{command[0]} ended before it was ready")
        start("host: ready", root / "splitring", "host", "--dir", directory, "--domain", "1")
        start("splitringd: ready", root / "splitringd", "--host", directory)
        subprocess.run([root / "splitring", "attach", "--host", directory, "--domain", "1", "--vdev", "xvda", "--target",
                        f"raw:{image}?direct=on", "--mode", "w"], check=True, stdout=subprocess.DEVNULL)
        yield dict(os.environ, SPLITRING_HOST=directory, SPLITRING_DOMAIN="1")


class Rows:
    def __init__(self, load, options):
        self.load, self.options = load, options
        self.samples = {}
        self.units = {}

    def add(self, engine, work, value, unit):
        self.samples.setdefault((work, engine), []).append(value)
        self.units[work] = unit

    def run(self, engine, folder, how, amount):
        command = [self.load, how, engine, folder, self.options.keys, amount]
        with contextlib.ExitStack() as stack:
            environment = None
            if engine == "ring":
                image = folder / "store.img"
                if not image.exists():
                    image.touch()
                    os.truncate(image, DISK_BYTES)
                environment = stack.enter_context(emulated_host(self.options.root.resolve(), image))
            said = subprocess.run([str(word) for word in command], check=True, text=True, stdout=subprocess.PIPE,
                                  env=environment).stdout
        for line in said.splitlines():
            row = json.loads(line)
            self.add(engine, row["work"], row["value"], row["unit"])

    def measure_disk(self, folder):
        for work, options in DISK_WORKS.items():
            said = subprocess.run(
                ["fio", "--name=disk", f"--filename={folder / 'disk'}", f"--size={DISK_BYTES_MEASURED}", "--direct=1",
                 "--ioengine=io_uring", "--time_based", f"--runtime={self.options.seconds}", "--group_reporting",
                 "--output-format=json", *options], check=True, text=True, stdout=subprocess.PIPE).stdout
            job = json.loads(said)["jobs"][0]
            self.add("disk", work, job["write" if "write" in work else "read"]["iops"], "1/s")

    def measure(self, engine):
        if engine == "disk":
            with tempfile.TemporaryDirectory(dir=self.options.folder, prefix="kv-bench-") as name:
                (Path(name) / "disk").write_bytes(os.urandom(DISK_BYTES_MEASURED))
                self.measure_disk(Path(name))
            return
        with tempfile.TemporaryDirectory(dir=self.options.folder, prefix="kv-bench-") as name:
            folder = Path(name)
            self.run(engine, folder, "warm", self.options.seconds)
            self.add(engine, "disk space at the end", disk_megabytes(folder), "MB")
            if engine != "log":
                forget(folder)
                self.run(engine, folder, "cold", COLD_GETS)

    def median(self, work, engine):
        values = self.samples.get((work, engine))
        return statistics.median(values) if values else None

    def rows(self):
        for work, engine in self.samples:
            yield work, engine, self.median(work, engine), self.units[work]

    def print_table(self):
        engines = [engine for engine in ENGINES if any(key[1] == engine for key in self.samples)]
        print(f"{'':32s}" + "".join(f"{engine:>15s}" for engine in engines))
        for work in dict.fromkeys(work for work, _ in self.samples):
            cells = [self.median(work, engine) for engine in engines]
            print(f"{work:32s}" + "".join(f"{'-' if c is None else format(c, ',.1f' if c < 1000 else ',.0f'):>15s}"
                                         for c in cells) + f"  {self.units[work]}")

    def judge(self, name, value, least=None, most=None):
        met = value >= least if most is None else value <= most
        bound = f"at least {least}" if most is None else f"at most {most}"
        print(f"  {'met ' if met else 'MISS'} {name}: {value:.2f} ({bound})")

    def print_targets(self):
        for work, other, least in TARGETS:
            rivals = PEERS if other == "fastest" else [other]
            values = [v for v in (self.median(work, rival) for rival in rivals) if v]
            ours = self.median(work, "splitring")
            if values and ours:
                self.judge(f"{work}, to {other}", ours / max(values), least)
        one, rivals = self.median("durable put, 1 thread", "splitring"), [
            v for v in (self.median("durable put, 16 threads", rival) for rival in PEERS) if v]
        if one and rivals:
            print(f"       the most that 16 threads could have, each with one flush to wait for: "
                  f"{16 * one / max(rivals):.2f}")
        cold = [self.median(f"get, not cached, {how}", "splitring") for how in ("32 readers", "one multi-get")]
        lmdb = self.median("get, not cached, 32 readers", "lmdb")
        if all(cold) and lmdb:
            self.judge("get, not cached, to lmdb", max(cold) / lmdb, COLD_TARGET)
        one, many = self.median(GET_1, "splitring"), self.median(GET_N, "splitring")
        if one and many:
            self.judge("get, cached, a thread a CPU to one", many / one, SCALING_TARGET)
        space, lmdb = (self.median("space after the load", e) for e in ("splitring", "lmdb"))
        if space and lmdb:
            self.judge("space after the load, to lmdb's", space / lmdb, most=1.0)
            self.judge("space after overwriting all ten times, to that after the load",
                       self.median("space after overwriting", "splitring") / space, most=2.0)
        if opened := self.median("open", "splitring"):
            self.judge("open of a 10 GiB disk that was not closed, ms", opened, most=OPEN_MS_MOST)


def fill_and_kill(load, disk):
    """Kills who overwrites a full store, in the middle; prints what it said."""
    with subprocess.Popen([load, "fill", disk, str(BIG_KEYS)], text=True, stdout=subprocess.PIPE) as filling:
        for line in filling.stdout:
            row = json.loads(line)
            print(f"  {row['work']}: {row['value']:,.1f} {row['unit']}", flush=True)
            if row["work"] == "overwritten":
                filling.send_signal(signal.SIGKILL)


def measure_big(options):
    load = options.root / "bench/kv_big_load"
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="kv-bench-") as name:
        image = Path(name) / "store.img"
        image.touch()
        os.truncate(image, BIG_DISK_BYTES)
        disk = f"raw:{image}?direct=on"
        print(f"a store of {BIG_KEYS:,} values of 1,000 bytes, {options.folder}")
        fill_and_kill(load, disk)
        rows = Rows(load, options)
        for cache_mib in BIG_CACHES_MIB:
            said = subprocess.run([load, "open", disk, str(BIG_KEYS), str(cache_mib)], check=True, text=True,
                                  stdout=subprocess.PIPE).stdout
            values = {row["work"]: row["value"] for row in map(json.loads, said.splitlines())}
            print(f"  cache of {cache_mib} MiB: {values}")
            rows.judge("open after a kill, ms", values["open"], most=OPEN_MS_MOST)
            rows.judge("memory besides the cache, MB", values["memory at most"] - cache_mib * 1.048576,
                       most=BESIDES_CACHE_MB)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if options.only == "big":
        measure_big(options)
        return
    engines = [e for e in ENGINES if not options.only or e in options.only.split(",")]
    rows = Rows(options.root / "bench/kv_load", options)
    begin, stolen = time.monotonic(), busy_seconds()[1]
    for number in range(options.rounds):
        for engine in engines[number % len(engines):] + engines[:number % len(engines)]:
            rows.measure(engine)
    took = time.monotonic() - begin
    print(f"key-value stores: {options.keys:,} keys, {options.folder}, medians of {options.rounds}")
    rows.print_table()
    rows.print_targets()
    stolen_now = busy_seconds()[1]
    print(f"stolen by the host: {100 * (stolen_now - stolen) / took / os.cpu_count():.1f} % of the time")
    if options.out:
        options.out.write_text(json.dumps(
            [{"work": work, "subject": engine, "value": value, "unit": unit} for work, engine, value, unit in rows.rows()],
            indent=1) + "\n")


main()
