"""Rows of the benchmark about archives: how long an index takes, against what lists the same file.

The archive: 100,000 members, 2 KiB on average, 277 MB, on tmpfs, made once a run. Every subject is
one process on CPU 1; its wall time counts, start and all, with its output thrown away. Only what
says "in process" leaves the start out.
"""

import io
import json
import os
import random
import tarfile
from pathlib import Path

from file_rows import FileRows

MEMBERS = 100_000


class TarRows(FileRows):
    TITLE = "archives"
    RATIOS = [("index 100k members", "splitring", "GNU tar -t", 0.7)]
    BOUNDS = [("saved index, in process", "open", 1.0),
              ("1,000 members at random, in process", "read", 20.0)]

    def __init__(self, root):
        super().__init__()
        self.load = root / "bench/tar_load"
        self.archive = Path("/dev/shm") / f"splitring-bench-{os.getpid()}.tar"
        self.peak_kib = 0

    def prepare(self):
        source = random.Random(2)
        blob = source.randbytes(1 << 20)
        with tarfile.open(self.archive, "w", format=tarfile.USTAR_FORMAT) as archive:
            for number in range(MEMBERS):
                size = min(65536, int(source.expovariate(1 / 2000)) + 1)
                start = source.randrange((1 << 20) - size)
                member = tarfile.TarInfo(f"top/dir{number // 250:04d}/file{number:06d}.dat")
                member.size, member.mtime = size, 1_700_000_000
                archive.addfile(member, io.BytesIO(blob[start:start + size]))

    def clean(self):
        self.archive.unlink(missing_ok=True)
        Path(f"{self.archive}.index").unlink(missing_ok=True)

    def measure_once(self):
        work = "index 100k members"
        took, said = self.run(self.load, "index", self.archive, keep=True)
        self.add(work, "splitring", took)
        self.peak_kib = max(self.peak_kib, json.loads(said)["peak_kib"])
        self.time(work, "GNU tar -t", "tar", "-tf", self.archive)
        self.time(work, "bsdtar -t", "bsdtar", "-tf", self.archive)
        self.run(self.load, "save", self.archive)
        for work, subject, words in (("saved index, in process", "open", ()),
                                     ("1,000 members at random, in process", "read", (1000,))):
            said = self.run(self.load, subject, self.archive, *words, keep=True)[1]
            self.add(work, subject, json.loads(said)["us"] / 1e3)

    def rows(self):
        yield from super().rows()
        yield "index 100k members", "splitring", "KiB at most", self.peak_kib
