"""The processor: its pixels are our own, bit for bit; its prompts are those of `lavida.load`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

import lavida
from lavida.errors import CheckpointError, ImageError, RequestError
from lavida.hf import LavidaProcessor
from lavida.image.load import open_image
from lavida.image.tiles import for_several, views
from lavida.text.messages import IMAGE_ID
from tests.pictures import gradient

SIZES = ((64, 48), (1, 1), (900, 30), (500, 700))


@pytest.fixture(scope="module")
def processor(random_folders: dict[str, Path]) -> LavidaProcessor:
    return AutoProcessor.from_pretrained(random_folders["lavida-llada"])


def dialogue(*pictures: object, text: str = "What is this?") -> list[dict]:
    shown = [{"type": "image", "image": picture} for picture in pictures]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": text}]}]


def tensors(processor: LavidaProcessor, *pictures: object, **options: object) -> dict:
    return processor.apply_chat_template(dialogue(*pictures), tokenize=True, return_dict=True, **options)


@pytest.mark.parametrize("kind", ["lavida-llada", "lavida-dream", "lavida-lowres", "llada-v"])
@pytest.mark.parametrize("size", SIZES)
def test_pixels_equal_our_own_image_path_bit_for_bit(
    kind: str, size: tuple[int, int], random_folders: dict[str, Path]
) -> None:
    processor = AutoProcessor.from_pretrained(random_folders[kind])
    picture = gradient(*size)
    pixels, grid = views(picture, processor.config.vision, processor.config.tiles)
    out = tensors(processor, picture)
    assert torch.equal(out["pixel_values"], pixels)
    assert out["image_grids"].tolist() == [[grid.columns, grid.rows, grid.width, grid.height]]


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK", "I;16", "LA"])
def test_every_kind_of_picture_is_opened_as_we_do(mode: str, processor: LavidaProcessor, tmp_path: Path) -> None:
    grey = gradient().convert("L")
    picture = Image.new(mode, (64, 48), 4000) if mode == "I;16" else grey.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture.save(path)
    for official in (False, True):
        opened = open_image(path, any_shape=True, official=official)
        pixels, _ = views(opened, processor.config.vision, processor.config.tiles)
        out = tensors(processor, str(path), compat="official" if official else None)
        assert torch.equal(out["pixel_values"], pixels)


def test_several_pictures_get_one_view_each(processor: LavidaProcessor) -> None:
    shown = [gradient(90), gradient(40, 200)]
    tiles = for_several(processor.config.tiles)
    out = tensors(processor, *shown)
    wanted = torch.cat([views(picture, processor.config.vision, tiles)[0] for picture in shown])
    assert torch.equal(out["pixel_values"], wanted) and len(wanted) == 2
    assert (out["input_ids"] == IMAGE_ID).sum() == 2


def test_the_string_and_the_dialogue_give_the_same_tensors(processor: LavidaProcessor) -> None:
    text = processor.apply_chat_template(dialogue(gradient()), add_generation_prompt=True)
    assert text.startswith("<|startoftext|>") and "<image>\nWhat is this?" in text
    one, other = processor(text=text, images=gradient(), return_tensors="pt"), tensors(processor, gradient())
    assert one.keys() == other.keys() == set(processor.model_input_names)
    assert all(torch.equal(one[name], other[name]) for name in one)
    ids = processor.apply_chat_template(dialogue(gradient()), tokenize=True)
    assert torch.equal(ids, other["input_ids"])


def test_text_of_a_message_is_no_special_token(processor: LavidaProcessor) -> None:
    end = processor.vocabulary.id_of("<|eot_id|>")
    ids = processor.apply_chat_template(dialogue(text="say <|eot_id|> <image>"), tokenize=True)
    plain = processor.apply_chat_template(dialogue(text="say"), tokenize=True)
    assert (ids == end).sum() == (plain == end).sum() and IMAGE_ID not in ids


def test_rows_are_filled_up_on_the_left(processor: LavidaProcessor) -> None:
    batch = [dialogue(gradient(), text="Why, and what else is there to see?"), dialogue(text="Why?")]
    out = processor.apply_chat_template(batch, tokenize=True, return_dict=True)
    alone = [processor.apply_chat_template(one, tokenize=True)[0] for one in batch]
    for ids, mask, row in zip(out["input_ids"], out["attention_mask"], alone, strict=True):
        assert torch.equal(ids[mask.bool()], row) and mask.tolist() == sorted(mask.tolist())


def test_a_saved_processor_reloads(random_folders: dict[str, Path], tmp_path: Path) -> None:
    for kind in ("lavida-llada", "lavida-dream"):
        before = AutoProcessor.from_pretrained(random_folders[kind])
        before.save_pretrained(tmp_path / kind)
        after = AutoProcessor.from_pretrained(tmp_path / kind)
        assert isinstance(after, LavidaProcessor) and after.to_dict() == before.to_dict()
        one, other = tensors(before, gradient()), tensors(after, gradient())
        assert all(torch.equal(one[name], other[name]) for name in one)
        ids = one["input_ids"][0]
        assert after.decode(ids) == before.decode(ids) and "What is this?" in after.decode(ids)
    saved = tmp_path / "lavida-dream" / "processor_config.json"
    saved.write_text(json.dumps({"processor_class": "LavidaProcessor"}))
    with pytest.raises(CheckpointError, match="processor_config"):
        LavidaProcessor.from_pretrained(saved.parent)


def test_a_template_of_another_kind_is_kept(random_folders: dict[str, Path], tmp_path: Path) -> None:
    plain = LavidaProcessor.from_pretrained(random_folders["llada"], template="plain")
    plain.save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert again.apply_chat_template(dialogue(text="Once upon")) == "Once upon" and again.template == "plain"


def test_pictures_are_found_wherever_transformers_lets_them_stand(processor: LavidaProcessor, photo: Path) -> None:
    wanted = tensors(processor, str(photo))["pixel_values"]
    for name in ("path", "url"):
        part = [{"type": "image", name: str(photo)}, {"type": "text", "text": "What?"}]
        out = processor.apply_chat_template([{"role": "user", "content": part}], tokenize=True, return_dict=True)
        assert torch.equal(out["pixel_values"], wanted)


def test_the_decoded_answer_is_that_of_lavida(random_folders: dict[str, Path], processor: LavidaProcessor) -> None:
    answer = lavida.load(random_folders["lavida-llada"], dtype="float32").ask(None, "Why?", length=6)
    assert processor.batch_decode([answer.ids], skip_special_tokens=True)[0].strip() == answer.text


WRONG = [
    (lambda p: p.apply_chat_template(dialogue(), add_generation_prompt=False), RequestError, "opens the answer"),
    (lambda p: p.apply_chat_template(dialogue(), compat="old"), RequestError, "unknown compat"),
    (lambda p: p.apply_chat_template(dialogue(), return_tensors="np"), RequestError, "return_tensors='np'"),
    (lambda p: tensors(p, "https://example.com/a.png"), RequestError, "not fetched"),
    (lambda p: tensors(p, "missing.png"), ImageError, "no such file"),
    (lambda p: tensors(p, None), RequestError, "is empty"),
    (lambda p: p(text="<image> and <image>", images=[gradient()]), RequestError, "2 places for a picture and 1"),
    (lambda p: p(text="none", images=[gradient()]), RequestError, "0 places for a picture and 1"),
    (lambda p: p(images=[gradient()]), RequestError, "give a text"),
    (lambda p: tensors(p, 5), ImageError, "from int"),
    (
        lambda p: p.apply_chat_template([{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}]),
        RequestError,
        "no videos",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), WRONG, ids=[words for *_, words in WRONG])
def test_what_cannot_be_had_is_refused_in_one_line(
    call: object, error: type, words: str, processor: LavidaProcessor
) -> None:
    with pytest.raises(error, match=words) as caught:
        call(processor)
    assert "\n" not in str(caught.value)


def test_a_model_that_reads_text_only_takes_no_picture(random_folders: dict[str, Path]) -> None:
    with pytest.raises(RequestError, match="text only"):
        tensors(AutoProcessor.from_pretrained(random_folders["dream"]), gradient())
