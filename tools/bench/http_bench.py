#!/usr/bin/env python3
"""Measures the kiosk and two servers of files on the same files, in the same run, interleaved.

The kiosk reads them from a tar archive over the emulated ring; nginx (with open_file_cache) and
lighttpd from tmpfs. Each server has one process on CPU 0, wrk has CPU 1, and so have the backend and
the emulated host, which have nothing to do once the kiosk has read a file. A round runs every server
on every row; the table shows medians of the rounds. wrk is a whole CPU of work itself: where that
is the limit, read the CPU column.

Usage: http_bench.py --root BUILD/release [--rounds 3] [--seconds 1.5] [--only SUBSTRING]
Writes build/bench-http.json: [{"work", "subject", "value", "unit"}, ...].
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from machine import busy_seconds

SIZES_KIB = (1, 10, 100)
CONNECTIONS = (32, 64)
NGINX = """
worker_processes 1; daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  open_file_cache max=1000; open_file_cache_valid 60s;
  types {{ text/html html; }}
  client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir};
  uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen 127.0.0.1:{port}; root {files}; }}
}}
"""
LIGHTTPD = """
server.document-root = "{files}"
server.port = {port}
server.bind = "127.0.0.1"
server.errorlog = "{dir}/lighttpd.err"
server.max-keep-alive-requests = 1000000000
mimetype.assign = ( ".html" => "text/html" )
"""
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}


class Failed(Exception):
    pass


def on_cpu(cpu, *command):
    return ["taskset", "-c", str(cpu), *map(str, command)]


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


class Servers:
    def __init__(self, root, scratch):
        self.root, self.scratch = root, scratch
        self.files = scratch / "files"
        self.files.mkdir()
        for kib in SIZES_KIB:
            # Letters that do not compress to nothing; nobody asks for compression here.
            noise = os.urandom(kib * 512).hex().encode()
            (self.files / f"f{kib}k.html").write_bytes(noise)
        self.image = scratch / "site.tar"
        subprocess.run(["tar", "-C", self.files, "-cf", self.image, "."], check=True)
        scratch.chmod(0o755)
        self.processes = []

    def start(self, command, ready=None, environment=None):
        process = subprocess.Popen(command, text=True, env=environment, stderr=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE if ready else subprocess.DEVNULL)
        self.processes.append(process)
        while ready:
            line = process.stdout.readline()
            if not line:
                raise Failed(f"{command[3]} ended before it was ready")
            if line.startswith(ready):
                return process, line
        return process, ""

    def wait_for(self, url, process):
        while process.poll() is None:
            try:
                return urllib.request.urlopen(url).read()
            except OSError:
                subprocess.run(["true"])
        raise Failed(f"the server for {url} ended")

    def kiosk(self):
        host = self.scratch / "host"
        environment = dict(os.environ, SPLITRING_HOST=str(host), SPLITRING_DOMAIN="1")
        tool = self.root / "splitring"
        self.start(on_cpu(1, tool, "host", "--dir", host, "--domain", "1"), "host: ready")
        self.start(on_cpu(1, self.root / "splitringd", "--host", host), "splitringd: ready")
        subprocess.run([tool, "attach", "--host", host, "--domain", "1", "--vdev", "xvda",
                        "--mode", "r", "--target", f"raw:{self.image}"], check=True,
                       stdout=subprocess.DEVNULL)
        process, line = self.start(
            on_cpu(0, self.root / "kiosk", "--disk", "vbd:xvda", "--threads", "1", "--listen",
                   "127.0.0.1:0"), "kiosk: serving", environment)
        return process.pid, line.split(" at ")[1].strip()

    def nginx(self):
        return self.peer("nginx.conf", NGINX, "nginx", "-c")

    def lighttpd(self):
        return self.peer("lighttpd.conf", LIGHTTPD, "lighttpd", "-D", "-f")

    def peer(self, name, text, *command):
        port = free_port()
        configuration = self.scratch / name
        configuration.write_text(text.format(dir=self.scratch, files=self.files, port=port))
        environment = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin")
        process, _ = self.start(on_cpu(0, *command, configuration), environment=environment)
        url = f"http://127.0.0.1:{port}/"
        self.wait_for(url + "f1k.html", process)
        return process.pid, url

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def wrk(url, connections, seconds):
    result = subprocess.run(
        on_cpu(1, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url),
        capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in result or "Socket errors" in result:
        raise Failed(f"{url}: {result}")
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", result).groups()
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", result)[1]), float(value) * UNITS[unit],
            int(re.search(r"(\d+) requests in", result)[1]))


class Bench:
    def __init__(self, arguments, servers):
        self.arguments, self.servers, self.samples = arguments, servers, {}
        self.subjects = {"kiosk": servers.kiosk(), "nginx": servers.nginx(),
                         "lighttpd": servers.lighttpd()}
        self.check()
        self.memory = []
        self.requests = 0

    def check(self):
        for subject, (_, url) in self.subjects.items():
            for path in self.servers.files.iterdir():
                if urllib.request.urlopen(url + path.name).read() != path.read_bytes():
                    raise Failed(f"{subject} sends other bytes for {path.name}")

    def rows(self):
        for kib in SIZES_KIB:
            for connections in CONNECTIONS:
                yield f"{kib} KiB, {connections} connections", f"f{kib}k.html", connections

    def measure(self):
        for _ in range(self.arguments.rounds):
            for work, name, connections in self.rows():
                if self.arguments.only not in work:
                    continue
                for subject, (pid, url) in self.subjects.items():
                    before = cpu_seconds(pid)
                    rate, p99_us, count = wrk(url + name, connections, self.arguments.seconds)
                    cpu_us = (cpu_seconds(pid) - before) * 1e6 / max(1, count)
                    self.samples.setdefault((work, subject), []).append((rate, p99_us, cpu_us))
                    if subject == "kiosk":
                        self.requests += count
                        self.memory.append((self.requests, resident_kib(pid)))

    def median(self, work, subject, which):
        return statistics.median(sample[which] for sample in self.samples[work, subject])

    def report(self):
        works = dict.fromkeys(work for work, _ in self.samples)
        for work in works:
            print(f"\n{work}")
            for subject in self.subjects:
                rate, p99_us, cpu_us = (self.median(work, subject, i) for i in range(3))
                print(f"  {subject:10s} {rate:9.0f} requests/s   p99 {p99_us:8.0f} us   "
                      f"CPU {cpu_us:6.2f} us per request")
        print("\ntargets")
        for work in works:
            self.target(work, "requests/s", "nginx", 0, at_least=True)
            self.target(work, "p99", "nginx", 1, at_least=False)
            if work.startswith("1 KiB"):
                self.target(work, "CPU per request", "lighttpd", 2, at_least=False)
        first, last = self.memory[0], self.memory[-1]
        print(f"\nmemory of the kiosk: {first[1]} KiB after {first[0]} requests, {last[1]} KiB after "
              f"{last[0]}")

    def target(self, work, what, peer, which, at_least):
        ratio = self.median(work, "kiosk", which) / self.median(work, peer, which)
        met = ratio >= 1 if at_least else ratio <= 1
        print(f"  {'met ' if met else 'MISS'} {work}: {what} {ratio:.2f} x {peer}'s "
              f"({'at least' if at_least else 'at most'} 1)")

    def figures(self):
        units = ("requests/s", "us p99", "us CPU per request")
        return [{"work": work, "subject": subject, "value": round(self.median(work, subject, i), 3),
                 "unit": unit} for work, subject in self.samples for i, unit in enumerate(units)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    arguments.seconds = max(1, round(arguments.seconds))  # wrk knows whole seconds
    if os.cpu_count() < 2:
        sys.exit("bench: two CPUs are needed, one for the server and one for its clients")
    # On tmpfs, where the others' files are in memory as the kiosk's are.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        servers = Servers(arguments.root.resolve(), Path(scratch))
        try:
            bench = Bench(arguments, servers)
            begin, (busy, stolen) = time.monotonic(), busy_seconds()
            bench.measure()
            elapsed, (busy_after, stolen_after) = time.monotonic() - begin, busy_seconds()
            bench.report()
        except Failed as error:
            sys.exit(f"bench: {error}")
        finally:
            servers.stop()
    print(f"meanwhile: {(busy_after - busy) / elapsed:.0%} of a CPU busy in all (a run alone: 200% at "
          f"most), stolen by the host {(stolen_after - stolen) / elapsed:.0%}")
    out = arguments.out or arguments.root.parent / "bench-http.json"
    out.write_text(json.dumps(bench.figures(), indent=1) + "\n")
    print(f"written: {out}")


main()
