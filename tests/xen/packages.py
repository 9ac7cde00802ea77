"""The parts of the lab that are unpacked, not installed: the hypervisor, its tools, a kernel.

An installed hypervisor would become what this machine boots; the tools would start daemons.
"""

import os
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def group(name):
    """The packages of one group of packages.txt."""
    inside, names = False, []
    for line in (REPOSITORY / "packages.txt").read_text().splitlines():
        if line.startswith("["):
            inside = line == f"[{name}]"
        elif inside and line and not line.startswith("#"):
            names.append(line)
    return names


def real_name(package):
    """linux-image-amd64 is empty and depends on the kernel of the day."""
    if not package.startswith("linux-image-"):
        return package
    listing = subprocess.run(["apt-cache", "depends", package], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    for line in listing.splitlines():
        key, _, value = line.strip().partition(": ")
        if key == "Depends" and value.startswith("linux-image-"):
            return value
    raise RuntimeError(f"{package} depends on no kernel")


def update_lists():
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*as_root, "apt-get", "-qq", "update"], check=True)


def download(name, folder):
    options = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    subprocess.run(["apt-get", "-qq", *options, "download", name], cwd=folder, check=True,
                   stderr=subprocess.DEVNULL)


def unpack_all(cache):
    """A folder with the files of every package of [xen-unpacked]; made once."""
    root = cache / "unpacked"
    if root.is_dir():
        return root
    part = cache / "unpacked.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for package in group("xen-unpacked"):
        try:
            name = real_name(package)
            download(name, part)
        except (RuntimeError, subprocess.CalledProcessError):
            update_lists()  # a machine that has never done so does not know the package
            name = real_name(package)
            download(name, part)
        archive = next(part.glob(f"{name}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, part], check=True)
        archive.unlink()
    part.rename(root)
    return root
