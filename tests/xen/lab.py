#!/usr/bin/env python3
"""Runs Splitring's programs on a real Xen, one line a scenario; the last line is
"N passed, N failed".

  lab.py --installed TREE [--tool PROGRAM]... --work FOLDER [--only TEXT]... [--junit FILE]
  lab.py ... --patience N   on a machine that is N times slower than an idle one, or shared by N
  lab.py ... --shell     afterwards, each line of standard input is run in domain 0 (see shell())

TREE is what `make install DESTDIR=TREE PREFIX=/usr` made; domain 0 gets all of it, a guest the
programs; each gets the tools too. A scenario is a file tests/xen/scenarios/*.sh: bash in domain 0,
with dom0/lib.sh before it. Its first line says what it claims; a line "# seconds: N" gives it more
time than the default. One boot runs them all, in the order of their names; a machine that is lost is
booted again for the rest. The log of each is FOLDER/logs/NAME.log, its guests' consoles lie beside
it.
"""

import argparse
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

import images
import packages
from machine import Machine, MachineLost

HERE = Path(__file__).resolve().parent
DEFAULT_SECONDS = 120


class Scenario:
    def __init__(self, path):
        self.name = path.stem
        self.text = path.read_text()
        self.claim = self.text.splitlines()[0].lstrip("# ")
        limit = re.search(r"^# seconds: (\d+)$", self.text, re.M)
        self.seconds = int(limit.group(1)) if limit else DEFAULT_SECONDS

    def script(self, patience):
        return f"set -u\npatience={patience}\n. /share/lib.sh\n{self.text}\n"


def find_scenarios(texts):
    """Those that have one of the texts in their names."""
    return [Scenario(path) for path in sorted((HERE / "scenarios").glob("*.sh"))
            if any(text in path.stem for text in texts)]


def strip_into(source, destination):
    destination.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["strip", "-o", destination, source], check=True)


def add_stripped(tree, programs, system):
    """Into usr/bin, with those of their shared libraries that the system has not."""
    for program in programs:
        strip_into(program, tree / "usr/bin" / program.name)
    for library in images.libraries(programs):
        if not (system / library.lstrip("/")).exists():
            images.copy(library, tree)


def fill_share(installed, tools, work, cache):
    """What domain 0 is given: an installed tree with its libraries, and the guest's system."""
    share = work / "share"
    tree = share / "root"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(installed, tree, symlinks=True)
    programs = [path for path in (installed / "usr/bin").iterdir()]
    add_stripped(tree, [*programs, *tools], cache / "dom0")
    shutil.copy(HERE / "dom0/lib.sh", share / "lib.sh")
    shutil.copy(HERE / "guest/init", share / "guest-init")
    overlay = work / "overlay"
    shutil.rmtree(overlay, ignore_errors=True)
    add_stripped(overlay, [*programs, *tools], cache / "guest")
    images.pack(overlay, work / "overlay.img")
    with (share / "guest.img").open("wb") as out:  # a kernel unpacks one after the other
        for part in (cache / "guest.img", work / "overlay.img"):
            out.write(part.read_bytes())
    shutil.copy(cache / "vmlinux", share / "vmlinux")
    return share


class Lab:
    def __init__(self, arguments, icount=False):
        self.installed = arguments.installed.resolve()
        self.tools = [path.resolve() for path in arguments.tool]
        self.work = arguments.work.resolve()
        self.cache = self.work / "cache"
        self.logs = self.work / "logs"
        self.patience = arguments.patience
        self.icount = icount
        self.machine = None
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)

    def prepare(self):
        self.cache.mkdir(parents=True, exist_ok=True)
        self.unpacked = packages.unpack_all(self.cache)
        images.make_all(self.cache, self.unpacked)
        self.share = fill_share(self.installed, self.tools, self.work, self.cache)

    def boot(self):
        start = time.monotonic()
        self.machine = Machine(self.cache, self.unpacked, self.share, self.icount)
        self.machine.wait_ready(self.patience)
        self.load()
        print(f"xen: booted in {time.monotonic() - start:.0f} s", flush=True)

    def load(self):
        """Gives domain 0 what the shared folder holds."""
        status, output = self.machine.run(
            "cp -a --remove-destination /share/root/. / && mkdir -p /dev/shm/lab &&"
            " cp /share/vmlinux /share/guest.img /dev/shm/lab/", 60 * self.patience)
        if status != 0:
            raise MachineLost(f"domain 0 could not be set up: {output}")

    def refresh(self):
        images.make_all(self.cache, self.unpacked)
        fill_share(self.installed, self.tools, self.work, self.cache)
        self.load()

    def end(self):
        if self.machine is None:
            return
        self.machine.close()
        self.machine = None

    def keep_consoles(self, name):
        folder = self.logs / f"{name}.consoles"
        shutil.rmtree(folder, ignore_errors=True)
        if any(self.machine.share.glob("consoles/*")):
            shutil.copytree(self.machine.share / "consoles", folder)
        shutil.copy(self.machine.console, self.logs / "console.log")

    def run(self, scenario):
        """True if it passed."""
        start = time.monotonic()
        lost = False
        try:
            if self.machine is None:
                self.boot()
            status, output = self.machine.run(
                scenario.script(self.patience), scenario.seconds * self.patience)
            if status in (124, 137):
                output += f"\nnot done within {scenario.seconds * self.patience} s\n"
        except MachineLost as error:
            lost = True
            status, output = 1, f"{error}\n"
        seconds = time.monotonic() - start
        log = self.logs / f"{scenario.name}.log"
        log.write_text(output)
        if self.machine is not None:
            self.keep_consoles(scenario.name)
            if lost:
                self.end()
        print(f"{'ok    ' if status == 0 else 'FAILED'} {scenario.name}: {scenario.claim}  "
              f"({seconds:.1f} s)", flush=True)
        if status != 0:
            # Behind what is wrong comes the daemon's log.
            said, wrong, behind = output.partition("FAILED: ")
            lines = [*said.splitlines()[-5:], *(wrong + behind).splitlines()[:15]]
            print("".join(f"       | {line}\n" for line in lines) + f"       log: {log}", flush=True)
        return status == 0, seconds, output


def write_junit(path, results):
    failures = sum(not passed for _, passed, _, _ in results)
    lines = [f'<testsuite name="xen" tests="{len(results)}" failures="{failures}">']
    for scenario, passed, seconds, output in results:
        lines.append(f"  <testcase classname=\"xen\" name={quoteattr(scenario.name)} "
                     f"time=\"{seconds:.1f}\">")
        if not passed:
            lines.append(f"    <failure message={quoteattr(output[-2000:])}/>")
        lines.append("  </testcase>")
    path.write_text("\n".join([*lines, "</testsuite>", ""]))


def shell(lab):
    """`run TEXT`: scenarios with that in their names, `sync`: the programs anew; else for bash."""
    for line in sys.stdin:
        verb, _, rest = line.strip().partition(" ")
        if verb == "sync":
            lab.refresh()
        elif verb == "run":
            for scenario in find_scenarios([rest]):
                lab.run(scenario)
        else:
            status, output = lab.machine.run(f"patience=1\n. /share/lib.sh\n{line}", 600)
            print(f"{output}-- {status}", flush=True)


def lab_arguments(description):
    """A parser of what every user of a Lab is told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--installed", required=True, type=Path)
    parser.add_argument("--tool", action="append", default=[], type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--patience", type=int, default=1)
    return parser


def main():
    parser = lab_arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--junit", type=Path)
    parser.add_argument("--shell", action="store_true")
    arguments = parser.parse_args()
    start = time.monotonic()
    scenarios = find_scenarios(arguments.only or [""])
    lab = Lab(arguments)
    results = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the machine goes with us
    try:
        lab.prepare()
        for scenario in scenarios:
            results.append((scenario, *lab.run(scenario)))
        if arguments.shell:
            if lab.machine is None:
                lab.boot()
            shell(lab)
    finally:
        lab.end()
    if arguments.junit:
        write_junit(arguments.junit, results)
    worked = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"xen: {time.monotonic() - start:.0f} s in all, with "
          f"{worked.ru_utime + worked.ru_stime:.0f} s of processor time")
    passed = sum(good for _, good, _, _ in results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if results and passed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
