"""Drive the page in headless Chromium against `lavida serve`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

import lavida
from lavida.serve.page import EXAMPLE
from tests.serve.pages import CHROMIUM, DONE, NEEDED, Watched, ask, chromium, with_photo
from tests.serve.servers import serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NEEDED)


@pytest.fixture(scope="module")
def model():
    return lavida.load()


@pytest.fixture(scope="module")
def browser_and_address():
    with serving() as server, chromium() as browser:
        yield browser, server.url


@pytest.fixture
def page(browser_and_address):
    watched = Watched(*browser_and_address, patience=60)
    yield with_photo(watched.open())
    watched.close()
    assert watched.complaints == [] and watched.refusals == 0


def test_the_real_server_answers_as_the_model_does(model, page):
    ask(page)
    assert page.inner_text("#final") == f"Answer: {model.describe(EXAMPLE).text}"


@pytest.mark.slow
def test_the_real_server_fills_holes_and_forms_and_audits(model, page):
    text = "a photo of [M:3], a kind of [M:1]."
    page.click("#tab-fill")
    page.fill("#fill-text", text)
    page.press("#fill-text", "Enter")
    page.wait_for_selector(".filled")
    filled = [one.inner_text() for one in page.query_selector_all(".filled")]
    assert filled == [hole.text for hole in model.infill(EXAMPLE, text).holes]
    page.click("#tab-form")
    page.click("#panel-form [type=submit]")
    page.wait_for_selector(DONE)
    assert len(page.query_selector_all(".object .done .figure")) == 3
    page.click("#tab-audit")
    page.fill("#audit-text", "a photo of a dog.")
    page.press("#audit-text", "Enter")
    page.wait_for_selector(".heat .doubted >> text=dog")


@pytest.mark.slow
def test_the_program_that_the_page_writes_runs(model, page, tmp_path):
    pytest.importorskip("openai")
    page.fill("#question", "What is this?")
    page.click("#code > summary")
    program = page.inner_text("#snippet")
    (tmp_path / "photo.jpg").write_bytes(EXAMPLE.read_bytes())
    local = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=local, capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == (model.ask(EXAMPLE, "What is this?").text, "")
