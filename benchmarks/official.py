"""Our answer beside that of the official LaViDa code, on the same checkpoint, picture and question.

    python -m benchmarks.official --code LaViDa --python LaViDa/env/bin/python --model lavida-llada-hd --device cuda

`--code` is a checkout of the official repository, none of which is here, and `--python` an interpreter that has its
requirements: it pins other versions than ours, so it runs in a process of its own and is told when to begin. Both read
the picture, the prompt and write `--length` tokens at temperature 0 by the published schedule, in each of `--shares` of
that many steps, behind the prefix cache or without one. Vision, prefill and denoising are told apart, with the ids that
are equal (in float32 all are to be) and the memory.

Without weights, `lavida make-random OUT --family lavida-llada --scale half` makes a checkpoint that both load: it has
the published tower and vocabulary, which the official code takes for granted. It asks the hub for LLaDA's and Dream's
tokenizers and the tower; without a network they must be in the hub's cache.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

import lavida
from benchmarks.harness import PHOTO, environment, faster, finish, interleave, parser, some
from benchmarks.report import Report, Row

SHIFT = 1 / 3
QUESTION = "Describe the image in detail."
CHILD = Path(__file__).parent / "official_child.py"


class Official:
    """The official code in its own process; one answer a request, which is a number or a list."""

    def __init__(self, python: str, code: Path, setting: dict[str, Any], child: Path = CHILD) -> None:
        path = os.pathsep.join(filter(None, (str(code), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [python, str(child), json.dumps(setting)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.told: dict[Any, dict[str, Any]] = {}  # the last answer to each request, such as a share of steps

    def answer(self, request: float | tuple[str, int]) -> float:
        """Seconds of an answer. Exits if the official code has failed."""
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:  # it prints much else
            if line.startswith("@"):
                told = self.told[request] = json.loads(line[1:])
                if "error" in told:
                    raise SystemExit(told["error"])
                return told["seconds"]
        raise SystemExit(f"the official code ended with code {self._process.wait()}; its last words are above")

    def close(self) -> None:
        """End the process of the official code."""
        self._process.stdin.close()
        self._process.wait()


class Ours:
    """Our answer to the same question, with the times of its parts."""

    def __init__(self, model: lavida.Model, picture: Path, length: int, cache: str) -> None:
        self._model, self._picture, self._length, self._cache = model, picture, length, cache
        self.told: dict[float, dict[str, Any]] = {}
        self._parts = dict.fromkeys(("vision", "prefill"), 0.0)
        for part, name in (("vision", "look"), ("vision", "image_tokens"), ("prefill", "prefill")):
            setattr(model.net, name, self._timed(part, getattr(model.net, name)))

    def answer(self, share: float) -> float:
        """Seconds of an answer, the picture looked at anew."""
        self._model.forget()
        self._parts.update(vision=0.0, prefill=0.0)
        steps, start = max(1, int(self._length * share)), time.perf_counter()
        answer = self._model.ask(
            self._picture, QUESTION, length=self._length, steps=steps, shift=SHIFT, cache=self._cache, early_stop=False
        )
        _wait()
        seconds = time.perf_counter() - start
        memory = peak_memory()
        self.told[share] = {"seconds": seconds, "text": answer.text, "ids": answer.ids, "memory": memory, **self._parts}
        return seconds

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            _wait()
            start = time.perf_counter()
            found = function(*args, **named)
            _wait()
            self._parts[part] += time.perf_counter() - start
            return found

        return timed


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory() -> float:
    """Megabytes that this process has held at most, on the GPU if it has one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def facts(told: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return what stands beside the seconds of an answer: its parts, memory, and ids held against the other's."""
    parts = {part: told[part] for part in ("vision", "prefill") if told.get(part) is not None}
    if len(parts) == 2:
        parts["denoising"] = told["seconds"] - sum(parts.values())
    pairs = [a == b for a, b in zip(told["ids"], other["ids"])]
    return {**parts, "MB": told["memory"], "equal ids": f"{sum(pairs)} of {len(pairs)}", "ids": len(set(told["ids"]))}


def main() -> None:
    options = parser(__doc__, rounds=5, seconds=600)
    options.add_argument("--code", type=Path, required=True, help="checkout of the official repository")
    options.add_argument("--python", required=True, help="interpreter of an environment made for it")
    options.add_argument("--device", default="cuda")
    options.add_argument("--dtype", default="bfloat16")
    options.add_argument("--image", type=Path, default=PHOTO)
    options.add_argument("--length", type=int, default=64, help="tokens of the answer")
    options.add_argument("--cache", choices=("prefix", "none"), default="prefix")
    options.add_argument("--shares", type=float, nargs="+", default=[0.25, 0.5, 1.0], help="steps for each token")
    args = options.parse_args()
    if not args.model:
        raise SystemExit("name the checkpoint that both are to load: --model FOLDER")
    model = lavida.load(args.model, device=args.device, dtype=args.dtype, threads=args.threads)
    setting = {
        "model": str(Path(args.model).resolve()),
        "name": "llava_dream" if model.net.config.family == "lavida-dream" else "llava_llada",
        "template": "dream" if model.net.config.family == "lavida-dream" else "llada",
        "device": args.device,
        "dtype": args.dtype,
        "image": str(args.image.resolve()),
        "question": QUESTION,
        "length": args.length,
        "prefix": args.cache == "prefix",
        "shift": SHIFT,
    }
    env, theirs = environment(), Official(args.python, args.code, setting)
    mine = Ours(model, args.image, args.length, args.cache)
    arms = {}
    for share in some(args.shares, args):
        arms["official", share] = partial(theirs.answer, share)
        arms["ours", share] = partial(mine.answer, share)
    found = interleave(arms, rounds=args.rounds, seconds=args.seconds, least=1)
    theirs.close()
    sides = {"official": (theirs.told, mine.told), "ours": (mine.told, theirs.told)}
    rows = tuple(
        Row(
            series=who,
            x=share,
            values=tuple(values),
            ratios=faster(values, found["official", share]),
            facts=facts(*(side[share] for side in sides[who])),
        )
        for (who, share), values in found.items()
    )
    texts = [(s, mine.told[s]["text"], theirs.told[s]["text"].strip()) for s in some(args.shares, args)]
    notes = tuple(f"{share:.0%}: ours {one!r}, official {other!r}" for share, one, other in texts)
    report = Report(
        name="official",
        title=f"Seconds of {args.length} tokens, cache {args.cache}, beside the official code, {Path(args.model).name}",
        x="steps for each token",
        y="s",
        base="the official code at the same number of steps",
        rows=rows,
        notes=notes,
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
