"""Batched answers of a model to question sets, and their figures.

Each picture is encoded once and its keys are shared by all questions about it, which is exact under the Prefix-DLM mask
and under a causal one; under full attention picture and prompt are computed anew with every canvas. The answers are
those of the decoding loop at temperature 0 (a test holds the two together).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.decode.fused import fused_scores
from lavida.decode.score import Scores
from lavida.diffusion.schedule import DEFAULT_SHIFT, unmask_counts
from lavida.edit.reading import Reading
from lavida.errors import ConfigError, RequestError
from lavida.eval.metrics import Cider, exact
from lavida.image.tiles import Grid, grid_of
from lavida.model.vlm import VLM
from lavida.text.chat import find_template
from lavida.text.labels import Label
from lavida.text.prompt import hint_ids, question_ids
from lavida.text.tokenizer import Tokenizer
from mini.data.features import Features, PictureRecord
from mini.data.languages import LANGUAGES
from mini.data.scenes import Scene
from mini.eval.metrics import noun_scores
from mini.eval.sets import KINDS, PictureQuestion, question_set

SHORT_CANVAS, CAPTION_CANVAS = 4, 16
PICTURES = 64  # encoded at a time
BATCH_TOKENS = 768  # canvas tokens in one batch


class AnsweringModel(Protocol):
    """Describe what is evaluated: `lavida.api.Model`, or a network in training with tokenizer and class names."""

    net: VLM
    tokenizer: Tokenizer
    labels: list[Label] | None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Hold canvas lengths and steps; None = one token a step."""

    short: int = SHORT_CANVAS
    caption: int = CAPTION_CANVAS
    steps: int | None = None
    hints: bool = True  # give the tower's first class name, as the model gets it in use

    def __post_init__(self) -> None:
        if min(self.short, self.caption, self.steps or 1) < 1:
            raise ConfigError(f"canvas lengths and steps must be at least 1, got {self}")

    def length(self, kind: str) -> int:
        """Return the canvas length of a kind of question."""
        return self.caption if kind == "caption" else self.short


def hint_tokens(model: AnsweringModel, records: Sequence[PictureRecord]) -> list[list[int]]:
    """Return the hint of each picture as tokens; empty ones for a model that has no class names."""
    if not model.labels:
        return [[] for _ in records]
    return [hint_ids(model.tokenizer, model.labels[t.label], t.probability) for t in records]


def answer_set(
    model: AnsweringModel,
    maps: Tensor,
    records: Sequence[PictureRecord],
    asked: Sequence[PictureQuestion],
    decoding: Decoding | None = None,
) -> list[str]:
    """Answer questions about pictures with trunk maps `maps` [N, V, 196, 80]; return the answers in order."""
    decoding = decoding or Decoding()
    config = model.net.config
    grid = grid_of(448, 448, config.vision, config.tiles)
    hints = hint_tokens(model, records) if decoding.hints else [[] for _ in records]
    answers = [""] * len(asked)
    pictures = sorted({a.picture for a in asked})
    for at in range(0, len(pictures), PICTURES):
        row_of = {p: i for i, p in enumerate(pictures[at : at + PICTURES])}
        image_features = model.net.tower.features(maps[list(row_of)].to(model.net.denoiser.embedding.weight))
        prefixes = encode_pictures(model.net, image_features, grid, [hints[p] for p in row_of])
        for length in sorted({decoding.length(a.question.kind) for a in asked}):
            chosen = [
                i for i, a in enumerate(asked) if a.picture in row_of and decoding.length(a.question.kind) == length
            ]
            prompts = [question_ids(model.tokenizer, asked[i].question.prompt) for i in chosen]
            rows = [row_of[asked[i].picture] for i in chosen]
            steps = min(decoding.steps or length, length)
            canvases = decode_batch(model.net, prefixes, rows, prompts, length=length, steps=steps)
            for i, ids in zip(chosen, canvases, strict=True):
                answers[i] = model.tokenizer.decode(j for j in ids if j != model.tokenizer.mask_id)
    return answers


def accuracy(asked: Sequence[PictureQuestion], answers: Sequence[str]) -> float:
    """Return the share of answers with the true words; nan of none."""
    right = [exact(text, a.question.answer) for a, text in zip(asked, answers, strict=True)]
    return sum(right) / len(right) if right else math.nan


def caption_figures(
    scenes: Sequence[Scene], asked: Sequence[PictureQuestion], answers: Sequence[str]
) -> dict[str, float]:
    """Compute CIDEr-D against the references of each scene, recall and precision of the names, exact match."""
    own_scenes = [scenes[a.picture] for a in asked]
    recall, precision = noun_scores(answers, [s.counts for s in own_scenes])
    cider = Cider([LANGUAGES[a.question.language].references(s) for a, s in zip(asked, own_scenes, strict=True)]).mean(
        answers
    )
    return {
        "cider": cider,
        "noun_recall": recall,
        "noun_precision": precision,
        "exact": accuracy(asked, answers),
    }


def evaluate_quickly(
    model: AnsweringModel,
    features: Features,
    n: int,
    *,
    seed: int = 0,
    decoding: Decoding | None = None,
    language: str = "en",
) -> dict[str, dict[str, float]]:
    """Ask a model in training every kind of question about the first n scenes; return figures and seconds."""
    start = time.perf_counter()
    scenes = [t.scene for t in features.records[:n]]
    sets = question_set(scenes, n, seed, language=language)
    flat = [a for kind in KINDS for a in sets[kind]]
    training = model.net.training
    model.net.eval()
    answers = iter(answer_set(model, features.maps, features.records[:n], flat, decoding))
    model.net.train(training)
    table: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        chosen = [next(answers) for _ in sets[kind]]
        table[kind] = {"n": len(chosen), "accuracy": accuracy(sets[kind], chosen)}
        if kind == "caption":
            table[kind] |= caption_figures(scenes, sets[kind], chosen)
    table["time"] = {"seconds": time.perf_counter() - start}
    return table


@torch.inference_mode()
def read_question(
    model: AnsweringModel,
    maps: Tensor,
    record: PictureRecord,
    question: str,
    *,
    length: int,
    prefix: Sequence[int] = (),
) -> Reading:
    """Read a question about the picture with trunk maps [V, 196, 80], ready for `lavida.edit`.

    `prefix` is read as the beginning of the answer.
    """
    net = model.net
    image_features = net.tower.features(maps[None].to(net.denoiser.embedding.weight))
    grid = grid_of(448, 448, net.config.vision, net.config.tiles)
    prefixes = encode_pictures(net, image_features, grid, hint_tokens(model, [record]))
    ids = _question_ids(model, question, prefix)
    if prefixes.cache is None:
        return _reading(model, [torch.cat((prefixes.x, net.denoiser.embed(ids)), 1)], "none", length)
    return _reading(model, [], net.prefill([net.denoiser.embed(ids)], prefixes.cache.fork()), length)


def _question_ids(model: AnsweringModel, question: str, prefix: Sequence[int]) -> Tensor:
    ids = [*question_ids(model.tokenizer, question), *prefix]
    return torch.tensor(ids, device=model.net.denoiser.embedding.weight.device)[None]


def _reading(model: AnsweringModel, segments: list[Tensor], cache: object, length: int) -> Reading:
    template = find_template(model.net.config.family)
    return Reading(
        net=model.net, tokenizer=model.tokenizer, template=template, segments=segments, cache=cache, length=length
    )


@dataclass(frozen=True, kw_only=True)
class PrefixBatch:
    """Hold G pictures or prompts, padded on the right."""

    valid: Tensor  # [G, P] False = padding
    cache: PrefixCache | None = None  # their keys, if nothing that follows changes them,
    x: Tensor | None = None  # or else their embeddings [G, P, D]

    @property
    def length(self) -> Tensor:
        """Return the position [G] of the next token."""
        return self.valid.sum(1)

    def select(self, rows: Tensor) -> PrefixBatch:
        """Return the prefixes of the given rows [n], in that order; a row may come several times."""
        cache, x = self.cache and self.cache.select(rows), None if self.x is None else self.x[rows]
        return PrefixBatch(valid=self.valid[rows], cache=cache, x=x)

    def hidden(self, net: VLM, ids: Tensor, valid: Tensor | None = None) -> Tensor:
        """Compute hidden states [G, n, D] of ids [G, n] behind the prefixes; a writing cache stores their keys."""
        x, valid = net.denoiser.embed(ids), self.valid.new_ones(ids.shape) if valid is None else valid
        all_valid = torch.cat((self.valid, valid), 1)
        positions = all_valid.cumsum(1) - 1  # padding takes no room
        if self.x is not None:
            return net.denoiser(torch.cat((self.x, x), 1), positions=positions, mask=_key_mask(all_valid))[
                :, -ids.shape[1] :
            ]
        return net.denoiser(x, positions=positions[:, -ids.shape[1] :], mask=_key_mask(all_valid), cache=self.cache)


def _key_mask(valid: Tensor) -> Tensor:
    return valid[:, None, None, :]


def _pad(pieces: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Return ids [n, longest] and which of them are valid."""
    valid = torch.zeros(len(pieces), max(map(len, pieces), default=0), dtype=torch.bool)
    ids = torch.zeros(valid.shape, dtype=torch.long)
    for i, piece in enumerate(pieces):
        ids[i, : len(piece)], valid[i, : len(piece)] = torch.tensor(piece, dtype=torch.long), True
    return ids, valid


@torch.inference_mode()
def encode_pictures(net: VLM, features: Tensor, grid: Grid, hints: Sequence[list[int]]) -> PrefixBatch:
    """Encode tower features [G, V, n, C], each followed by the ids of its hint."""
    weight = net.denoiser.embedding.weight
    image = net.image_tokens(features.to(weight), grid)
    ids, valid = _pad(hints)
    valid = torch.cat((valid.new_ones(image.shape[:2]), valid), 1).to(weight.device)
    x = torch.cat((image, net.denoiser.embed(ids.to(weight.device))), 1)
    if not (net.config.shared_image or net.config.denoiser.autoregressive):
        return PrefixBatch(valid=valid, x=x)
    cache = PrefixCache(net.config.denoiser.n_layers)
    net.denoiser(x, mask=_key_mask(valid), cache=cache)
    return PrefixBatch(valid=valid, cache=cache)


@torch.inference_mode()
def _append_prompts(net: VLM, prefixes: PrefixBatch, prompts: Sequence[list[int]]) -> tuple[PrefixBatch, Tensor | None]:
    """Append a prompt to each prefix; return the hidden state [Q, D] of its last token too if there are keys."""
    ids, valid = (t.to(prefixes.valid.device) for t in _pad(prompts))
    all_valid = torch.cat((prefixes.valid, valid), 1)
    if prefixes.cache is None:
        return PrefixBatch(valid=all_valid, x=torch.cat((prefixes.x, net.denoiser.embed(ids)), 1)), None
    prefixes.cache.writing = True
    hidden = prefixes.hidden(net, ids, valid)
    prefixes.cache.writing = False
    return PrefixBatch(valid=all_valid, cache=prefixes.cache), hidden[torch.arange(len(ids)), valid.sum(1) - 1]


def _likeliest(net: VLM, hidden: Tensor) -> Scores:
    """Return the likeliest tokens of hidden states [n, D], with their probabilities."""
    denoiser = net.config.denoiser
    return fused_scores(hidden, net.denoiser.head, denoiser.vocab_size, measure="confidence", mask_id=denoiser.mask_id)


@torch.inference_mode()
def _decode_masked(net: VLM, prefixes: PrefixBatch, length: int, steps: int, schedule: str, shift: float) -> Tensor:
    """Fill canvases [Q, length], surest tokens first; a row is finished once all before its end token is committed."""
    denoiser = net.config.denoiser
    done = torch.full((len(prefixes.valid), length), denoiser.mask_id, device=prefixes.valid.device)
    eos = torch.tensor(denoiser.eos_ids, device=done.device)
    rows = torch.arange(len(done), device=done.device)  # those still being written
    for count in unmask_counts(length, steps, schedule, shift):
        ids = done[rows]
        is_open = ids == denoiser.mask_id
        where = is_open.nonzero()[:, 1].view(len(rows), -1)  # every row has as many masks left
        found = _likeliest(net, prefixes.hidden(net, ids)[is_open])
        best = found.confidence.view(where.shape).topk(min(count, where.shape[1]), 1).indices
        ids.scatter_(1, where.gather(1, best), found.candidates.view(where.shape).gather(1, best))
        ended = (torch.isin(ids, eos) & ((ids == denoiser.mask_id).cumsum(1) == 0)).any(1)
        ids[ended] = torch.where(ids[ended] == denoiser.mask_id, eos[0], ids[ended])
        done[rows] = ids
        if ended.any():
            rows, prefixes = rows[~ended], prefixes.select((~ended).nonzero()[:, 0])
        if not len(rows):
            break
    return done


@torch.inference_mode()
def _decode_left_to_right(net: VLM, prefixes: PrefixBatch, hidden: Tensor, length: int) -> Tensor:
    """Write canvases [Q, length] left to right, the likeliest token each time, from a prompt's last state [Q, D]."""
    denoiser = net.config.denoiser
    eos = torch.tensor(denoiser.eos_ids, device=hidden.device)
    done = torch.full((len(hidden), length), denoiser.eos_ids[0], device=hidden.device)
    ended = torch.zeros(len(hidden), dtype=torch.bool, device=hidden.device)
    prefixes.cache.writing, prefixes.cache.room = True, length
    for at in range(length):
        ids = _likeliest(net, hidden).candidates
        done[:, at] = torch.where(ended, done[:, at], ids)
        ended |= torch.isin(ids, eos)
        if ended.all() or at == length - 1:
            break
        hidden = prefixes.hidden(net, ids[:, None])[:, 0]
        prefixes = PrefixBatch(
            valid=torch.cat((prefixes.valid, prefixes.valid.new_ones(len(ids), 1)), 1), cache=prefixes.cache
        )
    return done


def decode_batch(
    net: VLM,
    prefixes: PrefixBatch,
    rows: Sequence[int],
    prompts: Sequence[list[int]],
    *,
    length: int,
    steps: int | None = None,
    schedule: str = "shift",
    shift: float = DEFAULT_SHIFT,
) -> list[list[int]]:
    """Decode the canvas of each prompt about picture `rows[i]`; `steps` None = one token a step.

    Raises RequestError if a prompt and its canvas do not fit into the model, or for fewer steps than tokens of a model
    that writes left to right, ConfigError for a model with shifted logits.
    """
    denoiser = net.config.denoiser
    if denoiser.logit_shift and not denoiser.autoregressive:
        raise ConfigError("the batched evaluator knows only models whose logits are not shifted; ask one by one")
    if denoiser.autoregressive and steps not in (None, length):
        raise RequestError("this model writes one token after the other; leave out steps")
    longest = int(prefixes.length.max()) + max(map(len, prompts), default=0) + length
    if longest > denoiser.max_length:
        raise RequestError(f"prompt and answer take {longest} tokens and the model holds fewer; shorten one of them")
    device, size = prefixes.valid.device, max(1, BATCH_TOKENS // length)
    canvases: list[list[int]] = []
    for at in range(0, len(prompts), size):
        chosen = torch.tensor(rows[at : at + size], device=device)
        prefixes, hidden = _append_prompts(net, prefixes.select(chosen), prompts[at : at + size])
        if denoiser.autoregressive:
            done = _decode_left_to_right(net, prefixes, hidden, length)
        else:
            done = _decode_masked(net, prefixes, length, steps or length, schedule, shift)
        canvases += done.tolist()
    return canvases
