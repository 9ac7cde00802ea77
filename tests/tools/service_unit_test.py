#!/usr/bin/env python3
"""The systemd unit: valid, and leaves the daemon little."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

UNIT = Path(__file__).resolve().parents[2] / "tools/hotplug/splitringd.service"
MOST_EXPOSURE = 2.0  # of 10, as systemd-analyze grades it


def analyze(*words):
    return subprocess.run(["systemd-analyze", *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)


class Unit(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.unit = Path(scratch.name) / "splitringd.service"
        text = UNIT.read_text().replace("@BINDIR@/splitringd", "/bin/true")
        self.unit.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))

    def test_is_understood_by_systemd(self):
        outcome = analyze("verify", self.unit)
        self.assertEqual((outcome.returncode, outcome.stdout), (0, ""))

    def test_exposes_little(self):
        outcome = analyze("security", "--offline=true", self.unit)
        graded = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", outcome.stdout)
        self.assertIsNotNone(graded, outcome.stdout)
        self.assertLessEqual(float(graded.group(1)), MOST_EXPOSURE)

    def test_keeps_the_journals_of_guests_that_run_while_it_is_stopped(self):
        self.assertIn("\nRuntimeDirectoryPreserve=yes\n", UNIT.read_text())

    def test_does_not_limit_the_threads_that_rings_need(self):
        self.assertIn("\nTasksMax=infinity\n", UNIT.read_text())

    def test_lets_the_daemon_have_no_way_to_the_whole_hypervisor(self):
        self.assertNotIn("privcmd", UNIT.read_text())


if __name__ == "__main__":
    unittest.main()
