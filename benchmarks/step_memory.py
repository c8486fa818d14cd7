"""Memory that one denoising step takes beside the model, by the length of the canvas and of the prompt.

    python benchmarks/step_memory.py --width 4096 --mlp 12288 --heads 32 --canvas 1024 --prompt 64 1024 --cache none

The model is one layer of zeros in bfloat16: what a step takes at its peak depends neither on the weights nor, since the
layers come one after the other, on their number; the keys of a prefix, which stay, are not counted. One JSON object a
line: megabytes of resident memory above those before the step.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from pathlib import Path

import torch

from lavida.config import DenoiserConfig, VLMConfig
from lavida.decode.driver import answer_steps
from lavida.decode.options import DecodeOptions
from lavida.model.vlm import VLM


def return_what_is_freed() -> None:
    """Make the C library give memory back at once: what it keeps would be missing from the next step's account."""
    ctypes.CDLL(None).mallopt(-3, 1 << 16)  # M_MMAP_THRESHOLD


def memory(name: str) -> float:
    """Return a line of Linux's account of this process, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def model_of(width: int, mlp: int, heads: int, vocab: int) -> VLM:
    """One layer of zeros, the head being the embedding."""
    config = DenoiserConfig(
        vocab_size=vocab,
        d_model=width,
        n_layers=1,
        n_heads=heads,
        n_kv_heads=heads,
        mlp_size=mlp,
        mask_id=vocab - 1,
        eos_ids=(vocab - 2,),
        tied_head=True,
        max_length=8192,
    )
    with torch.device("meta"):
        model = VLM(VLMConfig(denoiser=config, family="llada")).to(torch.bfloat16)
    weights = {name: torch.zeros(p.shape, dtype=p.dtype) for name, p in model.state_dict().items()}
    model.load_state_dict(weights, assign=True)
    return model.eval()


def measure(model: VLM, canvas: int, prompt: int, options: dict[str, str]) -> float:
    """Megabytes of the second of two steps; the first one's are those of the libraries too."""
    steps = answer_steps(
        model,
        model.segments(torch.zeros(prompt, dtype=torch.long), []),
        DecodeOptions(length=canvas, steps=2, early_stop=False, **options),
    )
    next(steps)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest value starts anew
    next(steps)
    return memory("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in {"width": 4096, "mlp": 12288, "heads": 32, "vocab": 126_464, "threads": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--canvas", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--prompt", type=int, nargs="+", default=[1024])
    parser.add_argument("--cache", default="prefix")
    parser.add_argument("--remasking", default="confidence")
    args = parser.parse_args()
    return_what_is_freed()
    torch.set_num_threads(args.threads)
    model = model_of(args.width, args.mlp, args.heads, args.vocab)
    for canvas in args.canvas:
        for prompt in args.prompt:
            took = measure(model, canvas, prompt, {"cache": args.cache, "remasking": args.remasking})
            print(json.dumps({"canvas": canvas, "prompt": prompt, "megabytes": round(took, 1)}), flush=True)


if __name__ == "__main__":
    main()
