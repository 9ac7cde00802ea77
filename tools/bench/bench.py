#!/usr/bin/env python3
"""Measures Splitring and its peers on the same work, in the same run, interleaved, on this machine.

Every subject gets the same image: 1 GiB on tmpfs, the server on CPU 1, the client on CPU 0. All
clients have room for what they keep in flight: Splitring's domain may grant 5 MiB (a Linux guest's
gntalloc allows 4 MiB by default, rings included, and then one of four 1 MiB requests is copied). A round
runs every subject on every work, one after the other; the table shows medians of the rounds and the
ratio to Splitring's targets. Figures of a busy machine are worth nothing: the last line says how
busy others were.

Usage: bench.py --root BUILD/release [--rounds 3] [--seconds 1.5] [--only SUBSTRING]
Writes build/bench.json: [{"work", "subject", "value", "unit"}, ...].
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fat_rows import FatRows
from machine import busy_seconds
from tar_rows import TarRows

IMAGE_BYTES = 1 << 30

# work: (rw, block bytes, depth)
WORKS = {
    "randread 4k qd1": ("randread", 4096, 1),
    "randread 4k qd32": ("randread", 4096, 32),
    "randwrite 4k qd32": ("randwrite", 4096, 32),
    "read 128k qd8": ("read", 131072, 8),
    "read 1m qd4": ("read", 1048576, 4),
    "write 1m qd4": ("write", 1048576, 4),
}
DIRECT_WORKS = {
    "direct randread 4k qd1": ("randread", 4096, 1),
    "direct randread 4k qd32": ("randread", 4096, 32),
}
MEMORY_WORK = "memory randread 4k qd32"
# To wake a CPU that halts costs a virtual machine up to 70 us, twice a request, whoever asks for it.
# Here loops of the lowest priority keep both CPUs from halting, as idle=poll does on a host: what is
# left is the programs' own.
AWAKE_WORK = "CPUs awake randread 4k qd1"
# Both ends on one CPU: whoever spins keeps the other from running.
ONE_CPU_WORK = "one CPU randread 4k qd1"

# (work, subject, divisor, least ratio)
TARGETS = [
    ("randread 4k qd1", "splitring poll=off", "vhost-user-blk", 1.35),
    ("randread 4k qd1", "splitring poll=off", "nbdkit", 1.5),
    ("randread 4k qd1", "splitring poll=off", "qemu-nbd", 2.0),
    ("randread 4k qd1", "splitring poll=off", "bare ring, events", 0.95),
    (AWAKE_WORK, "splitring poll=off", "vhost-user-blk", 1.35),
    (AWAKE_WORK, "splitring poll=off", "nbdkit", 1.5),
    (AWAKE_WORK, "splitring poll=off", "qemu-nbd", 2.0),
    ("randread 4k qd1", "splitring poll=auto", "splitring poll=off", 5.0),
    ("randread 4k qd1", "splitring poll=on", "splitring poll=off", 5.0),
    ("randread 4k qd32", "splitring poll=auto", "vhost-user-blk", 1.5),
    ("randread 4k qd32", "splitring poll=auto", "nbdkit", 2.8),
    ("randread 4k qd32", "splitring poll=auto", "bare ring", 0.75),
    ("randwrite 4k qd32", "splitring poll=auto", "vhost-user-blk", 1.5),
    ("randwrite 4k qd32", "splitring poll=auto", "nbdkit", 2.8),
    ("randwrite 4k qd32", "splitring poll=auto", "bare ring", 0.75),
    ("read 128k qd8", "splitring poll=auto", "vhost-user-blk", 1.2),
    ("read 128k qd8", "splitring poll=auto", "bare ring", 0.8),
    ("read 1m qd4", "splitring poll=auto", "vhost-user-blk", 1.2),
    ("read 1m qd4", "splitring poll=auto", "bare ring", 0.8),
    ("write 1m qd4", "splitring poll=auto", "vhost-user-blk", 1.2),
    ("write 1m qd4", "splitring poll=auto", "bare ring", 0.8),
    (MEMORY_WORK, "splitring poll=auto", "bare ring", 0.75),
    # Where polling does not pay it must not cost: 0.95 is what the rounds differ by.
    (ONE_CPU_WORK, "splitring poll=auto", "splitring poll=off", 0.95),
    ("direct randread 4k qd1", "splitring poll=auto", "splitring poll=off", 0.95),
    ("direct randread 4k qd1", "splitring raw lane", "fio io_uring", 0.95),
    ("direct randread 4k qd32", "splitring raw lane", "fio io_uring", 0.95),
]
# (work, subject, divisor, greatest ratio of CPU per I/O, both sides together)
CPU_TARGETS = [
    ("randread 4k qd32", "splitring poll=auto", "vhost-user-blk", 0.6),
    ("randread 4k qd32", "splitring poll=auto", "nbdkit", 0.2),
]


class Failed(Exception):
    pass


def start(command, ready=None, environment=None, cpu=1):
    """Starts a server; waits for a line that starts with `ready` on its output."""
    process = subprocess.Popen(
        ["taskset", "-c", str(cpu), *map(str, command)], text=True, env=environment,
        stdout=subprocess.PIPE if ready else subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while ready:
        line = process.stdout.readline()
        if not line:
            raise Failed(f"{command[0]} ended before it was ready")
        if line.startswith(ready):
            break
    return process


@contextlib.contextmanager
def awake_cpus():
    """Keeps both CPUs from halting; whoever has work runs before these loops."""
    loops = [subprocess.Popen(["chrt", "-i", "0", "taskset", "-c", str(cpu), "sh", "-c",
                               "while :; do :; done"]) for cpu in (0, 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def awake(run):
    def run_awake(*shape):
        with awake_cpus():
            return run(*shape)
    return run_awake


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


def wait_for_socket(path, process):
    """Servers that say nothing when ready: connects until it is let in."""
    import socket
    while True:
        if process.poll() is not None:
            raise Failed(f"the server for {path} ended")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
                return
            except OSError:
                subprocess.run(["true"])


def process_cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_json(command, environment=None):
    result = subprocess.run(["taskset", "-c", "0", *map(str, command)], text=True,
                            capture_output=True, env=environment)
    if result.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {result.stderr.strip()[-300:]}")
    return json.loads(result.stdout[result.stdout.index("{"):])


class Bench:
    def __init__(self, arguments, scratch):
        self.root = arguments.root.resolve()
        self.seconds = arguments.seconds
        self.scratch = Path(scratch)
        self.image = Path("/dev/shm") / f"splitring-bench-{os.getpid()}.raw"
        self.direct = self.root / "bench-direct.raw"
        self.samples = {}

    def prepare(self):
        with open(self.image, "wb") as image:
            for _ in range(IMAGE_BYTES >> 20):
                image.write(os.urandom(1 << 20))
        if not self.direct.exists() or self.direct.stat().st_size != IMAGE_BYTES:
            shutil.copyfile(self.image, self.direct)
            subprocess.run(["sync", self.direct], check=True)

    def clean(self):
        self.image.unlink(missing_ok=True)
        self.direct.unlink(missing_ok=True)

    # ---- subjects: each returns {"iops", "p50_us", "client_cpu_us", "server_cpu_us"} ----

    def splitring(self, poll, target=None, server_cpu=1, daemon_options=(), fill=False):
        def run(rw, block, depth):
            directory = self.scratch / "host"
            environment = dict(os.environ, SPLITRING_HOST=str(directory), SPLITRING_DOMAIN="1")
            tool = self.root / "splitring"
            host = start([tool, "host", "--dir", directory, "--domain", "1", "--grant-limit", "2048"],
                         "host: ready")
            try:
                daemon = start([self.root / "splitringd", "--host", directory, "--poll", poll,
                                *daemon_options], "splitringd: ready", cpu=server_cpu)
                try:
                    disk = "vbd:xvda?pool=1280"
                    subprocess.run(
                        [tool, "attach", "--host", directory, "--domain", "1", "--vdev", "xvda",
                         "--target", target or f"raw:{self.image}", "--mode", "w"],
                        check=True, stdout=subprocess.DEVNULL)
                    if fill:  # fresh memory reads faster than memory that holds something
                        subprocess.run([tool, "cp", f"raw:{self.image}", disk], check=True,
                                       stdout=subprocess.DEVNULL, env=environment)
                    return run_json(
                        [tool, "bench", disk, "--rw", rw, "--bs", block, "--qd", depth,
                         "--secs", self.seconds, "--poll", poll, "--server-pid", daemon.pid,
                         "--write-destroys-data", "--json"], environment)
                finally:
                    stop(daemon)
            finally:
                stop(host)
        return run

    def bare_ring(self, wait, disk=None):
        def run(rw, block, depth):
            return run_json([self.root / "bench/bare_ring", wait, rw, block, depth, self.seconds,
                             disk or self.image])
        return run

    def vhost_user_blk(self, rw, block, depth):
        socket = self.scratch / "vhost.sock"
        server = start(["qemu-storage-daemon", "--blockdev",
                        f"driver=file,node-name=f,filename={self.image},aio=io_uring", "--export",
                        f"type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path={socket},"
                        "writable=on", "--pidfile", self.scratch / "vhost.pid"])
        try:
            while not (self.scratch / "vhost.pid").exists():
                if server.poll() is not None:
                    raise Failed("qemu-storage-daemon ended")
            return run_json([self.root / "bench/vhost_user_load", socket, rw, block, depth,
                             self.seconds, IMAGE_BYTES, server.pid])
        finally:
            stop(server)
            for name in ("vhost.sock", "vhost.pid"):
                (self.scratch / name).unlink(missing_ok=True)

    def nbd(self, command):
        def run(rw, block, depth):
            socket = self.scratch / "nbd.sock"
            server = start([part.format(socket=socket, image=self.image) for part in command])
            try:
                wait_for_socket(socket, server)
                return self.fio(rw, block, depth, server.pid, "--ioengine=nbd",
                                f"--uri=nbd+unix:///?socket={socket}", f"--size={IMAGE_BYTES}")
            finally:
                stop(server)
                socket.unlink(missing_ok=True)
        return run

    def fio(self, rw, block, depth, server_pid, *options):
        before = process_cpu_seconds(server_pid) if server_pid else 0
        report = run_json(["fio", "--name=x", "--time_based", f"--runtime={self.seconds}",
                           f"--rw={rw}", f"--bs={block}", f"--iodepth={depth}",
                           "--output-format=json", *options])
        job = report["jobs"][0]
        side = job["write" if "write" in rw else "read"]
        count = max(1, side["total_ios"])
        server = process_cpu_seconds(server_pid) - before if server_pid else 0
        client = (job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] / 1000
        return {"iops": side["iops"], "client_cpu_us": client * 1e6 / count,
                "p50_us": (side["clat_ns"]["percentile"]["50.000000"]
                           + side["slat_ns"].get("mean", 0)) / 1e3,
                "server_cpu_us": server * 1e6 / count}

    def fio_direct(self, rw, block, depth):
        return self.fio(rw, block, depth, None, "--ioengine=io_uring", "--direct=1",
                        f"--filename={self.direct}", "--registerfiles=1", "--fixedbufs=1")

    def raw_lane(self, rw, block, depth):
        return run_json([self.root / "splitring", "bench", f"raw:{self.direct}?direct=on", "--rw",
                         rw, "--bs", block, "--qd", depth, "--secs", self.seconds, "--json"])

    def subjects(self):
        nbdkit = ["nbdkit", "-f", "-U", "{socket}", "file", "{image}"]
        qemu_nbd = ["qemu-nbd", "-t", "-k", "{socket}", "-f", "raw", "--cache=writeback",
                    "--aio=io_uring", "{image}"]
        memory = f"mem:{IMAGE_BYTES}"
        ring = {"splitring poll=off": self.splitring("off"),
                "splitring poll=auto": self.splitring("auto"),
                "splitring poll=on": self.splitring("on"),
                "splitring grant copy": self.splitring("auto", daemon_options=["--no-persistent"]),
                "bare ring": self.bare_ring("hybrid"),
                "bare ring, events": self.bare_ring("event"),
                "vhost-user-blk": self.vhost_user_blk,
                "nbdkit": self.nbd(nbdkit), "qemu-nbd": self.nbd(qemu_nbd)}
        for work, shape in WORKS.items():
            yield work, shape, ring
        yield AWAKE_WORK, WORKS["randread 4k qd1"], {
            subject: awake(ring[subject])
            for subject in ("splitring poll=off", "bare ring, events", "vhost-user-blk", "nbdkit",
                            "qemu-nbd")}
        yield ONE_CPU_WORK, ("randread", 4096, 1), {
            f"splitring poll={poll}": self.splitring(poll, server_cpu=0)
            for poll in ("off", "auto")}
        yield MEMORY_WORK, ("randread", 4096, 32), {
            "splitring poll=off": self.splitring("off", memory, fill=True),
            "splitring poll=auto": self.splitring("auto", memory, fill=True),
            "bare ring": self.bare_ring("hybrid", memory),
            "bare ring, events": self.bare_ring("event", memory)}
        direct = f"raw:{self.direct}?direct=on"
        for work, shape in DIRECT_WORKS.items():
            yield work, shape, {"splitring raw lane": self.raw_lane,
                                "splitring poll=off": self.splitring("off", direct),
                                "splitring poll=auto": self.splitring("auto", direct),
                                "fio io_uring": self.fio_direct}

    # ---- the run ----

    def measure(self, rounds, only):
        for number in range(1, rounds + 1):
            for work, shape, subjects in self.subjects():
                for subject, run in subjects.items():
                    if only not in f"{work} {subject}":
                        continue
                    print(f"\rround {number} of {rounds}: {work}: {subject}".ljust(79), end="",
                          file=sys.stderr, flush=True)
                    try:
                        figures = run(*shape)
                    except (Failed, subprocess.CalledProcessError, FileNotFoundError) as error:
                        print(f"\n{work}: {subject}: {error}", file=sys.stderr)
                        continue
                    for name in ("iops", "p50_us", "client_cpu_us", "server_cpu_us"):
                        key = (work, subject, name)
                        self.samples.setdefault(key, []).append(figures[name])
        print("\r".ljust(80) + "\r", end="", file=sys.stderr)

    def median(self, work, subject, name):
        samples = self.samples.get((work, subject, name))
        return statistics.median(samples) if samples else None

    def cpu(self, work, subject):
        client = self.median(work, subject, "client_cpu_us")
        server = self.median(work, subject, "server_cpu_us")
        return None if client is None else client + server

    def rows(self):
        for work, subject in dict.fromkeys((w, s) for w, s, _ in self.samples):
            yield work, subject, "IOPS", self.median(work, subject, "iops")
            yield work, subject, "us p50", self.median(work, subject, "p50_us")
            yield work, subject, "us CPU per I/O", self.cpu(work, subject)

    def print_table(self):
        shapes = {work: shape for work, shape, _ in self.subjects()}
        last = None
        for work, subject in dict.fromkeys((w, s) for w, s, _ in self.samples):
            if work != last:
                print(f"\n{work}")
                last = work
            iops = self.median(work, subject, "iops")
            print(f"  {subject:24s} {iops:10.0f} IOPS {iops * shapes[work][1] / 1e6:8.0f} MB/s"
                  f"   p50 {self.median(work, subject, 'p50_us'):8.1f} us"
                  f"   CPU {self.cpu(work, subject):7.2f} us per I/O")
        print("\ntargets")
        for work, subject, other, least in TARGETS:
            ours, theirs = (self.median(work, s, "iops") for s in (subject, other))
            if ours and theirs:
                ratio = ours / theirs
                print(f"  {'met ' if ratio >= least else 'MISS'} {work}: {subject} is {ratio:.2f} x "
                      f"{other} (at least {least})")
        for work, subject, other, most in CPU_TARGETS:
            ours, theirs = (self.cpu(work, s) for s in (subject, other))
            if ours and theirs:
                ratio = ours / theirs
                print(f"  {'met ' if ratio <= most else 'MISS'} {work}: CPU per I/O of {subject} is "
                      f"{ratio:.2f} x {other}'s (at most {most})")


def measure_files(arguments):
    """The rows about archives and FAT, as far as --only names them."""
    measured = []
    for name, kind in (("archives", TarRows), ("fat", FatRows)):
        if arguments.only not in name:
            continue
        rows = kind(arguments.root.resolve())
        try:
            rows.prepare()
            rows.measure(arguments.rounds)
        finally:
            rows.clean()
        measured.append(rows)
    return measured


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    if os.cpu_count() < 2:
        sys.exit("bench: two CPUs are needed, one for each end of a ring")
    files = measure_files(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(arguments, scratch)
        try:
            bench.prepare()
            busy, steal = busy_seconds()
            begin = time.monotonic()
            bench.measure(arguments.rounds, arguments.only)
            elapsed = time.monotonic() - begin
        finally:
            bench.clean()
    if not bench.samples and not files:
        sys.exit("bench: nothing was measured")
    bench.print_table()
    for rows in files:
        rows.print_table()
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy_after, steal_after = busy_seconds()
    others = busy_after - busy - own.ru_utime - own.ru_stime
    print(f"\nmeanwhile: others {max(0.0, others) / elapsed:.0%} of a CPU, stolen by the host "
          f"{(steal_after - steal) / elapsed:.0%} (above 10%, measure again)")
    out = arguments.out or arguments.root.parent / "bench.json"
    out.write_text(json.dumps(
        [{"work": w, "subject": s, "value": round(v, 3), "unit": u}
         for w, s, u, v in [*bench.rows(), *(row for rows in files for row in rows.rows())]],
        indent=1) + "\n")
    print(f"written: {out}")


main()
