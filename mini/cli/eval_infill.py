"""`lavida eval infill --twin FOLDER`: figures of `lavida fill` on held-out captions."""

from __future__ import annotations

from pathlib import Path

from lavida.cli import options as o
from mini.cli import held_out as h


def infill(
    model: o.Model = "lavida-mini",
    twin: h.Twin = None,
    data: h.Data = Path("build/mini"),
    out: h.Out = Path("build/eval"),
    split: h.Split = "ii_image",
    n: h.Count = 100,
    seed: h.Seed = 0,
) -> None:
    """Spans removed from captions: exact match and CIDEr-D with length known, unknown, and from the left side only."""
    from mini.eval.infill import evaluate_infill

    one, other, features = h.subjects(model, twin, data, split)
    result = evaluate_infill(one, features, n, twin=other, seed=seed)
    rows = [(arm, one["exact"], one["cider"]) for arm, one in result["arms"].items()]
    h.tell(result | {"split": split}, out / "infill.json", ("arm", "exact", "CIDEr-D"), rows)


app = o.application(infill)
