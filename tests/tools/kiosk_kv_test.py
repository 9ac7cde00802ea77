#!/usr/bin/env python3
"""A store that the kiosk serves for writing, as curl and hostile clients see it."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
import urllib.parse
from pathlib import Path

BUILD = Path(os.environ["SPLITRING_BUILD"])
LIMIT = 8 << 20


class KioskKvTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.scratch.name)
        (cls.folder / "page.html").write_text("the site")
        subprocess.run(["tar", "-C", cls.folder, "-cf", cls.folder / "site.tar", "page.html"], check=True)
        cls.store = f"raw:{cls.folder / 'data.img'}"
        subprocess.run([BUILD / "splitring", "kv", "create", cls.store, "--size", "128M"], check=True,
                       stdout=subprocess.DEVNULL)
        cls.start()

    @classmethod
    def start(cls, *options):
        cls.process = subprocess.Popen(
            [BUILD / "kiosk", "--disk", f"raw:{cls.folder / 'site.tar'}", "--listen", "127.0.0.1:0", "--threads",
             "2", "--store", f"/data/={cls.store}", "--store-limit", str(LIMIT), *options],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(cls.folder)})
        cls.port = int(re.search(r":(\d+)/\n", cls.process.stdout.readline())[1])

    @classmethod
    def stop(cls):
        cls.process.send_signal(signal.SIGTERM)
        code = cls.process.wait(timeout=60)
        cls.process.stdout.close()
        assert code == 0, f"exit code {code} on SIGTERM"

    @classmethod
    def tearDownClass(cls):
        cls.stop()
        cls.scratch.cleanup()

    def curl(self, path, *options, stdin=None):
        """Status, headers, body."""
        out = subprocess.run(
            ["curl", "-sS", "-i", "--path-as-is", "--max-time", "60", *options, f"http://127.0.0.1:{self.port}{path}"],
            input=stdin, capture_output=True, timeout=90)
        self.assertEqual(out.returncode, 0, out.stderr)
        answer = out.stdout
        while answer.startswith(b"HTTP/1.1 100"):
            answer = answer.split(b"\r\n\r\n", 1)[1]
        head, body = answer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        return int(lines[0].split()[1]), headers, body

    def put(self, path, value, *headers):
        options = [word for header in headers for word in ("-H", header)]
        return self.curl(path, "-T", "-", *options, stdin=value)

    def test_values_of_every_size_come_back_as_they_were_put(self):
        for size in (0, 1, 1000, 300_000, 1 << 20, (1 << 20) + 1, LIMIT):
            value = os.urandom(size)
            (self.folder / "value").write_bytes(value)
            # Chunked from a pipe, by length from a file.
            for options in (["-T", "-"], ["-T", str(self.folder / "value")]):
                status, headers, _ = self.curl(f"/data/size/{size}", *options, stdin=value)
                self.assertIn(status, (201, 204))
                got, shown, body = self.curl(f"/data/size/{size}")
                self.assertEqual((got, shown["etag"]), (200, headers["etag"]), size)
                self.assertTrue(body == value, size)
                self.assertEqual(self.curl(f"/data/size/{size}", "-H", "If-None-Match: " + shown["etag"])[0], 304)

    def test_put_says_whether_it_is_new_and_delete_whether_it_was_there(self):
        self.assertEqual(self.put("/data/fresh", b"1")[0], 201)
        self.assertEqual(self.put("/data/fresh", b"2")[0], 204)
        self.assertEqual(self.curl("/data/fresh", "-X", "DELETE")[0], 204)
        self.assertEqual(self.curl("/data/fresh", "-X", "DELETE")[0], 404)
        self.assertEqual(self.curl("/data/fresh")[0], 404)

    def test_etags_are_test_and_set(self):
        self.assertEqual(self.put("/data/lock", b"mine", "If-None-Match: *")[0], 201)
        self.assertEqual(self.put("/data/lock", b"yours", "If-None-Match: *")[0], 412)
        status, headers, body = self.curl("/data/lock")
        self.assertEqual(body, b"mine")
        tag = headers["etag"]
        self.assertEqual(self.put("/data/lock", b"next", f"If-Match: {tag}")[0], 204)
        self.assertEqual(self.put("/data/lock", b"late", f"If-Match: {tag}")[0], 412)
        self.assertEqual(self.put("/data/absent", b"x", "If-Match: *")[0], 412)
        self.assertEqual(self.curl("/data/lock", "-X", "DELETE", "-H", f"If-Match: {tag}")[0], 412)
        self.assertEqual(self.curl("/data/lock")[2], b"next")

    def test_of_many_who_increment_nobody_is_lost(self):
        self.put("/data/counter", b"0")
        def increment():
            for _ in range(5):
                while True:
                    _, headers, body = self.curl("/data/counter")
                    status, _, _ = self.put("/data/counter", b"%d" % (int(body) + 1), "If-Match: " + headers["etag"])
                    if status == 204:
                        break
                    assert status == 412, status
        threads = [threading.Thread(target=increment) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.curl("/data/counter")[2], b"20")

    def test_h4_ranges_of_short_and_long_values(self):
        for size in (1000, 3_000_000):
            value = os.urandom(size)
            self.put("/data/ranged", value)
            for first, last in ((0, 0), (1, 511), (size - 5, size - 1)):
                status, headers, body = self.curl("/data/ranged", "-r", f"{first}-{last}")
                self.assertEqual((status, headers["content-range"]), (206, f"bytes {first}-{last}/{size}"))
                self.assertTrue(body == value[first:last + 1])
            status, headers, body = self.curl("/data/ranged", "-r", "0-1,10-11")
            self.assertEqual(status, 206)
            self.assertIn(value[10:12], body)
            self.assertEqual(self.curl("/data/ranged", "-r", f"{size}-")[0], 416)
            status, headers, body = self.curl("/data/ranged", "-I")
            self.assertEqual((status, headers["content-length"], body), (200, str(size), b""))

    def test_lists_are_json_in_order_and_page_by_page(self):
        for name in ("list/b", "list/a", "list/c/d", "listen"):
            self.put("/data/" + name, b"12")
        listed = json.loads(self.curl("/data/list/")[2])
        self.assertEqual([(k["key"], k["size"]) for k in listed["keys"]],
                         [("list/a", 2), ("list/b", 2), ("list/c/d", 2)])
        self.assertNotIn("next", listed)
        first = json.loads(self.curl("/data/list/?limit=2")[2])
        self.assertEqual(len(first["keys"]), 2)
        rest = json.loads(self.curl("/data/list/?limit=2&after=" + first["next"])[2])
        self.assertEqual([k["key"] for k in rest["keys"]], ["list/c/d"])
        self.assertIn("listen", [k["key"] for k in json.loads(self.curl("/data/")[2])["keys"]])

    def test_h1_h6_hostile_keys(self):
        for name in ("<b>&\"'", "sp ace", "percent%41", "\x01\x7f\n", "\u20ac", "a//b", ".", "k" * 1024):
            path = "/data/hostile/" + urllib.parse.quote(name, safe="") if len(name) < 1000 else "/data/" + name
            self.assertIn(self.put(path, name.encode())[0], (201, 204), name)
            self.assertEqual(self.curl(path)[2], name.encode())
        raw = self.curl("/data/hostile/")[2]
        self.assertIn("hostile/<b>&\"'", [k["key"] for k in json.loads(raw)["keys"]])
        self.put("/data/hostile/%ff", b"no UTF-8")
        self.assertEqual(self.curl("/data/hostile/")[0], 200)
        for path, status in (("/data/" + "k" * 1025, 414), ("/data/../x", 404), ("/data/%2e%2e/x", 404),
                             ("/data/a%00b", 400), ("/data/", 400), ("/data/list/", 400), ("/page.html", 405)):
            self.assertEqual(self.put(path, b"x")[0], status, path)

    def test_what_is_stored_runs_no_script_here(self):
        self.put("/data/page.html", b"<script>alert(1)</script>")
        _, headers, _ = self.curl("/data/page.html")
        self.assertIn("sandbox", headers["content-security-policy"])
        self.assertEqual(headers["x-content-type-options"], "nosniff")

    def test_h5_pages_of_other_sites_change_nothing(self):
        self.put("/data/safe", b"1")
        self.assertEqual(self.put("/data/safe", b"2", "Origin: https://evil.example")[0], 403)
        self.assertEqual(self.curl("/data/safe", "-X", "DELETE", "-H", "Origin: null")[0], 403)
        self.assertEqual(self.curl("/data/safe")[2], b"1")
        self.assertEqual(self.put("/data/safe", b"2", f"Origin: http://127.0.0.1:{self.port}")[0], 204)
        # A name that was made to mean our address.
        rebound = ("Host: evil.example", "Origin: http://evil.example")
        self.assertEqual(self.put("/data/safe", b"3", *rebound)[0], 403)
        self.assertEqual(self.curl("/data/safe", "-H", rebound[0])[0], 403)

    def test_h3_bodies_are_bounded_and_announced(self):
        self.assertEqual(self.put("/data/big", bytes(LIMIT + 1))[0], 413)
        self.assertEqual(self.curl("/data/big", "-X", "PUT")[0], 411)
        self.assertEqual(self.curl("/data/big", "-X", "POST", "-d", "x")[0], 405)
        self.assertEqual(self.curl("/data/big")[0], 404)

    def test_h2_a_slow_upload_holds_nobody_up(self):
        slow = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(20)]
        for client in slow:
            client.sendall(b"PUT /data/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
        self.assertIn(self.put("/data/quick", b"1")[0], (201, 204))
        self.assertEqual(self.curl("/data/slow")[0], 404)
        for client in slow:
            client.sendall(b"cde")
        for client in slow:
            self.assertRegex(client.recv(4096), rb"^HTTP/1\.1 20[14]")
            client.close()
        self.assertEqual(self.curl("/data/slow")[2], b"abcde")

    def test_long_values_put_over_and_over_find_their_space_again(self):
        (self.folder / "value").write_bytes(os.urandom(LIMIT))
        for turn in range(20):
            self.assertIn(self.curl("/data/again", "-T", str(self.folder / "value"))[0], (201, 204), turn)
        self.assertTrue(self.curl("/data/again")[2] == (self.folder / "value").read_bytes())

    def test_h2_slow_readers_take_reading_away_from_nobody(self):
        self.put("/data/streamed", bytes(LIMIT))
        self.put("/data/short", b"short")
        slow = []
        heads = []
        for _ in range(260):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", self.port))
            client.sendall(b"GET /data/streamed HTTP/1.1\r\nHost: localhost\r\n\r\n")
            slow.append(client)
            heads.append(client.recv(500))
        self.assertEqual(sum(head.startswith(b"HTTP/1.1 200") for head in heads), 256)
        self.assertTrue(all(b"\r\nRetry-After: " in head for head in heads[256:]))
        self.assertEqual(self.curl("/data/short")[2], b"short")
        self.assertEqual(self.curl("/data/streamed", "-r", "0-9")[0], 503)
        for client in slow:
            client.close()
        while self.curl("/data/streamed", "-r", "0-9")[0] == 503:
            pass  # the server has not heard of all of them yet
        self.assertEqual(self.curl("/data/streamed", "-r", "0-9")[0], 206)

    def test_what_was_put_is_there_after_a_kill(self):
        self.put("/data/kept", b"durable")
        cls = type(self)
        cls.process.kill()
        cls.process.wait()
        cls.process.stdout.close()
        cls.start("--store-read-only")
        self.assertEqual(self.curl("/data/kept")[2], b"durable")
        self.assertEqual(self.put("/data/kept", b"x")[0], 405)
        cls.stop()
        cls.start()
        self.assertEqual(self.curl("/data/kept")[2], b"durable")


if __name__ == "__main__":
    unittest.main()
