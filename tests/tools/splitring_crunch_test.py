#!/usr/bin/env python3
"""splitring crunch: what it makes compiles, and holds what the directory holds."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support/tools"))
from programs import BUILD, SPLITRING, ProgramTest, run  # noqa: E402

PRINT_STORE = BUILD / "tests/compiled_store"
HOSTILE = {
    b'quote " and \' and \\': b"quoted",
    b"new\nline": b"line \\\n*/ // ??/\n",
    b"\xff\xfe not UTF-8 \x01": bytes(range(256)) * 3,
    b"*/ #include </etc/passwd>": b'")))); /* */ // "\n',
    b"trailing backslash\\": b"\\",
    b"??-": b"?" * 50,
    b"empty": b"",
    b"deep/er/file": b"1234\0005678",
    b"deep-er": b"\0" * 1000,
    b".hidden": b"\x8e\x37",
    b"no newline at the end": b"a\nb",
}


class Crunch(ProgramTest):
    def setUp(self):
        super().setUp()
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)
        self.tree = os.fsencode(self.scratch / "tree")
        os.mkdir(self.tree)

    def write(self, name, content):
        path = os.path.join(self.tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)

    def crunch(self, output, *options, environment=None):
        return subprocess.run([SPLITRING, "crunch", self.tree, "-o", self.scratch / output, *options],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, **(environment or {})})

    def crunched(self, output, *options, environment=None):
        outcome = self.crunch(output, *options, environment=environment)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)
        return (self.scratch / output).read_bytes()

    def refused(self, text, output="site.cc"):
        outcome = self.crunch(output)
        self.assertEqual(outcome.returncode, 1, outcome)
        self.assertIn(text, outcome.stderr.decode())
        self.assertEqual(list(self.scratch.glob("site*")), [], "something was left behind")

    def contents(self, output, name="site"):
        """What the compiled directory holds, by key: (bytes, time)."""
        library = self.scratch / "site.so"
        subprocess.run(["g++", "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fPIC",
                        "-shared", "-o", library, self.scratch / output], check=True)
        printed = subprocess.run([PRINT_STORE, library, name], check=True, stdout=subprocess.PIPE)
        found = {}
        for line in printed.stdout.decode().splitlines():
            entry = json.loads(line)
            content = bytes.fromhex(entry["bytes"])
            self.assertEqual(hashlib.sha256(content).hexdigest(), entry["digest"])
            found[bytes.fromhex(entry["key"])] = (content, entry["modified"])
        return found

    def test_source_and_object_hold_every_file_whatever_it_is_called(self):
        for name, content in HOSTILE.items():
            self.write(name, content)
        expected = {name: (content, None) for name, content in HOSTILE.items()}
        for output in ("site.cc", "site.o"):
            with self.subTest(output=output):
                self.crunched(output)
                self.assertEqual(self.contents(output), expected)

    def test_the_same_contents_make_the_same_bytes(self):
        names = list(HOSTILE)
        for name in names:
            self.write(name, HOSTILE[name])
        first = [self.crunched(output) for output in ("site.cc", "site.o")]
        other = self.tree + b"2"
        self.tree = other
        os.mkdir(other)
        for name in reversed(names):
            self.write(name, HOSTILE[name])
            os.utime(os.path.join(other, name), (1, 1))
        self.assertEqual([self.crunched(output) for output in ("site.cc", "site.o")], first)

    def test_times_are_those_of_source_date_epoch(self):
        self.write(b"file", b"1")
        self.crunched("site.o", environment={"SOURCE_DATE_EPOCH": "1700000000"})
        self.assertEqual(self.contents("site.o"), {b"file": (b"1", 1700000000)})
        outcome = self.crunch("site.o", environment={"SOURCE_DATE_EPOCH": "yesterday"})
        self.assertEqual(outcome.returncode, 1)

    def test_equal_files_are_kept_once(self):
        body = os.urandom(100_000)
        for name in (b"a", b"b/c", b"d"):
            self.write(name, body)
        self.assertLess(len(self.crunched("site.o")), 110_000)
        self.assertEqual(len(self.contents("site.o")), 3)

    def test_links_inside_count_as_what_they_lead_to(self):
        self.write(b"dir/file", b"1")
        os.symlink(b"dir/file", self.tree + b"/to-file")
        os.symlink(b"dir", self.tree + b"/to-dir")
        self.crunched("site.o")
        self.assertEqual(sorted(self.contents("site.o")), [b"dir/file", b"to-dir/file", b"to-file"])

    def test_h1_links_that_lead_out_nowhere_or_back_up_are_refused(self):
        self.write(b"dir/file", b"1")
        outside = self.scratch / "outside"
        outside.write_text("secret")
        for target, text in ((b"../outside", "leads out"), (os.fsencode(outside), "leads out"),
                             (b"dir/../../outside", "leads out"), (b"/etc/passwd", "leads out"),
                             (b"missing", "leads nowhere"), (b"link", "in a circle"),
                             (b".", "back up"), (b"dir/..", "back up")):
            with self.subTest(target=target):
                os.symlink(target, self.tree + b"/link")
                self.refused(text)
                os.unlink(self.tree + b"/link")

    def test_pipes_are_refused_not_waited_for(self):
        os.mkfifo(self.tree + b"/pipe")
        self.refused("neither a file nor a directory")

    def test_what_is_written_must_lie_elsewhere_and_be_called_something(self):
        self.write(b"file", b"1")
        inside = self.crunch(os.path.join(os.fsdecode(self.tree), "site.cc"))
        self.assertEqual(inside.returncode, 1)
        self.assertIn(b"would be part of it", inside.stderr)
        self.assertIn(b"--name", self.crunch("my-site.cc").stderr)
        self.crunched("my-site.cc", "--name", "mine")
        self.assertEqual(self.contents("my-site.cc", "mine"), {b"file": (b"1", None)})
        self.assertEqual(self.crunch("site.txt").returncode, 2)
        self.assertEqual(self.crunch("site.cc", "--name", "a;b").returncode, 2)
        missing = run(SPLITRING, "crunch", self.scratch / "missing", "-o", self.scratch / "x.cc")
        self.assertEqual(missing.code, 1)

    def test_an_empty_directory_is_an_empty_store(self):
        self.crunched("site.cc")
        self.assertEqual(self.contents("site.cc"), {})

    def test_a_hundred_megabytes_make_an_object_without_a_compiler(self):
        for i in range(100):
            self.write(b"%d" % i, os.urandom(1 << 20))
        begin = time.monotonic()
        self.crunched("site.o")
        self.assertLess(time.monotonic() - begin, 60)
        subprocess.run(["g++", "-shared", "-o", self.scratch / "site.so", self.scratch / "site.o"],
                       check=True)


if __name__ == "__main__":
    unittest.main(verbosity=0)
