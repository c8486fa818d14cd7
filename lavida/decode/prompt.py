"""Prompts: images and token ids become what stands before a canvas, as embeddings or as keys and values.

What was computed is found again by a hash of its content, under a budget of memory: a second question about an image
skips the image encoder, the same question about it the prompt's forward pass too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.cache.store import BUDGET, Store
from lavida.decode.confidence import ConfidenceCurve
from lavida.decode.context import FullContext, PrefixContext, Unconditional, check_room
from lavida.decode.image_encoder import CodeEncoder, EncodedImage, ImageEncoder
from lavida.decode.pause import pause
from lavida.decode.select import check_numbers
from lavida.errors import CheckpointError, RequestError
from lavida.evidence.gather import Evidence, Parts
from lavida.image.codes import SIDE
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.model.vlm import VLM
from lavida.model.vq import ImageTokenizer
from lavida.text.chat import ChatTemplate, last_token
from lavida.text.labels import Label
from lavida.text.names import NameFinder, mentions
from lavida.text.tokenizer import USER, Vocabulary

_CANVASES = 32  # that go through the denoiser together


@dataclass(kw_only=True)
class Prompt:
    """Hold a prompt that was read: pieces of embeddings, or a context with their keys and values.

    `tokenizer` and `template` belong to the model and serve the editing of texts (`lavida.edit`).
    """

    net: VLM
    segments: list[Tensor]  # [1, P_i, D] of `VLM.segments`; empty if `prefix` holds them
    prefix: PrefixContext | None = None
    tokenizer: Vocabulary | None = None
    template: ChatTemplate | None = None
    images: tuple[EncodedImage, ...] = ()
    length: int = 0  # tokens, those of the images included; 0 = nobody counted
    cached: int = 0  # tokens of these that an earlier prompt had computed
    unconditional: Unconditional | None = None  # what guidance leads away from; None = a prompt of masks

    @classmethod
    def of(cls, net: VLM, segments: Sequence[Tensor], cache: str | PrefixCache = "prefix") -> Prompt:
        """Return the prompt of pieces [1, P_i, D]: "prefix" computes them now, "none" with every canvas.

        A PrefixCache is used as it is, and `segments` may then be empty.
        """
        if cache == "none":
            return cls(net=net, segments=list(segments))
        held = cache if isinstance(cache, PrefixCache) else net.prefill(list(segments))
        return cls(net=net, segments=[], prefix=PrefixContext(net, held))

    @cached_property
    def _context(self) -> PrefixContext | FullContext:
        if self.prefix is None:
            return FullContext(self.net, self.segments)
        self.prefix.prefill()
        return self.prefix

    def hidden(self, ids: Tensor) -> Tensor:
        """Compute the hidden states [B, L, D] of canvases [B, L]; row i predicts token i."""
        pause()
        forward = self._context.forward(ids)
        return self._context.align(self.net.denoiser(forward.x, mask=forward.mask, cache=forward.cache))

    @torch.no_grad()
    def log_probabilities(self, ids: Tensor, wanted: Tensor) -> Tensor:
        """Compute log-probabilities [n, V] at the `wanted` places, bool [B, L], of canvases [B, L]."""
        device = self.net.denoiser.device
        parts = [
            F.log_softmax(self.net.denoiser.head(self.hidden(rows)[at.to(device)]).float(), -1).cpu()
            for rows, at in zip(ids.to(device).split(_CANVASES), wanted.split(_CANVASES), strict=True)
        ]
        found = torch.cat(parts)
        check_numbers(found[:, 0])  # one NaN among the logits makes all of its row NaN
        return found

    @property
    def mask_id(self) -> int:
        """The mask token."""
        return self.net.config.denoiser.mask_id

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokenizer. Raises RequestError for a prompt that was made without one."""
        if self.tokenizer is None:
            raise RequestError("this prompt has no tokenizer; read it with Model.read")
        return self.tokenizer

    @cached_property
    def unwritable(self) -> Tensor:
        """Ids [n] that stand for no text: special tokens and rows of the embedding without one."""
        denoiser = self.net.config.denoiser
        beyond = range(self.vocabulary.size, denoiser.vocab_size)
        named = {denoiser.mask_id, *denoiser.eos_ids, *denoiser.banned_ids, *self.vocabulary.special_ids, *beyond}
        return torch.tensor(sorted(named))

    def canvas(self, ids: Sequence[int], length: int) -> Tensor:
        """Return a text's tokens as a canvas of at least `length`: the text, its end, end tokens."""
        pad = self.net.config.denoiser.eos_ids[0]
        end = last_token(self.template) if self.template is not None else None
        written = [*ids, self.vocabulary.id_of(end) if end else pad]
        return torch.tensor(written + [pad] * (length - len(written)))


class PromptReader:
    """Read prompts for one model, keeping what was computed under a budget of `memory` bytes."""

    def __init__(
        self,
        net: VLM,
        tokenizer: Vocabulary | None,
        template: ChatTemplate | None = None,
        *,
        labels: Sequence[Label] | None = None,
        name: str = "",
        memory: int = BUDGET,
        parts: Parts | None = None,
        names: NameFinder | None = None,
        curve: ConfidenceCurve | None = None,
        vq: Callable[[], ImageTokenizer] | None = None,
        side: int | None = None,
    ) -> None:
        self.net, self.tokenizer, self.template, self.name = net, tokenizer, template, name
        self._names, self.curve = names, curve
        self.store = Store(memory)
        self.images = ImageEncoder(net, tokenizer, labels=labels, name=name, store=self.store, parts=parts)
        if net.config.codes is not None:
            self.images = CodeEncoder(
                net, vq or _no_vq, name=name, store=self.store, side=SIDE if side is None else side
            )

    def read(
        self, ids: Sequence[int] | Tensor, images: Sequence[EncodedImage], *, cache: str = "prefix", room: int = 0
    ) -> Prompt:
        """Read token ids [P] in which each -200 stands for the next image.

        Args:
            ids: The prompt, as `lavida.text.chat.prompt_ids` writes it.
            images: One for each place.
            cache: That of `DecodeOptions`; "prefix" keeps keys and values, all others embeddings.
            room: The length of the canvas, if it is known: its keys are then written behind the prompt's.

        Raises:
            RequestError: The images do not fit their places, or prompt and canvas do not fit into the model.
        """
        net, tokens = self.net, [image.tokens for image in images]
        length, seen = len(ids) - len(images) + sum(map(len, tokens)), sum(len(i.tokens) for i in images if i.held)
        check_room(net, length + room)
        prompt = partial(
            Prompt, net=net, tokenizer=self.tokenizer, template=self.template, images=tuple(images), length=length
        )
        ids = torch.as_tensor(ids, device=net.denoiser.device)
        if cache != "prefix":
            return prompt(segments=net.segments(ids, tokens, self.told(ids, images)), cached=seen)
        key = ("prompt", tuple(ids.tolist()), *(image.key for image in images))
        held = self.store.get(key)
        if held is None and net.config.shared_image and len(images) == 1:
            words = net.segments(ids, tokens, self.told(ids, images))[1]
            held = self._image_keys(images[0]).fork(room)
            keep = partial(self.store.put, key, held)
            return prompt(segments=[], prefix=PrefixContext(net, held, words, lambda: keep(held.nbytes)), cached=seen)
        if held is None:  # long: computed at once, so that the next question finds it
            held = net.prefill(net.segments(ids, tokens, self.told(ids, images)), room=room)
            self.store.put(key, held, held.nbytes)
            return prompt(segments=[], prefix=PrefixContext(net, held), cached=seen)
        return prompt(segments=[], prefix=PrefixContext(net, held), cached=length)

    def told(self, ids: Tensor, images: Sequence[EncodedImage]) -> Tensor | None:
        """Return what the evidence adds [P, D] to names among the ids; of several pictures the first has a say."""
        return self.told_rows([ids], [[image.evidence for image in images]])[0]

    def told_rows(self, rows: Sequence[Tensor], evidence: Sequence[Sequence[Evidence | None]]) -> list[Tensor | None]:
        """Return `told` for several rows of ids, each with the evidence of its pictures, computed together."""
        net, out = self.net, [cast(Tensor | None, None)] * len(rows)
        if net.evidence is None or not net.evidence.names or self._names is None:
            return out
        first = [next((one for one in own if one is not None), None) for own in evidence]
        told = [(row, one) for row, one in enumerate(first) if one is not None]
        found = [
            (row, picture, places, name)
            for picture, (row, _) in enumerate(told)
            for places, name in mentions(self._names, rows[row].tolist(), self._user)
        ]
        if not found:
            return out
        device = net.denoiser.device
        inputs = EvidenceInputs.stack([one.inputs(net.evidence.boxes) for _, one in told]).to(device)
        pictures, names = (torch.tensor([one[i] for one in found], device=device) for i in (1, 3))
        vectors = net.evidence.of_names(inputs, pictures, names, net.denoiser.table)
        for (row, _, places, _), vector in zip(found, vectors, strict=True):
            added = out[row]
            if added is None:
                added = out[row] = vectors.new_zeros(len(rows[row]), vectors.shape[1])
            added[places] = vector
        return out

    @cached_property
    def _user(self) -> int:
        assert self.tokenizer is not None, "names are found in text"
        return self.tokenizer.id_of(USER)

    def _image_keys(self, image: EncodedImage) -> PrefixCache:
        """Return the keys and values of an image, which no prompt changes."""
        held = self.store.get(("keys", image.key))
        if held is None:
            held = self.net.prefill([image.tokens[None]])
            self.store.put(("keys", image.key), held, held.nbytes)
        return held


def _no_vq() -> ImageTokenizer:
    raise CheckpointError("this model reads pictures by an image tokenizer, and none was given; use lavida.load")
