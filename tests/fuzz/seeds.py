#!/usr/bin/env python3
"""Kept seeds of the fuzzers, as text that a person can read and a review can show.

A seed is corpus/NAME/WHAT.seed: words of hexadecimal bytes (`0a1b`), "text" in quotes (printable ASCII
but the quote), and `BYTE*COUNT` for a byte that repeats; `#` begins a comment.

  seeds.py unpack SEEDS OUT   writes every seed of a folder as the bytes that it stands for
  seeds.py pack FILE          prints what a fuzzer found as a seed
"""

import re
import sys
from pathlib import Path

TOKEN = re.compile(r'"([^"]*)"|([0-9a-f]{2})\*(\d+)|((?:[0-9a-f]{2})+)|(#.*|\s+)')
RUN = re.compile(rb'(?P<text>[ !#-~]{4,})|(?P<same>(?P<byte>.)(?P=byte){7,})', re.DOTALL)


def unpack(text, where):
    out = bytearray()
    for number, line in enumerate(text.splitlines(), 1):
        at = 0
        while at < len(line):
            match = TOKEN.match(line, at)
            if not match:
                sys.exit(f"{where}:{number}: not a seed: {line[at:at + 20]}")
            quoted, byte, count, plain, _ = match.groups()
            if quoted is not None:
                out += quoted.encode("ascii")
            elif byte:
                out += bytes.fromhex(byte) * int(count)
            elif plain:
                out += bytes.fromhex(plain)
            at = match.end()
    return bytes(out)


def words(data):
    at = 0
    for match in RUN.finditer(data):
        for start in range(at, match.start(), 16):
            yield data[start:min(start + 16, match.start())].hex()
        if match["same"]:
            yield f"{match['byte'].hex()}*{len(match['same'])}"
        else:
            yield f'"{match["text"].decode("ascii")}"'
        at = match.end()
    for start in range(at, len(data), 16):
        yield data[start:start + 16].hex()


def pack(data):
    lines = [""]
    for word in words(data):
        if lines[-1] and len(lines[-1]) + len(word) > 98:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    text = "\n".join(lines) + "\n"
    assert unpack(text, "pack") == data
    return text


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "unpack":
        out = Path(sys.argv[3])
        out.mkdir(parents=True, exist_ok=True)
        for seed in sorted(Path(sys.argv[2]).iterdir()):
            if seed.suffix != ".seed":
                sys.exit(f"{seed}: not a seed (seeds.py pack makes one of it)")
            (out / seed.stem).write_bytes(unpack(seed.read_text(), seed))
    elif len(sys.argv) == 3 and sys.argv[1] == "pack":
        sys.stdout.write(pack(Path(sys.argv[2]).read_bytes()))
    else:
        sys.exit(__doc__)


main()
