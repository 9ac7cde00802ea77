"""One boot of Xen with domain 0, inside qemu-system-x86_64 under software emulation.

The runner and domain 0 share a folder (9p) and speak over a serial port of virtio: see dom0/init.
Nobody else may use the folder.
"""

import contextlib
import gzip
import os
import select
import shutil
import socket
import subprocess
import time

BOOT_SECONDS = 120
GRACE_SECONDS = 30  # on top of a job's own limit, before the machine counts as lost
# A processor that Xen's guests of both kinds bear: with -cpu max domain 0 crashes, with rdtscp
# PVH guests do.
CPU = "qemu64,+fsgsbase,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+svm,+npt"


class MachineLost(Exception):
    pass


@contextlib.contextmanager
def open_folder(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Machine:
    """With `icount` there is one processor, and its time is what it executes, an instruction a
    nanosecond: a figure repeats, however fast this machine is and whatever else it does."""

    def __init__(self, cache, unpacked, share, icount=False):
        self.share = share
        self.console = share.parent / "console.log"
        self.number = 0
        for name in ("jobs", "logs", "consoles"):
            shutil.rmtree(share / name, ignore_errors=True)
            (share / name).mkdir(parents=True)
        (share.parent / "lab.sock").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self.command(cache, unpacked, icount), cwd=share.parent, stdin=subprocess.DEVNULL,
            stdout=self.console.open("wb"), stderr=subprocess.STDOUT)
        self.received = b""
        self.port = None

    @staticmethod
    def command(cache, unpacked, icount):
        xen = cache / "xen.elf"
        if not xen.exists():
            packed = next(path for path in (unpacked / "boot").glob("xen-*.gz")
                          if not path.is_symlink())
            xen.write_bytes(gzip.decompress(packed.read_bytes()))
        arguments = "console=hvc0 rdinit=/init panic=-1 loglevel=4 quiet"
        processors = (["-accel", "tcg", "-smp", "1", "-icount", "shift=0,sleep=off"] if icount else
                      ["-accel", "tcg,thread=multi", "-smp", "2"])
        return [
            "qemu-system-x86_64", *processors, "-cpu", CPU,
            "-m", "5000", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-serial", "stdio", "-kernel", str(xen),
            "-append", "console=com1 com1=115200,8n1 dom0_mem=2800M,max:2800M loglvl=warning "
                       "guest_loglvl=warning noreboot=1",
            "-initrd", f"{cache / 'vmlinux'} {arguments},{cache / 'dom0.img'}",
            "-virtfs", "local,path=share,mount_tag=share,security_model=none,multidevs=remap",
            "-device", "virtio-serial-pci",
            "-chardev", "socket,id=lab,path=lab.sock,server=on,wait=off",
            "-device", "virtserialport,chardev=lab,name=lab",
        ]

    def connect(self, deadline):
        path = self.share.parent / "lab.sock"
        while self.port is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise MachineLost(f"qemu did not start, see {self.console}")
            port = socket.socket(socket.AF_UNIX)
            try:
                # /proc/self/fd keeps the path short, however deep the build folder lies.
                with open_folder(path.parent) as folder:
                    port.connect(f"/proc/self/fd/{folder}/{path.name}")
                self.port = port
            except OSError:
                port.close()
                select.select([], [], [], 0.05)

    def wait_ready(self, patience):
        deadline = time.monotonic() + BOOT_SECONDS * patience
        self.connect(deadline)
        if self.line(deadline) != "ready":
            raise MachineLost(f"domain 0 did not come up, see {self.console}")

    def line(self, deadline):
        """The next line that domain 0 says, None when the time is over."""
        while b"\n" not in self.received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.port], [], [], left)[0]:
                return None
            more = self.port.recv(4096)
            if not more:
                raise MachineLost(f"the machine went down, see {self.console}")
            self.received += more
        line, _, self.received = self.received.partition(b"\n")
        return line.decode(errors="replace").strip()

    def run(self, script, seconds, slower=1):
        """Runs a text for bash in domain 0. Returns its exit status and its output. `seconds` are the
        machine's; of ours they may take so many times more."""
        self.number += 1
        name = str(self.number)
        (self.share / "jobs" / name).write_text(script)
        log = self.share / "logs" / name
        self.port.sendall(f"{name} {seconds}\n".encode())
        deadline = time.monotonic() + seconds * slower + GRACE_SECONDS
        while (answer := self.line(deadline)) is not None:
            number, _, status = answer.partition(" ")
            if number == name:
                return int(status), log.read_text(errors="replace") if log.exists() else ""
        raise MachineLost("a job of domain 0 did not end")

    def close(self):
        if self.port is not None:
            self.port.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
