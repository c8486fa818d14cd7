"""Evaluation of auditing and revising: captions in which one name is wrong.

python -m mini eval audit --data build/mini --twin runs/twin/model
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lavida.decode.prompt import Prompt
from lavida.edit.audit import Audit, audit_ids
from lavida.edit.revise import ReviseOptions, revise_ids
from lavida.eval.metrics import auc
from lavida.text.words import exact
from mini.data import english
from mini.data.concepts import CONCEPTS
from mini.data.facts import Fact
from mini.data.features import Features, PictureRecord, five_views
from mini.data.scenes import Scene
from mini.eval.answers import AnsweringModel, read_question

CANVAS = 16
GREY = 127
MEASURES = ("seen", "support")  # likelihood with the picture; less that without it
_QUESTION = english.prompt(Fact(kind="caption"))


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Hold a caption in which one name was exchanged."""

    picture: int
    true: str  # the caption
    text: str  # the caption with the wrong name
    names: tuple[tuple[int, int], ...]  # where in `text` each name stands, characters
    wrong: int  # which of them


def draw_swaps(scenes: Sequence[Scene], n: int, seed: int) -> list[Swap]:
    """Draw captions of the first n scenes with two names or more, one replaced by a name that is not in the scene.

    Number and article fit the new name, so that the words alone do not give it away.
    """
    rng, swaps = random.Random(seed), []
    for i, scene in enumerate(scenes):
        names = list(scene.counts)
        if len(names) < 2 or len(swaps) == n:
            continue
        wrong = rng.randrange(len(names))
        new = rng.choice([name for name in sorted(CONCEPTS) if name not in names])
        named = [(new if k == wrong else name, scene.counts[name]) for k, name in enumerate(names)]
        groups = [english.group(name, count) for name, count in named]
        places, at = [], 0
        text = english.join(groups) + english.STOP
        for group in groups:
            at = text.index(group, at) + len(group)
            name = group.split(" ", 1)[-1]
            places.append((at - len(name), at))
        swaps.append(Swap(picture=i, true=english.caption(scene), text=text, names=tuple(places), wrong=wrong))
    return swaps


def evaluate_audit(
    model: AnsweringModel,
    features: Features,
    n: int,
    *,
    twin: AnsweringModel | None = None,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> dict:
    """Rank the exchanged name by each measure, for the model and its twin, and revise the captions."""
    swaps = draw_swaps([record.scene for record in features.records], n, seed)
    result: dict = {"n": len(swaps), "seed": seed, "ranks": {}}
    for name, subject in (("model", model), ("twin", twin)):
        if subject is not None:
            result["ranks"][name] = _ranks(subject, features, swaps)
            log(f"{name}: {len(swaps)} captions audited")
    if not model.net.config.denoiser.autoregressive:
        result["revised"] = _revised(model, features, swaps)
    return result


@torch.inference_mode()
def grey_picture(model: AnsweringModel) -> tuple[Tensor, PictureRecord]:
    """Return trunk maps [V, 196, 80] of a grey picture, and the tower's class of it."""
    tower = model.net.tower
    weight = next(tower.parameters())
    maps = tower.trunk(((five_views(torch.full((3, 448, 448), GREY)) - 127) / 128).to(weight))
    share, label = tower.classify(maps[:1]).float().softmax(-1).max(-1)
    return maps, PictureRecord(scene=None, label=int(label), probability=float(share))


def _ranks(model: AnsweringModel, features: Features, swaps: Sequence[Swap]) -> dict[str, dict[str, float]]:
    grey = read_question(model, *grey_picture(model), _QUESTION)
    found = {m: {"first": 0, "first_name": 0, "wrong": [], "words": [], "names": []} for m in MEASURES}
    for swap in swaps:
        audit = audit_ids(_prompt(model, features, swap), grey, model.tokenizer.encode(swap.text), length=CANVAS)
        owners = word_owners(audit, swap)
        for measure, kept in found.items():
            values = [getattr(word, measure) for word in audit.words]
            by_name = [min(values[i] for i in owned) for owned in owners]
            lowest = min(range(len(values)), key=values.__getitem__)
            kept["first"] += lowest in owners[swap.wrong]
            kept["first_name"] += min(range(len(by_name)), key=by_name.__getitem__) == swap.wrong
            kept["wrong"].append(by_name[swap.wrong])
            kept["words"] += [value for i, value in enumerate(values) if i not in owners[swap.wrong]]
            kept["names"] += [value for k, value in enumerate(by_name) if k != swap.wrong]
    count = max(1, len(swaps))
    return {
        measure: {
            "first": kept["first"] / count,
            "first_of_names": kept["first_name"] / count,
            "auc": auc(kept["wrong"], kept["words"]),
            "auc_of_names": auc(kept["wrong"], kept["names"]),
        }
        for measure, kept in found.items()
    }


def word_owners(audit: Audit, swap: Swap) -> list[list[int]]:
    """Return the words of the audit that each name of the caption consists of."""
    starts, at = [], -len(audit.words[0].text) + len(audit.words[0].text.lstrip())  # the caption has no leading space
    for word in audit.words:
        spaces = len(word.text) - len(word.text.lstrip())
        starts.append(at + spaces)
        at += len(word.text)
    return [[i for i, start in enumerate(starts) if first <= start < stop] for first, stop in swap.names]


def _revised(model: AnsweringModel, features: Features, swaps: Sequence[Swap]) -> dict[str, float]:
    """Return shares of wrong captions that a revision restores or changes, and of right ones that it leaves alone."""
    restored = changed = kept = 0
    for swap in swaps:
        prompt = _prompt(model, features, swap)
        new = revise_ids(prompt, model.tokenizer.encode(swap.text), ReviseOptions()).new
        restored += exact(new, swap.true)
        changed += not exact(new, swap.text)
        kept += exact(revise_ids(prompt, model.tokenizer.encode(swap.true), ReviseOptions()).new, swap.true)
    count = max(1, len(swaps))
    return {"restored": restored / count, "changed": changed / count, "right_kept": kept / count}


def _prompt(model: AnsweringModel, features: Features, swap: Swap) -> Prompt:
    maps, record = features.maps[swap.picture], features.records[swap.picture]
    return read_question(model, maps, record, _QUESTION)
