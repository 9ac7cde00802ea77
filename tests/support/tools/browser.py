"""A headless Chromium that a test drives."""

import shutil

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 60


class Browser:
    def __init__(self):
        options = Options()
        options.binary_location = shutil.which("chromium")
        # Containers and root have no sandbox of its own; nothing but our pages is opened in it.
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--hide-scrollbars", "--no-proxy-server"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")),
                                       options=options)

    def quit(self):
        self.driver.quit()

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def text(self, selector):
        """Of the first element there; empty without one."""
        return self.script("return document.querySelector(arguments[0])?.textContent.trim() ?? ''",
                           selector)

    def wait(self, what, condition):
        """Until `condition` holds, looked at whenever the page may have changed."""
        WebDriverWait(self.driver, PATIENCE_S, poll_frequency=0.05).until(
            lambda _: condition(), f"waiting for {what}")

    def media(self, **features):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()]})

    def size(self, width, height=900):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def before_pages(self, script):
        """Runs it in every page that is opened from now on, before the page's own."""
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})

    def complaints(self):
        """What the console holds: script errors, and loads that the page's policy forbids."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING")]
