"""Captions: COCO, Flickr30k, and RefCOCO's regions, with the metrics of the COCO evaluation."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from lavida.errors import DataError
from lavida.eval.captions import bleu, ptb_words, rouge_l
from lavida.eval.items import Item, Scores, Source, Task
from lavida.eval.metrics import Cider
from lavida.eval.records import read_entries, read_text_lines

PROMPT = "Provide a one-sentence caption for the provided image."
_TOKEN_LINE = re.compile(r"(?P<image>[^#\t]+)#\d+\t(?P<caption>.+)")


def score_captions(items: Sequence[Item], texts: Sequence[str]) -> tuple[list[Scores], Scores]:
    """Return CIDEr-D and ROUGE-L of each caption, and these with BLEU-1 to 4 of all; CIDEr-D is 0 to 10."""
    references = [item.truth["captions"] for item in items]
    ciders = Cider(references, ptb_words).score(texts)
    rouges = [rouge_l(text, refs) for text, refs in zip(texts, references)]
    count = len(items)
    figures = {"cider": sum(ciders) / count, "rouge_l": sum(rouges) / count}
    figures |= {f"bleu_{n}": value for n, value in enumerate(bleu(texts, references), 1)}
    return [{"cider": c, "rouge_l": r} for c, r in zip(ciders, rouges)], figures


def load_coco(source: Source) -> list[Item]:
    """Read `captions_val2017.json` and the like, each picture with its captions."""
    split = source.split or "val2017"
    path = source.find(f"captions_{split}.json", "captions_*.json")
    captions: dict[int, list[str]] = defaultdict(list)
    for record in read_entries(path, "annotations"):
        captions[record.whole("image_id")].append(record.text("caption").strip())
    folder = path.stem.removeprefix("captions_")
    items = []
    for record in read_entries(path, "images"):
        number = record.whole("id")
        if number not in captions:
            record.fail(f"the picture {number} has no caption")
        picture = source.picture(record.text("file_name"), folder, f"images/{folder}")
        items.append(_item(str(number), picture, captions[number], record.where()))
    return items


def load_flickr(source: Source) -> list[Item]:
    """Read Karpathy's `dataset_flickr30k.json` (its test split), or the captions as Flickr30k publishes them."""
    if source.has("*.token"):
        return _flickr_tokens(source, source.find("*.token"))
    split = source.split_among(("train", "val", "test"), "test")
    items = []
    for record in read_entries(source.find("dataset_flickr30k.json"), "images"):
        if record.text("split") != split:
            continue
        name = record.text("filename")
        captions = [sentence.text("raw").strip() for sentence in record.inners("sentences")]
        items.append(_item(name, source.picture(name, "flickr30k-images"), captions, record.where()))
    return items


def _flickr_tokens(source: Source, path: Path) -> list[Item]:
    captions: dict[str, list[str]] = defaultdict(list)
    first: dict[str, int] = {}
    for number, line in read_text_lines(path):
        found = _TOKEN_LINE.fullmatch(line)
        if found is None:
            raise DataError(f"{path}, line {number}: is no `picture.jpg#0`, a tab and a caption")
        captions[found["image"]].append(found["caption"].strip())
        first.setdefault(found["image"], number)
    return [
        _item(name, source.picture(name, "flickr30k-images"), texts, f"{path}, line {first[name]}")
        for name, texts in captions.items()
    ]


def _item(name: str, picture: Path, captions: list[str], where: str) -> Item:
    return Item(id=name, prompt=PROMPT, images=(picture,), truth={"captions": captions}, where=where)


COCO = Task(
    name="coco", title="COCO captions", files="annotations/captions_val2017.json, val2017/", load=load_coco,
    score=score_captions, main="cider", length=32,
)  # fmt: skip
FLICKR = Task(
    name="flickr30k", title="Flickr30k", files="dataset_flickr30k.json or results_20130124.token, flickr30k-images/",
    load=load_flickr, score=score_captions, main="cider", length=32,
)  # fmt: skip
