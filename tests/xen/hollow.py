"""Stand-ins for the libraries of fio's network engines, which nobody uses here.

They are 60 MB with what they name in turn (Ceph, Gluster, ICU), two thirds of a guest's memory image,
and fio is linked such that all of them are loaded and bound before its main(): seconds under
emulation. A stand-in has the names and the versions that fio asks for, and nothing behind them.
"""

import re
import subprocess

HOLLOW = re.compile(r"lib(gfapi|nbd|ibverbs|rdmacm|rados|rbd|pmemblk|pmem)\.so")


def lines_of(*command):
    return subprocess.run(command, check=True, text=True,
                          stdout=subprocess.PIPE).stdout.splitlines()


def needed(program):
    """{library: the versions that are asked of it}, of those that are to be hollow."""
    found, library = {}, None
    for line in lines_of("objdump", "-p", program):
        words = line.split()
        if words[:1] == ["NEEDED"] and HOLLOW.match(words[1]):
            found.setdefault(words[1], [])
        elif words[:2] == ["required", "from"]:
            library = words[2].rstrip(":")
        elif words[:1] and words[0].startswith("0x") and len(words) == 4 and library in found:
            found[library].append(words[3])
    return found


def asked_names(program):
    """{version: names}; those that have none are of "". """
    found = {}
    for line in lines_of("nm", "-D", "--undefined-only", program):
        kind, _, name = line.strip().partition(" ")
        if kind == "U":
            name, _, version = name.partition("@")
            found.setdefault(version, []).append(name)
    return found


def make_all(program, folder):
    """In `folder`, under the names that the program asks for."""
    folder.mkdir(parents=True)
    names = asked_names(program)
    for library, versions in needed(program).items():
        own = [name for version in versions or [""] for name in names.get(version, [])]
        source = "".join(f"void {name}(void) {{}}\n" for name in own)
        command = ["gcc", "-shared", "-nostdlib", "-fno-builtin", "-x", "c", "-",
                   f"-Wl,-soname,{library}", "-o", folder / library]
        if versions:
            script = folder / f"{library}.map"
            script.write_text("".join(f"{version} {{ {'; '.join(names[version])}; }};\n"
                                      for version in versions))
            command.append(f"-Wl,--version-script,{script}")
        subprocess.run(command, check=True, text=True, input=source)
