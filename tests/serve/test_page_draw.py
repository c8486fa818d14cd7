"""Drive the page in headless Chromium against a server whose tiny random model draws."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

from PIL import Image

import lavida
from lavida.draw.options import DrawOptions
from lavida.serve.page import EXAMPLE
from tests.serve.live import live
from tests.serve.pages import CHROMIUM, DONE, NEEDED, Axe, Watched, chromium, with_photo

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NEEDED)
DRAWN = f"{DONE} #download"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def model(random_folders):
    return lavida.load(random_folders["mmada"])


@pytest.fixture(scope="module")
def server(model):
    with live(model) as running:
        yield running


@pytest.fixture
def watched(browser, server):
    watched = Watched(browser, server.url + "/", patience=60)
    yield watched
    watched.close()
    assert watched.complaints == []


def opened(watched, *, size="256x256", steps=4, **options):
    page = watched.open(**options)
    page.click("#tab-draw")
    page.select_option("#draw-size", size)
    page.fill("#draw-steps", str(steps))
    return page


def draw(page, prompt="a red bus"):
    page.fill("#draw-prompt", prompt)
    page.press("#draw-prompt", "Enter")
    page.wait_for_selector(DRAWN)


def picture(address):
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def cells(page, kind):
    return len(page.query_selector_all(f".cells i.{kind}"))


def test_a_picture_is_drawn_and_its_steps_can_be_gone_through(watched, model):
    page = opened(watched)
    page.fill("#draw-seed", "3")
    draw(page)
    (wanted,) = model.draw("a red bus", size=256, steps=4, seed=3)
    assert picture(page.get_attribute(".so-far", "src")).tobytes() == wanted.image.tobytes()
    assert re.fullmatch(r"Drawn: a red bus, [\d.]+ s", page.inner_text("#final"))
    assert page.get_attribute(".picture", "aria-label") == "Picture: a red bus"
    assert page.inner_text("#at") == "4 / 4" and cells(page, "open") == cells(page, "written") == 0
    page.press("#lanes", "Home")
    first = next(model.draw_request("a red bus", options=DrawOptions(size=256, steps=4, seed=3)).sketches())
    assert page.inner_text("#reads") == f"Step 1 of 4: {256 - first.masked} of 256 cells written"
    assert cells(page, "open") == first.masked
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "a-red-bus-3.png"
    assert Image.open(download.value.path()).tobytes() == wanted.image.tobytes()
    page.click("#use-photo")
    page.wait_for_selector("#photo:not([hidden])")
    assert picture(page.get_attribute("#photo-image", "src")).tobytes() == wanted.image.tobytes()


def test_it_is_seen_while_it_is_drawn_and_can_be_stopped(watched, server):
    page = opened(watched, size="512x512", steps=256)
    page.press("#draw-prompt", "Enter")
    page.wait_for_selector("#output[data-state=writing] .cells i.open")
    assert len(page.query_selector_all(".cells i")) == 1024
    assert page.inner_text("#at").endswith("/ 256") and server.service.places == 1
    page.click("#panel-draw [type=submit] >> text=Stop")
    page.wait_for_selector("text=Stopped.")
    begin = time.monotonic()
    while server.service.places and time.monotonic() - begin < 30:
        time.sleep(0.05)
    assert server.service.places == 0 and page.inner_text("#panel-draw [type=submit]") == "Draw"
    assert page.inner_text("#final") == "" and not page.query_selector("#download")


def test_a_part_of_the_photo_is_redrawn(watched, model):
    page = with_photo(opened(watched))
    assert not page.is_visible("#area")
    page.check("#redraw")
    box = page.query_selector("#area").bounding_box()  # the middle of the photo, a square
    assert box["width"] == pytest.approx(box["height"], abs=1)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 40, box["y"] + box["height"] + 40)  # beyond its edge
    page.mouse.up()
    assert [page.input_value(f"#area-{name}") for name in ("left", "width", "height")] == ["50", "50", "100"]
    page.fill("#area-left", "75")
    page.press("#area-left", "Tab")
    assert page.input_value("#area-width") == "25"  # what goes beyond the picture is cut off
    with page.expect_request("**/images/generations") as sent:
        draw(page)
    body = json.loads(sent.value.post_data)
    mask = picture(body["mask"]).convert("L")
    assert mask.size == Image.open(EXAMPLE).size and mask.getextrema() == (0, 255)
    (wanted,) = model.draw("a red bus", image=EXAMPLE, mask=mask, size=256, steps=4)
    assert picture(page.get_attribute(".so-far", "src")).tobytes() == wanted.image.tobytes()
    page.press("#lanes", "Home")
    assert 0 < cells(page, "open") <= 5 * 16  # of 16 columns the last four, and one that the edge may touch
    page.click("#tab-ask")
    assert not page.is_visible("#area")


def test_mistakes_are_one_line(watched):
    page = opened(watched, steps=999)
    page.press("#draw-prompt", "Enter")
    page.wait_for_selector("#error:not([hidden])")
    assert page.inner_text("#error") == "steps: input should be less than or equal to 256"
    page.fill("#draw-steps", "4")
    page.fill("#draw-prompt", "a red bus " * 300)
    page.press("#draw-prompt", "Enter")
    page.wait_for_selector("#error >> text=shorten it")
    draw(page)
    assert not page.is_visible("#error") and watched.refusals == 2


def test_the_keyboard_is_enough(watched):
    page = watched.open(reduced_motion="reduce")
    page.focus("#tab-ask")
    page.keyboard.press("ArrowLeft")
    for selector, text in (("#draw-prompt", "a bus"), ("#draw-size", "2"), ("#draw-steps", "3")):
        for _ in range(5):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                break
        page.keyboard.press("Control+A")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.wait_for_selector(DRAWN)
    assert page.input_value("#draw-size") == "256x256" and page.inner_text("#at") == "3 / 3"
    page.focus("#lanes")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#at") == "2 / 3" and cells(page, "open") > 0
    assert page.evaluate("() => document.getAnimations().length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(watched, scheme):
    page = opened(watched, color_scheme=scheme, reduced_motion="reduce")
    axe, found = Axe(page, scheme), []
    found += axe.serious()
    with_photo(page)
    page.check("#redraw")
    draw(page)
    found += axe.serious()
    page.press("#lanes", "Home")
    found += axe.serious()
    assert found == []


def test_a_phone_shows_it_without_scrolling_sideways_and_in_chinese(watched):
    page = with_photo(opened(watched, width=360, height=740, has_touch=True, is_mobile=True, locale="zh-CN"))
    page.check("#redraw")
    draw(page)
    page.click("#code > summary")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    assert page.inner_text("#tab-draw") == "画图" and page.inner_text("#final").startswith("画好了：a red bus，")
    page.click("#language")
    assert page.inner_text("#download") == "Download" and page.get_attribute(".picture", "aria-label").startswith(
        "Pict"
    )


def test_the_page_says_how_a_program_asks_for_it(watched, model, tmp_path):
    page = with_photo(opened(watched))
    page.fill("#draw-prompt", "a red bus")
    page.click("#code > summary")
    assert "client.images.generate(" in page.inner_text("#snippet") and "photo" not in page.inner_text("#snippet")
    page.check("#redraw")
    page.check("[name=code-way][value=curl]")
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    (tmp_path / "mask.png").write_bytes(b"mask")
    script = "curl() { cat; }\n" + page.inner_text("#snippet")
    sent = json.loads(subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=True).stdout)
    assert (sent["image"], sent["mask"]) == ("data:image/jpeg;base64,cGhvdG8=", "data:image/png;base64,bWFzaw==")
    assert "stream" not in sent and sent["steps"] == 4


@pytest.mark.slow
def test_the_program_draws_the_same_picture(watched, model, tmp_path):
    page = with_photo(opened(watched))
    page.check("#redraw")
    page.fill("#draw-prompt", "a red bus")
    page.click("#code > summary")
    mask = Image.new("L", Image.open(EXAMPLE).size)
    mask.paste(255, (0, 0, mask.width, 150))
    mask.save(tmp_path / "mask.png")
    (tmp_path / "photo.jpg").write_bytes(EXAMPLE.read_bytes())
    local = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-c", page.inner_text("#snippet")]
    run = subprocess.run(command, cwd=tmp_path, env=local, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    (wanted,) = model.draw("a red bus", image=EXAMPLE, mask=mask, size=256, steps=4)
    assert Image.open(tmp_path / "picture.png").tobytes() == wanted.image.tobytes()
