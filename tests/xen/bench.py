#!/usr/bin/env python3
"""Compares xen-blkback, QEMU's qdisk and Splitring on a real Xen, in one boot.

The machine has one processor whose time is the instructions that it executes, so a figure is about
the work that a request takes, of all that take part, and repeats. It says nothing about caches, nor
about what several processors do at a time.
"""

import json
import sys
from pathlib import Path

from lab import HERE, Lab, lab_arguments

SECONDS = 400
SLOWER = 12  # than an idle processor of this machine, at worst
DISKS = ("blkback", "qdisk", "splitring")


def read_results(output):
    """{(work, block, depth): {disk: (iops, dom0_ns, guest_ns)}}"""
    rows = {}
    for line in output.splitlines():
        words = line.split()
        if words[:1] != ["result"]:
            continue
        rows.setdefault(tuple(words[2:5]), {})[words[1]] = tuple(map(float, words[5:8]))
    return rows


def print_table(rows):
    print(f"{'':22}{'requests a second':^30}{'Splitring to':^16}"
          f"{'instructions a request, dom0 + guest':^54}")
    print(f"{'work':22}" + "".join(f"{disk:>10}" for disk in DISKS) + f"{'blkback':>9}{'qdisk':>7}" +
          "".join(f"{disk:>18}" for disk in DISKS))
    for (work, block, depth), disks in rows.items():
        ours = disks["splitring"][0]
        print(f"{f'{work} {block}, depth {depth}':22}" +
              "".join(f"{disks[disk][0]:10.0f}" for disk in DISKS) +
              f"{ours / disks['blkback'][0]:9.2f}{ours / disks['qdisk'][0]:7.2f}" +
              "".join(f"{disks[disk][1]:10.0f} +{disks[disk][2]:6.0f}" for disk in DISKS))


def main():
    parser = lab_arguments(__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    arguments.patience *= SLOWER
    lab = Lab(arguments, icount=True)
    try:
        lab.prepare()
        lab.boot()
        script = (HERE / "bench.sh").read_text()
        status, output = lab.machine.run(f"set -u\npatience=4\n. /share/lib.sh\n{script}\n", SECONDS,
                                         slower=arguments.patience)
    finally:
        lab.end()
    (lab.logs / "bench.log").write_text(output)
    rows = read_results(output)
    if status != 0 or any(set(disks) != set(DISKS) for disks in rows.values()) or not rows:
        print(output)
        return 1
    print_table(rows)
    arguments.out.write_text(json.dumps(
        [{"work": row[0], "block": row[1], "depth": int(row[2]),
          "disks": {disk: {"iops": each[0], "dom0_instructions": each[1],
                           "guest_instructions": each[2]} for disk, each in disks.items()}}
         for row, disks in rows.items()], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
