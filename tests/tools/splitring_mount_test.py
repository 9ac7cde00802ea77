#!/usr/bin/env python3
"""splitring mount: how it begins and ends, and tar archives as files of this machine."""

import concurrent.futures
import errno
import io
import os
import signal
import subprocess
import sys
import tarfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support/tools"))
from mounts import MountTest, is_mounted, skip_without_fuse, tree_facts  # noqa: E402
from programs import SPLITRING, run  # noqa: E402

NOBODY = 65534


def plant(root):
    """A tree with what a mount could get wrong."""
    (root / "deep" / ("d" * 90) / ("e" * 200)).mkdir(parents=True)
    (root / "deep" / ("d" * 90) / ("e" * 200) / ("f" * 255)).write_bytes(b"far away")
    (root / "empty").mkdir()
    (root / "zero").write_bytes(b"")
    (root / "odd").write_bytes(os.urandom(513))
    (root / "large").write_bytes(os.urandom(5_000_000))
    (root / "na\u00efve \u20ac").write_text("unicode")
    (root / "program").write_text("#!/bin/sh\necho hello\n")
    (root / "program").chmod(0o751)
    (root / "private").write_text("mine")
    (root / "private").chmod(0o600)
    os.utime(root / "private", ns=(1, 1_234_567_890_123_456_000))
    os.link(root / "odd", root / "second name")
    os.link(root / "odd", root / "empty" / "third name")
    os.symlink("odd", root / "link")
    os.symlink("/nowhere/" + "t" * 180, root / "long link")
    with open(root / "holes", "wb") as file:
        file.truncate(3_000_000)
        file.seek(1 << 20)
        file.write(b"data" * 1024)
    (root / "many").mkdir()
    for number in range(300):
        (root / "many" / f"file number {number}").write_bytes(b"%d" % number)


class Tar(MountTest):
    def archive(self, *members):
        """An archive with just these members: (name, bytes or a way to set a TarInfo up)."""
        path = self.scratch / "made.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for name, what in members:
                member = tarfile.TarInfo(name)
                member.mtime = 1_700_000_000
                if isinstance(what, bytes):
                    member.size = len(what)
                    archive.addfile(member, io.BytesIO(what))
                else:
                    what(member)
                    archive.addfile(member)
        return f"raw:{path}"

    def planted(self):
        tree = self.scratch / "tree"
        tree.mkdir()
        plant(tree)
        path = self.scratch / "a.tar"
        self.tool("tar", "--format=pax", "-S", "-cf", path, ".", cwd=tree)
        return tree, f"raw:{path}"

    def test_everything_is_as_splitring_tar_extracts_it(self):
        tree, disk = self.planted()
        self.mount(disk)
        extracted = self.scratch / "extracted"
        self.succeeds("tar", "extract", disk, "-C", extracted)
        mounted = tree_facts(self.place)
        self.assertEqual(mounted, tree_facts(extracted))
        self.assertEqual(mounted, tree_facts(tree))
        self.assertEqual(mounted[1], [["empty/third name", "odd", "second name"]])

    def test_standard_tools_copy_the_tree(self):
        tree, disk = self.planted()
        self.mount(disk)
        facts = tree_facts(tree)
        self.tool("cp", "-a", self.place, self.scratch / "copied")
        self.tool("rsync", "-aH", f"{self.place}/", self.scratch / "synced")
        self.tool("tar", "-cf", self.scratch / "again.tar", "-C", self.place, ".")
        (self.scratch / "again").mkdir()
        self.tool("tar", "-xpf", self.scratch / "again.tar", "-C", self.scratch / "again")
        self.assertEqual(tree_facts(self.scratch / "copied"), facts)
        self.tool("diff", "-r", "--no-dereference", self.scratch / "synced", tree)
        self.assertEqual(len(tree_facts(self.scratch / "again")[0]), len(facts[0]))
        self.assertEqual(self.tool("rsync", "-aHnc", "--itemize-changes", f"{self.place}/", f"{tree}/")
                         .strip(), "")
        found = self.tool("find", self.place, "-type", "f").splitlines()
        self.assertEqual(len(found), 300 + 10)
        self.assertEqual(self.tool(self.place / "program"), "hello\n")
        self.assertIn("100%", self.tool("df", self.place))

    def test_link_counts_are_those_of_a_real_directory(self):
        tree, disk = self.planted()
        self.mount(disk)
        for path in [tree, *tree.rglob("*")]:
            with self.subTest(path=path):
                shown = (self.place / path.relative_to(tree)).lstat()
                self.assertEqual(shown.st_nlink, path.lstat().st_nlink)

    def test_holes_are_found(self):
        _, disk = self.planted()
        self.mount(disk)
        with open(self.place / "holes", "rb") as file:
            data = os.lseek(file.fileno(), 0, os.SEEK_DATA)
            self.assertEqual(data, 1 << 20)
            self.assertEqual(os.lseek(file.fileno(), data, os.SEEK_HOLE), (1 << 20) + 4096)
            self.refused(errno.ENXIO, os.lseek, file.fileno(), (1 << 20) + 4096, os.SEEK_DATA)
        self.tool("cp", self.place / "holes", self.scratch / "copy")
        self.assertLess((self.scratch / "copy").stat().st_blocks * 512, 1 << 20)

    def test_a_directory_without_a_header_is_as_new_as_what_it_holds(self):
        self.mount(self.archive(("a/b/c", b"x")))
        self.assertEqual((self.place / "a/b").stat().st_mtime, 1_700_000_000)
        self.assertEqual((self.place / "a/b").stat().st_mode & 0o777, 0o755)

    def test_nothing_can_be_changed(self):
        self.mount(self.archive(("a", b"x")))
        for call, *arguments in ((os.mkdir, self.place / "b"), (os.unlink, self.place / "a"),
                                 (os.utime, self.place / "a"),
                                 (os.rename, self.place / "a", self.place / "b"),
                                 (open, self.place / "a", "r+b")):
            self.refused(errno.EROFS, call, *arguments)

    def test_TAR6_TAR7_what_should_not_come_alive_is_not_shown(self):
        def pipe(member):
            member.type = tarfile.FIFOTYPE

        def device(member):
            member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 3

        def dangling(member):
            member.type, member.linkname = tarfile.LNKTYPE, "nowhere"

        process = self.mount_in_foreground(self.archive(
            ("good", b"good"), ("pipe", pipe), ("null", device), ("dangling", dangling),
            ("a/../../outside", b"out"), ("n" * 256, b"too long")))
        self.assertEqual(sorted(os.listdir(self.place)), ["a", "good"])
        self.assertEqual(os.listdir(self.place / "a"), [])
        for name in ("pipe", "null", "dangling", "n" * 256):
            self.refused(errno.ENAMETOOLONG if len(name) > 1024 else errno.ENOENT,
                         os.stat, self.place / name)
        self.assertIn("nosuid,nodev", Path("/proc/self/mounts").read_text())
        self.assertIn("are not shown", process.stop()[1])

    def test_owners_are_those_of_the_archive_unless_told(self):
        def owned(member):
            member.uid, member.gid, member.mode = 1234, 4321, 0o640

        disk = self.archive(("a", owned))
        self.mount(disk)
        status = (self.place / "a").stat()
        self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o7777),
                         (1234, 4321, 0o640))
        self.unmount()
        self.mount(disk, "-o", "uid=7,gid=8", "-o", "umask=027")
        status = (self.place / "a").stat()
        self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o7777), (7, 8, 0o640))
        self.assertEqual(self.place.stat().st_mode & 0o7777, 0o750)

    def read_as_nobody(self, name):
        self.scratch.chmod(0o755)
        return subprocess.run(["cat", self.place / name], user=NOBODY, group=NOBODY,
                              extra_groups=[], capture_output=True).stdout

    def test_others_are_let_in_only_when_told_and_held_to_the_modes(self):
        def hidden(member):
            member.mode = 0o600

        disk = self.archive(("open", b"open"), ("hidden", hidden))
        self.mount(disk)
        self.assertEqual(self.read_as_nobody("open"), b"")
        self.unmount()
        self.mount(disk, "-o", "allow_other")
        self.assertEqual(self.read_as_nobody("open"), b"open")
        self.assertEqual(self.read_as_nobody("hidden"), b"")

    def test_many_processes_read_at_once(self):
        tree, disk = self.planted()
        self.mount(disk)
        command = "find . -type f -print0 | sort -z | xargs -0 sha256sum"
        wanted = self.tool("sh", "-c", command, cwd=tree)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for shown in pool.map(lambda _: self.tool("sh", "-c", command, cwd=self.place),
                                  range(8)):
                self.assertEqual(shown, wanted)

    def test_a_compressed_archive_is_mounted_as_well(self):
        tree, disk = self.planted()
        self.tool("zstd", "-q", disk.removeprefix("raw:"))
        self.mount(f"archive:{disk.removeprefix('raw:')}.zst")
        self.assertEqual(tree_facts(self.place), tree_facts(tree))

    def test_a_disk_that_shrinks_is_an_error_of_the_read_and_is_said(self):
        disk = self.archive(("first", b"1" * 4096), ("second", b"2" * 400_000))
        process = self.mount_in_foreground(disk)
        os.truncate(disk.removeprefix("raw:"), 8192)
        self.refused(errno.EIO, (self.place / "second").read_bytes)
        self.assertEqual((self.place / "first").read_bytes(), b"1" * 4096)
        self.unmount()
        code, errors = self.ends(process)
        self.assertEqual(code, 0)
        self.assertIn("splitring: mount: read of", errors)

    def test_an_archive_behind_a_ring(self):
        tree, disk = self.planted()
        self.start_host(1)
        self.start_daemon()
        self.succeeds("attach", "--domain", 1, "--vdev", "xvda", "--target", disk, "--mode", "r")
        for name in ("vbd:xvda", "vbd:xvda?lanes=3"):
            process = self.mount_in_foreground(name, environment={
                "SPLITRING_HOST": str(self.host_directory), "SPLITRING_DOMAIN": "1"})
            self.assertEqual(tree_facts(self.place), tree_facts(tree))
            self.unmount()
            self.assertEqual(self.ends(process)[0], 0)


class BeginAndEnd(MountTest):
    def setUp(self):
        super().setUp()
        (self.scratch / "word").write_text("hello")
        self.image = self.scratch / "a.tar"
        self.tool("tar", "-cf", self.image, "-C", self.scratch, "word")
        self.disk = f"raw:{self.image}"

    def test_umount_ends_the_program(self):
        for command in (["umount"], ["fusermount3", "-u"]):
            process = self.mount_in_foreground(self.disk)
            self.assertEqual((self.place / "word").read_text(), "hello")
            self.tool(*command, self.place)
            self.assertEqual(self.ends(process), (0, ""))

    def test_a_signal_unmounts(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process = self.mount_in_foreground(self.disk)
            self.assertEqual(process.stop(number), (0, ""))
            self.assertFalse(is_mounted(self.place))

    def test_a_signal_unmounts_though_files_are_in_use(self):
        process = self.mount_in_foreground(self.disk)
        used = os.open(self.place / "word", os.O_RDONLY)
        self.assertEqual(process.stop(), (0, ""))
        self.assertFalse(is_mounted(self.place))
        self.refused(errno.ENOTCONN, os.close, used)

    def test_umount_of_what_is_in_use_says_so_and_changes_nothing(self):
        process = self.mount_in_foreground(self.disk)
        with open(self.place / "word", "rb") as file:
            self.assertIn("busy", run("umount", self.place).errors)
            self.assertEqual(file.read(), b"hello")
        self.unmount()
        self.assertEqual(self.ends(process)[0], 0)

    def test_after_a_kill_it_is_said_what_to_do(self):
        process = self.mount_in_foreground(self.disk)
        process.stop(signal.SIGKILL)
        self.refused(errno.ENOTCONN, os.stat, self.place / "word")
        self.fails("mount", self.disk, self.place, says="umount")
        self.tool("fusermount3", "-u", self.place)
        self.mount(self.disk)
        self.assertEqual((self.place / "word").read_text(), "hello")

    def test_the_command_returns_when_files_are_there_and_keeps_no_terminal(self):
        done = subprocess.run([SPLITRING, "mount", self.disk, self.place], capture_output=True,
                              cwd=self.scratch, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        self.assertEqual((self.place / "word").read_text(), "hello")

    def test_a_path_from_where_it_was_typed_means_that_path(self):
        for flags in ([], ["-f"]):
            command = [SPLITRING, "mount", *flags, "raw:a.tar", "place"]
            process = subprocess.Popen(command, cwd=self.scratch, stdout=subprocess.PIPE)
            process.stdout.readline()  # of a background mount: its end
            self.assertEqual((self.place / "word").read_text(), "hello")
            self.unmount()
            process.communicate(timeout=60)

    def test_what_cannot_be_mounted_is_said_to_whoever_typed_it(self):
        self.fails("mount", f"raw:{self.scratch}/missing", self.place, says="No such file")
        self.fails("mount", self.disk, self.scratch / "missing", says="No such file")
        self.fails("mount", self.disk, self.image, says="not a directory")
        self.fails("mount", "vbd:xvda", self.place, says="host")
        self.fails("mount", "mem:1M", self.place, says="mem:1M")
        damaged = self.scratch / "damaged"
        damaged.write_bytes(b"\xa5" * 65536)
        for words in ([], ["-f"], ["-t", "tar"]):
            self.fails("mount", f"raw:{damaged}", self.place, *words, says="tar")
        self.assertFalse(is_mounted(self.place))

    def test_source_and_kind_are_shown(self):
        strange = self.scratch / "a,b\\c d.tar"
        os.rename(self.image, strange)
        self.mount(f"raw:{strange}")
        shown = Path("/proc/self/mounts").read_text()
        self.assertIn("/a,b\\134c\\040d.tar " + str(self.place) + " fuse.splitring", shown)

    def test_an_empty_archive_is_an_empty_directory(self):
        empty = self.scratch / "empty.tar"
        tarfile.open(empty, "w").close()
        self.mount(f"raw:{empty}", "-t", "tar")
        self.assertEqual(os.listdir(self.place), [])


if __name__ == "__main__":
    skip_without_fuse()
    unittest.main()
