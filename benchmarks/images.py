"""What an answer takes by the number of pictures it is about, new ones and ones seen before.

python -m benchmarks.images
"""

from __future__ import annotations

from functools import partial

from PIL import Image, ImageOps

import lavida
from benchmarks.canvas import widen
from benchmarks.harness import PHOTO, environment, faster, finish, interleave, parser, some
from benchmarks.report import Report, Row

COUNTS = (1, 2, 4, 8)
STEPS, LENGTH = 8, 16
QUESTION = "What is this?"


def pictures(n: int) -> list[Image.Image]:
    """So many different pictures of one size: colours are turned round."""
    photo = Image.open(PHOTO).convert("RGB")
    return [ImageOps.posterize(photo, 8 - i) for i in range(n)]


def ask(model: lavida.Model, shown: list[Image.Image], *, new: bool) -> float:
    if new:
        model.forget()
    return model.ask(shown, QUESTION, steps=STEPS, length=LENGTH, early_stop=False).seconds


def main() -> None:
    args = parser(__doc__).parse_args()
    model = lavida.load(args.model, threads=args.threads)
    widen(model, 8192)
    env, found = environment(), {}
    shown = {n: list(pictures(n)) for n in some(COUNTS, args)}
    # Within a round an arm of seen pictures finds them only if its own new ones came just before.
    for n in shown:
        arms = {"new": partial(ask, model, shown[n], new=True), "seen": partial(ask, model, shown[n], new=False)}
        taken = interleave(arms, rounds=args.rounds, seconds=args.seconds / len(shown))
        found |= {(name, n): values for name, values in taken.items()}
    rows = []
    for (name, n), values in found.items():
        beside = found["new", n]
        rows.append(Row(series=name, x=n, values=tuple(values), ratios=faster(values, beside)))
    finish(
        Report(
            name="images",
            title=f"Seconds of an answer of {STEPS} steps by number of pictures",
            x="pictures",
            y="s",
            base="the same pictures seen for the first time",
            rows=tuple(rows),
            notes=("rounds alternate new and seen pictures of one number; numbers are not interleaved",),
        ),
        args.out,
        env,
    )


if __name__ == "__main__":
    main()
