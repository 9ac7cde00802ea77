#!/usr/bin/env python3
"""splitring tar as a person uses it, with GNU tar and bsdtar as oracles both ways."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/support/tools"))
from partitions import write_gpt  # noqa: E402

SPLITRING = Path(os.environ["SPLITRING_BUILD"]) / "splitring"


def run(*command, cwd=None, check=True, env=None):
    result = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True,
                            env={**os.environ, **(env or {})}, timeout=120)
    if check and result.returncode != 0:
        raise AssertionError(f"{command}: {result.returncode}: {result.stderr.decode()}")
    return result


def tar(*command, **options):
    return run(SPLITRING, "tar", *command, **options)


def plant(root):
    """A tree with what archives find hard."""
    (root / "deep" / ("d" * 90) / ("e" * 90)).mkdir(parents=True)
    (root / "deep" / ("d" * 90) / ("e" * 90) / ("f" * 200)).write_bytes(b"far away")
    (root / "empty").mkdir()
    (root / "zero").write_bytes(b"")
    (root / "odd").write_bytes(os.urandom(513))
    (root / "large").write_bytes(os.urandom(1_500_000))
    (root / "na\u00efve \u20ac").write_text("unicode")
    (root / "program").write_text("#!/bin/sh\n")
    (root / "program").chmod(0o751)
    (root / "private").write_text("mine")
    (root / "private").chmod(0o600)
    (root / "old").write_text("before 1970")
    os.utime(root / "old", (-1000, -1000))
    os.link(root / "odd", root / "second name")
    os.symlink("odd", root / "link")
    os.symlink("t" * 180, root / "long link")
    with open(root / "holes", "wb") as file:
        file.truncate(3_000_000)
        file.seek(1_000_000)
        file.write(b"data" * 2000)


def facts(root):
    """What a tree is, as far as an archive says it."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = Path(directory) / name
            status = path.lstat()
            content = (os.readlink(path) if path.is_symlink()
                       else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file()
                       else None)
            mode = None if path.is_symlink() else status.st_mode
            found[str(path.relative_to(root))] = (mode, int(status.st_mtime // 1), content)
    return found


class SplitringTar(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)
        self.tree = self.scratch / "tree"
        self.tree.mkdir()
        self.archive = self.scratch / "a.tar"
        self.disk = f"raw:{self.archive}"

    def entry_names(self):
        listed = json.loads(tar("ls", self.disk, "-r", "--json").stdout)
        return sorted(entry["path"] for entry in listed)

    def assert_same_tree(self, other):
        self.assertEqual(facts(self.tree), facts(other))

    def test_gnu_tar_and_bsdtar_extract_what_we_create(self):
        plant(self.tree)
        tar("create", self.disk, "-C", self.tree, ".")
        for program, *quiet in (("tar", "--warning=no-timestamp"), ("bsdtar",)):
            out = self.scratch / program
            out.mkdir()
            said = run(program, *quiet, "-xpf", self.archive, "-C", out)
            self.assertEqual(said.stderr, b"", program)
            self.assert_same_tree(out)
            self.assertEqual((out / "odd").stat().st_ino, (out / "second name").stat().st_ino)
            names = run(program, "-tf", self.archive).stdout.decode("unicode_escape")
            self.assertEqual(len(names.splitlines()), len(facts(self.tree)), program)
        self.assertLess((self.scratch / "tar/holes").stat().st_blocks * 512, 1_000_000)

    def test_we_extract_what_gnu_tar_and_bsdtar_create(self):
        plant(self.tree)
        for index, command in enumerate((["tar", "-S", "--format=gnu"], ["tar", "--format=pax"],
                                         ["tar", "-S", "--format=pax"],
                                         ["bsdtar", "--format=pax"])):
            out = self.scratch / str(index)
            run(*command, "-cf", self.archive, ".", cwd=self.tree)
            tar("extract", self.disk, "-C", out)
            self.assert_same_tree(out)
            self.assertEqual((out / "odd").stat().st_ino, (out / "second name").stat().st_ino)
            tar("verify", self.disk, "-C", out)

    def test_create_and_extract_give_the_same_tree(self):
        plant(self.tree)
        said = tar("create", self.disk, "-C", self.tree, ".", "--json")
        self.assertEqual(json.loads(said.stdout)["entries"], len(facts(self.tree)))
        tar("extract", self.disk, "-C", self.scratch / "out")
        self.assert_same_tree(self.scratch / "out")
        self.assertLess((self.scratch / "out/holes").stat().st_blocks * 512, 1_000_000)

    def test_create_refuses_a_disk_that_holds_something(self):
        (self.tree / "x").write_text("x")
        self.archive.write_bytes(b"precious" * 64)
        self.assertEqual(tar("create", self.disk, "-C", self.tree, ".", check=False).returncode, 1)
        self.assertEqual(self.archive.read_bytes(), b"precious" * 64)
        tar("create", self.disk, "-C", self.tree, ".", "--overwrite")
        self.assertEqual(self.entry_names(), ["x"])

    def test_an_archive_on_a_partition_leaves_the_rest_of_the_disk_alone(self):
        disk = self.scratch / "disk.img"
        with disk.open("wb") as file:
            file.truncate(16 << 20)
        write_gpt(disk, [(2048, 10_000), (14_000, 10_000)])
        plant(self.tree)
        tar("create", f"raw:{disk}#2", "-C", self.tree, "odd")
        tar("create", f"raw:{disk}#1", "-C", self.tree, ".")
        tar("append", f"raw:{disk}#2", "-C", self.tree, "program")
        self.assertEqual(disk.stat().st_size, 16 << 20)
        tar("verify", f"raw:{disk}#1", "-C", self.tree)
        # The file's index would be one for both.
        refused = tar("index", f"raw:{disk}#1", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"no index can lie beside it", refused.stderr)
        listed = tar("ls", f"raw:{disk}#2", "--json").stdout
        self.assertEqual([entry["path"] for entry in json.loads(listed)], ["odd", "program"])

    def test_reproducible_archives_are_the_same_bytes(self):
        plant(self.tree)
        other = self.scratch / "other"
        run("cp", "-r", "--preserve=links", self.tree, other)
        os.chmod(other / "odd", 0o666)
        second = self.scratch / "b.tar"
        tar("create", self.disk, "-C", self.tree, ".", "--reproducible")
        tar("create", f"raw:{second}", "-C", other, ".", "--reproducible")
        self.assertEqual(self.archive.read_bytes(), second.read_bytes())
        dated = self.scratch / "c.tar"
        tar("create", f"raw:{dated}", "-C", self.tree, ".", "--reproducible",
            env={"SOURCE_DATE_EPOCH": "1700000000"})
        self.assertIn("2023-11-14", run("tar", "-tvf", dated).stdout.decode())

    def test_append_adds_to_archives_of_any_maker(self):
        (self.tree / "a").write_text("1")
        (self.tree / "b").write_text("2" * 5000)
        for program in ("tar", "bsdtar"):
            run(program, "-cf", self.archive, "a", cwd=self.tree)
            tar("append", self.disk, "-C", self.tree, "b")
            tar("append", self.disk, "-C", self.tree, "b", "a")
            self.assertEqual(self.entry_names(), ["a", "b"])
            self.assertEqual(run("tar", "-tf", self.archive).stdout.split(),
                             [b"a", b"b", b"b", b"a"])
            self.assertEqual(tar("cat", self.disk, "b").stdout, b"2" * 5000)

    def test_append_refuses_damage_and_takes_what_a_power_cut_left(self):
        (self.tree / "a").write_text("1")
        run("tar", "-cf", self.archive, "a", cwd=self.tree)
        whole = self.archive.read_bytes()
        self.archive.write_bytes(whole[:1536] + b"x" + whole[1537:])  # behind one zero block
        said = tar("append", self.disk, "-C", self.tree, "a", check=False)
        self.assertIn(b"lone zero block", said.stderr)
        tar("append", self.disk, "-C", self.tree, "a", "--repair")
        self.assertEqual(run("tar", "-tf", self.archive).stdout, b"a\na\n")
        self.archive.write_bytes(whole[:1024] + b"x" * 512 + whole[1536:])
        said = tar("append", self.disk, "-C", self.tree, "a", "--repair", check=False)
        self.assertIn(b"damaged", said.stderr)

    def test_TAR6_TAR7_extract_never_leaves_its_directory(self):
        evil = self.scratch / "evil.py"
        evil.write_text(EVIL)
        run("python3", evil, self.archive)
        out = self.scratch / "in" / "out"
        out.mkdir(parents=True)
        (self.scratch / "in" / "victim").write_text("untouched")
        os.symlink(self.scratch / "in", out / "planted")
        said = tar("extract", self.disk, "-C", out, check=False)
        self.assertEqual(said.returncode, 1)
        self.assertEqual((self.scratch / "in" / "victim").read_text(), "untouched")
        self.assertEqual(sorted(os.listdir(self.scratch / "in")), ["out", "victim"])
        self.assertEqual((out / "good").read_text(), "good")
        self.assertEqual((out / "absolute").read_text(), "evil", "below the directory")
        self.assertFalse((out / "device").exists())
        self.assertEqual((out / "setuid").stat().st_mode & 0o7777, 0o755)
        self.assertEqual(os.listdir(self.scratch / "in" / "out" / "through"), ["victim"])

    def test_extract_keeps_what_exists_unless_told(self):
        (self.tree / "a").write_text("new")
        run("tar", "-cf", self.archive, "a", cwd=self.tree)
        out = self.scratch / "out"
        out.mkdir()
        (out / "a").write_text("mine")
        self.assertEqual(tar("extract", self.disk, "-C", out, check=False).returncode, 1)
        self.assertEqual((out / "a").read_text(), "mine")
        tar("extract", self.disk, "-C", out, "--overwrite")
        self.assertEqual((out / "a").read_text(), "new")

    def test_verify_finds_what_differs(self):
        plant(self.tree)
        tar("create", self.disk, "-C", self.tree, ".")
        tar("verify", self.disk)
        tar("verify", self.disk, "-C", self.tree)
        with open(self.tree / "holes", "r+b") as file:
            file.seek(2_900_000)
            file.write(b"x")
        self.assertIn(b"holes", tar("verify", self.disk, "-C", self.tree, check=False).stderr)
        (self.tree / "odd").chmod(0o600)
        self.assertIn(b"another mode", tar("verify", self.disk, "-C", self.tree, "odd",
                                           check=False).stderr)
        data = bytearray(self.archive.read_bytes())
        data[0] ^= 1
        self.archive.write_bytes(data)
        self.assertEqual(tar("verify", self.disk, check=False).returncode, 1)

    def test_a_saved_index_is_used_until_its_image_changes(self):
        (self.tree / "a").write_text("1")
        (self.tree / "b").write_text("2")
        run("tar", "-cf", self.archive, "a", cwd=self.tree)
        tar("index", self.disk)
        self.assertTrue(Path(f"{self.archive}.index").exists())
        self.assertEqual(self.entry_names(), ["a"])
        tar("append", self.disk, "-C", self.tree, "b")
        self.assertEqual(self.entry_names(), ["a", "b"], "the saved one is stale now")
        tar("index", self.disk)
        index = bytearray(Path(f"{self.archive}.index").read_bytes())
        index[-3] ^= 1
        Path(f"{self.archive}.index").write_bytes(index)
        self.assertEqual(self.entry_names(), ["a", "b"], "the saved one is damaged")

    def test_joined_archives_are_read_on_request(self):
        (self.tree / "a").write_text("1")
        (self.tree / "b").write_text("2")
        run("sh", "-c", "tar -cf 1.tar a && tar -cf 2.tar b && cat 1.tar 2.tar > ../a.tar",
            cwd=self.tree)
        self.assertEqual(self.entry_names(), ["a"])
        self.assertEqual(tar("cat", self.disk, "b", "--ignore-zeros").stdout, b"2")


EVIL = '''
import io, sys, tarfile
archive = tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT)
def add(name, kind=tarfile.REGTYPE, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    body = b"good" if name == "good" else b"evil"
    info.size = len(body) if kind == tarfile.REGTYPE else 0
    archive.addfile(info, io.BytesIO(body))
add("../victim")
add("/absolute")
add("a/../../victim")
add("planted/victim")
add("up", tarfile.SYMTYPE, "..")
add("up/victim")
add("through/victim")
add("through", tarfile.SYMTYPE, "..")
add("hard", tarfile.LNKTYPE, "../victim")
add("device", tarfile.CHRTYPE)
add("setuid", mode=0o4755)
add("good")
archive.close()
'''


if __name__ == "__main__":
    unittest.main()
