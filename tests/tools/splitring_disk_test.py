#!/usr/bin/env python3
"""splitring info, cp, bench and tar, on images and on disks behind a ring."""

import os
import subprocess
import sys
import tarfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support/tools"))
from programs import SPLITRING, ProgramTest  # noqa: E402


class Images(ProgramTest):
    """No host is needed for these."""

    def test_info_tells_what_an_image_is(self):
        image = self.image("a.img")
        shown = self.succeeds_json("info", f"raw:{image}?block=4096")
        self.assertEqual((shown["bytes"], shown["sectors"], shown["logical_block_bytes"]),
                         (1 << 20, 2048, 4096))
        self.assertIn("1 MiB", self.succeeds("info", "mem:1M"))

    def test_a_wrong_disk_is_explained(self):
        self.fails("info", "a.img", says="raw:PATH")
        self.fails("info", "sofa:x", says="raw:PATH")
        self.fails("info", f"raw:{self.scratch}/missing", says="No such file")
        self.fails("info", f"raw:{self.scratch}", says=str(self.scratch))
        self.fails("info", "mem:0")
        self.fails("info", "mem:1M?block=513", says="block")

    def test_cp_copies_every_byte_and_keeps_holes(self):
        source = self.image("a.img", 3 << 20)
        with source.open("r+b") as file:  # ends with a hole and one block
            file.truncate((40 << 20) + 512)
            file.seek(40 << 20)
            file.write(b"end." * 128)
        target = self.scratch / "b.img"
        target.write_bytes(b"\xff" * ((40 << 20) + 512))
        report = self.succeeds_json("cp", f"raw:{source}", f"raw:{target}")
        self.assertEqual(report["bytes"], (40 << 20) + 512)
        self.assertEqual(report["zero_bytes"], 37 << 20)
        self.assertEqual(source.read_bytes(), target.read_bytes())
        self.assertLess(target.stat().st_blocks * 512, 8 << 20)

    def test_cp_makes_a_file_that_is_not_there(self):
        source = self.image("a.img")
        target = self.scratch / "b.img"
        self.succeeds("cp", f"raw:{source}", f"raw:{target}")
        self.assertEqual(source.read_bytes(), target.read_bytes())

    def test_cp_leaves_no_file_of_its_own_when_it_fails(self):
        source = self.image("a.img", (1 << 20) + 512)
        target = self.scratch / "b.img"
        self.fails("cp", f"raw:{source}", f"raw:{target}?block=4096", says="b.img")
        self.assertFalse(target.exists())
        self.fails("cp", f"raw:{source}", f"raw:{self.scratch}/nowhere/b.img", says="nowhere/b.img")

    def test_cp_refuses_a_target_that_is_too_small_or_the_source_itself(self):
        source = self.image("a.img")
        small = self.image("b.img", 1 << 19)
        before = small.read_bytes()
        self.fails("cp", f"raw:{source}", f"raw:{small}", says="512 KiB")
        self.assertEqual(small.read_bytes(), before)
        self.fails("cp", f"raw:{source}", f"raw:{source}")
        self.assertEqual(source.read_bytes(), self.image("c.img").read_bytes())

    def test_cp_leaves_the_rest_of_a_larger_target(self):
        source = self.image("a.img")
        target = self.scratch / "b.img"
        target.write_bytes(b"\xff" * (2 << 20))
        self.assertIn("larger", self.succeeds("cp", f"raw:{source}", f"raw:{target}"))
        self.assertEqual(target.read_bytes(), source.read_bytes() + b"\xff" * (1 << 20))

    def test_bench_prints_one_line(self):
        self.assertRegex(
            self.succeeds("bench", "mem:8M", "--secs", 0.1),
            r"\Asplitring-bench randread 4k qd32 lanes1 poll-auto: \d+ IOPS [\d.]+ MB/s "
            r"p50 [\d.]+ us p99 [\d.]+ us client-cpu [\d.]+ us/io\n\Z")

    def test_bench_measures_every_kind_of_work(self):
        for work in ("randread", "randwrite", "read", "write"):
            with self.subTest(work=work):
                report = self.succeeds_json("bench", "mem:8M", "--rw", work, "--bs", "64k", "--qd", 4,
                                            "--lanes", 2, "--secs", 0.1, "--pin", "0")
                self.assertGreater(report["iops"], 0)
                self.assertGreaterEqual(report["p99_us"], report["p50_us"])

    def test_bench_does_not_destroy_data_unless_told_to(self):
        image = self.image("a.img")
        self.fails("bench", f"raw:{image}", "--rw", "randwrite", "--secs", 0.1,
                   says="--write-destroys-data")
        self.succeeds("bench", f"raw:{image}", "--secs", 0.1)
        self.assertEqual(image.read_bytes(), self.image("b.img").read_bytes())
        self.succeeds("bench", f"raw:{image}", "--rw", "randwrite", "--secs", 0.1,
                      "--write-destroys-data")
        self.assertNotEqual(image.read_bytes(), self.image("b.img").read_bytes())

    def test_bench_refuses_what_does_not_fit(self):
        self.fails("bench", "mem:1M?block=4096", "--bs", "512", says="4096")
        self.fails("bench", "mem:1M", "--bs", "2M", says="smaller")
        self.fails("bench", "mem:1M", "--server-pid", 4194304, says="4194304")

    def test_a_full_standard_output_is_an_error(self):
        archive = self.archive()
        outcome = subprocess.run(
            ["sh", "-c", '"$0" tar cat "$1" big > /dev/full', SPLITRING, f"raw:{archive}"],
            stderr=subprocess.PIPE, check=False)
        self.assertEqual(outcome.returncode, 1)
        self.assertIn(b"standard output", outcome.stderr)

    def archive(self):
        tree = self.scratch / "tree"
        (tree / "sub").mkdir(parents=True)
        (tree / "sub" / "page.html").write_text("<p>page</p>")
        (tree / "big").write_bytes(bytes(range(256)) * 10000)
        (tree / "link").symlink_to("sub/page.html")
        with tarfile.open(self.scratch / "tree.tar", "w") as archive:
            archive.add(tree, arcname=".")
        return self.scratch / "tree.tar"

    def test_tar_shows_names_and_files(self):
        disk = f"raw:{self.archive()}"
        names = [entry["path"] for entry in self.succeeds_json("tar", "ls", disk)]
        self.assertEqual(sorted(names), ["big", "link", "sub"])
        deep = self.succeeds_json("tar", "ls", disk, "--recursive")
        self.assertIn("sub/page.html", [entry["path"] for entry in deep])
        below = self.succeeds_json("tar", "ls", disk, "sub", "-r")
        self.assertEqual([entry["path"] for entry in below], ["sub/page.html"])
        self.assertIn("link -> sub/page.html", self.succeeds("tar", "ls", disk))
        self.assertEqual(self.succeeds("tar", "cat", disk, "/sub/page.html"), "<p>page</p>")
        self.assertEqual(self.succeeds("tar", "cat", disk, "link"), "<p>page</p>")
        big = subprocess.run([SPLITRING, "tar", "cat", disk, "big"], check=True,
                             stdout=subprocess.PIPE).stdout
        self.assertEqual(big, bytes(range(256)) * 10000)

    def test_tar_explains_what_is_not_there(self):
        disk = f"raw:{self.archive()}"
        self.fails("tar", "cat", disk, "nothing", says="no such entry")
        self.fails("tar", "ls", disk, "nothing", says="no such entry")
        self.fails("tar", "cat", disk, "sub")
        self.fails("tar", "ls", f"raw:{self.image('noise.img')}", says="noise.img")


class BehindARing(ProgramTest):
    def setUp(self):
        super().setUp()
        self.start_host(1)
        self.daemon = self.start_daemon()

    def attach(self, target, *more, vdev="xvda"):
        self.succeeds("attach", "--domain", 1, "--vdev", vdev, "--target", target, *more)

    def test_info_tells_what_the_backend_says(self):
        self.attach(f"raw:{self.image('a.img')}?block=4096")
        shown = self.succeeds_json("info", "vbd:xvda", domain=1)
        self.assertEqual((shown["bytes"], shown["logical_block_bytes"]), (1 << 20, 4096))

    def test_a_disk_that_is_not_offered_is_explained(self):
        self.fails("info", "vbd:xvdq", says="xvdq", domain=1)
        self.fails("info", "vbd:sofa", says="sofa", domain=1)
        self.fails("info", "vbd:xvda?lanes=99", says="lanes", domain=1)

    def test_cp_goes_through_the_ring_both_ways(self):
        source = self.image("a.img", 9 << 20)
        disk = self.scratch / "disk.img"
        disk.write_bytes(b"\xff" * (9 << 20))
        copy = self.scratch / "copy.img"
        copy.write_bytes(b"\xee" * (9 << 20))
        self.attach(f"raw:{disk}")
        self.succeeds("cp", f"raw:{source}", "vbd:xvda", domain=1)
        self.succeeds("cp", "vbd:xvda", f"raw:{copy}", domain=1)
        self.assertEqual(copy.read_bytes(), source.read_bytes())
        self.assertEqual(disk.read_bytes(), source.read_bytes())

    def test_cp_goes_from_ring_to_ring(self):
        source = self.image("a.img", 9 << 20)
        target = self.image("b.img", 9 << 20)
        self.attach(f"raw:{source}")
        self.attach(f"raw:{target}", vdev="xvdb")
        self.succeeds("cp", "vbd:xvda", "vbd:xvdb", domain=1)
        self.assertEqual(target.read_bytes(), source.read_bytes())

    def test_a_store_works_over_a_single_ring(self):
        self.daemon.stop()
        self.start_daemon("--max-queues", 1)
        store = self.scratch / "store.img"
        self.succeeds("kv", "create", f"raw:{store}", "--size", "64M")
        self.attach(f"raw:{store}")
        records = self.scratch / "records"
        # More than the store keeps in memory, so that its own thread works beside the command's.
        records.write_text("".join(f"key{n:06}\t{n:0100}\n" for n in range(100_000)))
        self.succeeds("kv", "load", "vbd:xvda", "--file", records, domain=1)
        self.succeeds("kv", "check", "vbd:xvda", domain=1)
        self.assertEqual(self.succeeds("kv", "scan", "vbd:xvda", "--count", domain=1), "100000\n")

    def test_a_read_only_disk_stays_as_it_is(self):
        disk = self.image("disk.img")
        before = disk.read_bytes()
        self.attach(f"raw:{disk}", "--mode", "r")
        self.fails("cp", "mem:1M", "vbd:xvda", says="read-only", domain=1)
        self.fails("bench", "vbd:xvda", "--rw", "write", "--write-destroys-data", "--secs", 0.1,
                   says="read-only", domain=1)
        self.assertEqual(disk.read_bytes(), before)

    def test_bench_runs_over_several_rings(self):
        self.attach("mem:8M")
        report = self.succeeds_json("bench", "vbd:xvda?lanes=2", "--lanes", 2, "--secs", 0.2,
                                    "--server-pid", self.daemon.process.pid, domain=1)
        self.assertGreater(report["iops"], 0)
        self.assertGreater(report["server_cpu_us"], 0)
        disk, = self.succeeds_json("list", "-v")
        reads = disk["serving"]["counters"]["requests"]["read"]
        self.assertGreaterEqual(reads, report["requests"])

    def test_detach_takes_a_busy_disk(self):
        self.attach("mem:8M")
        bench = subprocess.Popen([SPLITRING, "bench", "vbd:xvda", "--secs", "600"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env={**os.environ, "SPLITRING_HOST": str(self.host_directory),
                                      "SPLITRING_DOMAIN": "1"})
        self.addCleanup(bench.wait)
        self.addCleanup(bench.kill)
        while True:  # until it is busy; the bench itself ends if it cannot be
            self.assertIsNone(bench.poll())
            disk, = self.succeeds_json("list", "-v")
            if disk["serving"]["counters"]["requests"]["read"] > 0:
                break
        self.succeeds("detach", "--domain", 1, "--vdev", "xvda")
        self.assertEqual(self.succeeds_json("list"), [])
        self.assertNotIn("51712", " ".join(self.paths()))

    def test_tar_reads_through_the_ring(self):
        page = self.scratch / "page.html"
        page.write_text("<p>over the ring</p>")
        with tarfile.open(self.scratch / "a.tar", "w") as archive:
            archive.add(page, arcname="page.html")
        self.attach(f"raw:{self.scratch}/a.tar", "--mode", "r")
        self.assertEqual(self.succeeds("tar", "cat", "vbd:xvda", "page.html", domain=1),
                         "<p>over the ring</p>")

    def test_a_frontend_that_ended_leaves_nothing_behind(self):
        self.attach("mem:8M")
        self.succeeds("info", "vbd:xvda", domain=1)
        self.succeeds("detach", "--domain", 1, "--vdev", "xvda")
        guest, = [entry for entry in self.succeeds_json("domain", "list") if entry["domain"] == 1]
        self.assertEqual((guest["grants"], guest["quarantined"], guest["ports"]), (0, 0, 0))


if __name__ == "__main__":
    unittest.main()
