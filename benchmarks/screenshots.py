"""Photograph the page as it is, with the shipped model and its autoregressive twin: docs/serving/*.png.

python -m benchmarks.screenshots                 # all of them
python -m benchmarks.screenshots dark phone      # some
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "serving"
TWIN = ROOT / "benchmarks" / "twin"
MOST = 250_000  # bytes of a picture
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
DONE = "#output[data-state=done]"


@contextmanager
def serving() -> Iterator[str]:
    """Run `lavida serve` with both models on a free port; yields the address."""
    command = [sys.executable, "-m", "lavida.cli.main", "serve", "--port", "0", "--beside", str(TWIN)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield re.findall(r"http://[^\s,]+", process.stdout.readline())[0]
        finally:
            process.terminate()


def ask(page: Page, question: str) -> None:
    """Ask about the example and wait until the answer is written."""
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.wait_for_selector(DONE)


def seek(page: Page, share: float) -> None:
    """Go to a step, given as a share of all."""
    page.evaluate(
        "([at, share]) => { at.value = Math.round(share * at.max); at.dispatchEvent(new Event('input')); }",
        [page.query_selector("#scrub"), share],
    )
    time.sleep(1)  # until the light of the new words has gone


def desktop(page: Page) -> None:
    """Show a description half-way."""
    ask(page, "Describe the image.")
    seek(page, 0.66)


def dark(page: Page) -> None:
    """Show an answer with the measurements of several numbers of steps."""
    ask(page, "Describe the image.")
    page.click("#sweep")
    page.wait_for_selector("#runs .point >> nth=5")
    page.wait_for_selector("#sweep:enabled")
    seek(page, 0.8)


def beside(page: Page) -> None:
    """Show the model beside its twin."""
    page.check("#beside")
    ask(page, "Describe the image.")
    seek(page, 0.5)


def form(page: Page) -> None:
    """Show a form that is being filled."""
    page.click("#tab-form")
    page.click("#panel-form [type=submit]")
    page.wait_for_selector(DONE)
    seek(page, 0.9)


def audit(page: Page) -> None:
    """Show what the photo says about a text."""
    page.click("#tab-audit")
    page.fill("#audit-text", "a photo of a brown dog.")
    page.press("#audit-text", "Enter")
    page.wait_for_selector(".heat")


def holes(page: Page) -> None:
    """Show filled holes."""
    page.click("#tab-fill")
    page.fill("#fill-text", "a photo of [M].")
    page.press("#fill-text", "Enter")
    page.wait_for_selector(".filled")


LARGE = {"viewport": {"width": 1360, "height": 960}}
SHOTS: dict[str, tuple[Callable[[Page], None], dict]] = {
    "desktop": (desktop, LARGE),
    "dark": (dark, {"viewport": {"width": 1360, "height": 1290}, "color_scheme": "dark"}),
    "phone": (desktop, {"viewport": {"width": 390, "height": 1060}, "is_mobile": True, "has_touch": True}),
    "beside": (beside, {"viewport": {"width": 1360, "height": 860}}),
    "holes": (holes, {"viewport": {"width": 1360, "height": 700}}),
    "form": (form, {"viewport": {"width": 1360, "height": 900}, "color_scheme": "dark"}),
    "audit": (audit, {"viewport": {"width": 1360, "height": 820}, "locale": "zh-CN"}),
}


def photograph(browser: Browser, address: str, name: str) -> Path:
    """Take one picture and return its file."""
    play, options = SHOTS[name]
    context = browser.new_context(**{"locale": "en-GB", **options})
    page, file = context.new_page(), OUT / f"{name}.png"
    page.goto(address)
    page.wait_for_selector("#model:enabled")
    page.click("#example")
    page.wait_for_selector("#photo:not([hidden])")
    play(page)
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.screenshot(path=str(file))
    context.close()
    picture = Image.open(file).convert("RGB")
    for bits in (8, 7, 6, 5):  # of a colour: as many as the limit allows
        ImageOps.posterize(picture, bits).save(file, optimize=True)
        if file.stat().st_size <= MOST:
            break
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*SHOTS, []], help="which pictures; all if none is named")
    names = parser.parse_args().names or list(SHOTS)
    OUT.mkdir(exist_ok=True)
    with serving() as address, sync_playwright() as playwright:
        program = next(filter(None, map(shutil.which, CHROMIUM)))
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        for name in names:
            file = photograph(browser, address, name)
            print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
