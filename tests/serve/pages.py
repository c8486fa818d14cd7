"""A headless Chromium, and what tests of the page do in it."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from lavida.serve import page as page_module

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDED = "needs a Chromium: apt-get install chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]  # fmt: skip
DONE = "#output[data-state=done]"
PACE = "localStorage.setItem('lavida-speed', '0');"
WATCH = "document.addEventListener('securitypolicyviolation', (event) => console.error('policy', event.blockedURI));"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """Open pages and watch what they do."""

    def __init__(self, browser, address, patience=15):
        self._patience = patience  # seconds
        self._browser, self._address, self._contexts = browser, address, []
        self.complaints: list[str] = []
        self.refusals = 0  # of the server, which a test may want

    def open(self, *, ready=True, width=1280, height=900, **options):
        context = self._browser.new_context(
            **{"viewport": {"width": width, "height": height}, "locale": "en-GB", **options}
        )
        context.set_default_timeout(1000 * self._patience)
        context.add_init_script(WATCH + PACE)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._check)
        page.goto(self._address)
        if ready:
            page.wait_for_selector("#model:enabled")
        return page

    def close(self):
        for context in self._contexts:
            context.close()

    def _hear(self, message):
        if message.text.startswith("Failed to load resource") and "status of 4" in message.text:
            self.refusals += 1
        elif message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _check(self, request):
        if not request.url.startswith((self._address, "data:", "blob:")):
            self.complaints.append(f"a request left the server: {request.url}")


def with_photo(page):
    page.click("#example")
    page.wait_for_selector("#photo:not([hidden])")
    return page


def ask(page, question="Describe the image."):
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.wait_for_selector(DONE)


def drop(page, name="cat.jpg", kind="image/jpeg", body=None, paste=False):
    data = base64.b64encode(page_module.EXAMPLE.read_bytes() if body is None else body).decode()
    transfer = page.evaluate_handle(
        """([name, type, data]) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type }));
            return transfer;
        }""",
        [name, kind, data],
    )
    if paste:
        event = "new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true })"
        page.evaluate(f"transfer => document.body.dispatchEvent({event})", transfer)
    else:
        page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def canvas(page):
    return re.sub(r"\s+", " ", page.inner_text("#reads")).split(": ", 1)[-1]


def brightness(page, selector="body"):
    colour = page.evaluate("s => getComputedStyle(document.querySelector(s)).backgroundColor", selector)
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


AXE = """async (rules) => {
    const only = rules.length ? { runOnly: { type: 'rule', values: rules } } : {};
    return (await axe.run(document, { resultTypes: ['violations'], ...only })).violations;
}"""


class Axe:
    """Look for what keeps people out; of a dark page, whose structure is that of the light one, at its colours."""

    def __init__(self, page, scheme):
        axe_of = pytest.importorskip("axe_playwright_python")
        self._page, self._rules = page, ["color-contrast"] if scheme == "dark" else []
        page.evaluate(Path(axe_of.__file__).with_name("axe.min.js").read_text("utf-8"))

    def serious(self):
        """Every serious violation, all that can be opened being open."""
        self._page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
        found = [one for one in self._page.evaluate(AXE, self._rules) if one["impact"] in ("serious", "critical")]
        return [(one["id"], node["html"][:160]) for one in found for node in one["nodes"]]
