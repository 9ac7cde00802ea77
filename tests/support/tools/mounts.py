"""Disks mounted by `splitring mount`, for tests that use what lies on them."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from programs import PATIENCE_S, SPLITRING, ProgramTest, run


def skip_without_fuse():
    """Ends the script as skipped where nothing can be mounted."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        print(f"/dev/fuse cannot be opened: {error.strerror}")
        sys.exit(77)
    if os.geteuid() != 0:
        print("only root may mount here")
        sys.exit(77)


def tree_facts(root):
    """Kind, mode, time and content of everything below; and which names are one file."""
    found, names_of = {}, {}
    for directory, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(directory) / name
            status = path.lstat()
            content = (os.readlink(path) if path.is_symlink()
                       else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file()
                       else None)
            relative = str(path.relative_to(root))
            found[relative] = (status.st_mode, status.st_mtime_ns // 1000, content)
            if status.st_nlink > 1 and path.is_file():
                names_of.setdefault(status.st_ino, set()).add(relative)
    return found, sorted(map(sorted, names_of.values()))


def is_mounted(directory):
    return f" {directory} fuse.splitring " in Path("/proc/self/mounts").read_text()


class MountTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.place = self.scratch / "place"
        self.place.mkdir()
        self.addCleanup(self.drop)

    def drop(self):
        """Whatever a failed test has left."""
        while is_mounted(self.place):
            subprocess.run(["umount", "-l", self.place], check=True)

    def mount(self, disk, *words):
        self.succeeds("mount", disk, self.place, *words)
        self.assertTrue(is_mounted(self.place))

    def mount_in_foreground(self, disk, *words, environment=None):
        return self.start(SPLITRING, "mount", "-f", disk, self.place, *words,
                          ready="mount: ready", environment=environment)

    def unmount(self):
        outcome = run("umount", self.place)
        self.assertEqual(outcome.code, 0, outcome.errors)
        self.assertFalse(is_mounted(self.place))

    def ends(self, process):
        """An unmounted program goes by itself; its exit code and what it said."""
        _, errors = process.process.communicate(timeout=PATIENCE_S)
        return process.process.returncode, errors.decode()

    def tool(self, *command, cwd=None):
        done = subprocess.run([str(word) for word in command], cwd=cwd, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, (command, done.stdout.decode()))
        return done.stdout.decode()

    def refused(self, number, call, *arguments):
        with self.assertRaises(OSError) as raised:
            call(*arguments)
        self.assertEqual(errno.errorcode[raised.exception.errno], errno.errorcode[number])
