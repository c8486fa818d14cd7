"""`lavida eval audit --twin FOLDER`: figures of `lavida audit` and `lavida revise` on held-out captions."""

from __future__ import annotations

from pathlib import Path

from lavida.cli import options as o
from mini.cli import held_out as h


def audit(
    model: o.Model = "lavida-mini",
    twin: h.Twin = None,
    data: h.Data = Path("build/mini"),
    out: h.Out = Path("build/eval"),
    split: h.Split = "ii_image",
    n: h.Count = 100,
    seed: h.Seed = 0,
) -> None:
    """One name of a caption exchanged: how often it ranks first, AUC; and how often a revision puts it right."""
    from mini.eval.audit import evaluate_audit

    one, other, features = h.subjects(model, twin, data, split)
    result = evaluate_audit(one, features, n, twin=other, seed=seed)
    rows = [
        (f"{who}, {measure}", *found.values()) for who, by in result["ranks"].items() for measure, found in by.items()
    ]
    heading = ("by", "first", "first of names", "AUC", "AUC of names")
    h.tell(result | {"split": split}, out / "audit.json", heading, rows)
    for name, share in result.get("revised", {}).items():
        print(f"revise: {name.replace('_', ' ')} {share:.3f}")


app = o.application(audit)
