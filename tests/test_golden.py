"""Equality with the official implementations, on the vectors in LAVIDA_GOLDEN (default tests/golden).

One test per case folder, named after it; shapes, ids and arguments come from the case's own files.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from lavida.checkpoint.io import load_checkpoint
from lavida.checkpoint.layouts import LLADA, LLAMA, Layout
from lavida.config import VLMConfig
from lavida.data.collate import Batch
from lavida.decode.driver import answer_steps
from lavida.decode.loop import Step, find_stop
from lavida.decode.options import DecodeOptions
from lavida.diffusion.loss import shift_rows
from lavida.diffusion.masking import complementary
from lavida.diffusion.schedule import unmask_counts
from lavida.image.tiles import Grid, views
from lavida.model.projector import pool
from lavida.model.vlm import VLM
from lavida.train.step import answer_loss, attention_mask, mask_embeddings, splice_batch
from tests import official_args
from tests.fakes import image_tokens

pytestmark = pytest.mark.golden
ROOT = Path(os.environ.get("LAVIDA_GOLDEN", Path(__file__).parent / "golden"))


def _case(name: str) -> Path:
    if not (ROOT / name).is_dir():
        assert "LAVIDA_GOLDEN" in os.environ, f"the repository's own case {name} is gone"
        pytest.skip(f"no case {name} in {ROOT}")  # a folder of other cases need not hold all
    return ROOT / name


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


@cache
def _model(name: str) -> tuple[VLM, VLMConfig]:
    return load_checkpoint(_case(name) / "checkpoint", dtype=torch.float32)


def _close(ours: Tensor, official: Tensor, limit: float = 1e-4) -> None:
    assert ours.shape == official.shape
    assert (ours - official).abs().max() < limit


@torch.no_grad()
def _hidden(model: VLM, ids: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Output of the last norm, and the input of each block."""
    inputs: list[Tensor] = []
    hooks = [b.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for b in model.denoiser.blocks]
    hidden = model.denoiser(model.denoiser.embed(ids))
    for hook in hooks:
        hook.remove()
    return hidden, inputs


def _check_llada_forward(name: str) -> None:
    model, _ = _model(name)
    official = load_file(_case(name) / "expected.safetensors")
    hidden, inputs = _hidden(model, load_file(_case(name) / "inputs.safetensors")["input_ids"])
    _close(inputs[0], official["hidden_layer0_input"])
    if len(inputs) > 1:
        _close(inputs[1], official["hidden_layer1_input"])
    _close(hidden, official["hidden_after_ln_f"])
    _close(model.denoiser.head(hidden), official["logits"])


def test_llada_forward() -> None:
    _check_llada_forward("llada_forward")


def test_llada_forward_gqa() -> None:
    _check_llada_forward("llada_forward_gqa")


def test_dream_forward() -> None:
    name = "dream_forward"
    model, config = _model(name)
    official = load_file(_case(name) / "expected.safetensors")
    hidden, _ = _hidden(model, load_file(_case(name) / "inputs.safetensors")["input_ids"])
    assert config.denoiser.logit_shift
    _close(hidden, official["hidden_after_norm"])
    _close(model.denoiser.head(hidden), official["logits"])
    _close(shift_rows(model.denoiser.head(hidden)), official["shifted_logits"])


def test_unmask_schedules() -> None:
    folder = _case("unmask_schedules")
    for case, official in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        schedule, shift = official_args.schedule(case["schedule"], case["schedule_kwargs"])
        assert unmask_counts(case["mask_num"], case["steps"], schedule, shift) == official, case


def _finished(steps: list[Step], mask_id: int) -> bool:
    """What ours does where the official code fails: every mask is filled."""
    return not (steps[-1].canvas == mask_id).any()


def test_llada_generate() -> None:
    folder = _case("llada_generate")
    model, _ = _model("llada_generate")
    for case, official in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        options = official_args.llada(case["args"])
        for prompt, row in zip(case["prompt"], official, strict=True):
            steps = list(answer_steps(model, model.segments(torch.tensor(prompt), []), options))
            assert prompt + steps[-1].canvas.tolist() == row, case["args"]


def test_dream_generate() -> None:
    folder = _case("dream_generate")
    model, config = _model("dream_generate")
    for case, official in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        for prompt, row in zip(case["prompt"], official["sequences"], strict=True):
            options = official_args.dream(case["args"], masks=case["args"]["max_new_tokens"])
            steps = list(answer_steps(model, model.segments(torch.tensor(prompt), []), options))
            assert prompt + steps[-1].canvas.tolist() == row, case["args"]
            if prompt == case["prompt"][0]:  # the history is that of the first sequence
                assert [prompt + s.canvas.tolist() for s in steps] == official["history"], case["args"]


def test_fastdllm() -> None:
    folder = _case("fastdllm")
    model, config = _model("fastdllm")
    for case, official in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        options = official_args.fastdllm(case["args"], case["function"])
        for i, prompt in enumerate(case["prompt"]):
            steps = list(answer_steps(model, model.segments(torch.tensor(prompt), []), options))
            if "raises" in official:  # one step per block and a cache: ours needs no second step
                assert _finished(steps, config.denoiser.mask_id), case["args"]
                continue
            assert prompt + steps[-1].canvas.tolist() == official["output_ids"][i], case
            assert steps[-1].forwards == official["nfe"], case


def _views(folder: Path, file: str, config: VLMConfig) -> tuple[Tensor, Grid]:
    with Image.open(folder / file) as image:
        return views(image.convert("RGB"), config.vision, config.tiles)


@torch.no_grad()
def _check_vision(case: dict[str, Any], folder: Path, name: str, fact: dict[str, Any], every: tuple[int, int]) -> None:
    """Views, tower and image tokens of one picture; `every` says which tower and final tokens are stored."""
    model, config = _model(folder.name)
    official = load_file(folder / "expected.safetensors")
    mine, grid = _views(folder, case["file"], config)
    u8 = ((mine * config.vision.std + config.vision.mean) * 255).round().to(torch.uint8)
    hashes = [hashlib.sha256(np.ascontiguousarray(v.permute(1, 2, 0).numpy()).tobytes()).hexdigest() for v in u8]
    assert hashes == fact["view_sha256_uint8_hwc"], name
    if f"{name}.views_u8_stride8_offset3" in official:
        assert torch.equal(u8[:, :, 3::8, 3::8], official[f"{name}.views_u8_stride8_offset3"])
    tower = model.tower(mine)
    assert list(tower.shape) == fact["tower_shape"]
    _close(tower[:, 5 :: every[0]], official[f"{name}.tower_from5_every{every[0]}{_nth(every[0])}_token"])
    if config.tiles.pool:
        _close(pool(model.projector(tower))[:, 3::11], official[f"{name}.pooled_from3_every11th_token"])
    final = model.image_tokens(tower, grid)
    assert list(final.shape) == fact["final_shape"]
    if f"{name}.final" in official:
        _close(final, official[f"{name}.final"])
    else:
        _close(final[:: every[1]], official[f"{name}.final_every{every[1]}th_token"])
    assert abs(final.abs().mean() - fact["final_abs_mean"]) < 1e-4


def _nth(number: int) -> str:
    return "st" if number % 10 == 1 else "th"


def test_lavida_vision() -> None:
    folder = _case("lavida_vision")
    facts = _json(folder / "expected.json")
    for case in _json(folder / "inputs.json"):
        _check_vision(case, folder, case["name"], facts[case["name"]], (101, 11))


def test_llada_v_vision() -> None:
    folder = _case("llada_v")
    facts = _json(folder / "expected.json")["vision"]
    for case in _json(folder / "inputs.json")["vision"]:
        _check_vision(case, folder, case["name"], facts[case["name"]], (79, 7))


class _Pictures:
    """Image tokens of the case's picture files, each encoded once."""

    def __init__(self, folder: Path, model: VLM, config: VLMConfig) -> None:
        self.folder, self.model, self.config = folder, model, config
        self.seen: dict[str, Tensor] = {}

    @torch.no_grad()
    def segments(self, case: dict[str, Any]) -> list[Tensor]:
        file = case["image"]
        if file and file not in self.seen:
            views, grid = _views(self.folder, file, self.config)
            self.seen[file] = image_tokens(self.model, views, grid)
        return self.model.segments(torch.tensor(case["input_ids"][0]), [self.seen[file]] if file else [])


def _draft(case: dict[str, Any], length: int, mask_id: int) -> Tensor:
    ids = torch.full((length,), mask_id)
    if case.get("draft_tokens"):
        given = torch.tensor(case["draft_tokens"][0])
        ids[: len(given)] = given
    return ids


def test_lavida_generate() -> None:
    folder = _case("lavida_generate")
    model, config = _model("lavida_generate")
    pictures = _Pictures(folder, model, config)
    for case, official in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        args, prompt = case["args"], pictures.segments(case)
        options = official_args.lavida(args)
        draft = _draft(case, options.length, args["mask_id"])
        steps = list(answer_steps(model, prompt, options, draft=draft))
        assert [s.canvas.tolist() for s in steps] == official["history_new_ids"], args
        assert steps[-1].canvas.tolist() == official["new_ids"]
        assert steps[-1].forwards == official["n_forward_steps"]
        assert _total_length(options, prompt) == official["total_len"]


def _total_length(options: DecodeOptions, prompt: list[Tensor]) -> int:
    """The official code returns the answer alone with a cache, and behind as many zeros as the prompt has without."""
    return options.length + (0 if options.cache == "prefix" else prompt[0].shape[1])


def test_lavida_dream_generate() -> None:
    folder = _case("lavida_dream_generate")
    model, config = _model("lavida_dream_generate")
    pictures = _Pictures(folder, model, config)
    for case, official in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        args, prompt = case["args"], pictures.segments(case)
        masks = args["max_new_tokens"] - bool(args["prefix_lm"])  # with a cache the first token is there already
        options = official_args.dream(args, masks=masks)
        steps = list(answer_steps(model, prompt, options))
        if "raises" in official:  # more steps than masks: ours makes one step for each mask
            assert _finished(steps, config.denoiser.mask_id) and steps[-1].forwards == masks, args
            continue
        made = [s for s in steps if s.forwards]  # the step before them takes the prompt's own token
        assert [s.canvas.tolist() for s in made] == official["history_new_ids"], args
        assert steps[-1].canvas.tolist() == official["new_ids"]
        assert _total_length(options, prompt) == official["total_len"]


def test_llada_v_generate() -> None:
    folder = _case("llada_v")
    model, config = _model("llada_v")
    pictures = _Pictures(folder, model, config)
    banned = _json(folder / "checkpoint" / "config.json")["suppress_standin_ids"]
    expected = _json(folder / "expected.json")["generate_new_ids"]
    for case, official in zip(_json(folder / "inputs.json")["generate"], expected, strict=True):
        options = official_args.llada_v(case["args"], banned, case["stop_token_sequences"])
        suffix = torch.tensor(case["generation_suffix_ids"] or [], dtype=torch.long)
        draft = torch.cat((_draft(case, options.length, case["args"]["mask_id"]), suffix))
        *_, last = answer_steps(model, pictures.segments(case), options, draft=draft)
        written = last.canvas[: find_stop(last.canvas[: options.length], options.stops)].tolist()
        assert written + suffix.tolist() == official, case


def _training_batch(tensors: dict[str, Tensor], eos: int, fim_id: int | None, views: list) -> Batch:
    """The case's rows as our collate would have made them: padding is part of the answer."""
    ids, labels = tensors["input_ids"], tensors["labels"]
    answer = (labels != -100) | (ids == eos)
    nothing = torch.zeros_like(ids)
    return Batch(
        number=0,
        ids=ids,
        answer=answer.long(),
        turn=nothing,
        frozen=ids == (-1 if fim_id is None else fim_id),
        real=torch.ones_like(answer),
        sample=nothing,
        views=[[one] for one in views],
        names=["case"] * len(ids),
        samples=len(ids),
    )


def _check_training_loss(name: str, layout: Layout) -> None:
    folder = _case(name)
    facts = _json(folder / "checkpoint" / "config.json")
    inputs, official = load_file(folder / "inputs.safetensors"), load_file(folder / "expected.safetensors")
    model, config = _model(name)
    for case, fact in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        assert case["name"] == fact["name"]
        mine, theirs = (
            {k.removeprefix(case["name"] + "."): v for k, v in t.items() if k.startswith(case["name"] + ".")}
            for t in (inputs, official)
        )
        model.zero_grad()
        views = [_views(folder, file, config) for file in case["images"]]
        batch = _training_batch(mine, config.denoiser.eos_ids[0], facts.get("fim_token_id"), views)
        at = splice_batch(model, batch)
        ids = at.gather(batch.ids).masked_fill(~at.visible, -100)
        assert torch.equal(ids, theirs["expanded_input_ids"])
        target = at.gather((batch.answer > 0) & ~batch.frozen) & at.visible
        masked = torch.cat(complementary(mine["masked_indices"].bool(), target))
        assert torch.equal(masked, theirs["final_masked_indices"].bool())
        assert torch.equal(ids.repeat(2, 1).masked_fill(~masked, -100), theirs["labels_after_masking"])
        # The official code attends to all padding, also to what makes up for the shorter picture.
        at = replace(at, visible=torch.ones_like(at.visible))
        prefix = target.int().argmax(1)
        if case["prefix_lm"]:
            assert torch.equal(prefix.repeat(2), theirs["prompt_len"])
        mask = attention_mask(batch, at, "prefix" if case["prefix_lm"] else "full")
        answer = answer_loss(
            model.denoiser,
            mask_embeddings(model.denoiser, at.x.repeat(2, 1, 1), masked),
            ids.repeat(2, 1),
            masked,
            mask=None if mask is None else mask.repeat(2, 1, 1, 1),
            shift=config.denoiser.logit_shift,
        )
        loss, per_token = answer.loss, answer.per_token
        assert abs(loss.item() - fact["loss"]) < 1e-4
        assert int(masked.sum()) == fact["n_loss_tokens"]
        if config.denoiser.logit_shift:  # theirs stands at the row that predicts, ours at the token that is predicted
            per_token = per_token.roll(-1, 1)
        _close(per_token.detach(), theirs["per_token_loss"])
        loss.backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        if config.denoiser.logit_shift:  # the official Dream never trains the embedding of its padding, the end token
            grads["denoiser.embedding.weight"][facts["pad_token_id"]] = 0
        for official_name, norm in fact["grad_norms"].items():
            ours = grads[layout.to_ours(official_name)].norm().item()
            assert ours == pytest.approx(norm, rel=1e-3), official_name


def test_lavida_training_loss() -> None:
    _check_training_loss("lavida_training_loss", LLADA)


def test_lavida_dream_training_loss() -> None:
    _check_training_loss("lavida_dream_training_loss", LLAMA)
