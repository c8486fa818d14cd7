"""A folder of documents: pictures, and for each split a file of entries that `lavida train` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lavida.errors import DataError
from lavida.text.forms import form_question
from mini.data.backgrounds import jpeg
from mini.data.documents.draw import SPLITS, draw_document, render
from mini.data.documents.fonts import FontLibrary
from mini.data.documents.values import answer_of, schema_of
from mini.data.fetch import Log

QUALITY = 90  # of the JPEG files


@dataclass(frozen=True, kw_only=True)
class DocumentEntry:
    """Hold one document of a folder with its true values."""

    image: Path
    kind: str
    values: Mapping[str, str]


def build_documents(
    out: Path, fonts: FontLibrary, *, train: int = 4000, held_out: int = 120, log: Log = print
) -> dict[str, int]:
    """Write the documents of every split into `out`, leaving alone what is there; return split -> number.

    An entry holds `image`, `question` and `answer`, and beside them `kind`, `font` and the `values` asked for.
    """
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    counts = {split: train if split == "train" else held_out for split in SPLITS}
    for split, count in counts.items():
        log(f"{split}: {count} documents")
        with open(out / f"{split}.jsonl", "w", encoding="utf-8") as file:
            for index in range(count):
                document = draw_document(split, index, fonts)
                name = f"pictures/{split}-{index:06}.jpg"
                if not (out / name).exists():
                    (out / name).write_bytes(jpeg(render(document, fonts), QUALITY))
                entry = {
                    "image": name,
                    "question": form_question(schema_of(document.kind)),
                    "answer": answer_of(document.values),
                    "kind": document.kind,
                    "font": document.font,
                    "values": document.values,
                }
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return counts


def read_entries(folder: Path, split: str) -> Sequence[DocumentEntry]:
    """Read the documents of one split of a folder. Raises DataError if they were not built."""
    file = folder / f"{split}.jsonl"
    if not file.is_file():
        raise DataError(f"no {file.name} in {folder}; run `python -m mini build documents --out {folder}` first")
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [DocumentEntry(image=folder / row["image"], kind=row["kind"], values=row["values"]) for row in rows]
