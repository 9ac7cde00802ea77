#!/usr/bin/env python3
"""splitringd as a service: ready, asked through its sockets, stopped and replaced."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support/tools"))
from programs import SPLITRINGD, ProgramTest, run  # noqa: E402


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("splitringd", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(connection, target, method="GET"):
    connection.request(method, target)
    response = connection.getresponse()
    return response.status, response.read().decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon(ProgramTest):
    def setUp(self):
        super().setUp()
        self.host = self.start_host(1)
        self.control = self.host_directory / "0" / "splitringd.control"

    def connection(self):
        connection = UnixConnection(self.control)
        self.addCleanup(connection.close)
        return connection

    def attach(self, target="mem:8M"):
        self.succeeds("attach", "--domain", 1, "--vdev", "xvda", "--target", target)

    def test_stops_cleanly_on_sigterm_and_ctrl_c(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                daemon = self.start_daemon("--log-level", "error")
                self.assertTrue(self.control.is_socket())
                self.assertEqual(daemon.stop(number), (0, ""))
                self.assertFalse(self.control.exists())

    def test_tells_the_service_manager(self):
        for path in (str(self.scratch / "notify"), f"@splitring-test-{os.getpid()}"):
            with self.subTest(path=path), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sink:
                sink.bind(path.replace("@", "\0", 1))
                sink.settimeout(30)
                daemon = self.start_daemon(environment={"NOTIFY_SOCKET": path})
                self.assertEqual(sink.recv(100), b"READY=1")
                daemon.stop()
                self.assertEqual(sink.recv(100), b"STOPPING=1")

    def test_is_alone_in_its_domain(self):
        self.start_daemon()
        outcome = run(SPLITRINGD, "--host", self.host_directory)
        self.assertEqual(outcome.code, 1)
        self.assertIn("another splitringd", outcome.errors)
        self.assertEqual(ask(self.connection(), "/devices")[0], 200)

    def test_takes_the_place_of_one_that_was_killed(self):
        daemon = self.start_daemon()
        self.attach()
        daemon.stop(signal.SIGKILL)
        self.start_daemon()
        self.assertEqual(self.succeeds_json("info", "vbd:xvda", domain=1)["sectors"], 16384)

    def test_serves_from_a_domain_that_is_not_privileged(self):
        self.succeeds("domain", "create", "2")
        daemon = self.start_daemon(environment={"SPLITRING_DOMAIN": "1"})
        self.succeeds("attach", "--domain", "2", "--vdev", "xvda", "--backend", "1",
                      "--target", f"raw:{self.image('a.img')}")
        self.assertIn("1 MiB", self.succeeds("info", "vbd:xvda", domain=2))
        self.succeeds("detach", "--domain", "2", "--vdev", "xvda")
        self.assertEqual(self.paths().get("/local/domain/1/backend/splitring/2/51712/state"), None)
        self.assertEqual(daemon.stop()[0], 0)

    def test_tells_its_devices_as_json(self):
        self.start_daemon()
        connection = self.connection()
        self.assertEqual(ask(connection, "/devices"), (200, "[]\n"))
        self.attach()
        status, body = ask(connection, "/devices")  # on the same connection
        device, = json.loads(body)
        self.assertEqual(status, 200)
        self.assertEqual(
            (device["domain"], device["vdev"], device["target"], device["sectors"],
             device["backend_directory"]),
            (1, "xvda", "mem:8M", 16384, "/local/domain/0/backend/splitring/1/51712"))

    def test_tells_its_metrics_to_prometheus(self):
        self.start_daemon()
        self.attach()
        source = self.image("a.img", 8 << 20)
        self.succeeds("cp", f"raw:{source}", "vbd:xvda", domain=1)
        status, text = ask(self.connection(), "/metrics")
        self.assertEqual(status, 200)
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)*\})? [-+.\de]+)$')

        def value(name, labels=""):
            found = re.search(rf'^{name}{{domain="1",vdev="xvda"{labels}}} (\S+)$', text, re.M)
            self.assertIsNotNone(found, name)
            return float(found.group(1))

        self.assertEqual(value("splitring_device_bytes"), 8 << 20)
        self.assertEqual(value("splitring_bytes_total", ',operation="write"'), 8 << 20)
        writes = value("splitring_requests_total", ',operation="write"')
        self.assertGreater(writes, 0)
        self.assertGreaterEqual(value("splitring_request_seconds_count"), writes)
        self.assertEqual(value("splitring_request_seconds_bucket", r',le="\+Inf"'),
                         value("splitring_request_seconds_count"))

    def test_H5_changes_nothing_and_says_what_there_is(self):
        self.start_daemon()
        connection = self.connection()
        self.assertEqual(ask(connection, "/devices", "POST")[0], 405)
        self.assertEqual(ask(connection, "/nothing")[0], 404)

    def test_H2_survives_clients_that_are_rude(self):
        self.start_daemon()
        for said in (b"\0\xff" * 4000, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100000,
                     b"GET", b""):
            with self.subTest(said=said[:20]):
                rude = socket.socket(socket.AF_UNIX)
                self.addCleanup(rude.close)  # stays open meanwhile
                rude.connect(str(self.control))
                try:
                    rude.sendall(said)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it was turned away: that is an answer
                self.assertEqual(ask(self.connection(), "/devices")[0], 200)

    def test_O1_other_users_are_not_answered(self):
        self.start_daemon()
        self.assertEqual(self.control.stat().st_mode & 0o777, 0o660)
        if os.geteuid() != 0:
            return  # only root can become somebody else
        # Even one who could open the socket meets the check of its user.
        for path in (self.scratch, self.host_directory, self.control.parent):
            path.chmod(0o755)
        self.control.chmod(0o666)
        script = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
                  "s.sendall(b'GET /devices HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(s.recv(1000))")
        outcome = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable,
             "-c", script, str(self.control)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=60, check=False)
        answered = outcome.stdout.decode()
        self.assertNotIn("HTTP", answered)
        self.assertTrue(answered == "b''\n" or b"Error" in outcome.stderr, outcome)
        self.assertEqual(ask(self.connection(), "/devices")[0], 200)

    def test_offers_the_metrics_and_nothing_else_on_tcp(self):
        port = free_port()
        self.start_daemon("--metrics", f"127.0.0.1:{port}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.addCleanup(connection.close)
        self.assertEqual(ask(connection, "/metrics")[0], 200)
        self.assertEqual(ask(connection, "/devices")[0], 404)

    def test_refuses_options_that_make_no_sense(self):
        for words in (["--max-queues", "0"], ["--max-ring-page-order", "5"], ["--poll", "x"],
                      ["--max-indirect-segments", "513"], ["--log-level", "loud"], ["disk"]):
            with self.subTest(words=words):
                self.assertEqual(run(SPLITRINGD, "--host", self.host_directory, *words).code, 2)
        for words in (["--metrics", "9100"], ["--metrics", "localhost:x"],
                      ["--control", "/" + "x" * 200], ["--domain", "9"]):
            with self.subTest(words=words):
                outcome = run(SPLITRINGD, "--host", self.host_directory, *words)
                self.assertEqual(outcome.code, 1)
                self.assertTrue(outcome.errors.startswith("splitringd: "), outcome.errors)

    def test_offers_frontends_what_the_options_say(self):
        self.start_daemon("--max-queues", "2", "--max-ring-page-order", "1",
                          "--max-indirect-segments", "0", "--no-persistent")
        self.attach()
        directory = "/local/domain/0/backend/splitring/1/51712"
        nodes = self.paths()
        self.assertEqual(nodes[f"{directory}/multi-queue-max-queues"], "2")
        self.assertEqual(nodes[f"{directory}/max-ring-page-order"], "1")
        self.assertEqual(nodes[f"{directory}/feature-persistent"], "0")
        self.assertNotIn(f"{directory}/feature-max-indirect-segments", nodes)
        self.succeeds("info", "vbd:xvda?lanes=2&order=4", domain=1)

    def test_ends_when_its_host_ends(self):
        daemon = self.start_daemon()
        self.host.stop()
        code, errors = daemon.stop(signal.SIGCONT)  # it ends by itself
        self.assertEqual(code, 1)
        self.assertIn("the store has gone", errors)


if __name__ == "__main__":
    unittest.main()
