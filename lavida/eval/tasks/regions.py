"""RefCOCO: describe the region in a red frame, or locate a described region."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lavida.errors import DataError
from lavida.eval.boxes import box_scores
from lavida.eval.items import Item, Picture, Scores, Source, Task, score_each
from lavida.eval.records import Record, read_entries, read_tables
from lavida.eval.tasks.captions import score_captions
from lavida.eval.tasks.choice import picture_of
from lavida.image.load import open_image

DESCRIBE = "Provide a short description for this region."
LOCATE = (
    "Bounding box coordinates are specified in the format (top-left x, top-left y, bottom-right x, bottom-right y). "
    "All values are floating point numbers bounded between 0 and 1. Please provide the bounding box coordinate of the "
    "region this sentence describes: "
)
_SPLITS = ("val", "testA", "testB", "test")


_BROKEN = (ValueError, TypeError, AttributeError)  # of a pickle whose bytes were changed


class _PlainUnpickler(pickle.Unpickler):
    """Read lists, dictionaries, texts and numbers; a pickle that names anything else is refused, nothing is run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _referred(source: Source) -> Iterator[tuple[Record, str, Picture, tuple[float, float, float, float], list[str]]]:
    """Yield each region: its entry, id, picture, box (left, top, width, height) and descriptions."""
    split = source.split_among(_SPLITS, "val")
    if source.has(f"{split}-*.parquet"):
        for record in read_tables(source.find_all(f"{split}-*.parquet")):
            texts = list(record.texts("answer"))
            yield record, record.text("question_id"), picture_of(record, "image"), record.box("bbox"), texts
        return
    refs = source.find("refs(unc).p", "refs(*).p")
    instances = refs.with_name("instances.json")
    boxes = {record.whole("id"): record.box("bbox") for record in read_entries(instances, "annotations")}
    names = {record.whole("id"): record.text("file_name") for record in read_entries(instances, "images")}
    for record in _pickled(refs):
        if record.text("split") != split:
            continue
        annotation, image = record.whole("ann_id"), record.whole("image_id")
        if annotation not in boxes or image not in names:
            record.fail(f"names annotation {annotation} of picture {image}, which {instances.name} does not hold")
        texts = [sentence.text("sent") for sentence in record.inners("sentences")]
        picture = source.picture(names[image], "train2014", "images/train2014")
        yield record, record.text("ref_id"), picture, boxes[annotation], texts


def _pickled(path: Path) -> list[Record]:
    try:
        found = _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, MemoryError, ArithmeticError, LookupError, *_BROKEN) as error:
        raise DataError(f"{path}: no list of plain values ({error})") from None
    if not isinstance(found, list):
        raise DataError(f"{path}: is no list of references")
    return [Record(value, path, lambda n=number: f"reference {n}") for number, value in enumerate(found)]  # type: ignore[misc]


def load_describe(source: Source) -> list[Item]:
    """Read RefCOCO's regions, each with a red frame around it and all its descriptions."""
    return [
        Item(
            id=id,
            prompt=DESCRIBE,
            images=(picture,),
            truth={"captions": texts},
            mark=(box[0], box[1], box[0] + box[2], box[1] + box[3]),
            where=record.where(),
        )
        for record, id, picture, box, texts in _referred(source)
    ]


def load_locate(source: Source) -> list[Item]:
    """Read RefCOCO's regions, a question for each description; boxes are shares of the picture's width and height."""
    items = []
    for record, id, picture, (left, top, width, height), texts in _referred(source):
        whole = open_image(picture, name=None if isinstance(picture, Path) else f"the picture of {record.where()}")
        w, h = whole.size
        box = [left / w, top / h, (left + width) / w, (top + height) / h]
        for number, text in enumerate(texts):
            where = record.where()
            items.append(
                Item(id=f"{id}-{number}", prompt=LOCATE + text, images=(picture,), truth={"box": box}, where=where)
            )
    return items


def score_locate(item: Item, text: str) -> Scores:
    """Return IoU, accuracy at several thresholds of it, and whether the centre is right."""
    return box_scores(text, item.truth["box"])


REFCOCO = Task(
    name="refcoco", title="RefCOCO, descriptions", files="VAL-*.parquet, or refs(unc).p, instances.json, train2014/",
    load=load_describe, score=score_captions, main="cider", length=32,
)  # fmt: skip
REFCOCO_BOX = Task(
    name="refcoco-box", title="RefCOCO, boxes", files="as refcoco", load=load_locate, score=score_each(score_locate),
    main="acc@0.5", length=32,
)  # fmt: skip
