"""The built programs, run as a person or a service manager runs them.

Nothing here sleeps: a program is up when its ready line has come, and down when it has ended.
"""

import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

BUILD = Path(os.environ["SPLITRING_BUILD"])
SPLITRING = BUILD / "splitring"
SPLITRINGD = BUILD / "splitringd"
# Of a sanitizer's build; no other looks at it.
os.environ.setdefault("LSAN_OPTIONS", "print_suppressions=0:suppressions="
                      + str(Path(__file__).resolve().parents[1] / "leaks.supp"))
PATIENCE_S = 60  # far more than anything takes; a test that gets here has failed


class Process:
    """A program that runs until it is told to stop."""

    def __init__(self, command, ready, environment=None):
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            # Whoever runs the tests in the background has had it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.output = self._read_until(ready.encode())

    def _read_until(self, ready):
        text = b""
        deadline = time.monotonic() + PATIENCE_S
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not any(line.startswith(ready) for line in text.splitlines(keepends=True)
                          if line.endswith(b"\n")):
                if not selector.select(max(0, deadline - time.monotonic())):
                    self.process.kill()
                    raise AssertionError(f"no line {ready!r} in {text!r}")
                chunk = os.read(self.process.stdout.fileno(), 65536)
                if not chunk:
                    raise AssertionError(f"ended early: {self.process.communicate()!r}")
                text += chunk
        return text.decode()

    def stop(self, number=signal.SIGTERM):
        """Sends a signal; the exit code and what was said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            _, errors = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, errors.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        if not self.process.stderr.closed:
            self.process.communicate()


class Outcome:
    def __init__(self, completed):
        self.code = completed.returncode
        self.output = completed.stdout.decode()
        self.errors = completed.stderr.decode()


def run(*command, environment=None):
    return Outcome(subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, timeout=PATIENCE_S, env={**os.environ, **(environment or {})}))


class ProgramTest(unittest.TestCase):
    """A scratch folder, and what to say about programs that ended."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="splitring-")
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)
        self.host_directory = self.scratch / "host"

    def splitring(self, *words, domain=0):
        return run(SPLITRING, *words, environment={"SPLITRING_HOST": str(self.host_directory),
                                                   "SPLITRING_DOMAIN": str(domain)})

    def succeeds(self, *words, domain=0):
        outcome = self.splitring(*words, domain=domain)
        self.assertEqual(outcome.code, 0, outcome.errors)
        return outcome.output

    def succeeds_json(self, *words, domain=0):
        return json.loads(self.succeeds(*words, "--json", domain=domain))

    def fails(self, *words, code=1, says="", domain=0):
        """Fails in one line that begins with the program's name and contains `says`."""
        outcome = self.splitring(*words, domain=domain)
        self.assertEqual(outcome.code, code, outcome.errors)
        self.assertIn(says, outcome.errors)
        if code == 1:
            self.assertTrue(outcome.errors.startswith("splitring: "), outcome.errors)
        return outcome.errors

    def start(self, *command, ready, environment=None):
        process = Process(command, ready, environment)
        self.addCleanup(process.__exit__)
        return process

    def start_host(self, *domains):
        words = [word for domain in domains for word in ("--domain", domain)]
        return self.start(SPLITRING, "host", "--dir", self.host_directory, *words,
                          ready="host: ready")

    def start_daemon(self, *words, environment=None):
        return self.start(SPLITRINGD, "--host", self.host_directory, *words,
                          ready="splitringd: ready", environment=environment)

    def store(self, tool, *words, domain=0):
        """One of Debian's xenstore tools."""
        outcome = run(f"xenstore-{tool}", *words, environment={
            "XENSTORED_PATH": str(self.host_directory / str(domain) / "xenstored")})
        self.assertEqual(outcome.code, 0, outcome.errors)
        return outcome.output

    def paths(self):
        """Every node of the store with its value."""
        nodes = {}
        for line in self.store("ls", "-f").splitlines():
            path, _, value = line.partition(" = ")
            nodes[path] = value.strip('"')
        return nodes

    def image(self, name, size_bytes=1 << 20):
        """A file of bytes that are nowhere the same."""
        path = self.scratch / name
        path.write_bytes(b"".join(i.to_bytes(8, "little") for i in range(size_bytes // 8)))
        return path
