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

SECONDS = 500
SLOWER = 12  # than an idle processor of this machine, at worst
DISKS = ("blkback", "qdisk", "splitring")
# Splitring in another way: grants not persistent; spinning before it sleeps.
COPIED, POLLING = VARIANTS = ("splitring-copied", "splitring-polling")


def read_results(output, kind):
    """{(work, block, depth): {disk: figures}} of the lines of that kind."""
    rows = {}
    for line in output.splitlines():
        words = line.split()
        if words[:1] == [kind]:
            rows.setdefault(tuple(words[2:5]), {})[words[1]] = tuple(map(float, words[5:]))
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


def print_rings(rows, rings):
    columns = f"{'requests/s':>12}{'dom0':>10}{'guest':>9}"
    print(f"\n{'Splitring, a request':22}{'wakes us':>10}{'rings guest':>13}"
          f"{'  no persistent grants:':24}{columns}{'  polling:':12}{columns}")
    for (work, block, depth), disks in rings.items():
        wakeups, notifications = disks["splitring"]
        line = f"{f'{work} {block}, depth {depth}':22}{wakeups:10.2f}{notifications:13.2f}"
        for variant, gap in ((COPIED, 24), (POLLING, 12)):
            figures = rows[work, block, depth].get(variant)
            line += " " * gap + ("{:12.0f}{:10.0f}{:9.0f}".format(*figures) if figures else " " * 31)
        print(line.rstrip())


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
    rows, rings = read_results(output, "result"), read_results(output, "rang")
    complete = rows and all(set(disks) - set(VARIANTS) == set(DISKS) for disks in rows.values())
    if status != 0 or not complete:
        print(output)
        return 1
    print_table(rows)
    print_rings(rows, rings)
    arguments.out.write_text(json.dumps(
        [{"work": row[0], "block": row[1], "depth": int(row[2]),
          "disks": {disk: {"iops": each[0], "dom0_instructions": each[1],
                           "guest_instructions": each[2]} for disk, each in disks.items()},
          "rings": {disk: {"wakeups": each[0], "notifications": each[1]}
                    for disk, each in rings[row].items()}}
         for row, disks in rows.items()], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
