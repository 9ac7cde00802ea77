#!/usr/bin/env python3
"""The rooms of the house and who may include whom.

Reads every #include of the project and fails on one that goes through a closed door; likewise on a
libxen header outside the files that speak to a real Xen, and on a source folder at the top level
that the house does not have. Violations are printed as file:line. Run alone or by `make test`.
"""

import re
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What each room may include besides itself. None: everything.
ROOMS = {
    "base": set(),
    "ring": {"base"},
    "grant": {"base"},
    "xenbus": {"grant", "base"},
    "blkimage": {"base"},
    "backend": {"ring", "grant", "xenbus", "blkimage", "base"},
    "frontend": {"ring", "grant", "xenbus", "blkimage", "base"},
    "fs": {"blkimage", "base"},
    "kv": {"fs", "blkimage", "base"},
    "tools": None,
    "tests": None,
}
SOURCES = {".h", ".cc", ".c", ".hpp", ".cpp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# libxen's own headers, and Xen's public ones.
LIBXEN = re.compile(r"^(xen\w*\.h|libxl\w*\.h|xen/.*|xenstore\w*\.h)$")
MAY_USE_LIBXEN = re.compile(r"^((grant|xenbus)/xen_|tests/|tools/)")
# A file of wire structs may hold itself against the protocol's header: constants, no library.
PROTOCOL = re.compile(r"^xen/io/.*\.h$")
MAY_USE_PROTOCOL = re.compile(r"_wire\.(h|cc)$")


def project_files(root):
    for room in ROOMS:
        if (root / room).is_dir():
            yield from sorted(p for p in (root / room).rglob("*") if p.suffix in SOURCES)


def check_include(relative, quoted, target):
    """Why this include is illegal, or None."""
    room = relative.split("/")[0]
    if not quoted:
        if PROTOCOL.match(target) and MAY_USE_PROTOCOL.search(relative):
            return None
        if LIBXEN.match(target) and not MAY_USE_LIBXEN.match(relative):
            return f"<{target}> belongs to grant/xen_* and xenbus/xen_* alone"
        return None
    if target.startswith(("/", "../", "./")) or "/../" in target:
        return f'"{target}" is not a path from the top of the project'
    other = target.split("/")[0]
    if "/" not in target or other not in ROOMS:
        return f'"{target}" is in no room; name it from the top of the project'
    allowed = ROOMS[room]
    if other != room and allowed is not None and other not in allowed:
        return f"{room} may not include {other} ({target})"
    return None


def violations(root):
    found = []
    for entry in sorted(root.iterdir()):
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in ROOMS:
            # What a build leaves behind is no source folder: it has nothing under version control.
            if any(p.suffix in SOURCES for p in entry.rglob("*")) and not is_build_folder(entry):
                found.append(f"{entry.name}/: no such room; sources live in {', '.join(ROOMS)}")
    for path in project_files(root):
        relative = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            match = INCLUDE.match(line)
            reason = match and check_include(relative, match[1] == '"', match[2])
            if reason:
                found.append(f"{relative}:{number}: {reason}")
    return found


def is_build_folder(folder):
    return folder.name == "build" or (folder / "release").is_dir()


class IncludeRule(unittest.TestCase):
    def test_the_project_keeps_it(self):
        found = violations(ROOT)
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_every_room_is_looked_at(self):
        rooms = {path.relative_to(ROOT).parts[0] for path in project_files(ROOT)}
        self.assertLessEqual({"base", "ring", "grant", "xenbus", "blkimage", "fs", "kv", "tests"}, rooms)

    def test_every_closed_door_is_seen(self):
        for room, allowed in ROOMS.items():
            for other in ROOMS:
                illegal = allowed is not None and other != room and other not in allowed
                reason = check_include(f"{room}/file.h", True, f"{other}/other.h")
                self.assertEqual(reason is not None, illegal, f"{room} -> {other}")

    def test_a_bad_sample_is_reported_by_file_and_line(self):
        sample = {
            "base/a.h": '#pragma once\n#include <vector>\n#include "ring/b.h"\n',
            "frontend/disk.cc": '#include "frontend/disk.h"\n  #  include "backend/vbd.h"\n',
            "fs/tar/tar.cc": '#include "fs/tar/tar.h"\n#include "grant/types.h"\n',
            "kv/tree.cc": '#include "fs/tar/tar.h"\n#include "blkimage/block_device.h"\n',
            "backend/vbd.cc": "#include <xengnttab.h>\n",
            "xenbus/xen_store.cc": "#include <xenstore.h>\n",
            "xenbus/store_wire.cc": "#include <xen/io/xs_wire.h>\n",
            "xenbus/nodes.cc": "#include <xen/io/xenbus.h>\n",
            "grant/types.cc": '#include "types.h"\n',
            "util/strings.h": "#pragma once\n",
            "build/release/generated.h": "#pragma once\n",
        }
        with tempfile.TemporaryDirectory() as scratch:
            for name, text in sample.items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            found = violations(Path(scratch))
        places = [line.split(": ")[0] for line in found]
        self.assertEqual(places, ["util/", "base/a.h:3", "grant/types.cc:1", "xenbus/nodes.cc:1",
                                  "backend/vbd.cc:1", "frontend/disk.cc:2", "fs/tar/tar.cc:2"])


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    sys.exit(0 if result.wasSuccessful() else 1)
