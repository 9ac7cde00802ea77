#!/usr/bin/env python3
"""splitring mount of FAT volumes: standard tools, and what a file system promises."""

import concurrent.futures
import contextlib
import ctypes
import errno
import mmap
import os
import signal
import struct
import subprocess
import sys
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/support/tools"))
from mounts import MountTest, is_mounted, skip_without_fuse  # noqa: E402
from partitions import write_gpt, write_mbr  # noqa: E402
from programs import SPLITRING  # noqa: E402

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2


def rename(source, target, flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def content(root):
    """Names and bytes, and times as far as FAT keeps them."""
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
            for path in Path(root).rglob("*")}


class FatTest(MountTest):
    bits = 32
    size = 64 << 20

    def setUp(self):
        super().setUp()
        self.image = self.scratch / "fat.img"
        self.disk = f"raw:{self.image}"
        self.format(self.bits, self.size)

    def format(self, bits, size):
        self.image.unlink(missing_ok=True)
        with self.image.open("wb") as file:
            file.truncate(size)
        self.tool("mkfs.fat", "-F", bits, self.image)

    def remount(self, *words):
        self.unmount()
        self.assert_clean()
        self.mount(self.disk, *words)

    def unmount(self):
        """Also waits until the program has let go of the image."""
        super().unmount()
        self.tool("flock", self.image, "true")

    def assert_clean(self):
        said = self.tool("fsck.fat", "-n", self.image)
        self.assertNotRegex(said, "(?i)dirty|differ|lost|reclaim|bad|wrong|free cluster summary")


class StandardTools(FatTest):
    def plant(self):
        tree = self.scratch / "tree"
        (tree / "deep" / "d d" / "e.e.e").mkdir(parents=True)
        (tree / "deep/d d/e.e.e/A rather long name \u20ac \U0001f600.text").write_bytes(b"far away")
        (tree / "empty").mkdir()
        (tree / "zero").write_bytes(b"")
        (tree / "large").write_bytes(os.urandom(3_000_001))
        (tree / "UPPER.TXT").write_bytes(b"u" * 513)
        (tree / "lower.txt").write_bytes(b"l" * 4096)
        os.utime(tree / "zero", (1_700_000_000, 1_700_000_000))
        (tree / "many").mkdir()
        for number in range(300):
            (tree / "many" / f"file number {number}").write_bytes(b"%d" % number)
        return tree

    def test_copies_are_the_same_bytes_and_the_volume_stays_clean(self):
        tree = self.plant()
        self.mount(self.disk)
        self.tool("cp", "-r", tree, self.place / "copied")
        self.tool("rsync", "-rt", f"{tree}/", self.place / "synced")
        self.tool("sh", "-c", f"tar -cf - -C '{tree}' . | tar -xpf - -C '{self.place}/synced'")
        self.tool("mv", self.place / "copied" / "deep", self.place / "moved")
        self.tool("mv", self.place / "moved", self.place / "copied" / "deep")
        self.assertEqual(self.tool("rsync", "-rtnc", "--modify-window=2", "--itemize-changes",
                                   f"{tree}/", self.place / "synced").strip(), "")
        self.remount()
        for name in ("copied", "synced"):
            self.assertEqual(content(self.place / name), content(tree))
        self.assertEqual((self.place / "synced/zero").stat().st_mtime, 1_700_000_000)
        self.assertEqual(len(self.tool("find", self.place, "-type", "f").splitlines()), 2 * 306 - 2)
        self.tool("rm", "-r", self.place / "copied", self.place / "synced")
        self.remount()
        self.assertEqual(os.listdir(self.place), [])

    def test_git_clones_commits_and_repacks(self):
        source = self.scratch / "source"
        git = ["git", "-c", "user.name=n", "-c", "user.email=e@e", "-c", "safe.directory=*"]
        self.tool(*git, "init", "-q", source)
        for number in range(20):
            (source / f"file{number}").write_text(f"{number}\n" * 100)
        self.tool(*git, "-C", source, "add", ".")
        self.tool(*git, "-C", source, "commit", "-qm", "first")
        self.mount(self.disk)
        clone = self.place / "clone"
        self.tool(*git, "clone", "-q", f"file://{source}", clone)
        self.assertEqual(self.tool(*git, "-C", clone, "status", "--porcelain"), "")
        (clone / "file0").write_text("changed")
        self.tool(*git, "-C", clone, "commit", "-qam", "second")
        self.tool(*git, "-C", clone, "gc", "-q")
        self.remount()
        self.tool(*git, "-C", clone, "fsck", "--strict")
        self.assertEqual(self.tool(*git, "-C", clone, "status", "--porcelain"), "")

    def test_vim_edits_in_place_and_with_a_backup(self):
        self.mount(self.disk)
        text = self.place / "a text with a long name.txt"
        text.write_text("one\ntwo\n")
        for settings in ("set backupcopy=yes", "set backup backupskip= backupcopy=no"):
            self.tool("vim.tiny", "-u", "NONE", "-es", "-c", settings, "-c", "%s/$/ more/", "-c",
                      "wq", text)
        self.remount()
        self.assertEqual(text.read_text(), "one more more\ntwo more more\n")
        self.assertEqual(sorted(os.listdir(self.place)), [text.name, text.name + "~"])

    def test_df_shows_what_is_used(self):
        self.mount(self.disk)
        before = os.statvfs(self.place)
        (self.place / "a").write_bytes(b"x" * (1 << 20))
        after = os.statvfs(self.place)
        self.assertEqual((before.f_bfree - after.f_bfree) * after.f_frsize, 1 << 20)
        self.assertAlmostEqual(after.f_blocks * after.f_frsize / self.size, 1, delta=0.05)


class Promises(FatTest):
    def setUp(self):
        super().setUp()
        self.mount(self.disk)
        self.file = self.place / "file"
        self.file.write_bytes(b"hello")

    def test_reading_and_writing_anywhere(self):
        with open(self.file, "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), b"far", 3_000_000)
            os.pwrite(file.fileno(), b"HE", 0)
            file.truncate(3_000_002)
            os.posix_fallocate(file.fileno(), 0, 3_500_000)
            os.fsync(file.fileno())
        self.remount()
        data = self.file.read_bytes()
        self.assertEqual(data[:5], b"HEllo")
        self.assertEqual(data[2_999_998:3_000_003], b"\0\0fa\0")
        self.assertEqual((len(data), data.count(0)), (3_500_000, 3_500_000 - 7))

    def test_memory_that_is_mapped_is_written(self):
        with open(self.file, "r+b") as file:
            file.truncate(100_000)
            with mmap.mmap(file.fileno(), 100_000) as memory:
                memory[50_000:50_004] = b"mmap"
        self.remount()
        self.assertEqual(self.file.read_bytes()[50_000:50_004], b"mmap")

    def test_renaming_replaces_unless_told_not_to(self):
        other = self.place / "other"
        other.write_bytes(b"other")
        self.refused(errno.EEXIST, rename, self.file, other, RENAME_NOREPLACE)
        self.refused(errno.EINVAL, rename, self.file, other, RENAME_EXCHANGE)
        rename(self.file, self.place / "third", RENAME_NOREPLACE)
        os.rename(self.place / "third", other)
        self.assertEqual(os.listdir(self.place), ["other"])
        self.assertEqual(other.read_bytes(), b"hello")
        (self.place / "d" / "e").mkdir(parents=True)
        self.refused(errno.EINVAL, os.rename, self.place / "d", self.place / "d" / "e" / "f")
        self.refused(errno.ENOTEMPTY, os.rmdir, self.place / "d")
        self.refused(errno.EISDIR, os.rename, other, self.place / "d")

    def test_what_is_open_stays_when_it_is_removed_or_replaced(self):
        with open(self.file, "r+b", buffering=0) as file:
            self.file.unlink()
            file.seek(0, os.SEEK_END)
            file.write(b" still")
            self.assertEqual(os.pread(file.fileno(), 100, 0), b"hello still")
            self.refused(errno.ENOENT, os.stat, self.file)
        self.remount()
        self.assertEqual(os.listdir(self.place), [])

    def test_a_name_in_another_case_is_the_same_file_and_goes_with_it(self):
        self.assertEqual((self.place / "FILE").read_bytes(), b"hello")
        self.refused(errno.EEXIST, os.open, self.place / "File", os.O_CREAT | os.O_EXCL)
        (self.place / "FiLe").unlink()
        for name in ("file", "FILE", "FiLe"):
            self.refused(errno.ENOENT, os.stat, self.place / name)
        (self.place / "FILE").write_bytes(b"new")
        self.assertEqual((self.place / "file").read_bytes(), b"new")
        os.rename(self.place / "file", self.place / "other")
        os.rename(self.place / "OTHER", self.place / "File")
        self.assertEqual(os.listdir(self.place), ["File"])

    def test_names_as_long_and_as_strange_as_FAT_takes_them(self):
        name = "\u20ac" * 255
        (self.place / name).write_bytes(b"long")
        for bad, number in (("a:b", errno.EINVAL), ("a?", errno.EINVAL), ("\x01", errno.EINVAL),
                            ("a" * 256, errno.ENAMETOOLONG)):
            self.refused(number, os.mkdir, self.place / bad)
            self.refused(errno.ENOENT if number == errno.EINVAL else number, os.stat,
                         self.place / bad)
        self.remount()
        self.assertEqual(sorted(os.listdir(self.place)), ["file", name])

    def test_times_and_the_read_only_mark_are_kept(self):
        os.utime(self.file, (1_600_000_000, 1_500_000_000))
        self.file.chmod(0o444)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o555)
        os.chown(self.file, 1, 1)  # passed over, or tar would complain
        self.remount()
        status = self.file.stat()
        self.assertEqual((status.st_mode & 0o777, int(status.st_mtime)), (0o555, 1_500_000_000))
        self.assertEqual(int(status.st_atime) // 86400, 1_600_000_000 // 86400)
        self.file.chmod(0o644)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o755)

    def test_links_and_pipes_are_refused(self):
        self.refused(errno.EPERM, os.symlink, "file", self.place / "s")
        self.refused(errno.EPERM, os.link, self.file, self.place / "h")
        self.refused(errno.EPERM, os.mkfifo, self.place / "p")
        os.mknod(self.place / "plain")
        self.assertEqual((self.place / "plain").read_bytes(), b"")

    def test_a_full_volume_is_said_and_nothing_is_lost(self):
        with open(self.place / "big", "wb", buffering=0) as file:
            with self.assertRaises(OSError) as raised:
                while True:
                    file.write(b"x" * (1 << 20))
        self.assertEqual(raised.exception.errno, errno.ENOSPC)
        self.remount()
        self.assertEqual(self.file.read_bytes(), b"hello")
        (self.place / "big").unlink()
        (self.place / "again").write_bytes(b"y" * (1 << 20))

    def test_a_file_has_less_than_4_GiB(self):
        with open(self.file, "r+b", buffering=0) as file:
            self.refused(errno.EFBIG, os.pwrite, file.fileno(), b"x", (1 << 32) - 1)
            self.refused(errno.EFBIG, os.ftruncate, file.fileno(), 1 << 32)

    def test_processes_change_it_at_once(self):
        script = ("d=$1/$2; mkdir $d; for i in $(seq 40); do echo $2 $i >$d/$i; done; "
                  "mv $d/7 $d/seven; rm $d/8; echo $2 >>$1/log")
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda n: self.tool("sh", "-c", script, "sh", self.place, n), range(6)))
        self.remount()
        for n in range(6):
            self.assertEqual(len(os.listdir(self.place / str(n))), 39)
            self.assertEqual((self.place / str(n) / "seven").read_text(), f"{n} 7\n")
        self.assertEqual(sorted((self.place / "log").read_text().split()), list("012345"))


class BeginAndEnd(FatTest):
    def test_every_kind_of_volume_is_recognised(self):
        for bits, size in ((12, 1 << 20), (16, 16 << 20), (32, 64 << 20)):
            with self.subTest(bits=bits):
                self.format(bits, size)
                process = self.mount_in_foreground(self.disk)
                self.assertIn(f"(FAT{bits})", process.output)
                (self.place / "a").write_bytes(b"a" * 10_000)
                self.assertEqual(process.stop(), (0, ""))
                self.assert_clean()
                self.mount(self.disk, "-t", "fat")
                self.assertEqual((self.place / "a").read_bytes(), b"a" * 10_000)
                self.unmount()

    def test_partitions_of_a_disk_are_mounted(self):
        for write_table in (write_mbr, write_gpt):
            with self.subTest(table=write_table.__name__):
                disk = self.scratch / f"{write_table.__name__}.img"
                with disk.open("wb") as file:
                    file.truncate(64 << 20)
                write_table(disk, [(2048, 40_000), (50_000, 70_000)])
                self.fails("mount", f"raw:{disk}", self.place, says=f"say which, as raw:{disk}#1")
                self.succeeds("fat", "create", f"raw:{disk}#1")
                self.succeeds("fat", "create", f"raw:{disk}#2", "--type", "exfat")
                for number in (1, 2):
                    process = self.mount_in_foreground(f"raw:{disk}#{number}")
                    (self.place / "a").write_text(f"of {number}")
                    self.assertEqual(process.stop(), (0, ""))
                for number in (1, 2):
                    self.assertEqual(self.succeeds("fat", "cat", f"raw:{disk}#{number}", "a"),
                                     f"of {number}")
                    self.succeeds("fat", "check", f"raw:{disk}#{number}")

    def test_an_exfat_volume_is_a_tree_like_any_other(self):
        self.tool("mkfs.exfat", self.image)
        process = self.mount_in_foreground(self.disk)
        self.assertIn("(exFAT)", process.output)
        (self.place / "folder").mkdir()
        for number in range(300):
            (self.place / "folder" / f"a file of number {number}").write_bytes(b"x" * number * 50)
        with open(self.place / "long", "wb") as file:
            file.truncate(20 << 20)
            file.seek(10 << 20)
            file.write(b"middle")
        os.rename(self.place / "folder" / "a file of number 7", self.place / "seven")
        self.assertEqual(process.stop(), (0, ""))
        self.tool("fsck.exfat", "-n", self.image)
        self.mount(self.disk)
        self.assertEqual(len(os.listdir(self.place / "folder")), 299)
        self.assertEqual((self.place / "seven").read_bytes(), b"x" * 350)
        whole = (self.place / "long").read_bytes()
        self.assertEqual(whole, bytes(10 << 20) + b"middle" + bytes((10 << 20) - 6))

    def test_SIGTERM_brings_everything_to_the_disk(self):
        process = self.mount_in_foreground(self.disk)
        used = os.open(self.place / "used", os.O_CREAT | os.O_WRONLY)
        os.write(used, b"x" * 100_000)
        self.assertEqual(process.stop(), (0, ""))
        self.assertFalse(is_mounted(self.place))
        self.refused(errno.ENOTCONN, os.fsync, used)
        with contextlib.suppress(OSError):
            os.close(used)
        self.assert_clean()
        self.mount(self.disk)
        self.assertEqual((self.place / "used").read_bytes(), b"x" * 100_000)

    def test_what_was_synced_survives_a_kill(self):
        process = self.mount_in_foreground(self.disk)
        with open(self.place / "safe", "wb", buffering=0) as file:
            file.write(b"s" * 300_000)
            os.fsync(file.fileno())
        (self.place / "unsafe").write_bytes(b"u")
        process.stop(signal.SIGKILL)
        self.tool("umount", self.place)
        self.mount(self.disk)
        self.assertEqual((self.place / "safe").read_bytes(), b"s" * 300_000)
        self.unmount()
        self.assert_clean()

    def test_a_volume_that_was_not_unmounted_is_put_in_order_while_it_is_used(self):
        with self.image.open("r+b") as file:
            reserved, = struct.unpack_from("<H", file.read(512), 14)
            size, = struct.unpack_from("<I", os.pread(file.fileno(), 4, 36))
            for number in range(2):
                file.seek((reserved + number * size) * 512 + 4 * 100)
                file.write(struct.pack("<I", 0x0fffffff) * 1000)  # clusters of nobody
            file.seek(0x41)
            file.write(b"\1")  # it is in use
        process = self.mount_in_foreground(self.disk)
        (self.place / "new").write_bytes(b"n" * 100_000)
        self.tool("umount", self.place)
        code, said = self.ends(process)
        self.assertEqual(code, 0)
        self.assertIn("put in order in the background", said)
        self.assertIn("1000 clusters belong to nothing", said)
        self.assert_clean()
        self.mount(self.disk)
        self.assertEqual((self.place / "new").read_bytes(), b"n" * 100_000)

    def test_a_disk_has_one_mount_that_writes(self):
        self.mount(self.disk)
        other = self.scratch / "other"
        other.mkdir()
        self.fails("mount", self.disk, other, says="fat.img")
        self.assertFalse(is_mounted(other))

    def test_read_only_changes_no_byte(self):
        before = self.image.read_bytes()
        self.image.chmod(0o444)
        self.mount(self.disk, "-o", "ro")
        self.assertEqual(os.listdir(self.place), [])
        self.refused(errno.EROFS, os.mkdir, self.place / "d")
        self.unmount()
        self.assertEqual(self.image.read_bytes(), before)

    def test_owners_and_modes_are_what_the_options_say(self):
        self.mount(self.disk, "-o", "uid=7,gid=8,fmask=137,dmask=027,allow_other")
        (self.place / "a").write_bytes(b"a")
        status = (self.place / "a").stat()
        self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o777), (7, 8, 0o640))
        self.assertEqual(self.place.stat().st_mode & 0o777, 0o750)
        self.scratch.chmod(0o755)
        shown = subprocess.run(["cat", self.place / "a"], user=65534, group=65534, extra_groups=[],
                               capture_output=True)
        self.assertIn(b"Permission denied", shown.stderr)

    def test_a_damaged_volume_is_explained(self):
        with self.image.open("r+b") as file:
            file.seek(11)
            file.write(b"\x00\x00")  # bytes of a sector
        self.fails("mount", self.disk, self.place, says="fat.img")
        self.assertFalse(is_mounted(self.place))

    def test_a_disk_that_shrinks_is_an_error_of_the_read_and_is_said(self):
        self.mount(self.disk)
        (self.place / "a").write_bytes(b"a" * 100_000)
        self.unmount()
        process = self.mount_in_foreground(self.disk)
        size = self.image.stat().st_size
        os.truncate(self.image, 1 << 19)
        self.refused(errno.EIO, (self.place / "a").read_bytes)
        os.truncate(self.image, size)
        self.assertRegex(process.stop()[1], "splitring: mount: .*read")

    def test_a_disk_that_takes_no_more_is_told_by_fsync_and_nothing_synced_is_lost(self):
        """A sparse image on a host that is full: the volume has room, the disk below has none."""
        small = self.scratch / "small"
        small.mkdir()
        self.tool("mount", "-t", "tmpfs", "-o", "size=4M", "none", small)
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=True)
        self.image = small / "fat.img"
        self.disk = f"raw:{self.image}"
        self.format(32, 64 << 20)
        process = self.mount_in_foreground(self.disk)
        with open(self.place / "safe", "wb", buffering=0) as file:
            file.write(b"s" * 10_000)
            os.fsync(file.fileno())
        filler = small / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        with open(self.place / "late", "wb", buffering=0) as file:
            file.write(b"l" * 100_000)
            self.refused(errno.ENOSPC, os.fsync, file.fileno())
            # Nobody knows what of it is on the disk: the volume can be read from now on.
            self.refused(errno.EIO, os.fsync, file.fileno())
            self.refused(errno.EIO, file.write, b"more")
        self.refused(errno.EIO, os.mkdir, self.place / "folder")
        self.assertEqual((self.place / "safe").read_bytes(), b"s" * 10_000)
        code, said = process.stop()
        self.assertEqual(code, 1)
        self.assertIn("an earlier write failed", said)
        filler.unlink()
        self.mount(self.disk)
        self.assertEqual((self.place / "safe").read_bytes(), b"s" * 10_000)
        (self.place / "late").write_bytes(b"again")
        self.unmount()
        self.assert_clean()

    def test_whoever_is_not_root_mounts_and_unmounts(self):
        """In a mount namespace of its own, where everybody may open /dev/fuse."""
        self.scratch.chmod(0o755)
        self.tool("cp", SPLITRING, self.scratch / "splitring")
        for path in (self.image, self.place):
            os.chown(path, 65534, 65534)
        as_user = ("./splitring mount raw:fat.img place; echo hello >place/file; cat place/file;"
                   "stat -c 'of %u' place/file; fusermount3 -u place; ls place")
        said = self.tool("unshare", "--mount", "sh", "-ec",
                         "mknod -m 666 fuse c 10 229; mount --bind fuse /dev/fuse;"
                         "exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -ec "
                         f'"{as_user}"', cwd=self.scratch)
        self.assertEqual(said, "hello\nof 65534\n")
        self.tool("flock", self.image, "true")
        self.assert_clean()
        self.mount(self.disk)
        self.assertEqual((self.place / "file").read_bytes(), b"hello\n")

    def test_the_kernel_reads_ahead_far_enough(self):
        self.mount(self.disk)
        device = os.stat(self.place).st_dev
        kept = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
        self.assertEqual(kept.read_text(), "512\n")

    def test_a_volume_behind_a_ring(self):
        self.start_host(1)
        self.start_daemon()
        self.succeeds("attach", "--domain", 1, "--vdev", "xvda", "--target", self.disk,
                      "--mode", "w")
        for name in ("vbd:xvda", "vbd:xvda?lanes=2"):
            process = self.mount_in_foreground(name, environment={
                "SPLITRING_HOST": str(self.host_directory), "SPLITRING_DOMAIN": "1"})
            self.tool("cp", "-r", REPOSITORY / "tools/common", self.place / name[4:8])
            (self.place / name[4:8]).rename(self.place / f"{len(name)}")
            MountTest.unmount(self)
            self.assertEqual(self.ends(process), (0, ""))
        self.succeeds("detach", "--domain", 1, "--vdev", "xvda")
        self.assert_clean()
        self.mount(self.disk)
        for name in os.listdir(self.place):
            self.tool("diff", "-r", REPOSITORY / "tools/common", self.place / name)
        self.assertEqual(len(os.listdir(self.place)), 2)


if __name__ == "__main__":
    skip_without_fuse()
    unittest.main()
