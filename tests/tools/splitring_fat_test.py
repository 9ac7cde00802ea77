#!/usr/bin/env python3
"""splitring fat as a person uses it, with mtools, mkfs.fat and fsck.fat as oracles both ways."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/support/tools"))
from partitions import write_gpt, write_mbr  # noqa: E402

SPLITRING = Path(os.environ["SPLITRING_BUILD"]) / "splitring"
ENVIRONMENT = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC",
               "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def run(*command, check=True, stdin=b""):
    result = subprocess.run(list(map(str, command)), capture_output=True, input=stdin,
                            env=ENVIRONMENT, timeout=120)
    if check and result.returncode != 0:
        raise AssertionError(f"{command}: {result.returncode}: {result.stdout} {result.stderr}")
    return result


def fat(*command, **options):
    return run(SPLITRING, "fat", *command, **options)


# Beyond Unicode's basic plane: two units of UTF-16, which mtools makes "__" of.
CAMEL = "na\u00efve \u20ac \U0001f42a"


def plant(root):
    """A tree with what FAT finds hard."""
    (root / "deep" / "er" / "still").mkdir(parents=True)
    (root / "deep" / "er" / "still" / ("n" * 200)).write_bytes(b"long name")
    (root / "README.TXT").write_bytes(b"capitals")
    (root / "lower.c").write_bytes(b"small letters")
    (root / "Mixed.Case").write_bytes(b"both")
    (root / ".hidden").write_bytes(b"dot in front")
    (root / CAMEL).write_bytes(b"unicode")
    (root / "zero").write_bytes(b"")
    (root / "large").write_bytes(os.urandom(400_001))
    (root / "larger than buffers").write_bytes(os.urandom(6_000_001))
    for i in range(40):
        (root / "deep" / f"a name that begins alike, {i}").write_bytes(os.urandom(i * 100))


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
            for path in sorted(root.rglob("*"))}


class SplitringFat(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)
        self.image = self.scratch / "a.img"
        self.disk = f"raw:{self.image}"
        self.tree = self.scratch / "tree"
        self.tree.mkdir()

    def assert_sound(self, image=None):
        image = image or self.image
        said = run("fsck.fat", "-n", image, check=False)
        self.assertEqual(said.returncode, 0, said.stdout.decode())
        self.assertEqual(fat("check", f"raw:{image}", check=False).returncode, 0)

    def assert_same(self, one, other):
        """By name and byte: the library's picture of such a difference takes it minutes to draw."""
        ours, theirs = contents(one), contents(other)
        self.assertEqual(sorted(ours), sorted(theirs))
        self.assertEqual([path for path in ours if ours[path] != theirs[path]], [])

    def test_what_it_makes_of_any_size_others_accept(self):
        for size, kind in (("160K", "FAT12"), ("360K", "FAT12"), ("1440K", "FAT12"), ("3M", "FAT12"),
                           ("5M", "FAT16"), ("33M", "FAT16"), ("600M", "FAT32"), ("3G", "FAT32"),
                           ("70G", "FAT32")):
            with self.subTest(size=size):
                self.image.unlink(missing_ok=True)
                made = json.loads(fat("create", self.disk, "--size", size, "--label", "MADE",
                                      "--id", "1234-ABCD", "--json").stdout)
                self.assertEqual((made["type"], made["label"], made["id"]),
                                 (kind, "MADE", "1234-ABCD"))
                self.assert_sound()
                self.assertIn(b"MADE", run("mlabel", "-s", "-i", self.image).stdout)

    def test_a_sparse_image_of_2_TiB_takes_files_and_stays_sparse(self):
        for kind, fsck in (("fat32", "fsck.fat"), ("exfat", "fsck.exfat")):
            with self.subTest(kind=kind):
                self.image.unlink(missing_ok=True)
                made = json.loads(fat("create", self.disk, "--size", "2T", "--type", kind,
                                      "--cluster", "64K", "--json").stdout)
                self.assertGreater(made["bytes"], (2 << 40) - 1024)
                fat("put", self.disk, SPLITRING, "program")
                self.assertEqual(fat("cat", self.disk, "program").stdout, SPLITRING.read_bytes())
                fat("check", self.disk)
                run(fsck, "-n", self.image)
                self.assertLess(self.image.stat().st_blocks * 512, 1 << 30)

    def test_exfat_of_any_size_others_accept_and_theirs_we_do(self):
        for size in ("1M", "3M", "300M", "40G", "3T"):
            with self.subTest(size=size):
                self.image.unlink(missing_ok=True)
                made = json.loads(fat("create", self.disk, "--size", size, "--label", "\u00c4xfat",
                                      "--type", "exfat", "--id", "1234-ABCD", "--json").stdout)
                self.assertEqual((made["type"], made["label"], made["id"]),
                                 ("exFAT", "\u00c4xfat", "1234-ABCD"))
                self.assertEqual(run("fsck.exfat", "-n", self.image, check=False).returncode, 0)
                self.assertIn("1234ABCD", run("dump.exfat", self.image).stdout.decode().upper())
        plant(self.tree)
        for options in ((), ("-c", "4K"), ("--pack-bitmap",), ("-c", "1M", "-b", "4M")):
            with self.subTest(options=options):
                self.image.unlink(missing_ok=True)
                with open(self.image, "wb") as file:
                    file.truncate(400 << 20)
                run("mkfs.exfat", *options, "-L", "THEIRS", self.image)
                self.assertEqual(json.loads(fat("info", self.disk, "--json").stdout)["label"],
                                 "THEIRS")
                fat("add", self.disk, "-C", self.tree, ".")
                fat("mv", self.disk, "large", "deep/er/large")
                fat("rm", self.disk, "zero")
                said = run("fsck.exfat", "-n", self.image, check=False)
                self.assertEqual(said.returncode, 0, said.stdout)
                fat("mv", self.disk, "deep/er/large", "large")
                back = self.scratch / f"back {len(options)}"
                fat("get", self.disk, "/", back)
                (back / "zero").write_bytes(b"")
                self.assert_same(self.tree, back)
                subprocess.run(["rm", "-r", back], check=True)

    def test_trees_go_in_and_come_out_the_same(self):
        plant(self.tree)
        fat("create", self.disk, "--size", "40M")
        fat("add", self.disk, "-C", self.tree, ".", "--to", "in")
        self.assert_sound()
        fat("get", self.disk, "in", self.scratch)
        self.assert_same(self.scratch / "in", self.tree)
        (self.tree / CAMEL).unlink()
        fat("rm", self.disk, f"in/{CAMEL}")
        out = self.scratch / "mtools"
        out.mkdir()
        run("mcopy", "-s", "-i", self.image, "::in", out)
        self.assert_same(out / "in", self.tree)

    def test_what_mtools_writes_we_read_change_and_leave_sound(self):
        plant(self.tree)
        (self.tree / CAMEL).unlink()
        for options in ((), ("-F", "32"), ("-F", "16", "-s", "4"), ("-S", "4096")):
            with self.subTest(options=options):
                self.image.unlink(missing_ok=True)
                run("mkfs.fat", *options, "-C", self.image, 70_000)
                run("mcopy", "-s", "-i", self.image, *self.tree.iterdir(), "::")
                back = self.scratch / f"back{len(options)}{''.join(options)}"
                back.mkdir()
                fat("get", self.disk, "/", back)
                self.assert_same(back, self.tree)
                fat("rm", self.disk, "-r", "deep")
                fat("mv", self.disk, "Mixed.Case", "Another Name.text")
                fat("mkdir", self.disk, "-p", "x/y/z")
                fat("cp", self.disk, "large", "x/y/z")
                self.assert_sound()
                self.assertEqual(fat("cat", self.disk, "x/y/z/large").stdout,
                                 (self.tree / "large").read_bytes())

    def test_dates_agree_with_those_of_mtools(self):
        source = self.scratch / "source"
        source.write_bytes(b"dated")
        os.utime(source, (1_000_000_000, 1_000_000_000))
        fat("create", self.disk, "--size", "4M")
        run("mcopy", "-m", "-i", self.image, source, "::THEIRS")
        fat("put", self.disk, source, "OURS")
        times = {e["path"]: e["mtime"] for e in json.loads(fat("ls", self.disk, "--json").stdout)}
        self.assertEqual(times, {"THEIRS": 1_000_000_000, "OURS": 1_000_000_000})

    def test_short_names_are_numbered_and_cases_kept(self):
        fat("create", self.disk, "--size", "4M")
        for name in ("lower.txt", "UPPER.TXT", "a long name.html", "a long name.htm"):
            fat("put", self.disk, "-", name, stdin=b"x")
        names = {e["path"]: e["short_name"] for e in json.loads(fat("ls", self.disk, "--json").stdout)}
        self.assertEqual(names, {"lower.txt": "LOWER.TXT", "UPPER.TXT": "UPPER.TXT",
                                 "a long name.html": "ALONGN~1.HTM",
                                 "a long name.htm": "ALONGN~2.HTM"})
        listed = run("mdir", "-b", "-i", self.image, "::").stdout.decode()
        for name in names:
            self.assertIn(f"::/{name}\n", listed)

    def test_a_partition_is_a_disk(self):
        for write_table in (write_mbr, write_gpt):
            with self.subTest(table=write_table.__name__):
                self.image.unlink(missing_ok=True)
                with open(self.image, "wb") as file:
                    file.truncate(20_000 * 512)
                write_table(self.image, [(64, 8000), (10_000, 9000)])
                fat("create", self.disk + "#1", "--type", "exfat")
                fat("create", self.disk + "#2", "--partition-offset", "10000")
                fat("put", self.disk + "#1", "-", "file", stdin=b"first")
                fat("put", self.disk + "#2", "-", "file", stdin=b"second")
                self.assertEqual(fat("cat", self.disk + "#1", "file").stdout, b"first")
                theirs = f"{self.image}@@{10_000 * 512}"
                self.assertEqual(run("mtype", "-i", theirs, "::file").stdout, b"second")
                for words, says in ((("info", "#3"), b"it has 1, 2"),
                                    (("info", ""), b"partitions (1, 2): say which, as raw:"),
                                    (("check", ""), b"partitions (1, 2): say which, as raw:"),
                                    (("create", "#1", "--size", "1G"), b"--size is for a whole image")):
                    failed = fat(words[0], self.disk + words[1], *words[2:], check=False)
                    self.assertEqual(failed.returncode, 1)
                    self.assertIn(says, failed.stderr)
                self.assertEqual(self.image.stat().st_size, 20_000 * 512)

    def test_damage_is_found_and_mended(self):
        fat("create", self.disk, "--size", "2M")
        fat("put", self.disk, "-", "FILE", stdin=b"x" * 5000)
        with open(self.image, "r+b") as file:
            file.seek(512)
            fat_bytes = bytearray(file.read(512))
            fat_bytes[3:] = bytes(509)
            file.seek(512)
            file.write(fat_bytes)
        found = fat("check", self.disk, "--json", check=False)
        self.assertEqual(found.returncode, 1)
        self.assertGreater(json.loads(found.stdout)["damage"], 0)
        fat("check", self.disk, "--repair")
        self.assert_sound()

    def marks(self, *paths):
        """As `attr` shows them: {path: "d-r--"}."""
        lines = fat("attr", self.disk, *paths).stdout.decode().splitlines()
        return {line.split("  ")[-1]: line.split()[0] for line in lines}

    def test_marks_are_set_and_taken_away_and_mtools_sees_them(self):
        fat("create", self.disk, "--size", "2M")
        fat("put", self.disk, "-", "file", stdin=b"x")
        fat("mkdir", self.disk, "d")
        fat("put", self.disk, "-", "d/+h", stdin=b"x")
        self.assertEqual(self.marks("file", "d"), {"file": "-a---", "d": "d----"})
        for words, shown, theirs in ((("+rh",), "-arh-", "AHR"), (("-a", "+s"), "--rhs", "SHR"),
                                     (("-rh",), "----s", "S"), (("-s", "-h", "+a"), "-a---", "A")):
            fat("attr", self.disk, "file", *words)
            self.assertEqual(self.marks("file"), {"file": shown})
            said = run("mattrib", "-i", self.image, "::file").stdout.decode()
            self.assertEqual(said.split("::")[0].replace(" ", ""), theirs)
        run("mattrib", "+h", "+r", "-i", self.image, "::file")
        self.assertEqual(self.marks("file"), {"file": "-arh-"})
        fat("attr", self.disk, "+h", "-a", "--recursive", "d")
        self.assertEqual(self.marks("d", "./d/+h"), {"d": "d--h-", "./d/+h": "---h-"})
        fat("attr", self.disk, "/", "+s", "--recursive")
        self.assertEqual(self.marks("--recursive", "/"),
                         {"/": "d----", "d": "d--hs", "d/+h": "---hs", "file": "-arhs"})
        self.assert_sound()

    def test_marks_of_an_exfat_volume_are_where_its_format_has_them(self):
        fat("create", self.disk, "--size", "2M", "--type", "exfat")
        fat("put", self.disk, "-", "file", stdin=b"x")
        fat("attr", self.disk, "file", "+rs", "-a")
        self.assertEqual(self.marks("file"), {"file": "--r-s"})
        name = self.image.read_bytes().index(b"\xc1\x00" + "file".encode("utf-16-le"))
        entry = self.image.read_bytes()[name - 64:name]
        self.assertEqual((entry[0], entry[4]), (0x85, 0x05))
        run("fsck.exfat", "-n", self.image)

    def test_what_is_marked_as_read_only_is_not_written_over(self):
        fat("create", self.disk, "--size", "2M")
        fat("put", self.disk, "-", "kept", stdin=b"kept")
        fat("attr", self.disk, "kept", "+rh")
        refused = fat("put", self.disk, "-", "kept", stdin=b"new", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"marked as read-only", refused.stderr)
        fat("cp", self.disk, "kept", "copy")
        self.assertEqual(self.marks("kept", "copy"), {"kept": "-arh-", "copy": "-arh-"})
        self.assertEqual(fat("cat", self.disk, "kept").stdout, b"kept")
        fat("attr", self.disk, "kept", "-r")
        fat("put", self.disk, "-", "kept", stdin=b"new")
        self.assertEqual(fat("cat", self.disk, "kept").stdout, b"new")

    def test_the_shell_obeys_a_script(self):
        fat("create", self.disk, "--size", "2M")
        script = b"mkdir a\ncd a\nmkdir 'b c'\ntouch 'b c/x'\nattr 'b c/x' +h\npwd\nmv 'b c/x' /top\ncd ..\nls\nexit\n"
        said = fat("shell", self.disk, stdin=script).stdout.decode()
        self.assertIn("/a\n", said)
        self.assertRegex(said, "-a-h- .* top")
        for bad in (b"rm nothing\n", b"attr +h\n", b"attr top +x\n"):
            self.assertEqual(fat("shell", self.disk, stdin=bad, check=False).returncode, 1)
        self.assert_sound()

    def test_errors_say_what_and_where(self):
        def fails(*command, says):
            outcome = fat(*command, check=False)
            self.assertEqual(outcome.returncode, 1, outcome.stderr)
            self.assertTrue(outcome.stderr.startswith(b"splitring: fat "), outcome.stderr)
            self.assertIn(says, outcome.stderr.decode())

        fails("create", self.disk, says="--size")
        self.image.unlink(missing_ok=True)
        fat("create", self.disk, "--size", "1M")
        fails("create", self.disk, says="--overwrite")
        other = self.scratch / "b.img"
        fails("create", f"raw:{other}", "--size", "100K", says="160 KiB")
        fails("create", f"raw:{other}", says="--size")
        self.assertFalse(other.exists())
        fails("create", self.disk, "--overwrite", "--size", "2T", "--type", "fat12", says="too large")
        self.assertEqual(self.image.stat().st_size, 1 << 20)
        fails("create", self.disk, "--overwrite", "--size", "512K", says="shorter")
        fails("create", self.disk, "--overwrite", "--type", "fat32", says="too small for FAT32")
        fails("create", self.disk, "--overwrite", "--type", "fat16", "--cluster", "4K",
              says="251 clusters")
        fails("cat", self.disk, "none", says="none: 'none': no such file")
        fails("put", self.disk, "/dev/null", "a:b", says="a:b")
        fat("mkdir", self.disk, "d")
        fat("put", self.disk, "-", "d/file", stdin=b"x")
        fails("rm", self.disk, "d", says="not empty")
        fails("cat", self.disk, "d", says="directory")
        fails("cp", self.disk, "d/file", "D/FILE", says="the same file")
        self.assertEqual(fat("cat", self.disk, "d/file").stdout, b"x")
        fails("label", self.disk, "a.b", says="label")
        fails("info", "mem:1M", says="no FAT volume")
        fails("put", self.disk, SPLITRING, "big", says="full")
        fails("put", self.disk, SPLITRING, "d/file", says="full")
        fails("put", self.disk, "-", says="what to call it")
        fails("attr", self.disk, "/", "+h", says="the root has no")
        fails("attr", self.disk, "none", "+h", says="none: 'none': no such file")
        self.assertEqual(fat("cat", self.disk, "d/file").stdout, b"x")
        self.assertEqual(fat("ls", self.disk).stdout.split()[-1:], [b"d"])
        fat("put", self.disk, __file__)
        self.assertIn(b"splitring_fat_test.py", fat("ls", self.disk).stdout)
        self.assert_sound()

    def test_what_is_too_large_is_refused_before_it_is_copied(self):
        huge = self.scratch / "huge"
        for kind, most, says in (("fat16", 4 << 30, "at most 4294967295"),
                                 ("exfat", 1 << 40, "has at most")):
            self.image.unlink(missing_ok=True)
            fat("create", self.disk, "--size", "16M", "--type", kind)
            fat("put", self.disk, "-", "file", stdin=b"kept")
            with huge.open("wb") as file:
                file.truncate(most)
            refused = fat("put", self.disk, huge, "file", check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn(says, refused.stderr.decode())
            self.assertEqual(fat("cat", self.disk, "file").stdout, b"kept")
            with huge.open("wb") as file:
                file.truncate(64 << 20)
            refused = fat("put", self.disk, huge, "other", check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertRegex(refused.stderr.decode(), "full|at most")
            self.assertEqual(fat("check", self.disk).returncode, 0)


if __name__ == "__main__":
    unittest.main()
