#!/usr/bin/env python3
"""A kiosk whose disk is replaced, goes and comes back while it serves, and what SIGHUP does."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support/tools"))
from programs import BUILD, PATIENCE_S, ProgramTest  # noqa: E402

LARGE_BYTES = 24 << 20  # more than sockets hold, so that a download waits for its client


class Kiosk(ProgramTest):
    def archive(self, name, pages):
        """site NAME.tar with these pages."""
        tree = self.scratch / f"{name}.tree"
        tree.mkdir()
        for page, content in pages.items():
            (tree / page).write_bytes(content)
        path = self.scratch / f"{name}.tar"
        subprocess.run(["tar", "-C", tree, "-cf", path, "."], check=True)
        return path

    def start_kiosk(self, *words, domain=0):
        self.kiosk = self.start(
            BUILD / "kiosk", "--listen", "127.0.0.1:0", "--threads", "2", *words,
            ready="kiosk: serving", environment={"SPLITRING_HOST": str(self.host_directory),
                                                 "SPLITRING_DOMAIN": str(domain)})
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)/", self.kiosk.output)[1])

    def ask(self, path):
        """Status and body; each on a connection of its own, so by any of the threads."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        client.request("GET", path)
        reply = client.getresponse()
        body = reply.read()
        client.close()
        return reply.status, body

    def wait_for(self, what, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"no {what}")

    def wait_for_page(self, path, body):
        """Until every thread says so: connections are dealt out by chance."""
        self.wait_for(f"{body!r} at {path}",
                      lambda: all(self.ask(path) == (200, body) for _ in range(8)))


class VirtualDisks(Kiosk):
    def setUp(self):
        super().setUp()
        self.large = os.urandom(LARGE_BYTES)
        self.old = self.archive("old", {"page.html": b"old page", "large.bin": self.large})
        self.new = self.archive("new", {"page.html": b"new page", "large.bin": b"small now"})
        self.start_host(1)
        self.start_daemon("--allow-root", self.scratch)

    def attach(self, image, vdev="xvda", mode="r"):
        self.succeeds("attach", "--domain", "1", "--vdev", vdev, "--mode", mode,
                      "--target", f"raw:{image}")

    def detach(self):
        self.succeeds("detach", "--domain", "1", "--vdev", "xvda")

    def configure(self, disk):
        config = self.scratch / "devices.toml"
        config.write_text(f'[devices]\ncontent = "{disk}"\n')
        return config

    def test_another_archive_on_the_same_device_is_served_without_a_restart(self):
        self.attach(self.old)
        self.start_kiosk("--devices", self.configure("vbd:xvda"), domain=1)
        self.wait_for_page("/page.html", b"old page")
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as client:
            client.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            begin = client.recv(1000, socket.MSG_WAITALL)
            self.detach()
            self.attach(self.new)
            self.wait_for_page("/page.html", b"new page")
            self.assertEqual(self.ask("/large.bin"), (200, b"small now"))
            rest = b""
            while part := client.recv(1 << 20):
                rest += part
        # Its disk has gone: what was on its way arrives, and then the client sees that it is cut
        # short. Nothing of the new archive is mixed in.
        head, body = (begin + rest).split(b"\r\n\r\n", 1)
        self.assertIn(f"Content-Length: {LARGE_BYTES}".encode(), head)
        self.assertLess(len(body), LARGE_BYTES)
        self.assertTrue(self.large.startswith(body))
        self.assertEqual(self.kiosk.stop()[0], 0)

    def test_without_its_disk_it_serves_what_is_built_in(self):
        self.attach(self.old)
        self.start_kiosk("--devices", self.configure("vbd:xvda"), domain=1)
        self.assertEqual(self.ask("/page.html"), (200, b"old page"))
        self.detach()
        self.wait_for("page of the kiosk's own", lambda: all(
            self.ask("/page.html")[0] == 404 for _ in range(8)))
        status, body = self.ask("/")
        self.assertEqual(status, 200)
        self.assertIn(b"Nothing is attached yet", body)
        self.assertEqual(self.ask("/metrics")[0], 200)
        self.attach(self.old)
        self.wait_for_page("/page.html", b"old page")
        self.assertIn(b"large.bin", self.ask("/")[1])

    def test_a_compressed_archive_on_a_virtual_disk(self):
        packed = self.scratch / "packed.tar.gz"
        subprocess.run(f"gzip -c {self.old} >{packed} && truncate -s %512 {packed}", shell=True,
                       check=True)
        self.attach(packed)
        self.start_kiosk("--disk", "archive:vbd:xvda", domain=1)
        self.assertEqual(self.ask("/page.html"), (200, b"old page"))
        self.assertTrue(self.ask("/large.bin") == (200, self.large))
        self.assertEqual(self.kiosk.stop()[0], 0)

    def test_several_virtual_disks_share_what_the_domain_may_grant(self):
        store = self.scratch / "store.img"
        self.succeeds("kv", "create", f"raw:{store}", "--size", "8M")
        self.attach(self.old)
        self.attach(self.new, vdev="xvdb")
        self.attach(store, vdev="xvdc", mode="w")
        self.attach(self.new, vdev="xvdd")
        config = self.configure("vbd:xvda")
        config.write_text(config.read_text() + 'uploads = "vbd:xvdb"\n')
        self.start_kiosk("--devices", config, "--store", "/data/=vbd:xvdc", domain=1)
        self.wait_for_page("/page.html", b"old page")
        self.assertEqual(self.ask("/data/")[0], 200)
        devices = json.loads(self.ask("/api/devices")[1])
        self.assertEqual({device["name"]: device["state"] for device in devices},
                         {"content": "plugged", "uploads": "plugged"})
        self.succeeds("info", "vbd:xvdd", domain=1)  # another program of the domain

    def test_a_disk_that_another_frontend_has_closed_is_there(self):
        """As Linux's blkfront leaves it after `splitring claim`: Closed on both sides."""
        self.attach(self.old)
        self.store("write", "device/vbd/51712/state", "5", domain=1)
        backend = "/local/domain/0/backend/splitring/1/51712/state"
        self.wait_for("backend that closes", lambda: self.paths()[backend] == "5")
        self.store("write", "device/vbd/51712/state", "6", domain=1)
        self.wait_for("backend that has closed", lambda: self.paths()[backend] == "6")
        self.start_kiosk("--disk", "vbd:xvda", domain=1)
        self.assertEqual(self.ask("/page.html"), (200, b"old page"))

    def test_each_thread_has_a_lane_of_a_virtual_disk(self):
        self.attach(self.old)
        self.start_kiosk("--disk", "vbd:xvda", domain=1)
        for _ in range(20):
            self.assertEqual(self.ask("/page.html"), (200, b"old page"))


class Hangup(Kiosk):
    """SIGHUP."""

    def hang_up(self):
        self.kiosk.process.send_signal(signal.SIGHUP)

    def test_it_reads_the_configuration_again(self):
        config = self.scratch / "devices.toml"
        self.archive("one", {"page.html": b"one"})
        self.archive("two", {"page.html": b"two"})
        config.write_text('[devices]\ncontent = "raw:one.tar"\n')
        self.start_kiosk("--devices", config)
        self.assertEqual(self.ask("/page.html"), (200, b"one"))
        config.write_text("[devices]\nnonsense\n")
        self.hang_up()
        config.write_text('[devices]\ncontent = "raw:two.tar"\n')
        self.hang_up()
        self.wait_for_page("/page.html", b"two")
        self.assertEqual(self.kiosk.stop()[0], 0)

    def test_it_opens_a_file_again_that_was_rewritten_in_place(self):
        image = self.archive("one", {"page.html": b"one"})
        self.start_kiosk("--disk", f"raw:{image}")
        self.assertEqual(self.ask("/page.html"), (200, b"one"))
        image.write_bytes(self.archive("two", {"page.html": b"two", "more": b"x"}).read_bytes())
        self.hang_up()
        self.wait_for_page("/page.html", b"two")

    def test_it_goes_on_in_a_new_access_log(self):
        image = self.archive("one", {"page.html": b"one"})
        log = self.scratch / "access.log"
        self.start_kiosk("--disk", f"raw:{image}", "--access-log", log)
        self.ask("/page.html?1")
        self.wait_for("line", lambda: "page.html?1" in log.read_text())
        log.rename(self.scratch / "access.log.1")
        self.hang_up()
        self.wait_for("new log", log.exists)
        self.ask("/page.html?2")
        self.wait_for("line", lambda: "page.html?2" in log.read_text())
        self.assertNotIn("page.html?2", (self.scratch / "access.log.1").read_text())


if __name__ == "__main__":
    unittest.main(verbosity=0)
