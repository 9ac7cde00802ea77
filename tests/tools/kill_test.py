#!/usr/bin/env python3
"""Either end of a disk is killed at random moments with verified I/O running, again and again: the
survivor goes on or says why, no byte is lost or stale, and in the end nothing is left behind. A
backend that finds the journals of the one before goes on with the same rings, and the frontend need
not know; without them the frontend connects again.

Environment: SPLITRING_BUILD; KILLS (500) of each end, a tenth of them without journals; SEED (random, printed).
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD = Path(os.environ["SPLITRING_BUILD"])
KILLS = int(os.environ.get("KILLS", "500"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(1 << 32))))
XVDA = "51712"
LOOKS = 50

random.seed(SEED)


def check(condition, claim):
    if not condition:
        sys.exit(f"kill_test: not true (SEED={SEED}): {claim}")


class Process:
    """A child whose output is read line by line."""

    def __init__(self, *command):
        self.child = subprocess.Popen([str(part) for part in command], text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def wait_for(self, start):
        for line in self.child.stdout:
            check("WRONG" not in line, line.strip())
            if line.startswith(start):
                return line
        check(False, f"{self.child.args[0]} ended (exit code {self.child.wait()}) before \"{start}\"")

    def kill(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()

    def terminate(self):
        self.child.send_signal(signal.SIGTERM)
        rest = self.child.stdout.read()
        check(self.child.wait() == 0, f"{self.child.args[0]} ends well: {rest[-300:]}")
        return rest


class Stage:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.host_directory = self.directory / "host"
        self.image = self.directory / "disk.raw"
        self.image.write_bytes(bytes(16 << 20))
        self.host = Process(BUILD / "splitring", "host", "--dir", self.host_directory, "--domain",
                            "1")
        self.host.wait_for("host: ready")
        self.daemon = self.start_daemon()
        self.tool("attach", "--domain", "1", "--vdev", "xvda", "--target", f"raw:{self.image}",
                  "--mode", "w")

    def tool(self, *arguments):
        result = subprocess.run([BUILD / "splitring", *arguments, "--host", self.host_directory],
                                text=True, capture_output=True)
        check(result.returncode == 0, f"splitring {' '.join(arguments)}: {result.stderr}")
        return result.stdout

    def start_daemon(self, *options):
        daemon = Process(BUILD / "splitringd", "--host", self.host_directory, *options)
        daemon.wait_for("splitringd: ready")
        return daemon

    def start_load(self):
        return Process(BUILD / "tests/verified_load", self.host_directory, "1", XVDA,
                       str(random.randrange(1 << 32)))

    def node(self, name):
        """Of the backend's directory of the disk."""
        read = subprocess.run(
            ["xenstore-read", f"/local/domain/0/backend/splitring/1/{XVDA}/{name}"], text=True,
            capture_output=True,
            env=dict(os.environ, XENSTORED_PATH=str(self.host_directory / "0/xenstored")))
        return read.stdout.strip()

    def left_over(self):
        """What the host holds for its domains, and how many descriptors and store nodes it has."""
        domains = json.loads(self.tool("domain", "list", "--json"))
        store = subprocess.run(
            ["xenstore-ls", "-f", "/local/domain"], text=True, capture_output=True,
            env=dict(os.environ, XENSTORED_PATH=str(self.host_directory / "0/xenstored")))
        check(store.returncode == 0, f"xenstore-ls: {store.stderr}")
        # Values may differ (states, grants), names may not.
        names = sorted(line.split(" = ")[0] for line in store.stdout.splitlines())
        return {"domains": domains, "names": names,
                "descriptors": len(os.listdir(f"/proc/{self.host.child.pid}/fd"))}


def clean_round(stage):
    """One frontend that comes and goes in peace; what is there after it is the measure."""
    load = stage.start_load()
    load.wait_for("progress")
    check("verified" in load.terminate(), "a load verifies what it wrote")


def check_nothing_left(stage, before, who):
    clean_round(stage)
    # The host may still be about to hear that a client before us has closed its socket.
    for _ in range(LOOKS):
        now = stage.left_over()
        if now == before:
            return
    check(False, f"killed {who} leave nothing: {before} {now}")


def kill_backend(stage, kills, *options):
    """True if the frontend has connected once only."""
    load = stage.start_load()
    load.wait_for("progress")
    connection = stage.node("splitring-journal")
    for number in range(kills):
        # A moment between none and a few hundred requests after the last one.
        for _ in range(random.randrange(4)):
            load.wait_for("progress")
        stage.daemon.kill()
        stage.daemon = stage.start_daemon(*options)
        load.wait_for("progress")
        if (number + 1) % 100 == 0:
            print(f"backend killed {number + 1} times", flush=True)
    same = connection != "" and stage.node("splitring-journal") == connection
    check("verified" in load.terminate(), "what was written is there after every kill")
    return same


def kill_frontend(stage):
    for number in range(KILLS):
        load = stage.start_load()
        # Sometimes within the handshake.
        for _ in range(random.randrange(4)):
            load.wait_for("progress")
        load.kill()
        if (number + 1) % 100 == 0:
            print(f"frontend killed {number + 1} times", flush=True)


def main():
    print(f"SEED={SEED} KILLS={KILLS}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        stage = Stage(directory)
        clean_round(stage)
        before = min((stage.left_over() for _ in range(3)), key=lambda left: left["descriptors"])
        daemon_descriptors = len(os.listdir(f"/proc/{stage.daemon.child.pid}/fd"))
        kill_frontend(stage)
        check_nothing_left(stage, before, "frontends")
        check(len(os.listdir(f"/proc/{stage.daemon.child.pid}/fd")) == daemon_descriptors,
              "the backend holds no descriptor of a killed frontend")
        check(kill_backend(stage, KILLS), "the frontend has noticed no kill")
        kill_backend(stage, KILLS // 10, "--journal", "off")
        stage.daemon.terminate()
        stage.daemon = stage.start_daemon()
        check_nothing_left(stage, before, "backends")
        stage.tool("detach", "--domain", "1", "--vdev", "xvda")
        check(not any((stage.host_directory / "0/rings").iterdir()), "no journal is left")
        stage.daemon.terminate()
        stage.host.terminate()
        check(not any(stage.host_directory.glob("*/xenstored")), "the host removes its sockets")


main()
