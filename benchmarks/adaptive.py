"""What haste costs: CIDEr-D by tokens per forward pass, of fixed numbers of steps and of rules that look at the answer.

    python -m benchmarks.adaptive --data build/mini
    python -m benchmarks.adaptive --data build/mini --captions 300

Nothing is timed. Captions of held-out scenes (split i) on a canvas of 16.
"""

from __future__ import annotations

from pathlib import Path

import lavida
from benchmarks.harness import environment, finish, parser
from benchmarks.report import Report, Row
from lavida.calibrate import measure_quality
from lavida.decode.calibration import Trial
from lavida.decode.resolve import LENGTH
from mini.data.atlas import Atlas
from mini.eval.calibration import captions_of
from mini.eval.splits import SPLITS, split_features

SPLIT = "i"


def line(tried: Trial) -> str:
    """Return the line of the chart that a setting belongs to: fixed steps, or a rule."""
    named = [f"{name} {value}" for name, value in tried.options.items() if name not in ("steps", "cache", "remasking")]
    return ", ".join(named) or "fixed steps"


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, required=True, help="what `python -m mini build` made")
    options.add_argument("--captions", type=int, default=60)
    args = options.parse_args()
    model = lavida.load(args.model, threads=args.threads)
    held = split_features(Atlas.load(args.data), args.data / "features" / SPLIT, SPLITS[SPLIT], model.net.tower)
    env = environment()
    quality = measure_quality(model, captions_of(model, held, min(args.captions, len(held))), LENGTH)
    whole = quality.tried[0]  # one token a step
    rows = tuple(
        Row(
            series=line(one),
            x=one.tokens / one.passes,
            values=(one.quality,),
            ratios=(one.quality / whole.quality,),
            facts={"steps": one.options["steps"], "passes": one.passes, "tokens": one.tokens},
        )
        for one in quality.tried
    )
    report = Report(
        name="adaptive",
        title=f"{quality.measure} by tokens per forward pass",
        x="tokens per forward pass",
        y="CIDEr-D",
        base="one token a step",
        rows=rows,
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
