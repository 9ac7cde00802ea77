#!/usr/bin/env python3
"""splitring handover, claim and doctor: what a Xen host needs, as far as it shows without Xen.

The rest is tests/xen/.
"""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support/tools"))
from programs import ProgramTest  # noqa: E402

BACKEND = "/local/domain/0/backend/vbd/1/51712"
RELATIVE = "backend/vbd/1/51712"  # as a hotplug script is given it


class Handover(ProgramTest):
    def setUp(self):
        super().setUp()
        self.start_host(1)

    def attach(self, target):
        self.succeeds("attach", "--domain", 1, "--vdev", "xvda", "--kind", "vbd", "--no-wait",
                      "--target", target)

    def test_the_daemon_repeats_its_offer(self):
        self.attach("mem:1M")
        self.store("write", f"{BACKEND}/max-ring-page-order", "0")
        self.start_daemon()
        self.succeeds("handover", RELATIVE)
        self.assertEqual(self.store("read", f"{BACKEND}/max-ring-page-order"), "4\n")
        self.assertNotIn(f"{BACKEND}/splitring-handover", self.paths())

    def test_the_daemons_reason_is_passed_on(self):
        self.start_daemon()
        self.attach("raw:/nowhere/a.img")
        self.fails("handover", RELATIVE, says="/nowhere/a.img")
        self.assertEqual(self.store("read", f"{BACKEND}/state"), "2\n")

    def test_a_daemon_that_does_not_run_is_named_and_the_device_closed(self):
        self.attach("mem:1M")
        self.fails("handover", RELATIVE, "--wait", 1, says="is it running?")
        self.assertNotIn(f"{BACKEND}/splitring-handover", self.paths())
        self.assertEqual(self.store("read", f"{BACKEND}/state"), "6\n")

    def test_a_device_that_is_not_there_is_not_made(self):
        before = self.paths()
        self.fails("handover", RELATIVE, says="no device")
        self.assertEqual(self.paths(), before)


class Doctor(ProgramTest):
    def findings(self):
        outcome = self.splitring("doctor", "--json")
        return json.loads(outcome.output)

    def test_names_the_daemon_that_does_not_answer_and_how_to_start_it(self):
        self.start_host(1)
        bad = [each for each in self.findings() if "splitringd does not answer" in each["what"]]
        self.assertEqual([(each["grade"], each["mend"]) for each in bad],
                         [("BAD", "systemctl start splitringd")])
        self.fails("doctor", says="to mend")

    def test_finds_nothing_wrong_with_a_daemon_that_serves(self):
        self.start_host(1)
        self.start_daemon()
        self.assertIn("splitringd serves 0 disk(s)", [each["what"] for each in self.findings()
                                                      if each["grade"] == "ok"])

    def test_says_what_to_start_where_there_is_no_host(self):
        findings = self.findings()
        self.assertEqual([each["grade"] for each in findings], ["BAD"])
        self.assertEqual(findings[0]["mend"], "splitring host")


class Claim(ProgramTest):
    @unittest.skipIf(Path("/sys/bus/xen").exists(), "this is a Xen guest")
    def test_is_refused_where_there_are_no_disks_of_xen(self):
        self.fails("claim", "xvda", says="no Xen guest")
        self.fails("claim", "nonsense", code=2)


if __name__ == "__main__":
    unittest.main()
