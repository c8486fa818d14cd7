"""Look at drawn documents with the frozen parts once, and keep on disk what they see.

    python -m mini.natural.documents MODEL DOCUMENTS OUT [TRAIN]

DOCUMENTS is what `python -m mini build documents` wrote. Tower, detector and reader do not learn, so that a training
and an evaluation can share what they find, the reader's true errors included.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lavida.checkpoint.io import load_checkpoint
from lavida.errors import CheckpointError, DataError
from lavida.evidence.gather import find_parts
from lavida.image.load import open_image
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.text.labels import load_labels
from mini.data.documents.build import DocumentEntry, read_entries
from mini.data.documents.draw import SPLITS
from mini.natural.photographs import BOXES, Seen, see
from mini.natural.truth import Box

Texts = Sequence[tuple[str, Box]]


@dataclass(frozen=True, kw_only=True)
class SeenDocuments:
    """Hold what is kept of the N documents of one split."""

    seen: Seen  # image tokens and evidence
    texts: list[Texts]  # [N] as the reader gave them, in reading order
    kinds: list[str]
    values: list[Mapping[str, str]]  # the true ones

    def __len__(self) -> int:
        return len(self.texts)

    def save(self, folder: Path, split: str) -> None:
        """Write the files that `load` reads."""
        self.seen.save(folder / f"{split}.pt")
        with open(folder / f"{split}.jsonl", "w", encoding="utf-8") as file:
            for texts, kind, values in zip(self.texts, self.kinds, self.values, strict=True):
                row = {"kind": kind, "values": values, "texts": texts}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    @staticmethod
    def load(folder: Path, split: str) -> SeenDocuments:
        """Read what `save` wrote. Raises DataError if nothing was written."""
        if not (folder / f"{split}.jsonl").is_file():
            raise DataError(f"no {split}.jsonl in {folder}; run `python -m mini.natural.documents` first")
        rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        return SeenDocuments(
            seen=Seen.load(folder / f"{split}.pt"),
            texts=[[(text, tuple(box)) for text, box in row["texts"]] for row in rows],
            kinds=[row["kind"] for row in rows],
            values=[row["values"] for row in rows],
        )


def look_at(entries: Sequence[DocumentEntry], model: Path) -> SeenDocuments:
    """Look at documents with the frozen parts of a model folder. Raises CheckpointError if it has no reader."""
    vlm, _ = load_checkpoint(model)
    labels = load_labels(model)
    parts = find_parts(model, vlm, labels) if labels is not None else None
    if parts is None or parts.reader is None:
        raise CheckpointError(f"{model} has no reader, or onnxruntime is not installed; pip install 'lavida[read]'")
    cells, inputs, boxes, texts = [], [], [], []
    for entry in entries:
        own, evidence = see(open_image(entry.image), vlm, parts)
        cells.append(own.to(torch.bfloat16))
        inputs.append(evidence.inputs(BOXES))
        boxes.append([(b.name, b.score, b.left, b.top, b.right, b.bottom) for b in evidence.boxes])
        texts.append(evidence.read() or [])
    seen = Seen(
        cells=torch.stack(cells),
        inputs=EvidenceInputs.stack(inputs),
        boxes=boxes,
        scenes=[None] * len(entries),
        sources=[str(entry.image.name) for entry in entries],
    )
    return SeenDocuments(
        seen=seen, texts=texts, kinds=[e.kind for e in entries], values=[dict(e.values) for e in entries]
    )


def main(model: Path, documents: Path, out: Path, train: int = 1500) -> None:
    """Write what is seen of every split to `out`, of the documents to train on the first `train`."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for split in reversed(SPLITS):
        start = time.time()
        entries = read_entries(documents, split)
        found = look_at(entries[:train] if split == "train" else entries, model)
        found.save(out, split)
        print(f"{split}: {len(found)} documents, {len(found) / (time.time() - start):.1f} a second", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "documents", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("train", type=int, nargs="?", default=1500, help="documents to train on")
    main(**vars(parser.parse_args()))
