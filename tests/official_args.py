"""Arguments of the official generation functions as our DecodeOptions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from lavida.config import CodesConfig
from lavida.decode.options import DecodeOptions
from lavida.diffusion.reveal import reveal_counts
from lavida.diffusion.schedule import LAST_TIME, SCHEDULES, timestep_counts
from lavida.draw.options import DrawOptions
from lavida.draw.request import decode_options

REMASKING = {"low_confidence": "confidence", "entrophy": "entropy", "margin": "margin", "random": "random"}
ALGORITHMS = {"maskgit_plus": "confidence", "topk_margin": "margin", "entropy": "entropy", "origin": "random"}
FAST_CACHES = {"generate": "none", "generate_with_prefix_cache": "block", "generate_with_dual_cache": "dual"}
SHIFT = 3.0  # the official default; ours is the paper's 1/3
TOP_K = 50  # Dream's, if the caller does not say: it comes with transformers' configuration of any model


def schedule(name: str | None, kwargs: dict[str, float] | None) -> tuple[str, float]:
    """LaViDa's schedule and shift: every name that it does not know is "linear" to it."""
    known = set(SCHEDULES) - {"even", "timesteps", "ancestral"}
    return "even" if name is None else name if name in known else "linear", (kwargs or {}).get("shift", SHIFT)


def _blockwise(args: dict[str, Any]) -> dict[str, Any]:
    length, block = args["gen_length"], args["block_length"]
    blocks = length // block
    return {
        "length": length,
        "block": block,
        "steps": min(args["steps"] // blocks, block) * blocks,  # more steps than tokens commit nothing in the surplus
        "schedule": "even",
        "remasking": REMASKING[args["remasking"]],
        "temperature": args["temperature"],
        "early_stop": False,
        "cache": "none",
    }


def llada(args: dict[str, Any]) -> DecodeOptions:
    """LLaDA's generate."""
    return DecodeOptions(**_blockwise(args), guidance=args["cfg_scale"])


def llada_v(args: dict[str, Any], banned: list[int], stops: list[list[int]] | None) -> DecodeOptions:
    """LLaDA-V's generate; the ids are constants or come from a tokenizer there."""
    return DecodeOptions(**_blockwise(args), guidance=args["cfg_scale"], banned=tuple(banned), stops=tuple(stops or ()))


def fastdllm(args: dict[str, Any], function: str) -> DecodeOptions:
    """Fast-dLLM's three functions; with a threshold they do not look at `steps`."""
    options = {**_blockwise(args), "cache": FAST_CACHES[function], "compat": "official"}
    if args["threshold"] is not None:
        options |= {"steps": None, "threshold": args["threshold"]}
    return DecodeOptions(**options)


def lavida(args: dict[str, Any]) -> DecodeOptions:
    """LaViDa's generate on LLaDA; it does not look at `steps`."""
    length, block = args["max_new_tokens"], args["block_length"]
    per_block = min(args.get("step_per_block") or block, block)
    if args.get("step_ratio"):
        per_block = min(int(block * args["step_ratio"]), block)
    name, shift = schedule(args.get("schedule"), args.get("schedule_kwargs"))
    return DecodeOptions(
        length=length,
        block=block,
        steps=per_block * (length // block),
        schedule=name,
        shift=shift,
        remasking=REMASKING[args.get("remasking", "low_confidence")],
        temperature=args["temperature"],
        cache="prefix" if args["prefix_lm"] else "none",
        early_stop=False,
    )


def dream(args: dict[str, Any], *, masks: int) -> DecodeOptions:
    """Dream's diffusion_generate, also as LaViDa calls it, on a canvas with so many masks.

    step_ratio shortens a run after its grid of times is made, so that the last step commits all that is left.
    """
    grid = min(args["steps"], args["max_new_tokens"])
    steps = int(grid * args["step_ratio"]) if args.get("step_ratio") else grid
    options: dict[str, Any] = {
        "length": args["max_new_tokens"],
        "remasking": ALGORITHMS[args["alg"]],
        "temperature": args["temperature"],
        "top_p": args.get("top_p"),
        "top_k": args.get("top_k", TOP_K),
        "sharp_confidence": True,
        "selection_temperature": args.get("alg_temp") or 0.0,
        "cache": "prefix" if args.get("prefix_lm") else "none",
        "early_stop": False,
    }
    if args.get("schedule"):
        name, shift = schedule(args["schedule"], args.get("schedule_kwargs"))
        return DecodeOptions(**options, steps=steps, schedule=name, shift=shift)
    if steps == grid and args.get("eps", LAST_TIME) == LAST_TIME:
        return DecodeOptions(**options, steps=steps, schedule="ancestral" if args["alg"] == "origin" else "timesteps")
    counts = timestep_counts(masks, steps, grid=grid, last_time=args.get("eps", LAST_TIME))
    if options["cache"] == "prefix":  # the token that the prompt gives is one of the first that are counted
        at = next(i for i, count in enumerate(counts) if count)
        counts[at] += 1
    return DecodeOptions(**options, counts=tuple(counts))


def mmada(args: dict[str, Any]) -> DecodeOptions:
    """MMaDA's generate and mmu_generate, which are LLaDA's."""
    named = {**args, "gen_length": args["max_new_tokens"]}
    return DecodeOptions(**_blockwise(named), guidance=args["cfg_scale"], compat="official")


def mmada_t2i(case: dict[str, Any], codes: CodesConfig, slots: list[int], mask_id: int) -> DecodeOptions:
    """MMaDA's t2i_generate on a picture whose slots hold ids or the mask."""
    args = case["args"]
    drawn = DrawOptions(
        steps=args["timesteps"],
        guidance=args["guidance_scale"],
        temperature=args["temperature"],
        schedule=case["schedule"],
        seed=case["seed"],
        compat="official",
    )
    options = decode_options(codes, drawn, torch.tensor(slots), mask_id=mask_id)
    if not case.get("schedule_params"):
        return options
    counts = reveal_counts(
        slots.count(mask_id), args["timesteps"], case["schedule"], slots=len(slots), **case["schedule_params"]
    )
    return replace(options, counts=tuple(counts))
