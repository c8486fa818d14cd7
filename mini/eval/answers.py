"""Runs a model over question sets and reduces the answers to figures."""

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
from mini.data.features import Features, Truth
from mini.data.languages import LANGUAGES
from mini.data.scenes import Scene
from mini.eval.metrics import noun_scores
from mini.eval.sets import KINDS, Asked, question_set

SHORT_CANVAS, CAPTION_CANVAS = 4, 16
_PICTURES = 64  # encoded at a time


class Reader(Protocol):
    """What is evaluated: `lavida.api.Model`, or the network being trained with its tokenizer and class names."""

    net: VLM
    tokenizer: Tokenizer
    labels: list[Label] | None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Canvas lengths and steps; None = one token a step."""

    short: int = SHORT_CANVAS
    caption: int = CAPTION_CANVAS
    steps: int | None = None
    hints: bool = True  # give the tower's first class name, as the model gets it in use

    def __post_init__(self) -> None:
        if min(self.short, self.caption, self.steps or 1) < 1:
            raise ConfigError(f"canvas lengths and steps must be at least 1, got {self}")

    def length(self, kind: str) -> int:
        return self.caption if kind == "caption" else self.short


def hints_of(model: Reader, truths: Sequence[Truth]) -> list[list[int]]:
    """The hint of each picture as tokens; empty ones for a model that has no class names."""
    if not model.labels:
        return [[] for _ in truths]
    return [hint_ids(model.tokenizer, model.labels[t.label], t.probability) for t in truths]


def answer_set(
    model: Reader, maps: Tensor, truths: Sequence[Truth], asked: Sequence[Asked], decoding: Decoding | None = None
) -> list[str]:
    """The model's answers to questions about pictures with trunk maps `maps` [N, V, 196, 80], in order."""
    decoding = decoding or Decoding()
    config = model.net.config
    grid = grid_of(448, 448, config.vision, config.tiles)
    hints = hints_of(model, truths) if decoding.hints else [[] for _ in truths]
    answers = [""] * len(asked)
    pictures = sorted({a.picture for a in asked})
    for at in range(0, len(pictures), _PICTURES):
        row_of = {p: i for i, p in enumerate(pictures[at : at + _PICTURES])}
        seen = model.net.tower.features(maps[list(row_of)].to(model.net.denoiser.embedding.weight))
        prefixes = encode_pictures(model.net, seen, grid, [hints[p] for p in row_of])
        for length in sorted({decoding.length(a.question.kind) for a in asked}):
            mine = [
                i for i, a in enumerate(asked) if a.picture in row_of and decoding.length(a.question.kind) == length
            ]
            prompts = [question_ids(model.tokenizer, asked[i].question.prompt) for i in mine]
            rows = [row_of[asked[i].picture] for i in mine]
            steps = min(decoding.steps or length, length)
            canvases = fill_answers(model.net, prefixes, rows, prompts, length=length, steps=steps)
            for i, ids in zip(mine, canvases, strict=True):
                answers[i] = model.tokenizer.decode(j for j in ids if j != model.tokenizer.mask_id)
    return answers


def accuracy(asked: Sequence[Asked], answers: Sequence[str]) -> float:
    """Share of answers with the true words; nan of none."""
    right = [exact(text, a.question.answer) for a, text in zip(asked, answers, strict=True)]
    return sum(right) / len(right) if right else math.nan


def caption_figures(scenes: Sequence[Scene], asked: Sequence[Asked], answers: Sequence[str]) -> dict[str, float]:
    """CIDEr-D against the references of each scene, recall and precision of the names, exact match."""
    shown = [scenes[a.picture] for a in asked]
    recall, precision = noun_scores(answers, [s.counts for s in shown])
    cider = Cider([LANGUAGES[a.question.language].references(s) for a, s in zip(asked, shown, strict=True)]).mean(
        answers
    )
    return {
        "cider": cider,
        "noun_recall": recall,
        "noun_precision": precision,
        "exact": accuracy(asked, answers),
    }


def quick(
    model: Reader, features: Features, n: int, *, seed: int = 0, decoding: Decoding | None = None, language: str = "en"
) -> dict[str, dict[str, float]]:
    """A glance at a model in training: every kind of question on the first n scenes, and the seconds it took."""
    start = time.perf_counter()
    scenes = [t.scene for t in features.truths[:n]]
    sets = question_set(scenes, n, seed, language=language)
    flat = [a for kind in KINDS for a in sets[kind]]
    training = model.net.training
    model.net.eval()
    answers = iter(answer_set(model, features.maps, features.truths[:n], flat, decoding))
    model.net.train(training)
    table: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        mine = [next(answers) for _ in sets[kind]]
        table[kind] = {"n": len(mine), "accuracy": accuracy(sets[kind], mine)}
        if kind == "caption":
            table[kind] |= caption_figures(scenes, sets[kind], mine)
    table["time"] = {"seconds": time.perf_counter() - start}
    return table


@torch.inference_mode()
def picture_reading(
    model: Reader, maps: Tensor, truth: Truth, question: str, *, length: int, prefix: Sequence[int] = ()
) -> Reading:
    """A question about the picture with trunk maps [V, 196, 80]; `prefix` is read as the beginning of the answer."""
    net = model.net
    seen = net.tower.features(maps[None].to(net.denoiser.embedding.weight))
    grid = grid_of(448, 448, net.config.vision, net.config.tiles)
    held = encode_pictures(net, seen, grid, hints_of(model, [truth]))
    ids = _words(model, question, prefix)
    if held.cache is None:
        return _reading(model, [torch.cat((held.x, net.denoiser.embed(ids)), 1)], "none", length)
    return _reading(model, [], net.prefill([net.denoiser.embed(ids)], held.cache.fork()), length)


def _words(model: Reader, question: str, prefix: Sequence[int]) -> Tensor:
    ids = [*question_ids(model.tokenizer, question), *prefix]
    return torch.tensor(ids, device=model.net.denoiser.embedding.weight.device)[None]


def _reading(model: Reader, segments: list[Tensor], cache: object, length: int) -> Reading:
    template = find_template(model.net.config.family)
    return Reading(
        net=model.net, tokenizer=model.tokenizer, template=template, segments=segments, cache=cache, length=length
    )


_ROOM = 768  # canvas tokens in one batch


@dataclass(frozen=True, kw_only=True)
class Prefixes:
    """G pictures or prompts, padded on the right."""

    real: Tensor  # [G, P] False = padding
    cache: PrefixCache | None = None  # their keys, if nothing that follows changes them,
    x: Tensor | None = None  # or else their embeddings [G, P, D]

    @property
    def length(self) -> Tensor:
        """Position [G] of what comes next."""
        return self.real.sum(1)

    def select(self, rows: Tensor) -> Prefixes:
        """The prefixes of the given rows [n], in that order; a row may come several times."""
        cache, x = self.cache and self.cache.select(rows), None if self.x is None else self.x[rows]
        return Prefixes(real=self.real[rows], cache=cache, x=x)

    def behind(self, net: VLM, ids: Tensor, real: Tensor | None = None) -> Tensor:
        """Hidden states [G, n, D] of ids [G, n] behind the prefixes; a writing cache takes them up."""
        x, real = net.denoiser.embed(ids), self.real.new_ones(ids.shape) if real is None else real
        seen = torch.cat((self.real, real), 1)
        positions = seen.cumsum(1) - 1  # padding takes no room
        if self.x is not None:
            return net.denoiser(torch.cat((self.x, x), 1), positions=positions, mask=_keys(seen))[:, -ids.shape[1] :]
        return net.denoiser(x, positions=positions[:, -ids.shape[1] :], mask=_keys(seen), cache=self.cache)


def _keys(real: Tensor) -> Tensor:
    return real[:, None, None, :]


def _padded(pieces: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Ids [n, longest] and which of them are real."""
    real = torch.zeros(len(pieces), max(map(len, pieces), default=0), dtype=torch.bool)
    ids = torch.zeros(real.shape, dtype=torch.long)
    for i, piece in enumerate(pieces):
        ids[i, : len(piece)], real[i, : len(piece)] = torch.tensor(piece, dtype=torch.long), True
    return ids, real


@torch.inference_mode()
def encode_pictures(net: VLM, features: Tensor, grid: Grid, hints: Sequence[list[int]]) -> Prefixes:
    """Prefixes of tower features [G, V, n, C], each with the ids of its hint behind the image."""
    weight = net.denoiser.embedding.weight
    image = net.image_tokens(features.to(weight), grid)
    ids, real = _padded(hints)
    real = torch.cat((real.new_ones(image.shape[:2]), real), 1).to(weight.device)
    x = torch.cat((image, net.denoiser.embed(ids.to(weight.device))), 1)
    if not (net.config.shared_image or net.config.denoiser.autoregressive):
        return Prefixes(real=real, x=x)
    cache = PrefixCache(net.config.denoiser.n_layers)
    net.denoiser(x, mask=_keys(real), cache=cache)
    return Prefixes(real=real, cache=cache)


@torch.inference_mode()
def _ask(net: VLM, held: Prefixes, prompts: Sequence[list[int]]) -> tuple[Prefixes, Tensor | None]:
    """The prefixes continued by a prompt each, and the hidden state [Q, D] of its last token if there are keys."""
    ids, real = (t.to(held.real.device) for t in _padded(prompts))
    seen = torch.cat((held.real, real), 1)
    if held.cache is None:
        return Prefixes(real=seen, x=torch.cat((held.x, net.denoiser.embed(ids)), 1)), None
    held.cache.writing = True
    hidden = held.behind(net, ids, real)
    held.cache.writing = False
    return Prefixes(real=seen, cache=held.cache), hidden[torch.arange(len(ids)), real.sum(1) - 1]


def _likeliest(net: VLM, hidden: Tensor) -> Scores:
    """The likeliest tokens of hidden states [n, D], with their probabilities."""
    denoiser = net.config.denoiser
    return fused_scores(hidden, net.denoiser.head, denoiser.vocab_size, measure="confidence", mask_id=denoiser.mask_id)


@torch.inference_mode()
def _fill(net: VLM, held: Prefixes, length: int, steps: int, schedule: str, shift: float) -> Tensor:
    """Canvases [Q, length] filled surest first; a row whose end token has nothing open before it is finished."""
    denoiser = net.config.denoiser
    done = torch.full((len(held.real), length), denoiser.mask_id, device=held.real.device)
    eos = torch.tensor(denoiser.eos_ids, device=done.device)
    rows = torch.arange(len(done), device=done.device)  # those still being written
    for count in unmask_counts(length, steps, schedule, shift):
        ids = done[rows]
        is_open = ids == denoiser.mask_id
        where = is_open.nonzero()[:, 1].view(len(rows), -1)  # every row has as many masks left
        found = _likeliest(net, held.behind(net, ids)[is_open])
        best = found.confidence.view(where.shape).topk(min(count, where.shape[1]), 1).indices
        ids.scatter_(1, where.gather(1, best), found.candidates.view(where.shape).gather(1, best))
        ended = (torch.isin(ids, eos) & ((ids == denoiser.mask_id).cumsum(1) == 0)).any(1)
        ids[ended] = torch.where(ids[ended] == denoiser.mask_id, eos[0], ids[ended])
        done[rows] = ids
        if ended.any():
            rows, held = rows[~ended], held.select((~ended).nonzero()[:, 0])
        if not len(rows):
            break
    return done


@torch.inference_mode()
def _continue(net: VLM, held: Prefixes, hidden: Tensor, length: int) -> Tensor:
    """Canvases [Q, length] written left to right, the likeliest token each time, from a prompt's last state [Q, D]."""
    denoiser = net.config.denoiser
    eos = torch.tensor(denoiser.eos_ids, device=hidden.device)
    done = torch.full((len(hidden), length), denoiser.eos_ids[0], device=hidden.device)
    ended = torch.zeros(len(hidden), dtype=torch.bool, device=hidden.device)
    held.cache.writing, held.cache.room = True, length
    for at in range(length):
        ids = _likeliest(net, hidden).candidates
        done[:, at] = torch.where(ended, done[:, at], ids)
        ended |= torch.isin(ids, eos)
        if ended.all() or at == length - 1:
            break
        hidden = held.behind(net, ids[:, None])[:, 0]
        held = Prefixes(real=torch.cat((held.real, held.real.new_ones(len(ids), 1)), 1), cache=held.cache)
    return done


def fill_answers(
    net: VLM,
    prefixes: Prefixes,
    rows: Sequence[int],
    prompts: Sequence[list[int]],
    *,
    length: int,
    steps: int | None = None,
    schedule: str = "shift",
    shift: float = DEFAULT_SHIFT,
) -> list[list[int]]:
    """The canvas of each prompt about picture `rows[i]`; `steps` None = one token a step.

    Raises RequestError if a prompt and its canvas do not fit into the model, or for fewer steps than tokens of a model
    that writes left to right.
    """
    denoiser = net.config.denoiser
    if denoiser.logit_shift and not denoiser.autoregressive:
        raise ConfigError("the batched evaluator knows only models whose logits are not shifted; ask one by one")
    if denoiser.autoregressive and steps not in (None, length):
        raise RequestError("this model writes one token after the other; leave out steps")
    longest = int(prefixes.length.max()) + max(map(len, prompts), default=0) + length
    if longest > denoiser.max_length:
        raise RequestError(f"prompt and answer take {longest} tokens and the model holds fewer; shorten one of them")
    device, size = prefixes.real.device, max(1, _ROOM // length)
    canvases: list[list[int]] = []
    for at in range(0, len(prompts), size):
        chosen = torch.tensor(rows[at : at + size], device=device)
        held, hidden = _ask(net, prefixes.select(chosen), prompts[at : at + size])
        if denoiser.autoregressive:
            done = _continue(net, held, hidden, length)
        else:
            done = _fill(net, held, length, steps or length, schedule, shift)
        canvases += done.tolist()
    return canvases
