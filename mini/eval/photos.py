"""Split (iv): photographs of packages, with hand-written acceptable names, never trained on."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lavida.api import Model
from lavida.errors import DataError
from lavida.image.tiles import views
from lavida.model.vlm import VLM
from lavida.text.words import words
from mini.data.concepts import UNSEEN
from mini.data.facts import NAMES
from mini.data.features import PictureRecord
from mini.data.languages import LANGUAGES
from mini.data.questions import Question, prompt_of
from mini.eval.answers import AnsweringModel, Decoding, answer_pictures, answer_set
from mini.eval.grammar import is_well_formed_caption, is_well_formed_name
from mini.eval.sets import PictureQuestion

NAME_CANVAS = 8  # "a West Highland white terrier" takes more than a scene's short answers


@dataclass(frozen=True, kw_only=True)
class Photo:
    """Hold a photograph and the names that a person would accept for what it shows."""

    file: str
    names: tuple[str, ...]
    there: tuple[str, ...] = ()  # English words for what is in it, the names first


def read_photos(path: str | Path, language: str = "en") -> list[Photo]:
    """Read the list of photographs with their names in a language. Raises DataError."""
    key = "names" if language == "en" else language
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
        return [Photo(file=row["file"], names=tuple(row[key]), there=_there(row)) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"cannot read the photographs' names in {path} ({error!r}); restore the file") from None


def _there(row: dict) -> tuple[str, ...]:
    return (*row["names"], *row.get("kinds", ()), *row.get("also", ()))


def presence_questions(photos: Sequence[Photo], seed: int, language: str = "en") -> list[PictureQuestion]:
    """Ask whether something is in a photograph: at most two concepts that are, and as many that are not."""
    rng, words_of = random.Random(seed), LANGUAGES[language]
    taught = [name for name in NAMES if name not in UNSEEN]
    asked = []
    for i, photo in enumerate(photos):
        present = [word for word in photo.there if word in taught][:2]
        absent = rng.sample([name for name in taught if name not in photo.there], len(present))
        for word, there in [*((w, True) for w in present), *((w, False) for w in absent)]:
            prompt, answer = words_of.is_there(words_of.forms(word)[0]), words_of.yes_no(there)
            question = Question(kind="presence", prompt=prompt, answer=answer, language=language)
            asked.append(PictureQuestion(picture=i, question=question))
    return asked


def mentions(text: str, names: Collection[str]) -> bool:
    """Report whether any of the names stands in the text as whole words; Chinese ones may be part of a longer word."""
    padded = f" {' '.join(words(text))} "
    return any(f" {' '.join(words(name))} " in padded for name in names)


@torch.inference_mode()
def photo_features(net: VLM, folder: str | Path, photos: Sequence[Photo]) -> tuple[Tensor, list[PictureRecord]]:
    """Compute maps [N, V, 196, 80] of the tower's trunk of the photographs, and the tower's first class of each."""
    maps, records = [], []
    for photo in photos:
        path = Path(folder) / photo.file
        if not path.is_file():
            raise DataError(f"{path} is missing; build the data again with `python -m mini build`")
        with Image.open(path) as picture:
            pixels, _ = views(picture.convert("RGB"), net.config.vision, net.config.tiles)
        trunk = net.tower.trunk(pixels.to(net.denoiser.device, net.denoiser.dtype))
        shares = net.tower.classify(trunk[:1]).float().softmax(-1)[0]
        label, probability = int(shares.argmax()), float(shares.max())
        maps.append(trunk)
        records.append(PictureRecord(scene=None, label=label, probability=round(probability, 4), source=photo.file))
    return torch.stack(maps), records


def open_photos(folder: str | Path, photos: Sequence[Photo]) -> list[Image.Image]:
    """Open the photographs, for a model that finds evidence in them."""
    opened = []
    for photo in photos:
        with Image.open(Path(folder) / photo.file) as picture:
            opened.append(picture.convert("RGB"))
    return opened


def _answers(
    model: AnsweringModel,
    maps: Tensor,
    records: list[PictureRecord],
    asked: list[PictureQuestion],
    decoding: Decoding,
    shown: Sequence[Image.Image],
) -> list[str]:
    """Answer from the pictures where they are shown, else from the kept maps."""
    if shown and isinstance(model, Model):
        return answer_pictures(model, shown, asked, decoding)
    return answer_set(model, maps, records, asked, decoding)


def _names_and_captions(
    model: AnsweringModel,
    maps: Tensor,
    records: list[PictureRecord],
    decoding: Decoding,
    language: str,
    shown: Sequence[Image.Image] = (),
) -> tuple[list[str], list[str]]:
    asked = [
        PictureQuestion(
            picture=i, question=Question(kind=kind, prompt=prompt_of(kind, language), answer="", language=language)
        )
        for kind in ("name", "caption")
        for i in range(len(maps))
    ]
    answers = _answers(model, maps, records, asked, decoding, shown)
    return answers[: len(maps)], answers[len(maps) :]


def evaluate_photos(
    model: AnsweringModel,
    photos: Sequence[Photo],
    maps: Tensor,
    records: list[PictureRecord],
    language: str = "en",
    seed: int = 0,
    shown: Sequence[Image.Image] = (),
) -> dict:
    """Compute figures of the photographs, with the tower's hint and without, beside the tower's head alone.

    `seed` draws the absent things that are asked about. With the photographs `shown` answers use the evidence that is
    found in them; those without the hint never do.
    """
    class_names = [label.said_in(language).name for label in model.labels or ()]
    labels = frozenset(class_names)
    tower = [class_names[t.label] if class_names else "" for t in records]
    result: dict = {"n": len(photos), "tower": sum(mentions(t, p.names) for t, p in zip(tower, photos, strict=True))}
    for key, hints in (("with_hints", True), ("without_hints", False)):
        decoding = Decoding(short=NAME_CANVAS, hints=hints)
        both = _names_and_captions(model, maps, records, decoding, language, shown if hints else ())
        rows = []
        for photo, name, text, class_name in zip(photos, *both, tower, strict=True):
            rows.append(
                {
                    "file": photo.file,
                    "what": name,
                    "caption": text,
                    "tower": class_name,
                    "what_right": mentions(name, photo.names),
                    "caption_right": mentions(text, photo.names),
                    "broken": [
                        sentence
                        for sentence, whole in (
                            (name, is_well_formed_name(name, labels, language)),
                            (text, is_well_formed_caption(text, labels, language)),
                        )
                        if not whole
                    ],
                }
            )
        result[key] = {
            "right": sum(r["what_right"] or r["caption_right"] for r in rows),
            "what_right": sum(r["what_right"] for r in rows),
            "caption_right": sum(r["caption_right"] for r in rows),
            "echoes": sum(mentions(f"{r['what']} {r['caption']}", [r["tower"]]) for r in rows if r["tower"]),
            "broken": sum(len(r["broken"]) for r in rows),
            "sentences": 2 * len(rows),
            "rows": rows,
        }
    asked = presence_questions(photos, seed, language)
    decoding = Decoding(short=NAME_CANVAS if shown else Decoding().short)
    pairs = zip(asked, _answers(model, maps, records, asked, decoding, shown), strict=True)
    right = [(q.question.answer, text.lower().startswith(q.question.answer)) for q, text in pairs]
    result["presence"] = {"n": len(right), "right": sum(good for _, good in right)}
    for there in (True, False):
        expected = LANGUAGES[language].yes_no(there)
        result["presence"]["yes" if there else "no"] = sum(good for answer, good in right if answer == expected)
    return result
