#!/usr/bin/env python3
"""The kiosk as a client sees it: every file of a real tree byte for byte, and clients that misbehave."""

import http.client
import gzip
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
from pathlib import Path

BUILD = Path(os.environ["SPLITRING_BUILD"])
TREE = Path("/usr/include/linux")
LARGE_BYTES = 3_000_001  # several chunks, and not a whole block


class Kiosk:
    """A kiosk over `tree`, on a port of its own."""

    def __init__(self, scratch, tree, *options, scheme="http", threads=2):
        self.image = scratch / "site.tar"
        subprocess.run(["tar", "-C", tree, "-cf", self.image, "."], check=True)
        self.process = subprocess.Popen(
            [BUILD / "kiosk", "--disk", f"raw:{self.image}", "--listen", "127.0.0.1:0",
             "--threads", str(threads), *options], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(
            r"kiosk: serving (\d+) files, \d+ bytes of raw:.+ at " + scheme + r"://127\.0\.0\.1:(\d+)/\n", line)
        assert found, f"unexpected first line: {line!r}"
        self.files, self.port = int(found[1]), int(found[2])

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def http(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, raw):
        """What comes back for these bytes until the kiosk closes."""
        with self.connect() as client:
            try:
                client.sendall(raw)
            except OSError:
                pass  # it may have closed already
            return read_all(client)


def read_all(client):
    answer = b""
    while part := client.recv(65536):
        answer += part
    return answer


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer else 0


class KioskTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        root = Path(cls.scratch.name)
        cls.tree = root / "tree"
        subprocess.run(["cp", "-rL", TREE, cls.tree], check=True)
        (cls.tree / "large.bin").write_bytes(os.urandom(LARGE_BYTES))
        (cls.tree / "empty.txt").write_bytes(b"")
        hostile = cls.tree / "names"
        hostile.mkdir()
        for name in ["sp ace.txt", "per%20cent", "<b>bold.txt", "na\u00efve \u20ac.txt", "q?u#e"]:
            (hostile / name).write_text(name)
        cls.kiosk = Kiosk(root, cls.tree)

    @classmethod
    def tearDownClass(cls):
        code = cls.kiosk.stop()
        cls.scratch.cleanup()
        assert code == 0, f"exit code {code} on SIGTERM"

    def test_every_file_reads_as_it_is(self):
        client = self.kiosk.http()
        files = [path for path in self.tree.rglob("*") if path.is_file()]
        self.assertGreater(len(files), 200)
        self.assertEqual(self.kiosk.files, len(files))
        for path in files:
            client.request("GET", "/" + urllib.parse.quote(str(path.relative_to(self.tree))))
            reply = client.getresponse()
            body = reply.read()
            self.assertEqual(reply.status, 200, path)
            self.assertTrue(body == path.read_bytes(), path)
        client.close()

    def test_head_has_the_headers_and_no_body(self):
        client = self.kiosk.http()
        for _ in range(2):
            client.request("HEAD", "/large.bin")
            reply = client.getresponse()
            self.assertEqual(reply.getheader("Content-Length"), str(LARGE_BYTES))
            self.assertIn("GMT", reply.getheader("Date"))
            self.assertEqual(reply.read(), b"")
        client.close()

    def test_an_unchanged_file_is_304(self):
        client = self.kiosk.http()
        client.request("GET", "/large.bin")
        reply = client.getresponse()
        tag, date = reply.getheader("ETag"), reply.getheader("Last-Modified")
        reply.read()
        for header in ({"If-None-Match": tag}, {"If-Modified-Since": date}):
            client.request("GET", "/large.bin", headers=header)
            reply = client.getresponse()
            self.assertEqual((reply.status, reply.read()), (304, b""))
        client.close()

    def test_ranges_that_start_anywhere(self):
        whole = (self.tree / "large.bin").read_bytes()
        client = self.kiosk.http()
        for first, last in ((0, 0), (1, 511), (511, 513), (100_000, 999_999), (2_999_999, 3_000_000)):
            client.request("GET", "/large.bin", headers={"Range": f"bytes={first}-{last}"})
            reply = client.getresponse()
            self.assertEqual(reply.status, 206)
            self.assertTrue(reply.read() == whole[first:last + 1], (first, last))
        client.close()

    def test_requests_sent_ahead_are_answered_in_order(self):
        names = ["/names/per%2520cent", "/empty.txt", "/names/", "/nowhere", "/large.bin"]
        lines = [f"GET {name} HTTP/1.1\r\nHost: x\r\n\r\n" for name in names]
        lines[-1] = lines[-1].replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
        answer = self.kiosk.ask("".join(lines).encode())
        statuses = re.findall(rb"HTTP/1\.1 (\d+)", answer)
        self.assertEqual(statuses, [b"200", b"200", b"200", b"404", b"200"])
        self.assertTrue(answer.endswith((self.tree / "large.bin").read_bytes()))

    def test_http_1_0_closes_unless_asked_to_stay(self):
        self.assertEqual(status_of(self.kiosk.ask(b"GET / HTTP/1.0\r\n\r\n")), 200)
        twice = (b"GET /empty.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                 b"GET /empty.txt HTTP/1.0\r\n\r\n")
        self.assertEqual(self.kiosk.ask(twice).count(b"HTTP/1.1 200"), 2)

    def test_h1_hostile_paths_find_nothing(self):
        for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd",
                     "//etc/passwd", "/etc/passwd", "/%00", "/a%00b", "/%", "\\..\\x", "*"):
            answer = self.kiosk.ask(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            self.assertIn(status_of(answer), (400, 404), path)
            self.assertNotIn(b"root:", answer)

    def test_h1_an_address_of_a_mebibyte_is_414(self):
        answer = self.kiosk.ask(b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(status_of(answer), 414)

    def test_h3_bad_framing_is_refused_and_closed(self):
        get = b"GET / HTTP/1.1\r\nHost: x\r\n"
        for status, raw in (
                (400, get + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello"),
                (400, get + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello"),
                (400, get + b"Content-Length: -1\r\n\r\n"),
                (400, get + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
                (400, get + b"Bad Header: x\r\n\r\n"),
                (400, get + b": x\r\n\r\n"),
                (400, b"GET / HTTP/1.1\r\n\r\n"),
                (400, get + b"Host: y\r\n\r\n"),
                (505, b"GET / HTTP/9.9\r\nHost: x\r\n\r\n"),
                (400, b"nonsense\r\n\r\n"),
                (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
                (413, get + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
                (413, get + b"Content-Length: 5\r\n\r\nhello"),
                (405, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
                (431, get + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n"),
                (431, get + b"X: y\r\n" * 100_000 + b"\r\n")):
            answer = self.kiosk.ask(raw + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(status_of(answer), status, raw[:120])
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, raw[:120])
            self.assertIn(b"Connection: close", answer, raw[:120])

    def test_h6_listings_escape_names(self):
        client = self.kiosk.http()
        client.request("GET", "/names")
        reply = client.getresponse()
        reply.read()
        self.assertEqual((reply.status, reply.getheader("Location")), (301, "/names/"))
        client.request("GET", "/names/")
        page = client.getresponse().read().decode()
        self.assertNotIn("<b>", page)
        self.assertIn("&lt;b&gt;bold.txt", page)
        for link in re.findall(r'<td><a href="\./([^"]+)"', page):
            client.request("GET", "/names/" + link)
            reply = client.getresponse()
            self.assertEqual(reply.read().decode(), urllib.parse.unquote(link))
        client.close()

    def test_metrics_count_what_was_served(self):
        def scrape():
            client = self.kiosk.http()
            client.request("GET", "/metrics")
            text = client.getresponse().read().decode()
            client.close()
            return dict(line.rsplit(" ", 1) for line in text.splitlines()
                        if line and not line.startswith("#"))
        before = scrape()
        client = self.kiosk.http()
        client.request("GET", "/large.bin")
        client.getresponse().read()
        client.close()
        self.kiosk.ask(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        # Another thread may have served it: what it counts behind its last write shows soon.
        expected = {'kiosk_requests_total{code="404"}': 1, 'kiosk_requests_total{code="200"}': 1,
                    "kiosk_sent_bytes_total": LARGE_BYTES, "kiosk_disk_reads_total": 11}
        deadline = time.monotonic() + 60
        missing = expected
        while missing and time.monotonic() < deadline:
            after = scrape()
            missing = {name: least for name, least in expected.items()
                       if float(after[name]) - float(before[name]) < least}
        self.assertEqual(missing, {})
        not_found = 'kiosk_requests_total{code="404"}'
        self.assertEqual(float(after[not_found]) - float(before[not_found]), 1)


    def test_parts_of_a_file_in_one_answer(self):
        whole = (self.tree / "large.bin").read_bytes()
        client = self.kiosk.http()
        client.request("GET", "/large.bin", headers={"Range": "bytes=0-9,1000000-1999999,-5"})
        reply = client.getresponse()
        self.assertEqual(reply.status, 206)
        kind, boundary = reply.getheader("Content-Type").split("; boundary=")
        self.assertEqual(kind, "multipart/byteranges")
        parts = reply.read().split(b"--" + boundary.encode())
        self.assertEqual((parts[0], parts[-1]), (b"", b"--\r\n"))
        bodies = [part.split(b"\r\n\r\n", 1)[1][:-2] for part in parts[1:-1]]
        self.assertTrue(bodies == [whole[:10], whole[1000000:2000000], whole[-5:]])
        client.close()

    def test_text_is_compressed_for_who_wants_it(self):
        client = self.kiosk.http()
        client.request("GET", "/fs.h", headers={"Accept-Encoding": "gzip"})
        reply = client.getresponse()
        self.assertEqual(reply.getheader("Content-Encoding"), "gzip")
        self.assertEqual(gzip.decompress(reply.read()), (self.tree / "fs.h").read_bytes())
        client.close()

    def test_curl_resumes_and_takes_all_in_one_connection(self):
        url = f"http://127.0.0.1:{self.kiosk.port}"
        with tempfile.TemporaryDirectory() as scratch:
            got = Path(scratch) / "large.bin"
            whole = (self.tree / "large.bin").read_bytes()
            got.write_bytes(whole[:1_234_567])
            subprocess.run(["curl", "-fsS", "-C", "-", "-o", got, url + "/large.bin"], check=True)
            self.assertTrue(got.read_bytes() == whole)
        result = subprocess.run(
            ["curl", "-fsS", "--compressed", "-w", "%{num_connects} ", "-o", "/dev/null", "-o",
             "/dev/null", url + "/fs.h", url + "/names/"], check=True, capture_output=True)
        self.assertEqual(result.stdout, b"1 0 ")

    def test_h2_a_client_that_hangs_up_half_way_costs_nobody(self):
        for raw in (b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /lar", b""):
            with self.kiosk.connect() as client:
                client.sendall(raw)
        with self.kiosk.connect() as client:
            client.sendall(b"GET /empty.txt HTTP/1.1\r\nHost: x\r\n\r\n")
            client.shutdown(socket.SHUT_WR)  # it may still want the answer
            self.assertEqual(status_of(read_all(client)), 200)


class Variants(unittest.TestCase):
    """Kiosks with options of their own, over a small tree."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)
        (self.scratch / "tree").mkdir()
        (self.scratch / "tree" / "index.html").write_text("<h1>start</h1>")
        (self.scratch / "tree" / "large.bin").write_bytes(os.urandom(LARGE_BYTES))

    def start(self, *options, **more):
        kiosk = Kiosk(self.scratch, self.scratch / "tree", *options, **more)
        self.addCleanup(kiosk.kill)
        return kiosk

    def test_https_with_a_given_certificate(self):
        certificate, key = self.scratch / "c.pem", self.scratch / "k.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                        "-out", certificate], check=True, capture_output=True)
        # Around the size from which bodies are sent as pages, the middle, and what is streamed.
        bodies = {f"{size}.bin": os.urandom(size)
                  for size in (48 * 1024 - 1, 48 * 1024, 102_400, 1 << 20, (1 << 20) + 1)}
        for name, content in bodies.items():
            (self.scratch / "tree" / name).write_bytes(content)
        kiosk = self.start("--certificate", certificate, "--key", key, scheme="https")
        context = ssl.create_default_context(cafile=certificate)
        client = http.client.HTTPSConnection("127.0.0.1", kiosk.port, timeout=60, context=context)
        for path in ("index.html", "large.bin", "index.html"):
            client.request("GET", "/" + path)
            self.assertTrue(client.getresponse().read()
                            == (self.scratch / "tree" / path).read_bytes())
        for name, content in bodies.items():
            for _ in range(2):  # made for the first, kept for the second
                client.request("GET", "/" + name)
                self.assertTrue(client.getresponse().read() == content, name)
            for first, last in ((0, 0), (1, len(content) - 2), (len(content) // 2, 10**9)):
                client.request("GET", "/" + name, headers={"Range": f"bytes={first}-{last}"})
                reply = client.getresponse()
                self.assertEqual(reply.status, 206, name)
                self.assertTrue(reply.read() == content[first:last + 1], (name, first, last))
            client.request("HEAD", "/" + name)
            reply = client.getresponse()
            self.assertEqual((reply.getheader("Content-Length"), reply.read()),
                             (str(len(content)), b""))
        client.close()
        got = subprocess.run(
            ["curl", "-sS", "--cacert", certificate, "--http1.1", "--remote-name-all",
             *(f"https://127.0.0.1:{kiosk.port}/{name}" for name in bodies)], cwd=self.scratch,
            capture_output=True)
        self.assertEqual(got.returncode, 0, got.stderr)
        for name, content in bodies.items():
            self.assertTrue((self.scratch / name).read_bytes() == content, name)
        # Who speaks no TLS, or too old a one, gets nothing and harms nobody.
        self.assertNotIn(b"HTTP", kiosk.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        got = subprocess.run(["curl", "-sS", "--cacert", certificate, "--http1.1",
                              f"https://127.0.0.1:{kiosk.port}/"], capture_output=True)
        self.assertEqual(got.stdout, b"<h1>start</h1>", got.stderr)
        self.assertEqual(kiosk.stop(), 0)

    def test_h6_no_request_can_write_the_access_log_its_own_way(self):
        log = self.scratch / "access.log"
        # One thread: the lines of several may change places.
        kiosk = self.start("--access-log", log, threads=1)
        hostile = b'GET /"x\\\xff\x1b[2J HTTP/1.1\r\nHost: x\r\n\r\n'
        kiosk.ask(hostile)
        kiosk.ask(b'GET /\xff"\\ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        kiosk.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        kiosk.ask(b"GET /large.bin HTTP/1.0\r\n\r\n")
        kiosk.stop()
        lines = log.read_text().splitlines()
        form = re.compile(r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] '
                          r'"([ -~]*)" (\d{3}) (\d+)')
        got = [form.fullmatch(line).groups() for line in lines]
        self.assertEqual([(line, status) for line, status, _ in got],
                         [("-", "400"), (r"GET /\xff\x22\x5c HTTP/1.1", "404"),
                          ("HEAD / HTTP/1.1", "200"), ("GET /large.bin HTTP/1.0", "200")])
        self.assertEqual([got[2][2], got[3][2]], ["0", str(LARGE_BYTES)])

    def test_h5_what_it_tells_of_itself_is_not_for_pages_of_other_sites(self):
        kiosk = self.start("--name", "Site.Example", "--name", "other.example")
        upgrade = ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")

        def status(path, host, headers="Connection: close\r\n"):
            with kiosk.connect() as client:
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode())
                return status_of(client.recv(4096))
        for path in ("/api/devices", "/api/statistics", "/api/store/", "/_live", "/_live/live.js"):
            for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[evil]", "[",
                         "localhost.evil.example", f"site.example.evil:{kiosk.port}"):
                self.assertEqual(status(path, host), 403, (path, host))
            for host in ("127.0.0.1", f"127.0.0.1:{kiosk.port}", "localhost:80", "[::1]:8080",
                         "site.example", "OTHER.example:8080"):
                self.assertEqual(status(path, host), 200, (path, host))
        for host, expected in (("evil.example", 403), ("127.0.0.1", 101)):
            self.assertEqual(status("/_live/socket", host, upgrade + f"Origin: http://{host}\r\n"),
                             expected)
        self.assertEqual(status("/_live/socket", "127.0.0.1", upgrade + "Origin: http://evil\r\n"), 426)
        self.assertEqual(status("/index.html", "evil.example"), 200, "the site itself has any name")
        with kiosk.connect() as client:
            client.sendall(b"POST /api/devices HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(status_of(client.recv(4096)), 405)

    def test_h2_ten_thousand_idle_clients_hold_little_and_block_nobody(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most < 10_100:
            self.fail(f"{most} open files are allowed; the test wants 10,100")
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        kiosk = self.start("--timeout", "600")
        kiosk.ask(b"GET / HTTP/1.0\r\n\r\n")

        def resident_bytes():
            status = Path(f"/proc/{kiosk.process.pid}/status").read_text()
            return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10
        before = resident_bytes()
        clients = [kiosk.connect() for _ in range(10_000)]
        self.addCleanup(lambda: [client.close() for client in clients])
        get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        for client in clients:
            client.sendall(get)
        for client in clients:
            self.assertEqual(status_of(client.recv(4096)), 200)
        each = (resident_bytes() - before) / len(clients)
        if "release" in str(BUILD):
            self.assertLess(each, 2048, "bytes of the kiosk's memory for an idle client")
        self.assertEqual(status_of(kiosk.ask(b"GET /large.bin HTTP/1.0\r\n\r\n")), 200)

    def test_without_a_cache_it_reads_the_disk_each_time(self):
        kiosk = self.start("--cache", "0")
        for _ in range(2):
            answer = kiosk.ask(b"GET / HTTP/1.0\r\n\r\n")
            self.assertTrue(answer.endswith(b"<h1>start</h1>"), answer)


class SlowClients(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        tree = Path(scratch.name) / "tree"
        tree.mkdir()
        with open(tree / "large.bin", "wb") as large:
            large.truncate(64 << 20)
        self.kiosk = Kiosk(Path(scratch.name), tree, "--timeout", "1", "--connections", "8")

    def tearDown(self):
        self.kiosk.kill()

    def test_h2_a_head_that_never_ends_is_closed(self):
        with self.kiosk.connect() as idle, self.kiosk.connect() as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX:")
            self.assertEqual(read_all(idle), b"")
            self.assertEqual(read_all(slow), b"")
        # A byte now and then does not help: the whole head has one time limit.
        begun = time.monotonic()
        with self.kiosk.connect() as slow:
            slow.settimeout(0.1)
            closed = False
            while not closed and time.monotonic() - begun < 30:
                try:
                    slow.sendall(b"G")
                    closed = slow.recv(1) == b""
                except TimeoutError:
                    pass
                except OSError:
                    closed = True
        self.assertTrue(closed)

    def test_h2_who_does_not_take_the_answer_is_closed(self):
        with self.kiosk.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            watcher = self.kiosk.http()
            deadline = time.monotonic() + 60
            timeouts = 0
            while timeouts < 1 and time.monotonic() < deadline:
                watcher.request("GET", "/metrics")
                text = watcher.getresponse().read().decode()
                timeouts = float(re.search(r"^kiosk_timeouts_total (\S+)", text, re.M)[1])
            self.assertGreaterEqual(timeouts, 1)
            watcher.close()

    def test_h2_connections_above_the_cap_are_turned_away(self):
        clients = [self.kiosk.connect() for _ in range(40)]
        answers = []
        for client in clients:
            try:
                answers.append(read_all(client))
            except OSError:
                answers.append(b"")
            client.close()
        turned_away = sum(answer.startswith(b"HTTP/1.1 503") for answer in answers)
        self.assertGreaterEqual(turned_away, 40 - 8 - 8)  # some of the first may have timed out
        self.assertEqual(status_of(self.kiosk.ask(
            b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")), 200)

    def test_sigint_ends_it_with_clients_waiting_and_downloading(self):
        with self.kiosk.connect() as idle, self.kiosk.connect() as downloading:
            downloading.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            downloading.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(downloading.recv(1))
            self.assertEqual(self.kiosk.stop(signal.SIGINT), 0)
            self.assertEqual(read_all(idle), b"")


class Refusals(unittest.TestCase):
    def run_kiosk(self, *arguments):
        done = subprocess.run([BUILD / "kiosk", *arguments], capture_output=True, text=True,
                              timeout=60)
        return done.returncode, done.stderr

    def test_what_cannot_be_served_is_said_in_one_line(self):
        with tempfile.TemporaryDirectory() as scratch:
            page = Path(scratch) / "page.html"
            page.write_text("<html>".ljust(1024))
            for arguments in (("--disk", "raw:/nonexistent.tar"), ("--disk", f"raw:{page}"),
                              ("--disk", "nonsense")):
                code, text = self.run_kiosk(*arguments, "--listen", "127.0.0.1:0")
                self.assertEqual(code, 1, arguments)
                self.assertTrue(text.startswith("kiosk: "), text)
                self.assertEqual(text.count("\n"), 1, text)
        self.assertEqual(self.run_kiosk()[0], 2)

    def test_a_port_in_use_or_an_address_that_is_none(self):
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch) / "tree"
            tree.mkdir()
            kiosk = Kiosk(Path(scratch), tree)
            try:
                for listen in (f"127.0.0.1:{kiosk.port}", "localhost", "1.2.3.4", "127.0.0.1:x"):
                    code, text = self.run_kiosk("--disk", f"raw:{kiosk.image}", "--listen", listen)
                    self.assertEqual(code, 1, listen)
                    self.assertIn(listen, text)
            finally:
                self.assertEqual(kiosk.stop(), 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
