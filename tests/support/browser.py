"""A real headless Chromium, Debian's, for tests of pages."""

import functools
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
# Every text on the page that is seen, with its colour and that of what it stands on: the least contrast first.
_CONTRASTS = """
const channels = colour => {
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
  const pen = canvas.getContext('2d', {willReadFrequently: true});
  pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data];
};
const cache = {};
const rgba = colour => cache[colour] ??= channels(colour);
const luminance = colour => {
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const [r, g, b] = rgba(colour).slice(0, 3).map(v => linear(v / 255));
  return .2126 * r + .7152 * g + .0722 * b;
};
const ground = element => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (rgba(colour)[3] > 0) return colour;
  }
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'black' : 'white';
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
  if (!text || !element.getClientRects().length) continue;
  const style = getComputedStyle(element), ink = element.closest('svg') ? style.fill : style.color;
  const [dark, light] = [luminance(ink), luminance(ground(element))].sort((a, b) => a - b);
  found.push([(light + .05) / (dark + .05), text.slice(0, 60), ink]);
}
return found.sort((a, b) => a[0] - b[0]);
"""


@functools.cache
def _missing():
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        return "no chromium or chromedriver here: apt-get install chromium chromium-driver"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed: pip install 'kedrec[dev]'"
    return ""


@contextmanager
def chromium(profile: Path):
    """A `Browser` with a fresh profile; the test is skipped where there is none."""
    if reason := _missing():
        pytest.skip(reason)
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    # An empty page at the start: that for new tabs is still at work when the first page is asked for.
    options.add_experimental_option("prefs", {"session.restore_on_startup": 4, "session.startup_urls": ["about:blank"]})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """What tests ask of a page in Chromium."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, page: Path, width: int = 1280, dark: bool = False, media: str = "screen"):
        """Show a file at a width, in CSS pixels, with the colours and for the medium asked for."""
        self.driver.get_log("browser"), self.driver.get_log("performance")
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": scheme})
        self.driver.get(page.resolve().as_uri())

    def run(self, script: str):
        """The value of a script in the page."""
        return self.driver.execute_script(script)

    def complaints(self) -> list[str]:
        """What the console said since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses asked for since the page was opened, without the page's own."""
        import json

        sent = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [one["params"] for one in sent if one["method"] == "Network.requestWillBeSent"]
        page = self.driver.current_url.partition("#")[0]
        by_page = [one["request"]["url"] for one in asked if one["documentURL"].partition("#")[0] == page]
        return [url for url in by_page if url.partition("#")[0] != page]

    def overflow(self) -> int:
        """By how many CSS pixels the page is wider than the window."""
        return self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def contrasts(self) -> list[tuple[float, str, str]]:
        """Contrast (WCAG 2), words and colour of each text that is seen, the least contrast first."""
        return self.run(_CONTRASTS)

    def tabbed(self, presses: int) -> list[str]:
        """What has the focus after each press of Tab: tag and the beginning of its label or text."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        seen = []
        for _ in range(presses):
            ActionChains(self.driver).send_keys(Keys.TAB).perform()
            seen.append(
                self.run(
                    "const e = document.activeElement;"
                    "const words = e.getAttribute('aria-label') || e.innerText || '';"
                    "return e.tagName.toLowerCase() + ' ' + words.slice(0, 40)"
                )
            )
        return seen

    def picture(self, path: Path, whole: bool = True) -> Path:
        """A screenshot, of the whole page or of the window."""
        import base64

        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        path.write_bytes(base64.b64decode(taken["data"]))
        return path

    def printed(self, path: Path) -> Path:
        """The page as a PDF of A4, as the print dialogue would make it; across or upright, as the page says."""
        import base64

        made = self.driver.execute_cdp_cmd(
            "Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}
        )
        path.write_bytes(base64.b64decode(made["data"]))
        return path
