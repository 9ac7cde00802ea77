#!/usr/bin/env python3
"""Runs every test of a build and ends with one line: N passed, N failed[, N skipped].

A GoogleTest binary under ROOT/tests counts each of its tests; a script under tests/ named
*_test.sh or *_test.py counts as one and is given ROOT as SPLITRING_BUILD (exit code 77: skipped).
Output of what passes is not shown.  Usage: run.py --root BUILD/release [--only SUBSTRING]
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BINARY_TIMEOUT_S = 1500
SKIPPED = 77
SUPPORT = Path(__file__).resolve().parent / "support"
# Of a sanitizer's build; no other looks at them.
os.environ.setdefault("LSAN_OPTIONS", f"print_suppressions=0:suppressions={SUPPORT}/leaks.supp")
os.environ.setdefault("TSAN_OPTIONS", f"print_suppressions=0:suppressions={SUPPORT}/races.supp")

# A shell starts what it leaves in the background with SIGINT ignored, nohup what it starts with
# SIGHUP, and programs that find it so let it be: tests of Ctrl-C and reloads would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def run_binary(path, totals):
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        process = subprocess.run(
            [path, f"--gtest_output=json:{report}", "--gtest_brief=1"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BINARY_TIMEOUT_S)
        failed = process.returncode != 0
        passed_here = failed_here = skipped_here = 0
        if report.exists():
            for suite in json.loads(report.read_text())["testsuites"]:
                for case in suite["testsuite"]:
                    if case["result"] == "SKIPPED":
                        skipped_here += 1
                        print(f"  skipped: {case['classname']}.{case['name']}")
                    elif case.get("failures"):
                        failed_here += 1
                    elif case["status"] == "RUN":
                        passed_here += 1
        if failed and failed_here == 0:
            failed_here = 1  # it crashed, or a sanitizer stopped it
        totals["passed"] += passed_here
        totals["failed"] += failed_here
        totals["skipped"] += skipped_here
        if failed:
            sys.stdout.buffer.write(process.stdout)
        return not failed


def run_script(path, root, totals):
    environment = dict(os.environ, SPLITRING_BUILD=str(root.resolve()))
    process = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=BINARY_TIMEOUT_S, env=environment)
    if process.returncode == SKIPPED:
        totals["skipped"] += 1
        reason = process.stdout.decode(errors="replace").strip().splitlines()
        print(f"  skipped: {path}: {reason[-1] if reason else 'no reason given'}")
        return True
    totals["passed" if process.returncode == 0 else "failed"] += 1
    if process.returncode != 0:
        sys.stdout.buffer.write(process.stdout)
    return process.returncode == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    sources = Path(__file__).parent
    binaries = sorted(arguments.root.glob("tests/*_test"))
    scripts = sorted([*sources.glob("**/*_test.sh"), *sources.glob("**/*_test.py")])
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for path in [*binaries, *scripts]:
        if arguments.only not in str(path):
            continue
        start = time.monotonic()
        try:
            if path in binaries:
                good = run_binary(path, totals)
            else:
                good = run_script(path, arguments.root, totals)
        except subprocess.TimeoutExpired as error:
            totals["failed"] += 1
            good = False
            sys.stdout.buffer.write(error.stdout or b"")
        print(f"{'ok    ' if good else 'FAILED'} {path}  ({time.monotonic() - start:.1f} s)",
              flush=True)
    line = f"{totals['passed']} passed, {totals['failed']} failed"
    if totals["skipped"]:
        line += f", {totals['skipped']} skipped"
    print(line)
    return 0 if totals["failed"] == 0 and totals["passed"] > 0 else 1


sys.exit(main())
