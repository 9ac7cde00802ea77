"""The two small Linux systems of the lab, as archives that a kernel unpacks into memory.

Domain 0 gets Xen's tools, the guest next to nothing. Both are made of files of this machine and of
the unpacked packages; programs bring the shared libraries that they name. They depend on nothing
that is built here, so they are made once.
"""

import lzma
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import hollow

HERE = Path(__file__).resolve().parent
XEN_TOOLS = "usr/lib/xen-4.17/bin"
LIBRARIES = "/lib/x86_64-linux-gnu"

DOM0_TOOLS = ["xl", "xenstored", "xenconsoled", "xen-init-dom0", "xenconsole", "libxl-save-helper",
              "xenstore-control", "lsevtchn"]
DOM0_PROGRAMS = [
    "/bin/bash", "/usr/sbin/modprobe", "/usr/bin/flock", "/usr/sbin/losetup", "/usr/bin/stat",
    "/usr/bin/logger", "/usr/bin/timeout", "/usr/bin/grep", "/usr/bin/awk", "/usr/sbin/blkid",
    "/usr/bin/sed", "/usr/bin/readlink", "/usr/bin/dirname", "/usr/bin/basename", "/usr/bin/od",
    "/usr/bin/cmp", "/usr/bin/cp", "/usr/bin/head", "/usr/bin/tail", "/usr/bin/dd",
    "/usr/bin/truncate", "/usr/bin/mount", "/usr/bin/umount",
    "/usr/bin/sha256sum", "/usr/sbin/blockdev", "/usr/bin/setpriv",
    "/usr/sbin/mkfs.ext4", "/usr/sbin/mkfs.vfat", "/usr/sbin/e2fsck", "/usr/sbin/fsck.fat",
    "/usr/libexec/xen-qemu-system-i386",
    *(f"/usr/bin/xenstore-{verb}" for verb in
      ("read", "write", "list", "ls", "rm", "exists", "watch", "chmod")),
]
DOM0_MODULES = ["xen-*", "xenfs", "loop", "9p", "9pnet*", "netfs", "fscache", "virtio*", "ext4",
                "jbd2", "mbcache", "crc*", "libcrc32c", "fat", "vfat", "nls_*"]
GUEST_PROGRAMS = [
    "/bin/bash", "/usr/sbin/modprobe", "/usr/bin/fio", "/usr/bin/timeout", "/usr/bin/dd",
    "/usr/bin/cmp", "/usr/bin/head", "/usr/bin/tail", "/usr/bin/sha256sum", "/usr/sbin/blockdev",
    "/usr/sbin/mkfs.ext4",
    "/usr/sbin/mkfs.vfat", "/usr/sbin/mkfs.exfat", "/usr/bin/grep", "/usr/sbin/fstrim",
    "/usr/sbin/blkdiscard",
    *(f"/usr/bin/xenstore-{verb}" for verb in ("read", "write", "list", "ls", "watch")),
]
GUEST_MODULES = ["xen-blkfront", "xen-gntalloc", "xen-gntdev", "xen-evtchn", "ext4",
                 "jbd2", "mbcache", "crc*", "libcrc32c", "fat", "vfat", "exfat", "nls_*", "fuse"]
FOLDERS = ["bin", "sbin", "etc", "proc", "sys", "dev", "run", "tmp", "root", "mnt", "share",
           "var/log/xen/console", "var/lib/xen", "var/lib/xenstored", "usr/bin", "usr/sbin",
           "usr/lib"]


def libraries(programs, first=""):
    """The shared libraries of programs, followed, as absolute paths; those of a folder `first`."""
    found = set()
    listing = subprocess.run(["ldd", *map(str, programs)], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL,
                             env={**os.environ, "LD_LIBRARY_PATH": str(first)}).stdout
    for line in listing.splitlines():
        match = re.search(r"(/\S+)( \(0x|$)", line)
        if match and line.startswith("\t"):
            found.add(match.group(1))
    return sorted(found)


def copy(source, root, destination=None):
    target = root / (destination or str(source)).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(source, target)


def add_programs(root, programs, stand_ins=""):
    """`programs`: absolute paths, or (source, destination)."""
    pairs = [(each, each) if isinstance(each, str) else each for each in programs]
    for source, destination in pairs:
        copy(source, root, destination)
    for library in libraries((source for source, _ in pairs), stand_ins):
        is_one = Path(library).parent == stand_ins
        copy(library, root, f"{LIBRARIES}/{Path(library).name}" if is_one else None)


def add_modules(root, unpacked, patterns):
    """Those modules, and what depmod needs to know of the kernel."""
    version = next((unpacked / "lib/modules").iterdir())
    target = root / "lib/modules" / version.name
    for pattern in patterns:
        for module in version.rglob(f"{pattern}.ko"):
            copy(module, target, str(module.relative_to(version)))
    for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        copy(version / name, target, name)
    subprocess.run(["depmod", "-b", root, version.name], check=True)


def base(root):
    shutil.rmtree(root, ignore_errors=True)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    copy("/bin/busybox", root)
    applets = subprocess.run(["busybox", "--list"], check=True, text=True, stdout=subprocess.PIPE)
    for applet in applets.stdout.split():
        if applet not in ("busybox", "bash"):
            (root / "bin" / applet).symlink_to("busybox")
    (root / "sbin/modprobe").symlink_to("/usr/sbin/modprobe")  # where the kernel looks for it


def pack(root, archive):
    names = subprocess.run(["find", "."], cwd=root, check=True, stdout=subprocess.PIPE).stdout
    part = archive.with_suffix(".part")
    with part.open("wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=root, check=True,
                       input=names, stdout=out)
    part.rename(archive)


def unpack_kernel(unpacked, target):
    """The ELF file that lies in a Debian kernel, compressed by xz: unpacking it under emulation takes
    longer than the rest of a boot. Source: Linux, Documentation/arch/x86/boot.rst."""
    image = next((unpacked / "boot").glob("vmlinuz-*")).read_bytes()
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)  # payload_offset, payload_length
    payload = image[(setup_sectors + 1) * 512 + offset:][:length]
    part = target.with_suffix(".part")
    # The last four bytes are the length of what was packed.
    part.write_bytes(lzma.LZMADecompressor().decompress(payload))
    part.rename(target)


def make_dom0(cache, unpacked):
    root = cache / "dom0"
    base(root)
    tools = [(str(unpacked / XEN_TOOLS / tool), f"/{XEN_TOOLS}/{tool}") for tool in DOM0_TOOLS]
    add_programs(root, [*tools, *DOM0_PROGRAMS])
    shutil.copytree(unpacked / "etc/xen", root / "etc/xen", symlinks=True)
    shutil.copytree("/usr/share/qemu/keymaps", root / "usr/share/qemu/keymaps")
    add_modules(root, unpacked, DOM0_MODULES)
    copy(HERE / "dom0/init", root, "init")
    pack(root, cache / "dom0.img")


def make_guest(cache, unpacked):
    root = cache / "guest"
    base(root)
    stand_ins = cache / "hollow"
    shutil.rmtree(stand_ins, ignore_errors=True)
    hollow.make_all("/usr/bin/fio", stand_ins)
    add_programs(root, GUEST_PROGRAMS, stand_ins)
    add_modules(root, unpacked, GUEST_MODULES)
    copy(HERE / "guest/init", root, "init")
    pack(root, cache / "guest.img")


def make_all(cache, unpacked):
    """Made again when this file or one of the two inits has changed."""
    inputs = [HERE / "images.py", HERE / "hollow.py", HERE / "dom0/init", HERE / "guest/init", unpacked]
    for name, make in (("dom0", make_dom0), ("guest", make_guest)):
        archive = cache / f"{name}.img"
        if not archive.exists() or any(archive.stat().st_mtime < each.stat().st_mtime
                                       for each in inputs):
            make(cache, unpacked)
    if not (cache / "vmlinux").exists():
        unpack_kernel(unpacked, cache / "vmlinux")
