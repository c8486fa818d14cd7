"""Tell what the tiny tasks for lmms-eval ask; their pictures and rows are made by `make_rows`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image


def make_rows(folder: Path) -> None:
    """Write rows.json, whose pictures lie beside it."""
    rows = []
    for n, answer in enumerate(("A", "B", "A", "B", "B")):
        path = folder / f"{n}.png"
        Image.new("RGB", (48 + 8 * n, 40), (40 * n, 90, 200 - 30 * n)).save(path)
        rows.append({"id": n, "path": str(path), "question": f"What is in picture {n}?", "answer": answer})
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")


def doc_to_visual(doc: dict[str, Any]) -> list[Image.Image]:
    return [Image.open(doc["path"]).convert("RGB")]


def doc_to_text(doc: dict[str, Any]) -> str:
    return f"{doc['question']}\nA. a cat\nB. a dog"


def doc_to_target(doc: dict[str, Any]) -> int:
    return "AB".index(doc["answer"])


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    return {"right": float(results[0].strip() == doc["answer"]), "written": float(len(results[0]) > 0)}
