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
from lavida.decode.prompt import EncodedImage, PromptReader
from lavida.evidence.gather import Evidence
from lavida.image.tiles import Grid
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

    def tokens(self, vlm: VLM, tokens: Tensor, evidence: Evidence) -> Tensor:
        """Return a picture's tokens [T, D] with its evidence."""
        assert vlm.evidence is not None, "the model has a place for evidence"
        return vlm.with_evidence(tokens[None], evidence.inputs(vlm.evidence.boxes).to(tokens.device))[0]

    def read_ids(self, evidence: Evidence) -> list[int]:
        """Return the ids of read text, which follow the hint; none where nothing could read."""
        texts = evidence.read()
        return read_ids(cast(Tokenizer, self._reader.tokenizer), texts) if texts is not None else []

    def told(self, ids: Tensor, answer: Tensor, evidence: Sequence[Evidence | None]) -> Tensor | None:
        """Return what is added [T, D] to names among the ids [T] of a row; answers that are learnt are told nothing."""
        asked = torch.where(answer > 0, -1, ids)
        blank = ids.new_zeros(0)
        return self._reader.told(asked, [EncodedImage(key=b"", tokens=blank, evidence=one) for one in evidence])
