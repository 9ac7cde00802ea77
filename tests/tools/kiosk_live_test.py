#!/usr/bin/python3
"""/_live in a real browser: load shows in the plots, a detached disk as such, for everybody.

Debian's own python3, for its selenium. With SPLITRING_PICTURES=DIR it leaves pictures there: live.svg
as the README has it, and PNGs in both lights and of a phone (`make live-picture`).
"""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import unittest
from pathlib import Path

SUPPORT = Path(__file__).resolve().parents[1] / "support/tools"
sys.path.insert(0, str(SUPPORT))
from browser import Browser  # noqa: E402
from programs import BUILD, ProgramTest  # noqa: E402

HOSTILE = "<img src=x onerror=document.title='owned'>.img"
PAGES = 200


class Load:
    """Requests one after the other, on connections that stay open, until it is told to stop."""

    def __init__(self, port, threads=2):
        self.port = port
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        page = 0
        while not self.stopped.is_set():
            page = (page + 1) % PAGES
            client.request("GET", f"/page{page}.html")
            client.getresponse().read()
        client.close()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


class Live(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()

    def setUp(self):
        super().setUp()
        self.pictures = os.environ.get("SPLITRING_PICTURES")
        tree = self.scratch / "tree"
        tree.mkdir()
        for page in range(PAGES):
            (tree / f"page{page}.html").write_bytes(os.urandom(5000) * 4)
        subprocess.run(["tar", "-C", tree, "-cf", self.scratch / "site.tar", "."], check=True)
        uploads = "uploads.img" if self.pictures else HOSTILE
        self.uploads = self.image(uploads)
        config = self.scratch / "devices.toml"
        config.write_text("[devices]\ncontent = \"vbd:xvda\"\n"
                          f"uploads = {{ disk = \"raw:{uploads}\", read_only = true }}\n"
                          "archive = \"raw:archive.img\"\n")
        self.start_host(1)
        self.daemon = self.start_daemon("--allow-root", self.scratch)
        self.succeeds("attach", "--domain", "1", "--vdev", "xvda", "--mode", "r",
                      "--target", f"raw:{self.scratch / 'site.tar'}")
        self.kiosk = self.start(
            BUILD / "kiosk", "--devices", config, "--listen", "127.0.0.1:0", "--threads", "1",
            "--cache", "0", "--backend-control", self.host_directory / "0/splitringd.control",
            ready="kiosk: serving",
            environment={"SPLITRING_HOST": str(self.host_directory), "SPLITRING_DOMAIN": "1"})
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)/", self.kiosk.output)[1])
        self.browser.media()
        self.browser.size(1280)
        # The page before calls for its kiosk until it is left.
        self.browser.driver.get("about:blank")
        self.browser.complaints()
        if self.pictures:
            self.browser.before_pages((SUPPORT / "picture.js").read_text())
        self.browser.driver.get(f"http://127.0.0.1:{self.port}/_live")
        self.browser.wait("the socket", lambda: self.browser.text("#link-text") == "Live")
        self.browser.wait("the disk", lambda: self.badge("content") == "attached")

    def now(self, section, chart):
        """What a screen reader says of a plot."""
        return self.browser.script(
            "return document.querySelectorAll(arguments[0] + ' .plot')[arguments[1]]"
            ".getAttribute('aria-valuetext')", section, chart)

    def pixels(self, section, chart):
        """How much of a plot is drawn in the colour of its first line."""
        return self.browser.script("""
            const canvas = document.querySelectorAll(arguments[0] + ' canvas')[arguments[1]];
            const probe = document.createElement('canvas').getContext('2d');
            probe.fillStyle = getComputedStyle(canvas).getPropertyValue('--front');
            probe.fillRect(0, 0, 1, 1);
            const wanted = probe.getImageData(0, 0, 1, 1).data;
            const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let found = 0;
            for (let i = 0; i < data.length; i += 4)
              if ([0, 1, 2].every((c) => Math.abs(data[i + c] - wanted[c]) < 4) && data[i + 3] > 250)
                found++;
            return found;""", section, chart)

    def badge(self, disk):
        return self.browser.text(f"[data-disk={disk}] .badge")

    def take_pictures(self):
        oldest = """const plot = document.querySelector('[data-disk=content] .plot');
            plot.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}));
            return plot.getAttribute('aria-valuetext');"""
        self.browser.wait("a plot that is half full", lambda: re.match(
            r"[3-9]\d seconds", self.browser.script(oldest, "Home")))
        self.browser.script(oldest, "Escape")
        for name, width, scheme in (("light", 1280, "light"), ("dark", 1280, "dark"),
                                    ("phone", 390, "dark")):
            self.browser.media(prefers_color_scheme=scheme)
            self.browser.size(width)
            height = self.browser.script("return document.documentElement.scrollHeight")
            self.browser.size(width, height)
            self.browser.driver.save_screenshot(str(Path(self.pictures) / f"live-{name}.png"))
            if name == "light":
                picture = self.browser.script(
                    "return splitringPicture('The live page of a kiosk under load')")
                # The paths of a test are nobody's.
                picture = re.sub(rf' textLength="[^"]*"( [^>]*>[^<]*){self.scratch}', r"\1/srv",
                                 picture)
                (Path(self.pictures) / "live.svg").write_text(picture)

    def test_load_shows_in_plots_and_on_the_path(self):
        self.browser.wait("quiet", lambda: self.now(".service", 0) == "now: 0/s")
        before = self.pixels("[data-disk=content]", 1)
        load = Load(self.port)
        self.addCleanup(load.stop)
        self.browser.wait("requests in the service's plot",
                          lambda: re.match(r"now: [\d.]*[1-9]", self.now(".service", 0)))
        self.browser.wait("reads in the disk's plot", lambda: re.match(
            r"now: reads [\d.]*[1-9]", self.now("[data-disk=content]", 1)))
        self.browser.wait("a line that climbs",
                          lambda: self.pixels("[data-disk=content]", 1) > before + 20)
        stations = self.browser.script(
            "return [...document.querySelectorAll('[data-disk=content] .station')].map("
            "(s) => [s.querySelector('h3').textContent, s.querySelector('.number').textContent,"
            " s.querySelector('.facts').textContent])")
        self.assertEqual([name for name, *_ in stations], ["Guest", "Ring", "Backend", "Image"])
        self.assertIn("slots", stations[1][2])
        self.assertIn("in flight", stations[2][2])
        self.assertIn("site.tar", stations[3][2])
        if self.pictures:
            self.take_pictures()

    def test_disks_come_and_go_and_say_so(self):
        self.browser.wait("three disks", lambda: self.badge("archive") == "not there yet")
        self.assertEqual([self.badge("content"), self.badge("uploads")], ["attached", "attached"])
        self.uploads.rename(self.scratch / "away")
        self.browser.wait("the file's going", lambda: self.badge("uploads") == "detached")
        self.assertEqual(self.browser.text("#announcer"), "uploads: detached")
        (self.scratch / "away").rename(self.scratch / "archive.img")
        self.browser.wait("another's coming", lambda: self.badge("archive") == "attached")
        self.succeeds("detach", "--domain", "1", "--vdev", "xvda")
        self.browser.wait("the virtual disk's going", lambda: self.badge("content") == "detached")
        self.assertEqual(self.ask("/page1.html")[0], 404)
        self.succeeds("attach", "--domain", "1", "--vdev", "xvda", "--mode", "r",
                      "--target", f"raw:{self.scratch / 'site.tar'}")
        self.browser.wait("its return", lambda: self.badge("content") == "attached")
        self.assertEqual(self.ask("/page1.html")[0], 200)

    def test_h6_names_are_text_and_nothing_comes_from_elsewhere(self):
        self.assertIn("<img src=x", self.browser.text("[data-disk=uploads] .disk-facts"))
        self.assertEqual(self.browser.script("return document.images.length"), 0)
        self.assertEqual(self.browser.driver.title, "Splitring live")
        loaded = self.browser.script(
            "return performance.getEntriesByType('resource').map((e) => e.name)")
        self.assertGreater(len(loaded), 4)
        for name in loaded:
            self.assertRegex(name, rf"^(http|ws)://127\.0\.0\.1:{self.port}/_live/")
        self.assertEqual(self.browser.complaints(), [])
        # What the policy is for: markup that got in would do nothing.
        self.browser.script("document.body.insertAdjacentHTML('beforeend', arguments[0])",
                            "<img src=x onerror=\"document.title='owned'\"><b style='color:red'>")
        self.browser.wait("the policy's complaint", lambda: any(
            "Content Security Policy" in line for line in self.browser.complaints()))
        self.assertEqual(self.browser.driver.title, "Splitring live")

    def test_everything_is_there_by_keyboard_and_by_table(self):
        load = Load(self.port, threads=1)
        self.addCleanup(load.stop)
        self.browser.wait("some seconds of it", lambda: self.browser.script(
            "const d = document.querySelector('.service details'); d.open = true;"
            "return d.querySelectorAll('tbody tr').length") >= 5)
        self.assertEqual(self.browser.script(
            "return [...document.querySelectorAll('.service th')].map((e) => e.textContent)"),
            ["Seconds ago", "Requests"])
        keys = """const plot = document.querySelector('.service .plot');
            plot.focus();
            plot.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}));
            return plot.getAttribute('aria-valuetext');"""
        self.assertRegex(self.browser.script(keys, "ArrowLeft"), r"^[1-9] seconds ago: ")
        self.assertRegex(self.browser.script(keys, "Escape"), r"^now: ")
        self.browser.script("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'p'}))")
        self.assertEqual(self.browser.text("#link-text"), "Paused")
        shown = self.now(".service", 0)
        self.browser.script("document.getElementById('pause').click()")
        self.browser.wait("going on", lambda: self.now(".service", 0) != shown)
        unnamed = self.browser.script(
            "return [...document.querySelectorAll('button, a, summary, [role=slider]')]"
            ".filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim())).length")
        self.assertEqual(unnamed, 0)

    def test_every_figure_has_a_scale(self):
        wrong = self.browser.driver.execute_async_script("""
            const done = arguments[0];
            import('/_live/chart.js').then(({niceCeiling}) => {
              const values = Array.from({length: 3000}, (_, i) => 1.01 ** i / 1e6);
              done(values.filter((v) => !(niceCeiling(v) > v && niceCeiling(v) < 3 * v)));
            });""")
        self.assertEqual(wrong, [])

    def test_light_dark_phone_and_stillness(self):
        colour = "return getComputedStyle(document.documentElement).backgroundColor"
        self.browser.media(prefers_color_scheme="light")
        light = self.browser.script(colour)
        self.browser.media(prefers_color_scheme="dark")
        self.assertNotEqual(self.browser.script(colour), light)
        for width in (320, 390, 768, 1280):
            self.browser.size(width)
            self.assertLessEqual(
                self.browser.script("return document.documentElement.scrollWidth"), width)
        load = Load(self.port, threads=1)
        self.addCleanup(load.stop)
        moving = "return document.querySelectorAll('.flow.moving').length"
        self.browser.wait("dots on their way", lambda: self.browser.script(moving) > 0)
        self.browser.media(prefers_reduced_motion="reduce")
        self.browser.wait("stillness", lambda: self.browser.script(moving) == 0)

    def test_a_kiosk_that_ends_is_shown_as_lost(self):
        code, _ = self.kiosk.stop()
        self.assertEqual(code, 0)
        self.browser.wait("the loss", lambda: self.browser.text("#link-text").startswith(
            "Connection lost"))

    def ask(self, target):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        client.request("GET", target)
        reply = client.getresponse()
        body = reply.read()
        client.close()
        return reply.status, body

    def test_the_api_tells_the_same(self):
        status, body = self.ask("/api/devices")
        self.assertEqual(status, 200)
        self.assertEqual([(d["name"], d["state"]) for d in json.loads(body)],
                         [("archive", "waiting"), ("content", "plugged"), ("uploads", "plugged")])
        statistics = json.loads(self.ask("/api/statistics")[1])
        self.assertEqual(statistics["type"], "sample")
        root = json.loads(self.ask("/api/store/")[1])
        self.assertEqual(root["children_count"], PAGES)
        self.assertEqual(root["children"][0]["kind"], "value")
        page = json.loads(self.ask("/api/store/page7.html")[1])
        self.assertEqual((page["kind"], page["size"]), ("value", 20000))
        self.assertEqual(self.ask("/api/store/none")[0], 404)
        for target in ("/api/store/../x", "/api/store/%2e%2e/x", "/api/nothing"):
            self.assertIn(self.ask(target)[0], (400, 404), target)


if __name__ == "__main__":
    unittest.main(verbosity=0)
