"""Test that what was seen of documents is written and read again."""

from pathlib import Path

import pytest
import torch

import lavida
from lavida.errors import CheckpointError, DataError
from lavida.model.evidence_inputs import EvidenceInputs
from mini.natural.documents import SeenDocuments, look_at
from mini.natural.photographs import Seen


def evidence(count: int) -> EvidenceInputs:
    shapes = {
        "classes": (80, 5), "shares": (80, 5), "colours": (80, 11), "things": (8,), "scores": (8,), "edges": (8, 4),
        "painted": (8, 11), "numbers": (8,), "counts": (8,), "top": (3,), "top_shares": (3,), "look": (3,),
    }  # fmt: skip
    whole = {"classes", "things", "numbers", "counts", "top"}
    return EvidenceInputs(
        **{n: torch.zeros(count, *s, dtype=torch.long if n in whole else torch.float) for n, s in shapes.items()}
    )


def documents() -> SeenDocuments:
    return SeenDocuments(
        seen=Seen(
            cells=torch.zeros(2, 80, 384), inputs=evidence(2), boxes=[[], []], scenes=[None] * 2, sources=["", ""]
        ),
        texts=[[("Fresh Tea", (0.1, 0.1, 0.5, 0.2)), ("450g", (0.6, 0.5, 0.8, 0.6))], []],
        kinds=["label", "label"],
        values=[{"product": "Fresh Tea", "weight": "450 g"}, {"price": "3.20"}],
    )  # fmt: skip


def test_what_was_seen_is_read_again(tmp_path: Path) -> None:
    documents().save(tmp_path, "seen")
    again = SeenDocuments.load(tmp_path, "seen")
    assert (again.texts, again.kinds, again.values) == (documents().texts, documents().kinds, documents().values)
    assert len(again) == 2 and torch.equal(again.seen.cells, documents().seen.cells)


def test_what_was_not_written_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="python -m mini.natural.documents"):
        SeenDocuments.load(tmp_path, "train")


def test_a_model_without_a_reader_is_refused(tmp_path: Path) -> None:
    mini = Path(lavida.__file__).parent / "assets" / "mini"
    for path in mini.iterdir():
        if path.suffix != ".onnx":
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(CheckpointError, match="has no reader"):
        look_at([], tmp_path)
