"""Evaluation of reading documents: fields read rightly, and whether the confidence of a field shows it.

python -m mini eval extract --data FOLDER --twin FOLDER --out FOLDER

Two methods for each model: held to the schema, and asked the same question freely, where an answer that is no JSON
object has no field right. Beside them stand hand-written rules over the text that the model's reader read, and the
bound of what can be copied from it: the fields whose value it holds. A field is right if it is the printed text to the
letter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavida.eval.metrics import auc, mean, without_nan
from lavida.evidence.reader import Reader, find_reader
from lavida.image.load import open_image
from lavida.text.forms import form_question
from mini.data.documents.build import DocumentEntry, read_entries
from mini.data.documents.draw import SPLITS
from mini.data.documents.values import schema_of
from mini.eval.document_rules import fill_by_rules

if TYPE_CHECKING:
    from lavida.api import Model

CANVAS = 64
Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ReadDocument:
    """Hold what was read off one document."""

    entry: DocumentEntry
    value: Mapping[str, Any] | None  # None: no JSON object
    confidence: Mapping[str, float]  # by field; empty if the answer was free

    def right(self) -> dict[str, bool]:
        """Report for each field whether it is right."""
        return {name: self.value is not None and self.value.get(name) == v for name, v in self.entry.values.items()}


def read_documents(model: Model, entries: Sequence[DocumentEntry], *, by_schema: bool) -> list[ReadDocument]:
    """Read every document, held to its schema or asked freely."""
    found = []
    for entry in entries:
        schema = schema_of(entry.kind)
        if by_schema:
            extraction = model.extract(entry.image, schema, length=CANVAS)
            confidence = {pointer[1:]: p for pointer, p in extraction.confidence.items()}
            found.append(ReadDocument(entry=entry, value=extraction.value, confidence=confidence))
        else:
            text = model.ask(entry.image, form_question(schema), length=CANVAS).text
            found.append(ReadDocument(entry=entry, value=as_object(text), confidence={}))
    return found


def read_by_rules(reader: Reader, entries: Sequence[DocumentEntry]) -> dict[str, list[ReadDocument]]:
    """Read every document by rules, and by one who knows the values and copies those that the reader read."""
    found: dict[str, list[ReadDocument]] = {"rules": [], "bound": []}
    for entry in entries:
        texts = [text.text for text in reader(open_image(entry.image))]
        copied = {name: value for name, value in entry.values.items() if any(value in text for text in texts)}
        for method, value in (("rules", fill_by_rules(schema_of(entry.kind), texts)), ("bound", copied)):
            found[method].append(ReadDocument(entry=entry, value=value, confidence={}))
    return found


def as_object(text: str) -> dict[str, Any] | None:
    """Parse a JSON object; return None for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def figures(read: Sequence[ReadDocument]) -> dict[str, Any]:
    """Compute the figures of one method on one split."""
    right = [document.right() for document in read]
    fields = sorted({(document.entry.kind, name) for document in read for name in document.entry.values})
    sure = [(one.confidence[name], ok) for one, row in zip(read, right) if one.confidence for name, ok in row.items()]
    return {
        "documents": len(read),
        "objects": mean([one.value is not None for one in read]),
        "field": mean([ok for row in right for ok in row.values()]),
        "whole": mean([all(row.values()) for row in right]),
        "fields": {
            f"{kind}.{field}": mean([row[field] for one, row in zip(read, right) if one.entry.kind == kind])
            for kind, field in fields
        },
        "sure_if_right": mean([p for p, ok in sure if ok]),
        "sure_if_wrong": mean([p for p, ok in sure if not ok]),
        "auc": auc([p for p, ok in sure if not ok], [p for p, ok in sure if ok]),
    }


def as_table(results: Mapping[str, Any]) -> str:
    """Return one row for each model, method and split, as Markdown."""
    names = ("objects", "field", "whole", "sure_if_right", "sure_if_wrong", "auc")
    titles = ("objects", "fields right", "documents right", "sure if right", "sure if wrong", "AUC")
    lines = [f"| model | method | split | {' | '.join(titles)} |", "|---" * (3 + len(titles)) + "|"]
    for row in results["rows"]:
        cells = ["-" if math.isnan(row[name]) else f"{row[name]:.2f}" for name in names]
        lines.append(f"| {row['model']} | {row['method']} | {row['split']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(
    model_folder: str | Path | None,
    data: Path,
    out: Path,
    *,
    twin_folder: str | Path | None = None,
    count: int = 120,
    log: Log = print,
) -> dict[str, Any]:
    """Write extract.json into `out` and return its contents. Raises DataError if the documents were not built."""
    from lavida.api import load  # the interface sits beside this layer and is needed for loading only

    splits = {split: read_entries(data, split)[:count] for split in SPLITS if split != "train"}
    models = {"model": model_folder} | ({} if twin_folder is None else {"twin": twin_folder})
    rows = []

    def add(name: str, method: str, split: str, read: Sequence[ReadDocument]) -> None:
        rows.append({"model": name, "method": method, "split": split, **figures(read)})
        log(f"{name}, {method}, {split}: {rows[-1]['field']:.2f} of the fields right")

    for name, folder in models.items():
        model = load(folder)
        reader = find_reader(model.folder) if name == "model" and model.folder is not None else None
        for split, entries in splits.items() if reader is not None else ():
            for method, read in read_by_rules(reader, entries).items():
                add("read text", method, split, read)
        for split, entries in splits.items():
            for method, by_schema in (("schema", True), ("free", False)):
                add(name, method, split, read_documents(model, entries, by_schema=by_schema))
    results = {"rows": rows}
    out.mkdir(parents=True, exist_ok=True)
    (out / "extract.json").write_text(json.dumps(without_nan(results), indent=1) + "\n", encoding="utf-8")
    log(as_table(results))
    return results
