"""Our answer beside that of the official LaViDa code, on the same checkpoint, picture and question.

    python -m benchmarks.official --code LaViDa --python LaViDa/env/bin/python --model lavida-llada-hd --device cuda

`--code` is a checkout of the official repository, none of which is here, and `--python` an interpreter that has its
requirements: it pins other versions than ours, so it runs in a process of its own and is told when to begin. Both read
the picture, the prompt and write 64 tokens at temperature 0 by the published schedule, 25, 50 and 100 % of the steps.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import torch

import lavida
from benchmarks.harness import PHOTO, environment, faster, finish, interleave, parser, some
from benchmarks.report import Report, Row

SHARES = (0.25, 0.5, 1.0)
LENGTH, SHIFT = 64, 1 / 3
QUESTION = "Describe the image in detail."
CHILD = Path(__file__).parent / "official_child.py"


class Official:
    """The official code in its own process; one answer a request."""

    def __init__(self, python: str, code: Path, setting: dict[str, Any]) -> None:
        path = os.pathsep.join(filter(None, (str(code), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [python, str(CHILD), json.dumps(setting)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.texts: dict[float, str] = {}

    def answer(self, share: float) -> float:
        """Seconds of an answer. Exits if the official code has failed."""
        self._process.stdin.write(f"{share}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:  # it prints much else
            if line.startswith("@"):
                told = json.loads(line[1:])
                self.texts[share] = told["text"]
                return told["seconds"]
        raise SystemExit(f"the official code ended with code {self._process.wait()}; its last words are above")

    def close(self) -> None:
        """End the process of the official code."""
        self._process.stdin.close()
        self._process.wait()


def ours(model: lavida.Model, texts: dict[float, str], picture: Path, share: float) -> float:
    """Seconds of our answer, the picture looked at anew."""
    model.forget()
    steps = max(1, int(LENGTH * share))
    answer = model.ask(picture, QUESTION, length=LENGTH, steps=steps, shift=SHIFT, cache="prefix", early_stop=False)
    texts[share] = answer.text
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return answer.seconds


def main() -> None:
    options = parser(__doc__, rounds=5, seconds=600)
    options.add_argument("--code", type=Path, required=True, help="checkout of the official repository")
    options.add_argument("--python", required=True, help="interpreter of an environment made for it")
    options.add_argument("--device", default="cuda")
    options.add_argument("--dtype", default="bfloat16")
    options.add_argument("--image", type=Path, default=PHOTO)
    args = options.parse_args()
    if not args.model:
        raise SystemExit("name the checkpoint that both are to load: --model FOLDER")
    model, texts = lavida.load(args.model, device=args.device, dtype=args.dtype, threads=args.threads), {}
    setting = {
        "model": str(Path(args.model).resolve()),
        "name": "llava_dream" if model.net.config.family == "lavida-dream" else "llava_llada",
        "template": "dream" if model.net.config.family == "lavida-dream" else "llada",
        "device": args.device,
        "dtype": args.dtype,
        "image": str(args.image.resolve()),
        "question": QUESTION,
        "length": LENGTH,
        "shift": SHIFT,
    }
    env, theirs = environment(), Official(args.python, args.code, setting)
    arms = {}
    for share in some(SHARES, args):
        arms["official", share] = partial(theirs.answer, share)
        arms["ours", share] = partial(ours, model, texts, args.image, share)
    found = interleave(arms, rounds=args.rounds, seconds=args.seconds)
    theirs.close()
    rows = tuple(
        Row(series=who, x=share, values=tuple(values), ratios=faster(values, found["official", share]))
        for (who, share), values in found.items()
    )
    notes = tuple(f"{s:.0%}: ours {texts[s]!r}, official {theirs.texts[s]!r}" for s in some(SHARES, args))
    report = Report(
        name="official",
        title=f"Seconds of {LENGTH} tokens, ours and the official code, {Path(args.model).name}",
        x="steps for each token",
        y="s",
        base="the official code at the same number of steps",
        rows=rows,
        notes=notes,
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
