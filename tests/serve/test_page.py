"""Drive the page in headless Chromium against a server that replays recorded answers.

Every test also asks that nothing was logged as an error, that no request left the server, and that the content policy
was never violated.
"""

from __future__ import annotations

import ast
import base64
import json
import re
import subprocess

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

from lavida.serve import page as page_module
from tests.serve.fake import EVIDENCE, Fake, running
from tests.serve.pages import CHROMIUM, DONE, NEEDED, Axe, Watched, ask, brightness, canvas, chromium, drop, with_photo

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NEEDED)
DESCRIPTION = "a photo of an Egyptian cat, a kind of cat."


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served():
    fake = Fake()
    with running(fake.app) as address:
        yield fake, address


@pytest.fixture
def fake(served):
    served[0].reset()
    return served[0]


@pytest.fixture
def watched(browser, served, fake):
    watched = Watched(browser, served[1])
    yield watched
    watched.close()
    assert watched.complaints == []


def test_a_dropped_photo_is_described_and_its_steps_can_be_gone_through(watched, fake):
    page = watched.open()
    drop(page)
    page.wait_for_selector("#photo:not([hidden])")
    ask(page)
    assert page.inner_text("#final") == f"Answer: {DESCRIPTION}"
    assert page.inner_text("#tokens-0").split() == DESCRIPTION.split()
    route, body = fake.asked[-1]
    assert route == "denoise" and "steps" not in body
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    page.evaluate("s => { s.value = 2; s.dispatchEvent(new Event('input')); }", page.query_selector("#scrub"))
    assert page.inner_text("#at") == "3 / 16" and canvas(page) == "… photo of …"
    assert len(page.query_selector_all("#tokens-0 .mask")) == 13
    assert [one.inner_text() for one in page.query_selector_all("#tokens-0 .fresh")] == ["phot"]
    page.click("#play")
    page.wait_for_selector(DONE)
    assert canvas(page) == DESCRIPTION


def test_the_keyboard_is_enough(watched, fake):
    page = watched.open()

    def tab_to(selector):
        for _ in range(40):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached")

    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    tab_to("#example")
    page.keyboard.press("Enter")
    page.wait_for_selector("#photo:not([hidden])")
    tab_to("#question")
    page.keyboard.type("What is this?")
    page.keyboard.press("Enter")
    page.wait_for_selector(DONE)
    tab_to("#lanes")
    page.keyboard.press("Home")
    assert page.inner_text("#at") == "1 / 16"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#at") == "2 / 16"
    tab_to("#scrub")
    page.keyboard.press("End")
    assert canvas(page) == "an Egyptian cat"
    page.focus("#tab-ask")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.id") == "tab-fill" and page.is_visible("#panel-fill")


def test_a_page_whose_model_cannot_draw_offers_nothing_of_it(watched, fake):
    page = watched.open()
    assert not page.is_visible("#tab-draw")
    page.focus("#tab-ask")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("() => document.activeElement.id") == "tab-audit"
    fake.draws = fake.twin = True
    page = watched.open()
    page.click("#tab-draw")
    assert page.is_visible("#panel-draw") and not page.is_visible("#dial-part")
    page.select_option("#model", "twin")
    assert not page.is_visible("#tab-draw") and page.is_visible("#panel-ask") and page.is_visible("#dial-part")


def test_a_phone_shows_everything_without_scrolling_sideways(watched, fake):
    fake.twin, fake.evidence = True, EVIDENCE
    page = with_photo(watched.open(width=360, height=740, has_touch=True, is_mobile=True))
    page.check("#beside")
    ask(page)
    for mode, ends in (("ask", None), ("fill", ".filled"), ("form", DONE), ("audit", ".heat")):
        page.click(f"#tab-{mode}")
        if ends:
            page.click(f"#panel-{mode} [type=submit]")
            page.wait_for_selector(ends)
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 360, mode


def test_dark_and_light_follow_the_system_until_one_is_chosen(watched, fake):
    page = watched.open(color_scheme="dark")
    assert brightness(page) < 40
    page.click("#theme")
    assert brightness(page) > 220
    page.reload()
    page.wait_for_selector("#model:enabled")
    assert brightness(page) > 220
    assert brightness(watched.open(color_scheme="light")) > 220


def test_a_chinese_reader_gets_chinese(watched, fake):
    page = with_photo(watched.open(locale="zh-CN"))
    assert page.get_attribute("html", "lang") == "zh-Hans"
    assert page.inner_text("#tab-ask") == "提问"
    page.click("#suggestions button")
    page.wait_for_selector(DONE)
    assert page.inner_text("#final") == "回答：照片里是叶猴。"
    page.click("#language")
    assert page.inner_text("#tab-ask") == "Ask" and page.title().startswith("lavida: watch")
    known = page.evaluate("async () => { const { WORDS } = await import('./page/words.js'); return WORDS; }")
    assert known["en"].keys() == known["zh"].keys()
    used = set(re.findall(r'data-t(?:-\w+)?="(\w+)"', page_module.read_assets()["index.html"].body.decode()))
    assert used <= known["en"].keys()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(watched, fake, scheme):
    fake.evidence, fake.unsure, fake.twin = EVIDENCE, True, True
    page = watched.open(color_scheme=scheme, reduced_motion="reduce")
    axe = Axe(page, scheme)
    found = []
    states = (("ask", DONE), ("audit", ".heat"), ("fill", ".filled"), ("form", DONE))
    for mode, ends in states[: 2 if scheme == "dark" else None]:  # of the dark page, the colours
        if mode == "ask":
            with_photo(page)
            page.check("#beside")
            ask(page)
            ask(page, "What is this?")
        else:
            page.click(f"#tab-{mode}")
            page.click(f"#panel-{mode} [type=submit]")
            page.wait_for_selector(ends)
        found += [(mode, *one) for one in axe.serious()]
    assert found == []


def test_holes_are_filled_and_other_words_can_be_tried(watched, fake):
    page = with_photo(watched.open())
    page.click("#tab-fill")
    page.fill("#fill-text", "a photo of [M], a kind of")
    assert len(page.query_selector_all("#lanes .hole")) == 1
    page.press("#fill-text", "End")
    page.click("[data-hole='[M:1]']")
    page.press("#fill-text", "Enter")
    page.wait_for_selector(".filled")
    assert fake.asked[-1][1]["text"] == "a photo of [M], a kind of [M:1]"
    assert [one.inner_text() for one in page.query_selector_all(".filled")] == ["an Egyptian cat", "cat"]
    page.click(".option >> text=animal")
    assert page.query_selector_all(".filled")[1].inner_text() == "animal"


def test_a_form_becomes_a_schema_and_its_object_fills(watched, fake):
    page = with_photo(watched.open())
    page.click("#tab-form")
    page.click("#panel-form [type=submit]")
    page.wait_for_selector(DONE)
    schema = fake.asked[-1][1]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["animal"] == {"enum": ["cat", "dog", "bird", "fish"]}
    assert schema["required"] == ["animal", "indoors", "count"] and schema["additionalProperties"] is False
    values = [one.inner_text() for one in page.query_selector_all(".object .value")]
    assert values == ["dog", "yes", "1"]
    assert re.fullmatch(r"\d+ %", page.inner_text(".object dd .figure"))
    assert re.fullmatch(r"\+ \d+", page.inner_text("#tokens-0 .rest"))  # ends that are counted, not drawn
    page.press("#lanes", "Home")
    assert page.query_selector_all(".object .value") == [] and len(page.query_selector_all(".object .mask")) == 3
    page.check("[name=form-way][value=schema]")
    page.fill("#form-schema", "{")
    page.click("#panel-form [type=submit]")
    assert page.inner_text("#error").startswith("This is no JSON")


def test_an_audit_marks_what_is_doubted(watched, fake):
    page = with_photo(watched.open())
    page.click("#tab-audit")
    page.fill("#audit-text", "a photo of a dog on a mat.")
    page.press("#audit-text", "Enter")
    page.wait_for_selector(".heat")
    assert [one.inner_text().split()[0] for one in page.query_selector_all(".heat .doubted")] == [
        "a",
        "dog",
        "on",
        "mat",
    ]
    assert page.inner_text("#final") == "Audited: 9 words, 4 doubted."
    assert len(page.query_selector_all("#extra tbody tr")) == 9


def test_the_dial_sends_what_was_turned_and_notes_what_it_took(watched, fake):
    page = with_photo(watched.open())
    page.evaluate("s => { s.value = 4; s.dispatchEvent(new Event('input')); }", page.query_selector("#option-steps"))
    page.select_option("#option-schedule", "cosine")
    ask(page)
    body = fake.asked[-1][1]
    assert (body["steps"], body["schedule"]) == (4, "cosine") and not {"length", "cache", "remasking"} & body.keys()
    assert page.inner_text("#runs tbody tr").split("\t")[:2] == ["steps 4, schedule cosine", "4"]
    page.click("#sweep")
    page.wait_for_selector("#runs .point >> nth=5")
    assert [one[1]["steps"] for one in fake.asked[-5:]] == [1, 2, 4, 8, 16]
    page.wait_for_selector("#dial-reset:enabled")
    page.click("#dial-reset")
    ask(page)
    assert not {"steps", "schedule"} & fake.asked[-1][1].keys()


def test_two_models_write_side_by_side(watched, fake):
    fake.twin = True
    page = with_photo(watched.open())
    page.check("#beside")
    page.select_option("#option-cache", "none")
    ask(page)
    first, second = sorted((body for _, body in fake.asked[-2:]), key=lambda body: body["model"])
    assert (first["model"], first["cache"]) == ("lavida-mini", "none")
    assert second["model"] == "twin" and "cache" not in second
    assert re.fullmatch(r"\d\.\d\d s, 14 passes", page.inner_text("#lane-1"))
    assert len(page.query_selector_all("#roll svg")) == 2


def test_evidence_is_drawn_only_where_there_is_some(watched, fake):
    page = with_photo(watched.open())
    ask(page)
    assert not page.is_visible("#evidence") and page.query_selector_all(".box") == []
    fake.evidence = EVIDENCE
    ask(page)
    boxes = [one.inner_text() for one in page.query_selector_all(".box")]
    assert boxes == ["orange cat 93 %", "CHELSEA"]
    page.uncheck("#evidence-show")
    assert not page.is_visible(".box >> nth=0") and page.is_visible("#evidence-list")


def test_confidence_is_told_by_more_than_colour(watched, fake):
    fake.unsure = True
    page = with_photo(watched.open())
    ask(page)
    style = "one => [one.dataset.level, getComputedStyle(one).textDecorationStyle]"
    told = {tuple(one.evaluate(style)) for one in page.query_selector_all("#tokens-0 [data-level]")}
    assert told == {("0", "wavy"), ("1", "double"), ("2", "dotted"), ("3", "dashed"), ("4", "solid")}
    page.click("#tokens > summary")
    assert page.inner_text("#token-table tbody tr").split() == ["1", "a", "8", "34", "%"]


def test_a_character_of_several_tokens_is_shown_whole(watched, fake):
    page = watched.open()
    whole = "async ([pieces, text]) => (await import('./page/canvas.js')).whole(pieces, text)"
    broken = ["\ufffd", "\ufffd", None, " b.", "\ufffd", ""]
    assert page.evaluate(whole, [broken, "\u732b b.\u72d7"]) == ["\u732b", "\u200b", None, " b.", "\u72d7", ""]
    assert page.evaluate(whole, [broken, "something else"]) == broken


def test_a_dialogue_is_sent_along_when_asked_for(watched, fake):
    page = with_photo(watched.open())
    ask(page)
    ask(page, "What is this?")
    assert len(fake.asked[-1][1]["messages"]) == 1
    page.check("#follow")
    ask(page, "What is this?")
    messages = fake.asked[-1][1]["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert [isinstance(one["content"], list) for one in messages] == [True, False, False, False, False]
    page.click("#turns button >> nth=0")
    assert canvas(page) == DESCRIPTION
    page.click("#restart")
    assert not page.is_visible("#turns") and page.get_attribute("#output", "data-state") == "idle"


def test_a_key_is_asked_for_and_used(watched, fake):
    fake.key = "secret"
    page = watched.open(ready=False)
    page.wait_for_selector("#key-form:not([hidden])")
    assert page.inner_text("#error").startswith("this server asks for a key")
    page.fill("#key", "secret")
    page.press("#key", "Enter")
    page.wait_for_selector("#model:enabled")
    ask(with_photo(page))
    assert watched.refusals == 1


def test_mistakes_and_refusals_are_one_line(watched, fake):
    page = watched.open()
    page.press("#question", "Enter")
    assert page.inner_text("#error").startswith("Choose a photo first") and fake.asked == []
    drop(page, "notes.txt", "text/plain", b"hello")
    page.wait_for_selector("text=notes.txt is no picture")
    fake.refuse = "steps must be 1 to length (16), got 99"
    with_photo(page)
    page.press("#question", "Enter")
    page.wait_for_selector(f"text={fake.refuse}")
    assert page.inner_text("#panel-ask [type=submit]") == "Ask"


def test_an_answer_can_be_stopped(watched, fake):
    fake.pause = 0.2
    page = with_photo(watched.open())
    page.press("#question", "Enter")
    page.wait_for_selector("#tokens-0 .end")
    page.click("#panel-ask [type=submit] >> text=Stop")
    page.wait_for_selector("text=Stopped.")
    assert page.inner_text("#panel-ask [type=submit]") == "Ask" and page.inner_text("#final") == ""


def test_less_movement_shows_the_answer_at_once(watched, fake):
    page = with_photo(watched.open(reduced_motion="reduce"))
    ask(page)
    assert canvas(page) == DESCRIPTION
    assert page.evaluate("() => document.getAnimations().length") == 0


def test_a_pasted_photo_is_sent_as_it_is_unless_it_is_very_large(watched, fake):
    page = watched.open()
    for extra, note in ((0, ""), (6_000_000, "large.jpg is large; a copy of 451 × 300 pixels is sent.")):
        body = page_module.EXAMPLE.read_bytes() + bytes(extra)
        drop(page, "large.jpg", body=body, paste=True)
        page.wait_for_selector(f"text={note}" if note else "#photo:not([hidden])")
        ask(page)
        sent = fake.asked[-1][1]["messages"][0]["content"][0]["image_url"]["url"].partition(",")[2]
        assert (base64.b64decode(sent) == body) is not bool(note) and len(sent) < 200_000


def test_the_camera_takes_a_photo(watched, fake):
    page = watched.open()
    page.click("#camera")
    page.wait_for_function("() => document.getElementById('camera-view').videoWidth > 0")
    page.click("#camera-take")
    page.wait_for_selector("#photo:not([hidden])")
    assert page.get_attribute("#photo-image", "src").startswith("data:image/jpeg;base64,")
    assert not page.is_visible("#camera-dialog")


HARD = 'What is "this" $HOME `pwd` \\ \\n 猫?'


def test_the_request_can_be_copied_as_a_command_and_as_a_program(watched, fake, tmp_path):
    page = with_photo(watched.open())
    page.click("#code > summary")
    page.fill("#question", HARD)
    page.evaluate(
        "s => { s.value = 4; s.dispatchEvent(new Event('input', { bubbles: true })); }",
        page.query_selector("#option-steps"),
    )
    program = page.inner_text("#snippet")
    (call,) = (
        one
        for one in ast.walk(ast.parse(program))
        if isinstance(one, ast.Call) and one.keywords and "create" in ast.dump(one.func)
    )
    given = {word.arg: word.value for word in call.keywords}
    assert ast.literal_eval(given["extra_body"]) == {"steps": 4} and ast.literal_eval(given["model"]) == "lavida-mini"
    assert any(isinstance(one, ast.Constant) and one.value == HARD for one in ast.walk(given["messages"]))
    page.check("[name=code-way][value=curl]")
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    script = "curl() { cat; }\n" + page.inner_text("#snippet")
    sent = json.loads(subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=True).stdout)
    picture, text = sent["messages"][0]["content"]
    assert (picture["image_url"]["url"], text["text"]) == ("data:image/jpeg;base64,cGhvdG8=", HARD)
    assert sent["steps"] == 4
