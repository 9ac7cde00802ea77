#!/usr/bin/env python3
"""`splitring kv` as a script uses it: values in and out byte for byte, all or nothing, and what it says."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SPLITRING = Path(os.environ["SPLITRING_BUILD"]) / "splitring"
EVERY_BYTE = bytes(range(256))


class KvTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.folder = Path(self.scratch.name)
        self.image = self.folder / "data.img"
        self.disk = f"raw:{self.image}"
        self.kv("create", "--size", "64M")

    def kv(self, command, *arguments, stdin=b"", code=0, disk=None):
        result = subprocess.run([SPLITRING, "kv", command, disk or self.disk, *arguments], input=stdin,
                                capture_output=True, timeout=60)
        self.assertEqual(result.returncode, code, (command, arguments, result.stderr))
        return (result.stdout, result.stderr.decode()) if code else result.stdout

    def blocks(self):
        with open(self.image, "rb") as image:
            os.fsync(image.fileno())
        return self.image.stat().st_blocks

    def test_a_value_of_any_bytes_comes_out_as_it_went_in(self):
        for value in (b"", b"x", EVERY_BYTE * 5, os.urandom(100_000), os.urandom(5_000_001)):
            self.kv("put", "some key", stdin=value)
            self.assertTrue(self.kv("get", "some key") == value, len(value))
        (self.folder / "file").write_bytes(EVERY_BYTE)
        self.kv("put", "from/file", "--file", self.folder / "file")
        self.assertEqual(self.kv("get", "from/file"), EVERY_BYTE)
        self.assertEqual(self.kv("get", "from/file", "--offset", "10", "--length", "3"), bytes([10, 11, 12]))
        self.kv("put", "given", "on the line")
        self.assertEqual(self.kv("get", "given"), b"on the line")
        self.assertEqual(json.loads(self.kv("get", "given", "--json"))["size"], 11)

    def test_what_is_not_there_says_so(self):
        _, said = self.kv("get", "nothing", code=1)
        self.assertIn("nothing: no such key", said)
        _, said = self.kv("rm", "nothing", code=1)
        self.assertIn("nothing was removed", said)
        self.kv("rm", "nothing", "--force")
        _, said = self.kv("get", "a", "--tree", "nowhere", code=1)
        self.assertIn("nowhere", said)
        blank = self.folder / "blank.img"
        blank.write_bytes(bytes(1 << 20))
        _, said = self.kv("get", "a", disk=f"raw:{blank}", code=1)
        self.assertIn("splitring kv create raw:", said)
        _, said = self.kv("create", code=1)
        self.assertIn("--overwrite", said)

    def test_scan_walks_ranges_both_ways(self):
        script = "".join(f"put k{i:02d} v{i}\n" for i in range(20)) + "put other x\n"
        self.kv("txn", stdin=script.encode())
        def keys(*options):
            return self.kv("scan", "--keys", *options).decode().split()
        everything = [f"k{i:02d}" for i in range(20)] + ["other"]
        self.assertEqual(keys(), everything)
        self.assertEqual(keys("--reverse"), everything[::-1])
        self.assertEqual(keys("--prefix", "k1"), everything[10:20])
        self.assertEqual(keys("--from", "k05", "--to", "k08"), ["k05", "k06", "k07"])
        self.assertEqual(keys("--prefix", "k", "--reverse", "--limit", "2"), ["k19", "k18"])
        self.assertEqual(self.kv("scan", "--count", "--prefix", "k"), b"20\n")
        self.assertEqual(self.kv("scan", "--limit", "1"), b"k00\tv0\n")
        line = json.loads(self.kv("scan", "--json", "--prefix", "other"))
        self.assertEqual(line, {"key": "other", "value": "x"})

    def test_txn_applies_all_or_nothing(self):
        self.kv("txn", stdin=b"# a comment\nput a 1\nput b two words\nget a\nget missing\n")
        self.assertEqual(self.kv("get", "b"), b"two words")
        self.assertEqual(self.kv("txn", stdin=b"check a 1\nput a 2\nget a\nabsent c\nput c 3\n"), b"a\t2\n")
        for script, why in ((b"put a 9\ncheck a 1\n", "line 2: a has another value; nothing was changed"),
                            (b"rm b\nabsent c\n", "line 2: c is there"),
                            (b"put a 9\ncheck gone x\n", "line 2: gone is not there"),
                            (b"put a 9\nput " + b"k" * 1025 + b" x\n", "line 2"),
                            (b"put a 9\nfrob b\n", "line 2: a line begins with"),
                            (b"put a 9\nput b \\q\n", "line 2: a backslash")):
            _, said = self.kv("txn", stdin=script, code=1)
            self.assertIn(why, said)
            self.assertEqual(self.kv("scan"), b"a\t2\nb\ttwo words\nc\t3\n", script)

    def test_test_and_set_by_put(self):
        self.kv("put", "lock", "mine", "--if-absent")
        _, said = self.kv("put", "lock", "yours", "--if-absent", code=1)
        self.assertIn("is there already", said)
        self.assertEqual(self.kv("get", "lock"), b"mine")

    def test_dump_and_load_carry_any_bytes_in_both_formats(self):
        self.kv("put", "-e", "\\x00\\xff\\n\\t\\\\", stdin=EVERY_BYTE)
        self.kv("put", "large", stdin=os.urandom(3_000_000))
        self.kv("put", "empty", "")
        for form in ("lines", "cdb"):
            records = self.kv("dump", "--format", form)
            self.kv("rm", "--all")
            self.assertEqual(self.kv("scan", "--count"), b"0\n")
            self.assertEqual(json.loads(self.kv("load", "--format", form, "--json", stdin=records))["keys"], 3)
            self.assertTrue(self.kv("dump", "--format", form) == records, form)
        self.assertEqual(self.kv("get", "-e", "\\x00\\xff\\n\\t\\\\"), EVERY_BYTE)

    def test_the_formats_are_as_documented(self):
        self.kv("load", stdin=b"b\\n\t2\\x41\na\t\n")
        self.assertEqual(self.kv("dump"), b"a\t\nb\\n\t2A\n")
        self.assertEqual(self.kv("dump", "--format", "cdb"), b"+1,0:a->\n+2,2:b\n->2A\n\n")

    def test_k3_hostile_records_are_refused_where_they_are(self):
        for form, records, why in (
                ("lines", b"a\t1\nno tab\n", "line 2: there is no tab"),
                ("lines", b"a\t\\x4\n", "line 1: a backslash"),
                ("cdb", b"+1,1:a->b\n", "record 2: the end of the file is missing"),
                ("cdb", b"+1,5:a->b\n\n", "record 1: the file ends within it"),
                ("cdb", b"+1,1:ab->c\n\n", "record 1: its lengths are not those"),
                ("cdb", b"+9999999999999999999,1:", "record 1: a length is too large"),
                ("cdb", b"+999999999999999999,1:", "record 1: its key is longer"),
                ("cdb", b"+1,999999999999999999:a->", "record 1: the file ends within it"),
                ("cdb", b"-1,1:a->b\n\n", "record 1: a record begins with")):
            _, said = self.kv("load", "--format", form, stdin=records, code=1)
            self.assertIn(why, said)

    def test_trees_are_apart(self):
        self.kv("put", "a", "default")
        self.kv("put", "a", "other", "--tree", "second")
        self.assertEqual(self.kv("get", "a"), b"default")
        self.assertEqual(self.kv("get", "a", "--tree", "second"), b"other")
        self.assertIn("second", self.kv("ls", "--trees").decode())
        self.kv("rm", "--all", "--tree", "second")
        self.assertEqual(self.kv("get", "a"), b"default")

    def test_ls_shows_keys_as_paths(self):
        self.kv("load", stdin=b"dir/a\t1\ndir/sub/b\t22\ntop\t333\n")
        listed = json.loads(self.kv("ls", "--json"))
        self.assertEqual([(e["key"], e["kind"]) for e in listed], [("dir", "dictionary"), ("top", "value")])
        listed = json.loads(self.kv("ls", "--json", "-r", "dir"))
        self.assertEqual([(e["key"], e["size"]) for e in listed], [("dir/a", 1), ("dir/sub/b", 2)])

    def test_snapshots_branches_and_what_differs(self):
        self.kv("load", stdin=b"a\t1\nb\t2\n")
        self.kv("snapshot", "monday")
        self.kv("txn", stdin=b"put a 9\nrm b\nput c 3\n")
        self.kv("snapshot", "tuesday")
        self.assertEqual(self.kv("scan", "--snapshot", "monday"), b"a\t1\nb\t2\n")
        self.assertEqual(self.kv("diff", "monday", "tuesday"), b"! a\n- b\n+ c\n")
        names = [s["name"] for s in json.loads(self.kv("snapshot", "--json"))]
        self.assertEqual(sorted(names), ["monday", "tuesday"])
        self.kv("snapshot", "monday", "--start-branch", "trial")
        self.kv("put", "a", "tried", "--branch", "trial")
        self.assertEqual(self.kv("get", "a", "--branch", "trial"), b"tried")
        self.assertEqual(self.kv("get", "a"), b"9")
        self.kv("snapshot", "tuesday", "--delete")
        _, said = self.kv("get", "a", "--snapshot", "tuesday", code=1)
        self.assertIn("tuesday", said)

    def test_diff_of_a_tree_is_of_what_had_its_name_then(self):
        self.kv("snapshot", "monday")
        self.kv("snapshot", "monday", "--start-branch", "trial")
        self.kv("put", "a", "1", "--tree", "users", "--branch", "trial")
        self.kv("snapshot", "tuesday", "--branch", "trial")
        self.kv("put", "b", "2", "--tree", "others")
        self.assertEqual(self.kv("diff", "monday", "tuesday", "--tree", "users"), b"+ a\n")
        self.kv("snapshot", "wednesday")
        # Of the same number, on two branches.
        self.assertEqual(self.kv("diff", "monday", "wednesday", "--tree", "others"), b"+ b\n")
        _, said = self.kv("diff", "monday", "tuesday", "--tree", "others", code=1)
        self.assertIn("others", said)

    def test_backups_whole_and_incremental(self):
        self.kv("load", stdin=b"a\t1\nb\t2\n")
        self.kv("put", "long", stdin=os.urandom(3_000_000))
        self.kv("snapshot", "monday")
        self.kv("txn", stdin=b"put a 9\nrm b\n")
        self.kv("snapshot", "tuesday")
        whole = self.kv("backup", "monday")
        self.kv("backup", "tuesday", "--since", "monday", "--file", self.folder / "changes")
        self.assertLess((self.folder / "changes").stat().st_size, 1000)
        copy = f"raw:{self.folder / 'copy.img'}"
        self.kv("create", "--size", "64M", disk=copy)
        self.kv("restore", stdin=whole, disk=copy)
        self.assertTrue(self.kv("dump", disk=copy) == self.kv("dump", "--snapshot", "monday"))
        self.kv("restore", "--file", self.folder / "changes", disk=copy)
        self.assertTrue(self.kv("dump", disk=copy) == self.kv("dump"))
        self.kv("restore", stdin=whole, disk=copy, code=1)
        self.kv("create", "--size", "64M", disk=f"raw:{self.folder / 'third.img'}")
        self.kv("restore", stdin=whole[:-1], disk=f"raw:{self.folder / 'third.img'}", code=1)

    def test_check_names_the_damaged_page(self):
        self.kv("load", stdin=b"".join(b"key%05d\tvalue number %05d%s\n" % (i, i, b"." * 80) for i in range(5000)))
        self.assertIn(b"checked", self.kv("check"))
        self.assertEqual(json.loads(self.kv("check", "--json"))["problems"], [])
        raw = bytearray(self.image.read_bytes())
        at = raw.rindex(b"value number 02500")  # of several, the ring's come first
        raw[at] ^= 1
        self.image.write_bytes(raw)
        _, said = self.kv("check", code=1)
        self.assertRegex(said, r"page \d+")
        _, said = self.kv("get", "key02500", code=1)
        self.assertRegex(said, r"page \d+")

    def test_stat_adds_up_to_the_disk(self):
        self.kv("load", stdin=b"a\t1\n")
        stat = json.loads(self.kv("stat", "--json"))
        self.assertEqual(stat["bytes"], 64 << 20)
        self.assertLessEqual(sum(stat["space"].values()), stat["bytes"])
        self.assertGreater(stat["space"]["free"], 0)

    def test_trim_gives_free_space_back(self):
        self.kv("put", "long", stdin=os.urandom(20 << 20))
        full = self.blocks()
        self.kv("rm", "long")
        self.assertRegex(self.kv("trim"), rb"^gave back [0-9.]+ MiB\n$")
        self.assertLess(self.blocks(), full - (19 << 20) // 512)
        self.assertEqual(json.loads(self.kv("check", "--json"))["problems"], [])
        _, said = self.kv("trim", disk=f"{self.disk}?discard=off", code=1)
        self.assertIn("discard", said)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
