"""Run by `benchmarks.text_samplers` in an interpreter that has PyTorch and transformers: the text of Fast-dLLM or dllm.

Reads a JSON list on standard input, a line each: a cache and a number of steps. Answers each with "@" and a JSON
object: processor seconds, seconds, ids behind the prompt, and megabytes of memory at most; or an `error` of one line.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Write = Callable[[str, int], "torch.Tensor"]  # cache and steps -> ids [1, prompt and canvas]

# Packages of dllm that are made empty: their own __init__ imports what trains and evaluates, which no sampler needs.
HOLLOW = ("", "core", "core/samplers", "pipelines", "pipelines/fastdllm", "pipelines/llada", "pipelines/llada/models")


def fast_dllm(code: Path, setting: dict, prompt: torch.Tensor, dtype: torch.dtype) -> Write:
    """Load the checkpoint with Fast-dLLM's LLaDA; its samplers are three functions."""
    sys.path.insert(0, str(code / "llada"))
    samplers = importlib.import_module("generate")
    model = importlib.import_module("model.modeling_llada").LLaDAModelLM
    net = model.from_pretrained(setting["model"], torch_dtype=dtype).eval()
    names = {"none": "generate", "prefix": "generate_with_prefix_cache", "dual": "generate_with_dual_cache"}

    def write(cache: str, steps: int) -> torch.Tensor:
        ids, _ = getattr(samplers, names[cache])(
            net,
            prompt,
            steps=steps,
            gen_length=setting["length"],
            block_length=setting["block"],
            temperature=0.0,
            remasking="low_confidence",
            mask_id=setting["mask_id"],
        )
        return ids

    return write


def dllm(code: Path, setting: dict, prompt: torch.Tensor, dtype: torch.dtype) -> Write:
    """Load the checkpoint with dllm's LLaDA for its Fast-dLLM sampler."""
    for folder in HOLLOW:
        name = ".".join(filter(None, ("dllm", *folder.split("/"))))
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(code / "dllm" / folder)]
    theirs = importlib.import_module("dllm.pipelines.fastdllm.llada")
    net = theirs.FastdLLMLLaDAModelLM.from_pretrained(setting["model"], torch_dtype=dtype).eval()
    named = {"mask_token_id": setting["mask_id"], "eos_token_id": setting["eos_id"], "bos_token_id": None}
    sampler = theirs.FastdLLMLLaDASampler(model=net, tokenizer=types.SimpleNamespace(**named))

    def write(cache: str, steps: int) -> torch.Tensor:
        options = theirs.FastdLLMLLaDASamplerConfig(
            steps=steps,
            max_new_tokens=setting["length"],
            block_size=setting["block"],
            temperature=0.0,
            remasking="low_confidence",
            use_cache=None if cache == "none" else cache,
        )
        return sampler.sample(prompt, options)

    return write


SIDES = {"Fast-dLLM": fast_dllm, "dllm": dllm}


def peak_memory() -> float:
    """Megabytes that this process has held at most; `getrusage` begins at what the process that started it held."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    setting = json.loads(sys.argv[1])
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the checkpoint is a folder; nothing is to be fetched
    write, error = None, ""
    try:
        import torch

        torch.set_num_threads(setting["threads"])
        prompt = torch.tensor([setting["prompt"]])
        write = SIDES[setting["side"]](Path(setting["code"]), setting, prompt, getattr(torch, setting["dtype"]))
    except (ImportError, AttributeError, OSError) as raised:
        error = f"{setting['side']} does not load in {sys.executable}: {' '.join(str(raised).split())}"
    for line in sys.stdin:
        if write is None:
            print("@" + json.dumps({"error": error}), flush=True)
            continue
        start, used = time.perf_counter(), time.process_time()
        ids = write(*json.loads(line))
        told = {"processor": time.process_time() - used, "seconds": time.perf_counter() - start}
        told["ids"] = ids[0, len(setting["prompt"]) :].tolist()
        print("@" + json.dumps({**told, "memory": peak_memory()}), flush=True)


if __name__ == "__main__":
    main()
