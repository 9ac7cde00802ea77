#!/usr/bin/env python3
"""splitring attach, detach and list do with the store what libxl does."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support/tools"))
from programs import SPLITRING, ProgramTest, run  # noqa: E402

BACKEND = "/local/domain/0/backend/splitring/1/51712"
FRONTEND = "/local/domain/1/device/vbd/51712"

# Xen 4.17, tools/libs/light/libxl_disk.c, device_disk_add(), and libxl__device_generic_add().
# Values as libxl writes them for 'format=raw,vdev=xvda,access=rw,script=...,target=...'.
LIBXL_BACKEND = {
    "frontend": FRONTEND, "frontend-id": "1", "online": "1", "removable": "0", "bootable": "1",
    "state": "1", "dev": "xvda", "type": "phy", "mode": "w", "device-type": "disk",
    "discard-enable": "1", "specification": "xen", "params": "mem:1M",
    "script": "/etc/xen/scripts/block-splitring",
}
LIBXL_FRONTEND = {
    "backend": BACKEND, "backend-id": "0", "state": "1", "virtual-device": "51712",
    "device-type": "disk", "trusted": "1",
}


def attach(target, *more, domain=1, vdev="xvda"):
    return ["attach", "--domain", domain, "--vdev", vdev, "--target", target, *more]


class Store(ProgramTest):
    """What is written when nobody answers."""

    def setUp(self):
        super().setUp()
        self.start_host(1)
        self.empty = self.paths()

    def below(self, directory):
        return {path.removeprefix(directory + "/"): value for path, value in self.paths().items()
                if path.startswith(directory + "/")}

    def test_holds_the_nodes_that_libxl_writes(self):
        self.succeeds(*attach("mem:1M", "--no-wait"))
        self.assertEqual(self.below(BACKEND), LIBXL_BACKEND)
        self.assertEqual(self.below(FRONTEND), LIBXL_FRONTEND)

    def test_gives_libxls_permissions_to_every_node(self):
        self.succeeds(*attach("mem:1M", "--no-wait"))
        shown = self.store("ls", "-f", "-p")
        for line in shown.splitlines():
            path = line.split(" = ")[0]
            if path.startswith(BACKEND):
                self.assertTrue(line.endswith("(n0,r1)"), line)
            elif path.startswith(FRONTEND):
                self.assertTrue(line.endswith("(n1,r0)"), line)
        self.assertIn(BACKEND, shown)
        self.assertIn(FRONTEND, shown)

    def test_says_read_only_in_the_mode_node(self):
        self.succeeds(*attach("mem:1M", "--no-wait", "--mode", "r"))
        self.assertEqual(self.store("read", f"{BACKEND}/mode"), "r\n")

    def test_names_files_by_their_absolute_path(self):
        outcome = run(SPLITRING, *attach("raw:a/../b.img?block=4096", "--no-wait"),
                      environment={"SPLITRING_HOST": str(self.host_directory), "PWD": "/"})
        self.assertEqual(outcome.code, 0, outcome.errors)
        self.assertEqual(self.store("read", f"{BACKEND}/params"),
                         f"raw:{Path.cwd()}/b.img?block=4096\n")

    def test_refuses_a_device_that_is_there_already(self):
        self.succeeds(*attach("mem:1M", "--no-wait"))
        before = self.paths()
        self.fails(*attach("mem:2M", "--no-wait"), says="attached already")
        self.assertEqual(self.paths(), before)
        self.succeeds(*attach("mem:2M", "--no-wait", vdev="xvdb"))

    def test_refuses_a_domain_that_is_not_there(self):
        self.fails(*attach("mem:1M", domain=9), says="splitring domain create 9")
        self.fails(*attach("mem:1M", "--backend", 8), says="no domain 8")
        self.assertEqual(self.paths(), self.empty)

    def test_refuses_what_is_no_disk(self):
        for target in ("disk.img", "raw:", ":x", "raw:a\nb", "mem:1M?block"):
            with self.subTest(target=target):
                self.fails(*attach(target))
        self.assertEqual(self.paths(), self.empty)

    def test_leaves_nothing_when_no_backend_answers(self):
        self.fails(*attach("mem:1M", "--wait", 1), says="is splitringd running")
        self.assertEqual(self.paths(), self.empty)

    def test_keeps_the_guest_from_attaching_disks(self):
        self.assertEqual(self.splitring("--domain", 1, *attach("mem:1M", "--no-wait")).code, 1)
        self.assertEqual(self.paths(), self.empty)

    def test_shows_disks_that_nobody_serves_yet(self):
        self.succeeds(*attach("mem:1M", "--no-wait"))
        disk, = self.succeeds_json("list")
        self.assertEqual((disk["domain"], disk["vdev"], disk["target"], disk["backend_state"]),
                         (1, "xvda", "mem:1M", "Initialising"))
        self.assertIn("xvda", self.succeeds("list"))

    def test_shows_a_hostile_name_harmlessly(self):
        self.succeeds(*attach("mem:1M", "--no-wait"))
        self.store("write", f"{BACKEND}/params", "\x1b]0;owned\x07")
        self.assertNotIn("\x1b", self.succeeds("list"))

    def test_detach_explains_a_backend_that_does_not_answer(self):
        self.succeeds(*attach("mem:1M", "--no-wait"))
        detach = ["detach", "--domain", 1, "--vdev", "xvda", "--timeout", 0]
        self.fails(*detach, says="--force")
        self.assertEqual(self.store("read", f"{BACKEND}/online"), "0\n")
        self.assertEqual(self.store("read", f"{BACKEND}/state"), "5\n")
        self.succeeds(*detach, "--force")
        self.assertNotIn(BACKEND, self.paths())
        self.assertNotIn(FRONTEND, self.paths())
        self.fails(*detach, says="not attached")


class WithADaemon(ProgramTest):
    def setUp(self):
        super().setUp()
        self.start_host(1)
        self.empty = self.paths()
        self.daemon = self.start_daemon("--allow-root", self.scratch)

    def test_a_disk_is_taken_and_given_back(self):
        image = self.image("a.img")
        self.assertIn("xvda", self.succeeds(*attach(f"raw:{image}")))
        self.assertEqual(self.store("read", f"{BACKEND}/state"), "2\n")
        self.assertEqual(self.store("read", f"{BACKEND}/hotplug-status"), "connected\n")
        self.succeeds("detach", "--domain", 1, "--vdev", "xvda")
        left = {path for path in self.paths() if "51712" in path or "/backend/splitring" in path}
        self.assertEqual(left, set())
        self.succeeds(*attach(f"raw:{image}"))

    def test_the_backends_reason_is_shown_and_nothing_stays(self):
        outside = Path("/etc/hostname")
        reasons = {f"raw:{self.scratch}/missing.img": "No such file",
                   f"raw:{outside}": "--allow-root", "sofa:x": "sofa",
                   "mem:1M?colour=red": "colour"}
        for target, reason in reasons.items():
            with self.subTest(target=target):
                self.fails(*attach(target), says=reason)
                self.assertNotIn(BACKEND, self.paths())
                self.assertNotIn(FRONTEND, self.paths())

    def test_one_writer_has_an_image(self):
        image = self.image("a.img")
        self.succeeds(*attach(f"raw:{image}"))
        self.fails(*attach(f"raw:{image}", vdev="xvdb"))
        disk, = self.succeeds_json("list")
        self.assertEqual(disk["vdev"], "xvda")

    def test_list_shows_both_ends_and_the_daemons_counters(self):
        self.succeeds(*attach("mem:1M"))
        disk, = self.succeeds_json("list", "-v")
        self.assertEqual(disk["backend_state"], "InitWait")
        self.assertEqual(disk["serving"]["sectors"], 2048)
        self.assertIn("requests", self.succeeds("list", "-v"))

    def test_the_domain_that_a_person_works_for_does_not_matter_to_a_toolstack(self):
        self.succeeds(*attach("mem:1M"), domain=1)
        self.assertIn("xvda", self.succeeds("list", "-v", domain=1))
        self.succeeds("detach", "--domain", 1, "--vdev", "xvda", domain=1)

    def test_list_does_without_a_daemon(self):
        self.succeeds(*attach("mem:1M"))
        self.daemon.stop()
        outcome = self.splitring("list", "-v")
        self.assertEqual(outcome.code, 0)
        self.assertIn("no counters", outcome.errors)


if __name__ == "__main__":
    unittest.main()
