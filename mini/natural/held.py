"""Measure a model in training on invented pictures with held-out wordings, by kind of question."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from lavida.model.vlm import VLM
from lavida.nn.attention import segment_mask
from lavida.text.tokenizer import Tokenizer
from mini.natural.feed import NaturalRows
from mini.train.losses import embed_rows, image_tokens
from mini.train.packing import PackedRows


def image_prefix(vlm: VLM, cells: Tensor, rows: NaturalRows) -> Tensor:
    """Return the tokens [N, 98, D] of pictures: evidence, then projected cells [N, 80, D] with newlines and places.

    Rows without pictures have no cells and get no tokens, [N, 0, D].
    """
    if not cells.shape[1]:
        return cells
    tiles = cells[:, 16:].unflatten(1, (2, 4, 2, 4)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
    views = torch.cat((cells[:, None, :16], tiles), 1)  # [N, 5, 16, D]
    return vlm.with_evidence(image_tokens(vlm, views), rows.inputs)


def told_of_names(vlm: VLM, rows: NaturalRows) -> tuple[Tensor, Tensor] | None:
    """Return flat positions [M] of names in prompts and what evidence says of them [M, D]; None if nothing is told."""
    if vlm.evidence is None or not vlm.evidence.names or not len(rows.mentions):
        return None
    at, picture, name = rows.mentions.unbind(1)
    return at, vlm.evidence.of_names(rows.inputs, picture, name, vlm.denoiser.table)


@torch.no_grad()
def answer_packed(
    vlm: VLM, batch: PackedRows, image: Tensor, mask_id: int, steps: int = 4, told: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Write the first copy of every answer from a canvas of mask tokens; the ids [B, R] come back.

    In each step the surest of the masked positions of each answer are kept, as many as are due.
    """
    learned = batch.p > 0
    first = learned & (batch.segment % 3 == 0)  # the copies have segments 3k and 3k + 1
    ids = batch.ids.masked_fill(first, mask_id)
    seen = segment_mask(batch.segment, batch.parent)
    mask = torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))
    denoiser = vlm.denoiser
    for step in range(steps):
        x = embed_rows(denoiser, ids, batch.picture, image, told)
        hidden = denoiser(x, positions=batch.positions, mask=mask.to(x.dtype))
        open_ = first & (ids == mask_id)
        logits = denoiser.head(hidden[open_]).float()
        logits[:, mask_id] = float("-inf")
        sure, guess = logits.softmax(-1).max(-1)
        score = torch.full(ids.shape, -1.0)
        score[open_] = sure
        found = ids.clone()
        found[open_] = guess
        for b in range(len(ids)):
            for s in batch.segment[b][open_[b]].unique().tolist():
                own = ((batch.segment[b] == s) & open_[b]).nonzero().flatten()
                due = -(-len(own) // (steps - step))
                best = own[score[b, own].argsort(descending=True)[:due]]
                ids[b, best] = found[b, best]
    return ids


def right_answers(
    vlm: VLM, tokenizer: Tokenizer, rows: Sequence, kinds: dict[tuple[str, str], str], *, steps: int = 4
) -> tuple[dict[str, tuple[int, int]], list[tuple[str, str, str, str]]]:
    """Count exact answers of each kind; the wrong ones come back as (kind, question, answer, wanted)."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    wrong = []
    vlm.eval()
    for part in rows:
        batch = part.batch
        cells = part.cells.to(vlm.positions.map.weight.dtype)
        image = image_prefix(vlm, cells, part)
        ids = answer_packed(vlm, batch, image, tokenizer.mask_id, steps, told_of_names(vlm, part))
        for b in range(len(ids)):
            for s in sorted({int(s) for s in batch.segment[b] if s > 1 and s % 3 == 0}):
                own, prompt = batch.segment[b] == s, batch.segment[b] == s - 1
                said = tokenizer.decode(ids[b, own].tolist())
                wanted = tokenizer.decode(batch.targets[b, own].tolist())
                question = tokenizer.decode(batch.ids[b, prompt].tolist())
                kind = kinds.get((question, wanted), "other")
                counts[kind][0] += said == wanted
                counts[kind][1] += 1
                if said != wanted:
                    wrong.append((kind, question, said, wanted))
    return {kind: (right, n) for kind, (right, n) in sorted(counts.items())}, wrong


def held_out_rows(feed, pictures: int, seed: int) -> tuple[list, dict[tuple[str, str], str]]:
    """Rows of invented pictures asked in held-out wordings, and the kind of each (question, answer)."""
    rng, g = random.Random(seed), torch.Generator().manual_seed(seed)
    rows, kinds = [], {}
    for _ in range(-(-pictures // 8)):
        part, asked = feed.held_out(8, rng, g)
        rows.append(part)
        tokenizer = feed.tokenizer
        for q in asked:
            question = tokenizer.decode(tokenizer.encode(q.prompt.strip()))
            answer = tokenizer.decode(tokenizer.encode(q.answer))
            kinds[question, answer] = f"{q.language} {q.kind}"
    return rows, kinds
