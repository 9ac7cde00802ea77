#!/usr/bin/env python3
"""splitring host plays a host, and splitring domain makes and ends its domains."""

import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support/tools"))
from programs import SPLITRING, SPLITRINGD, ProgramTest, run  # noqa: E402


class Host(ProgramTest):
    def test_says_where_it_is_and_how_to_speak_for_a_domain(self):
        host = self.start_host()
        self.assertIn(f"host: ready in {self.host_directory}\n", host.output)
        host.process.terminate()
        said = host.output + host.process.stdout.read().decode()
        for word in ("SPLITRING_HOST=", "SPLITRING_DOMAIN=", "XENSTORED_PATH="):
            self.assertIn(word, said)

    def test_ends_cleanly_on_ctrl_c_and_on_sigterm(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                host = self.start_host(1)
                self.assertTrue((self.host_directory / "1" / "xenstored").is_socket())
                self.assertEqual(host.stop(number), (0, ""))
                left = [path for path in self.host_directory.rglob("*") if path.is_socket()]
                self.assertEqual(left, [])

    def test_lets_a_script_ignore_ctrl_c_in_the_background(self):
        host = self.start("sh", "-c", 'trap "" INT; exec "$0" "$@"', SPLITRING, "host", "--dir",
                          self.host_directory, ready="host: ready")
        host.process.send_signal(signal.SIGINT)
        self.succeeds("domain", "list")
        self.assertEqual(host.stop(), (0, ""))

    def test_what_is_started_right_after_it_waits_for_it(self):
        host = {"SPLITRING_HOST": str(self.host_directory)}
        for command in ([SPLITRINGD], [SPLITRING, "domain", "list"], [SPLITRING, "list"]):
            with self.subTest(command=command):
                early = subprocess.Popen(
                    [str(word) for word in command], env={**os.environ, **host},
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.assertIn(b"waiting for the emulated host", early.stderr.readline())
                started = self.start_host()
                self.assertNotEqual(early.stdout.readline(), b"")
                early.terminate()
                early.communicate()
                started.stop()

    def test_one_that_never_comes_is_named(self):
        self.fails("list", says=f"{self.host_directory}")

    def test_has_domain_0_and_the_domains_it_was_given(self):
        self.start_host(3, 7)
        domains = self.succeeds_json("domain", "list")
        self.assertEqual([entry["domain"] for entry in domains], [0, 3, 7])

    def test_two_hosts_do_not_share_a_directory(self):
        self.start_host()
        outcome = run(SPLITRING, "host", "--dir", self.host_directory)
        self.assertEqual(outcome.code, 1)
        self.assertIn("already runs", outcome.errors)
        self.succeeds("domain", "list")  # the first one is unharmed

    def test_takes_over_what_a_killed_host_left(self):
        host = self.start_host(1)
        host.stop(signal.SIGKILL)
        self.start_host()
        self.assertEqual([entry["domain"] for entry in self.succeeds_json("domain", "list")], [0])

    def test_debians_tools_read_its_store(self):
        self.start_host(1)
        self.assertEqual(self.store("read", "/local/domain/1/domid"), "1\n")


class Domain(ProgramTest):
    def test_is_made_and_ended(self):
        self.start_host()
        self.succeeds("domain", "create", 5)
        self.assertIn("/local/domain/5", self.paths())
        self.fails("domain", "create", 5, says="5")
        self.succeeds("domain", "destroy", 5)
        self.assertNotIn("/local/domain/5", self.paths())
        self.fails("domain", "destroy", 5, says="5")
        self.fails("domain", "destroy", 0)

    def test_without_a_host_the_error_says_what_to_start(self):
        for words in (["domain", "list"], ["list"], ["info", "vbd:xvda"],
                      ["attach", "--domain", 1, "--vdev", "xvda", "--target", "mem:1M"]):
            with self.subTest(words=words):
                self.fails(*words, says="splitring host")


if __name__ == "__main__":
    unittest.main()
