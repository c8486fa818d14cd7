"""Our text beside that of Fast-dLLM and of dllm's Fast-dLLM sampler, on the same LLaDA checkpoint and prompt.

    lavida make-random runs/llada --family llada --scale half
    python -m benchmarks.text_samplers --fast-dllm Fast-dLLM --dllm dllm --python ENV/bin/python --model runs/llada

`--fast-dllm` and `--dllm` are checkouts of NVlabs/Fast-dLLM and ZHZisZZ/dllm, none of which is here; one of them is
enough. `--python` is an interpreter with PyTorch, transformers (4.50.3 was tried) and einops. Each side runs in a
process of its own on the CPU; they take turns at each setting, and write 64 tokens in blocks of 32 behind a prompt of
128 random ids. Processor seconds stand beside seconds, since other work on the cores stretches the latter. In float32
all ids are to be equal.
"""

from __future__ import annotations

import shutil
import time
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

import lavida
from benchmarks.harness import environment, faster, finish, interleave, parser, some, spread
from benchmarks.official import Official, peak_memory
from benchmarks.report import Report, Row
from lavida.decode.driver import answer_steps
from lavida.decode.options import DecodeOptions

PROMPT, LENGTH, BLOCK = 128, 64, 32
SETTINGS = (("prefix", 32), ("dual", 32), ("dual", 64), ("none", 8))  # cache of Fast-dLLM and steps
CACHES = {"prefix": "block"}  # our name where it is another: the prefix cache of Fast-dLLM is kept for a block
CHILD = Path(__file__).parent / "text_samplers_child.py"
# Side -> option of its checkout, and a file that the checkout must hold.
CHECKOUTS = {
    "Fast-dLLM": ("fast_dllm", "llada/generate.py"),
    "dllm": ("dllm", "dllm/pipelines/fastdllm/llada/sampler.py"),
}


class Ours:
    """Our answer to ids, in this process."""

    def __init__(self, model: lavida.Model, prompt: Sequence[int]) -> None:
        self._net, self._prompt = model.net, torch.tensor(prompt)
        self.told: dict[tuple[str, int], dict[str, Any]] = {}

    def answer(self, setting: tuple[str, int]) -> float:
        """Seconds of an answer."""
        cache, steps = setting
        options = DecodeOptions(
            length=LENGTH,
            block=BLOCK,
            steps=steps,
            schedule="even",
            cache=CACHES.get(cache, cache),
            early_stop=False,
        )
        start, used = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            *_, last = answer_steps(self._net, self._net.segments(self._prompt, []), options)
        told = {"processor": time.process_time() - used, "seconds": time.perf_counter() - start}
        self.told[setting] = {**told, "ids": last.canvas.tolist(), "memory": peak_memory()}
        return told["seconds"]


def run(side: Ours | Official, setting: tuple[str, int], kept: list[dict[str, Any]]) -> float:
    """Processor seconds of an answer, of which everything is kept."""
    side.answer(setting)
    kept.append(side.told[setting])
    return kept[-1]["processor"]


def facts(kept: Sequence[dict[str, Any]], ours: Sequence[int]) -> dict[str, Any]:
    """Return what stands beside the processor seconds of the counted rounds: seconds, memory, ids held against ours."""
    ids = kept[-1]["ids"]
    pairs = [a == b for a, b in zip(ids, ours, strict=True)]
    return {
        "seconds": spread([told["seconds"] for told in kept]),
        "MB": kept[-1]["memory"],
        "equal ids": f"{sum(pairs)} of {len(pairs)}",
        "ids": len(set(ids)),
    }


def checkouts(args: Namespace) -> dict[str, Path]:
    """Return the checkout of each side that was given. Exits with a line if something is missing."""
    found = {}
    for side, (option, file) in CHECKOUTS.items():
        code = getattr(args, option)
        if code is None:
            continue
        if not (code / file).is_file():
            raise SystemExit(f"{code} is no checkout of {side}: it has no {file}")
        found[side] = code.resolve()
    if not found:
        raise SystemExit("name a checkout to compare with: --fast-dllm FOLDER, --dllm FOLDER or both")
    if shutil.which(args.python) is None:
        raise SystemExit(f"{args.python} is no interpreter; --python names one with PyTorch, transformers and einops")
    if args.model is None or not Path(args.model).is_dir():
        raise SystemExit("name the folder of the checkpoint that all load: --model FOLDER")
    return found


def main() -> None:
    options = parser(__doc__, rounds=3, seconds=600)
    options.add_argument("--fast-dllm", type=Path, help="checkout of NVlabs/Fast-dLLM")
    options.add_argument("--dllm", type=Path, help="checkout of ZHZisZZ/dllm")
    options.add_argument("--python", required=True, help="interpreter with PyTorch, transformers and einops")
    options.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    args = options.parse_args()
    codes, threads = checkouts(args), args.threads or 1
    model = lavida.load(args.model, dtype=args.dtype, threads=threads)
    denoiser = model.net.config.denoiser
    if model.net.config.family != "llada":
        raise SystemExit(f"{args.model} holds a model of the family {model.net.config.family}; a llada one is needed")
    drawn = torch.randint(denoiser.mask_id, (PROMPT,), generator=torch.Generator().manual_seed(0))  # no mask among them
    shared = {
        "model": str(Path(args.model).resolve()),
        "prompt": drawn.tolist(),
        "length": LENGTH,
        "block": BLOCK,
        "mask_id": denoiser.mask_id,
        "eos_id": denoiser.eos_ids[0],
        "dtype": args.dtype,
        "threads": threads,
    }
    env, ours = environment(), Ours(model, shared["prompt"])
    others = {
        side: Official(args.python, code, {**shared, "side": side, "code": str(code)}, child=CHILD)
        for side, code in codes.items()
    }
    rows = []
    for setting in some(SETTINGS, args):
        kept: dict[str, list[dict[str, Any]]] = {side: [] for side in (*others, "ours")}
        arms = {side: partial(run, {**others, "ours": ours}[side], setting, kept[side]) for side in kept}
        found = interleave(arms, rounds=args.rounds, seconds=args.seconds, least=1)
        rows += [
            Row(
                series=side,
                x=f"{setting[0]}, {setting[1]} steps",
                values=tuple(values),
                ratios=() if side == "ours" else faster(found["ours"], values),
                facts=facts(kept[side][1:], ours.told[setting]["ids"]),  # the first is not counted
            )
            for side, values in found.items()
        ]
    for other in others.values():
        other.close()
    report = Report(
        name="text_samplers",
        title=f"Processor seconds of {LENGTH} tokens behind {PROMPT}, {Path(args.model).name}, {args.dtype}",
        x="cache and steps",
        y="s",
        rows=tuple(rows),
        notes=("ratio: processor seconds over those of ours in the same round",),
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
