"""Evidence in training: a model that is told what frozen parts find in a picture is told it here as when it answers.

The parts do not learn, so each picture is looked through once, in full precision; what the model makes of it learns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from lavida.cache.store import Store
from lavida.data.collate import Batch
from lavida.decode.prompt import PromptReader
from lavida.evidence.gather import Evidence
from lavida.image.tiles import Grid
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.model.vlm import VLM
from lavida.text.reading import read_ids
from lavida.text.tokenizer import Tokenizer

_BUDGET, _BYTES = 1 << 28, 1 << 14  # of all evidence that is kept, and of one picture's
_TILES = (2, 2)  # for which evidence is defined


class TrainingEvidence:
    """Find the evidence of training pictures by the parts of a model's reader, and put it into its prompts."""

    def __init__(self, reader: PromptReader) -> None:
        self._reader, self._kept = reader, Store(_BUDGET)

    def of(self, batch: Batch) -> list[list[Evidence | None]]:
        """Return the evidence of each row's pictures; None for one that is not cut into 2 x 2 tiles."""
        return [
            [
                self._find(image, pixels, grid) if (grid.columns, grid.rows) == _TILES else None
                for image, (pixels, grid) in zip(images, views, strict=True)
            ]
            for images, views in zip(batch.images, batch.views, strict=True)
        ]

    @torch.no_grad()
    def _find(self, image: Image.Image, pixels: Tensor, grid: Grid) -> Evidence | None:
        key = hashlib.sha256(pixels.cpu().contiguous().numpy().data).digest()
        found = self._kept.get(key)
        if found is None:
            with torch.autocast(pixels.device.type, enabled=False):
                found = self._reader.images.find_evidence(image, pixels, grid)
            self._kept.put(key, found, _BYTES)
        return found

    def tokens(self, vlm: VLM, tokens: list[Tensor], found: Sequence[Evidence | None]) -> list[Tensor]:
        """Return the tokens [T, D] of pictures with the evidence of each that has some, put in for all at once."""
        assert vlm.evidence is not None, "the model has a place for evidence"
        told = [place for place, evidence in enumerate(found) if evidence is not None]
        if not told:
            return tokens
        inputs = EvidenceInputs.stack([cast(Evidence, found[place]).inputs(vlm.evidence.boxes) for place in told])
        put = vlm.with_evidence(torch.stack([tokens[place] for place in told]), inputs.to(tokens[told[0]].device))
        joined = dict(zip(told, put, strict=True))
        return [joined.get(place, own) for place, own in enumerate(tokens)]

    def read_ids(self, evidence: Evidence) -> list[int]:
        """Return the ids of read text, which follow the hint; none where nothing could read."""
        texts = evidence.read()
        if texts is None:
            return []
        return read_ids(cast(Tokenizer, self._reader.tokenizer), texts, self._reader.net.config.reading)

    def told(self, batch: Batch, found: Sequence[Sequence[Evidence | None]]) -> list[Tensor | None]:
        """Return what is added [T, D] to names among the ids of each row; answers that are learnt are told nothing."""
        return self._reader.told_rows(list(torch.where(batch.answer > 0, -1, batch.ids)), found)
