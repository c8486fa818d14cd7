"""Pictures drawn by a tiny random MMaDA: seeds, several at once, guidance, given parts, caches, mistakes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
import torch
from PIL import Image

import lavida
from lavida.api import Model
from lavida.checkpoint.vq import load_vq
from lavida.decode.driver import answer_steps
from lavida.decode.noise import TextNoise
from lavida.decode.options import DecodeOptions
from lavida.decode.resolve import model_options
from lavida.draw.options import OPTIONS, DrawNames, DrawOptions, draw_options
from lavida.draw.request import decode_options
from lavida.errors import RequestError
from lavida.image.codes import cover, marked_cells, to_image, to_pixels
from tests.pictures import gradient


@pytest.fixture(scope="module")
def model(random_folders: dict[str, Path]) -> Model:
    return lavida.load(random_folders["mmada"])


def test_options_are_named_for_editors() -> None:
    assert set(DrawNames.__annotations__) == {f.name for f in fields(DrawOptions)} == set(OPTIONS)
    assert get_type_hints(DrawNames)["steps"] == int | None


def test_a_picture_has_the_codes_of_its_canvas(model: Model) -> None:
    (drawing,) = model.draw("a red bus", size=64, steps=4)
    assert drawing.image.size == (64, 64) and drawing.shape == (4, 4) and drawing.steps == 4
    assert len(drawing.codes) == 16 and all(0 <= code < 64 for code in drawing.codes)
    vq = load_vq(model.folder / "vq")
    assert drawing.image.tobytes() == to_image(vq.decode(torch.tensor([drawing.codes]))[0]).tobytes()


def test_the_seed_decides(model: Model) -> None:
    first, again = (model.draw("a red bus", size=64, steps=4, seed=5)[0].codes for _ in range(2))
    assert first == again != model.draw("a red bus", size=64, steps=4, seed=6)[0].codes


@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_several_together_are_those_of_each_alone(model: Model, guidance: float) -> None:
    together = model.draw("a red bus", size=64, steps=4, count=3, seed=7, guidance=guidance)
    alone = [model.draw("a red bus", size=64, steps=4, seed=seed, guidance=guidance)[0] for seed in (7, 8, 9)]
    assert [d.codes for d in together] == [d.codes for d in alone]
    assert [d.seed for d in together] == [7, 8, 9]


def test_description_and_guidance_count(model: Model) -> None:
    bus, cat = (model.draw(text, size=64, steps=4)[0].codes for text in ("a red bus", "the cat sat on the mat"))
    assert bus != cat and bus != model.draw("a red bus", size=64, steps=4, guidance=0)[0].codes


def test_padding_on_the_left_changes_nothing(model: Model) -> None:
    """The official layout fills up the text and masks what fills it: positions are relative, so we leave it out."""
    net, easel = model.net, model.draw_request("a red bus", options=DrawOptions(size=64)).easel
    ids = model.tokenizer.encode("a red bus")
    row = easel.layouts.draw_row(ids, [net.config.denoiser.mask_id] * 16, 40)
    real, plain = torch.tensor(row.attended), torch.tensor([i for i, kept in zip(row.ids, row.attended) if kept])
    with torch.inference_mode():
        mask = (real[:, None] & real[None])[None, None]
        padded = net.denoiser(net.denoiser.embed(torch.tensor([row.ids])), mask=mask)[0, real]
        bare = net.denoiser(net.denoiser.embed(plain[None]))[0]
    assert (padded.float() - bare.float()).abs().max() < 0.1  # bfloat16


def test_what_the_mask_keeps_is_kept(model: Model) -> None:
    picture, mask = gradient(90, 60), Image.new("L", (90, 60), 0)
    mask.paste(255, (0, 0, 45, 60))
    (drawing,) = model.draw("a red bus", size=64, steps=3, image=picture, mask=mask)
    vq = load_vq(model.folder / "vq")
    given = vq.encode(to_pixels(cover(picture, 64, 64))[None])[0]
    marked = marked_cells(mask, 64, 64, 16)
    assert 0 < int(marked.sum()) < 16
    drawn = torch.tensor(drawing.codes)
    assert torch.equal(drawn[~marked], given[~marked]) and not torch.equal(drawn[marked], given[marked])


def test_pictures_need_not_be_square(model: Model) -> None:
    (drawing,) = model.draw("a red bus", size="96x48", steps=2)
    assert drawing.image.size == (96, 48) and drawing.shape == (3, 6)


@pytest.mark.parametrize("cache", ["prefix", "block", "dual"])
def test_prompts_can_be_kept(model: Model, cache: str) -> None:
    (drawing,) = model.draw("a red bus", size=64, steps=4, cache=cache)
    assert len(drawing.codes) == 16 and drawing.steps == 4


def test_a_cache_that_is_always_refreshed_is_exact(model: Model) -> None:
    exact, kept = (
        model.draw("a red bus", size=64, steps=4, **options)[0].codes
        for options in ({}, {"cache": "block", "refresh": 1})
    )
    assert exact == kept


def test_sketches_are_the_steps(model: Model) -> None:
    request = model.draw_request("a red bus", options=DrawOptions(size=64, steps=4))
    sketches = list(request.sketches())
    assert [s.masked for s in sketches] == sorted((s.masked for s in sketches), reverse=True) and not sketches[
        -1
    ].masked
    first = sketches[0].image()
    place = int((sketches[0].codes < 0).nonzero()[0])
    corner = (place % 4 * 16 + 8, place // 4 * 16 + 8)
    assert first.size == (64, 64) and first.getpixel(corner) == (127, 127, 127)
    assert request.drawing(0, 0.0).codes == model.draw("a red bus", size=64, steps=4)[0].codes


def test_official_oddities(model: Model) -> None:
    codes, slots = model.net.config.codes, torch.full((16,), model.net.config.denoiser.mask_id)
    slots[:12] = codes.first_id
    ours, theirs = (
        decode_options(codes, DrawOptions(steps=8, compat=compat), slots, mask_id=model.net.config.denoiser.mask_id)
        for compat in (None, "official")
    )
    assert ours.counts == (1, 1, 1, 1)  # no more steps than open codes
    assert theirs.counts == (1, 1, 1, 0, 0, 0, 0, 1)  # the curve counts given codes, and the last one waits
    drawn = [model.draw("x", size=64, steps=4, seed=3, compat="official", count=count) for count in (1, 2)]
    assert drawn[0][0].codes != drawn[1][0].codes  # the pictures of a batch share their random numbers


def test_the_canvas_holds_codes_only(model: Model) -> None:
    options = DecodeOptions(length=4, span=(281, 345))
    assert options.span == (281, 345)
    for span in ((5,), (7, 7), "ab", (1, -2)):
        with pytest.raises(RequestError, match="span must hold"):
            DecodeOptions(length=4, span=span)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 100}, "sides are multiples of 16 pixels, got 100x100; try 96x96"),
        ({"size": 4096}, "takes 65536 codes and the model holds 4096"),
        ({"size": "big"}, "size must be pixels"),
        ({"size": True}, "size must be pixels"),
        ({"schedule": "pow"}, "unknown schedule 'pow'"),
        ({"schedule": 3}, "unknown schedule 3"),
        ({"steps": 0}, "steps must be 1 to 4096"),
        ({"count": 65}, "count must be 1 to 64"),
        ({"stepz": 3}, "did you mean steps"),
        ({"refresh": 2}, "leave out refresh"),
        ({"room": 4}, "2 fit; shorten it"),
        ({"image": gradient(64, 64)}, "give both image and mask"),
        ({"image": gradient(64, 64), "mask": Image.new("L", (32, 64), 255)}, "64x64 and the mask 32x64"),
        ({"image": gradient(64, 64), "mask": Image.new("L", (64, 64), 0)}, "dark everywhere"),
    ],
)
def test_mistakes_are_one_line(model: Model, options: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        model.draw("a red bus", **{"steps": 2, **options})


def test_a_model_of_words_draws_nothing(random_folders: dict[str, Path]) -> None:
    with pytest.raises(RequestError, match="writes text only"):
        lavida.load(random_folders["llada"]).draw("a red bus")


def test_none_is_the_default() -> None:
    assert draw_options({"steps": None, "seed": 4}) == DrawOptions(seed=4)


def test_text_of_the_official_random_numbers(model: Model) -> None:
    """Noise of the official code is drawn for the prompt too: another length of it gives another answer."""
    question = {"length": 6, "temperature": 1.0, "seed": 3}
    plain, official, again = (
        model.ask(None, "Hello", **question, compat=compat).ids for compat in (None, "official", "official")
    )
    assert official == again != plain
    prompt = model.read(None, "Hello", cache="none")
    options = model_options(model.net.config, model.tokenizer.size, {**question, "compat": "official"})
    noise = TextNoise(3, before=prompt.length, length=6)
    *_, last = answer_steps(model.net, prompt.segments, options, noise=noise)
    assert tuple(last.canvas.tolist()) == official
