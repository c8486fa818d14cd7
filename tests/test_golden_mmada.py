"""Equality with MMaDA's official code, on the vectors in LAVIDA_GOLDEN; as `test_golden`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from lavida.checkpoint.layouts import LLADA
from lavida.checkpoint.vq import load_vq
from lavida.config import CodesConfig
from lavida.decode.context import Unconditional
from lavida.decode.driver import answer_steps
from lavida.decode.noise import SlotNoise, TextNoise
from lavida.diffusion.reveal import annealed, masked_share, reveal_counts
from lavida.image.codes import square, to_image, to_pixels
from lavida.text.codes import IGNORED, Layouts, Row
from lavida.train.mixed import DRAWN, SHOWN, TEXT, mixed_loss
from tests import official_args
from tests.test_golden import _case, _close, _json, _model

pytestmark = pytest.mark.golden


def _standins(folder: Path) -> dict[str, Any]:
    where = folder / "standins.json"
    return _json(where if where.exists() else folder / "checkpoint" / "standins.json")


def test_mmada_forward() -> None:
    folder = _case("mmada_forward")
    model, config = _model("mmada_forward")
    inputs, official = load_file(folder / "inputs.safetensors"), load_file(folder / "expected.safetensors")
    assert config.codes is not None and config.family == "mmada"
    taken: list[Tensor] = []
    hooks = [b.register_forward_pre_hook(lambda _, args: taken.append(args[0])) for b in model.denoiser.blocks]
    with torch.no_grad():
        hidden = model.denoiser(model.denoiser.embed(inputs["plain.input_ids"]))
        for hook in hooks:
            hook.remove()
        for layer, x in enumerate(taken):
            if f"plain.hidden_layer{layer}_input" in official:
                _close(x, official[f"plain.hidden_layer{layer}_input"])
        _close(hidden, official["plain.hidden_after_ln_f"])
        _close(model.denoiser.head(hidden), official["plain.logits"])
        x, real = model.denoiser.embed(inputs["padded.input_ids"]), inputs["padded.attention_mask"].bool()
        logits = model.denoiser.head(model.denoiser(x, mask=(real[:, :, None] & real[:, None])[:, None]))
        _close(logits[real], official["padded.logits_bool_mask"][real])
        _close(model.denoiser.head(model.denoiser(x)), official["padded.logits_no_mask"])
        _close(
            model.denoiser.head(model.denoiser(x, mask=inputs["padded.float_bias"])),
            official["padded.logits_float_bias"],
        )


@torch.no_grad()
def test_mmada_vq_encode_decode() -> None:
    folder = _case("mmada_vq_encode_decode")
    vq, facts = load_vq(folder / "checkpoint"), _json(folder / "expected.json")
    official = load_file(folder / "expected.safetensors")
    for case in _json(folder / "inputs.json"):
        key, fact = case["key"], facts[case["key"]]
        with Image.open(folder / case["image"]) as image:
            made = square(image.convert("RGB"), case["resolution"], case["transform"])
        digest = hashlib.sha256(np.ascontiguousarray(np.asarray(made)).tobytes()).hexdigest()
        assert digest == fact["pixels_sha256_hwc"], key
        pixels = to_pixels(made)[None]
        if f"{key}.pixels_u8" in official:
            _close(pixels[0], (official[f"{key}.pixels_u8"] / 255 - 0.5) / 0.5)
        _close(vq.latent(pixels), official[f"{key}.z"])
        codes = vq.encode(pixels)
        assert codes.tolist() == fact["codes"] == official[f"{key}.codes"].tolist()
        again = vq.decode(codes)
        if f"{key}.recon" in official:
            _close(again, official[f"{key}.recon"])
        assert abs(again.mean() - fact["recon_mean"]) < 1e-4 and abs(again.abs().mean() - fact["recon_absmean"]) < 1e-4
        # a value at the border of two bytes may fall on either side: of some thousands a few do
        brightness = int(np.asarray(to_image(again[0]), dtype=int).sum())
        assert brightness == pytest.approx(fact["recon_uint8_sum"], abs=max(8, 0.003 * again.numel()))
    for name in sorted({key.rpartition(".")[0] for key in official} - set(facts)):
        shape = None
        if f"{name}.pixels_u8" in official:
            pixels = (official[f"{name}.pixels_u8"] / 255 - 0.5) / 0.5
            _close(vq.latent(pixels), official[f"{name}.z"])
            assert torch.equal(vq.encode(pixels), official[f"{name}.codes"])
            shape = (official[f"{name}.z"].shape[-2], official[f"{name}.z"].shape[-1])
        _close(vq.decode(official[f"{name}.codes"], shape), official[f"{name}.recon"])


def test_mmada_mask_schedule() -> None:
    for case in _json(_case("mmada_mask_schedule") / "expected.json"):
        slots, steps, curve, bent = (case[name] for name in ("num_vq_tokens", "timesteps", "schedule", "params"))
        progress = torch.tensor([(step + 1) / steps for step in range(steps)], dtype=torch.float32)
        ratios = torch.stack([masked_share(r, curve, **bent) for r in progress])
        assert (ratios - torch.tensor(case["ratio"], dtype=torch.float32)).abs().max() < 1e-6, case
        counts, left, kept = reveal_counts(slots, steps, curve, slots=slots, **bent), slots, []
        for count in counts[:-1]:
            left -= count
            kept.append(left)
        assert [*kept, 1] == case["mask_len"] == case["masked_after"], case  # of the last one we write all
        temperatures = [annealed(1.0, step, steps, cumulative=True) for step in range(steps)]
        assert temperatures == pytest.approx(case["temperature"], abs=1e-6)


def _layouts(folder: Path) -> Layouts:
    said = _standins(folder)
    ids = said["special_token_ids"]
    codes = CodesConfig(
        first_id=said["text_tokenizer_length"],
        count=1,
        start_id=ids["bos"],
        begin_id=ids["<|soi|>"],
        end_id=ids["<|eoi|>"],
        draw_id=ids["<|t2i|>"],
        read_id=ids["<|mmu|>"],
        reason_id=ids["<|r2i|>"],
        pad_id=ids["[iPAD]"],
    )
    return Layouts(codes=codes, end_id=ids["eos"], header_id=ids["<|end_header_id|>"])


def _rows(case: dict[str, Any], layouts: Layouts) -> list[Row]:
    task, room = case["task"], case["max_text_len"]
    if task in ("lm", "lm_chat"):
        return [layouts.text_row(text, case["max_seq_len"], dialogue=task == "lm_chat") for text in case["text_ids"]]
    rows = []
    for i, (text, image) in enumerate(zip(case["text_ids"], case["image_ids"], strict=True)):
        if task == "mmu":
            rows.append(layouts.shown_row(image, text, room))
        elif task == "r2i":
            rows.append(layouts.reasoned_row(text, image, room))
        else:
            dropped = task == "t2i" and case["dropout_uniform"][i] < case["cond_dropout_prob"]
            labels = case["image_labels"][i] if "image_labels" in case else None
            rows.append(layouts.draw_row([] if dropped else text, image, room, labels))
    return rows


def test_mmada_prompting() -> None:
    folder = _case("mmada_prompting")
    layouts = _layouts(folder)
    for case, official in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        rows = _rows(case, layouts)
        assert [row.ids for row in rows] == official["ids"], case["task"]
        if "labels" in official:
            assert [row.labels for row in rows] == official["labels"], case["task"]
        for name, held in (("attention_mask", "attended"), ("prompt_mask", "prompt")):
            if name in official:
                assert [[int(flag) for flag in getattr(row, held)] for row in rows] == official[name], case["task"]
        assert all(IGNORED == label for row in rows for label, real in zip(row.labels, row.attended) if not real)


def _seen(prompt: list[int], attended: list[int], guidance: float) -> Tensor:
    """Return what of a prompt is attended to: positions are relative, so that masked padding changes nothing."""
    ids = torch.tensor(prompt)
    return ids if guidance else ids[torch.tensor(attended, dtype=torch.bool)]  # guided, the code drops the mask


def _check_text(name: str) -> None:
    folder = _case(name)
    model, config = _model(name)
    for case, official in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        args, prompts, length = case["args"], case["input_ids"], case["args"]["max_new_tokens"]
        options = official_args.mmada(args)
        masks = case.get("attention_mask") or [[1] * (len(prompt) + length) for prompt in prompts]
        answers = []
        for row, (prompt, mask) in enumerate(zip(prompts, masks, strict=True)):
            seen = _seen(prompt, mask[: len(prompt)], args["cfg_scale"])
            noise = _Noise(args, case["seed"], before=len(prompt), length=length, row=row, rows=len(prompts))
            answers.append(
                [s.canvas.tolist() for s in answer_steps(model, model.segments(seen, []), options, noise=noise)]
            )
        if case["function"] == "mmu_generate_fast":
            answers = _until(answers, args.get("eot_token"), args["block_length"], config.denoiser.mask_id)
        whole = [prompt + answer[-1] for prompt, answer in zip(prompts, answers)]
        assert whole == official["output_ids"], case
        history = [[prompt + [config.denoiser.mask_id] * length for prompt in prompts]]
        history += [[p + c for p, c in zip(prompts, canvases)] for canvases in zip(*answers)]
        assert _changes(history) == _changes(official["history"]), case


class _Noise(TextNoise):
    """Draws also for steps that find nothing to reveal, which more steps than tokens make."""

    def __init__(self, args: dict[str, Any], seed: int, *, before: int, length: int, row: int, rows: int) -> None:
        super().__init__(seed, before=before, length=length, row=row, rows=rows)
        steps, block = args["steps"] // (length // args["block_length"]), args["block_length"]
        self._block, self._idle, self._made = min(steps, block), max(0, steps - block), 0
        self._width: int | None = None
        self._random = False

    def begin(self) -> None:
        super().begin()
        self._made += 1
        if self._made % self._block == 0:
            for _ in range(self._idle):
                if self._width is not None:
                    super().tokens(torch.tensor([0]), self._width)
                if self._random:
                    super().confidences(torch.tensor([0]))
                super().begin()

    def tokens(self, rows: Tensor, count: int) -> Tensor:
        self._width = count
        return super().tokens(rows, count)

    def confidences(self, rows: Tensor) -> Tensor:
        self._random = True
        return super().confidences(rows)


def _until(answers: list[list[list[int]]], end: int | None, block: int, mask_id: int) -> list[list[list[int]]]:
    """The steps up to a finished block whose last token ends every row: the official code stops there."""
    for at, canvases in enumerate(zip(*answers)):
        held = [c.index(mask_id) if mask_id in c else len(c) for c in canvases]
        if held[0] and held[0] % block == 0 and len(set(held)) == 1 and all(c[held[0] - 1] == end for c in canvases):
            return [rows[: at + 1] for rows in answers]
    return answers


def _changes(history: list[Any]) -> list[Any]:
    """A history without the steps that change nothing, which more steps than tokens make."""
    return [now for now, before in zip(history, [None, *history]) if now != before]


def test_mmada_text_generate() -> None:
    _check_text("mmada_text_generate")


def test_mmada_mmu_generate() -> None:
    folder = _case("mmada_mmu_generate")
    layouts = Layouts(codes=_codes("mmada_mmu_generate"), end_id=0)
    for case in _json(folder / "inputs.json"):
        shown = [layouts.shown(layouts.image_ids(codes)) for codes in case["image_codes"]]
        assert [a + b for a, b in zip(shown, case["chat_ids"])] == case["input_ids"]
    _check_text("mmada_mmu_generate")


def _codes(name: str) -> CodesConfig:
    codes = _model(name)[1].codes
    assert codes is not None
    return codes


def test_mmada_t2i_generate() -> None:
    folder = _case("mmada_t2i_generate")
    for case, official in zip(_json(folder / "inputs.json"), _json(folder / "expected.json"), strict=True):
        for row in range(len(case["input_ids"])):
            _check_picture(case, official, row)


def _check_picture(case: dict[str, Any], official: dict[str, Any], row: int) -> None:
    """Hold one picture of a case against the official history; the rows of a batch share one generator."""
    model, config = _model("mmada_t2i_generate")
    room, slots, rows = case["max_text_len"], case["num_vq_tokens"], len(case["input_ids"])
    codes, ids = _codes("mmada_t2i_generate"), case["input_ids"][row]
    layouts, first = Layouts(codes=codes, end_id=config.denoiser.eos_ids[0]), room + 2
    made = layouts.draw_row(case["prompt_ids"][row], ids[first:-1], room)
    assert (made.ids, [int(flag) for flag in made.attended]) == (ids, case["attention_mask"][row])
    asked = layouts.asked(case["prompt_ids"][row], room)
    draft, options = (
        torch.tensor(ids[first:]),
        official_args.mmada_t2i(case, codes, ids[first:-1], config.denoiser.mask_id),
    )
    unconditional = None
    if options.guidance:
        shown = (case["resolution"] or 512) + 1  # ids of the unconditional row that stay as they were at first
        other = case["uncond_input_ids"][row][:shown] + ids[shown:]
        real = [i for i, attended in zip(other[:first], case["uncond_attention_mask"][row]) if attended]
        unconditional = Unconditional(
            segments=model.segments(torch.tensor(real), []), stale=min(max(0, shown - first), slots)
        )
    noise = SlotNoise(case["seed"], length=slots, row=row, rows=rows)
    steps = list(
        answer_steps(
            model,
            model.segments(torch.tensor(asked), []),
            options,
            draft=draft,
            unconditional=unconditional,
            noise=noise,
        )
    )
    assert len(steps) == len(official["steps"]) == case["args"]["timesteps"]
    before = draft[:-1]
    for number, (step, fact) in enumerate(zip(steps, official["steps"])):
        now = step.canvas[:-1]
        assert before.tolist() == fact["image_tokens_before"][row], (case, number)
        sampled = torch.tensor(fact["sampled"][row]) + codes.first_id
        assert torch.equal(now[step.committed], sampled[step.committed])
        if (
            number < len(steps) - 1
        ):  # of the last step every code is taken, and the official mask of one is not looked at
            assert (now == config.denoiser.mask_id).int().tolist() == fact["masked_after"][row]
        temperature = annealed(options.selection_temperature, number, len(steps), cumulative=True)
        assert temperature == pytest.approx(fact["temperature"], abs=1e-6)
        before = now
    assert (before - codes.first_id).tolist() == official["final_codes"][row], case


def test_mmada_training_loss() -> None:
    folder = _case("mmada_training_loss")
    model, _ = _model("mmada_training_loss")
    sizes, inputs = _json(folder / "inputs.json"), load_file(folder / "inputs.safetensors")
    drawn, texts, shown = (sizes[f"batch_size_{kind}"] for kind in ("t2i", "lm", "mmu"))
    kinds = torch.tensor([DRAWN] * drawn + [TEXT] * texts + [SHOWN] * shown)
    masked_ids, labels = inputs["input_ids"], inputs["labels"]
    learnt = masked_ids == model.config.denoiser.mask_id
    places = torch.arange(labels.shape[1])
    learnt[:drawn] = (labels[:drawn] != IGNORED) & (places > sizes["max_seq_length"])
    # The official bias is a float: it is added to the scores and masks nothing.
    bias = torch.ones(len(kinds), 1, labels.shape[1], labels.shape[1])
    real = inputs["t2i_masks"].bool()
    bias[:drawn, 0] = (real[:, :, None] & real[:, None]).float()
    p = torch.cat((torch.ones(drawn, labels.shape[1]), inputs["p_mask_lm"], inputs["p_mask_mmu"]))
    assert torch.equal(p, p[:, :1].expand_as(p))
    for case in _json(folder / "expected.json"):
        of_text = (
            inputs["answer_lengths_lm"]
            if case["variant"] == "lm_answer_length"
            else torch.full_like(labels[:texts], labels.shape[1])
        )
        lengths = torch.cat((torch.ones_like(labels[:drawn]), of_text, inputs["answer_lengths_mmu"]))[:, 0]
        by_name = dict(zip(("t2i", "lm", "mmu"), case["coefficients"]))
        model.zero_grad()
        total, losses, _ = mixed_loss(
            model.denoiser, model.denoiser.embed(masked_ids), labels, learnt, kinds,
            coefficients=[by_name["t2i"], by_name["mmu"], by_name["lm"]], p=p[:, 0], lengths=lengths, mask=bias,
        )  # fmt: skip
        for ours, name in zip((*losses, total), ("loss_t2i", "loss_mmu", "loss_lm", "total")):
            assert abs(ours.item() - case[name]) < 1e-4, (case["variant"], name)
        total.backward()
        grads = {name: parameter.grad for name, parameter in model.named_parameters()}
        for official_name, norm in case["grad_norms"].items():
            ours = grads[LLADA.to_ours(official_name)].norm().item()
            assert ours == pytest.approx(norm, rel=1e-3), official_name
