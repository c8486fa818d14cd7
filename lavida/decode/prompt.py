"""Prompts: images and token ids become what stands before a canvas, as embeddings or as keys and values.

What was computed is found again by a hash of its content, under a budget of memory: a second question about an image
skips the image encoder, the same question about it the prompt's forward pass too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.cache.store import BUDGET, Store
from lavida.config import TilesConfig, VisionConfig
from lavida.decode.confidence import ConfidenceCurve
from lavida.decode.context import FullContext, PrefixContext, check_room
from lavida.decode.pause import pause
from lavida.decode.select import check_numbers
from lavida.errors import ImageError, RequestError
from lavida.evidence.gather import Evidence, Parts, evidence_of
from lavida.image.tiles import Grid, frame_views, grid_of, views
from lavida.model.vlm import VLM, TowerOutput
from lavida.text.chat import ChatTemplate, last_token
from lavida.text.labels import Label
from lavida.text.names import NameFinder, mentions
from lavida.text.prompt import hint_ids
from lavida.text.reading import read_ids
from lavida.text.tokenizer import USER, Tokenizer, Vocabulary

_CANVASES = 32  # that go through the denoiser together
_WORDS = 96  # tokens that stand behind a picture's own at most: evidence, hint, read text


@dataclass(frozen=True, kw_only=True)
class EncodedImage:
    """Hold the tokens of one image or video."""

    key: bytes  # hash of its pixels and of how they were cut
    tokens: Tensor  # [T, D]: image tokens, and behind them the tower's hint and the text that was read, if any
    evidence: Evidence | None = None  # found by the frozen parts of the model, if it has some
    held: bool = False  # whether it was found in the store


class ImageEncoder:
    """Turn images and videos into tokens: views, tower, projector; evidence and hint of lavida-mini.

    `labels` are the tower's own classes, `parts` find evidence, `store` keeps what was computed.
    """

    def __init__(
        self,
        net: VLM,
        tokenizer: Vocabulary | None,
        *,
        labels: Sequence[Label] | None,
        name: str,
        store: Store,
        parts: Parts | None = None,
    ) -> None:
        self._net, self._tokenizer, self._labels, self._store = net, tokenizer, labels, store
        self._parts, self.name = parts, name

    def require(self) -> VisionConfig:
        """Return the tower's configuration. Raises ImageError if there is no tower."""
        if self._net.config.vision is None:
            raise ImageError(f"the model {self.name} reads text only; load one with a vision tower")
        return self._net.config.vision

    def encode(self, image: Image.Image, tiles: TilesConfig) -> EncodedImage:
        """Encode an image that is cut into views by `tiles`."""
        pixels, grid = views(image, self.require(), tiles)
        return self.encode_views(pixels, grid, tiles, image)

    def encode_views(
        self, pixels: Tensor, grid: Grid, tiles: TilesConfig, image: Image.Image | None = None
    ) -> EncodedImage:
        """Encode views [V, 3, S, S] in float32 that are cut already; evidence is found in the `image` itself."""

        def tokens() -> tuple[Tensor, Evidence | None]:
            look = self._look(pixels)
            found = self._to(self._net.image_tokens(look.features, grid, tiles))
            evidence = None if image is None else self.find_evidence(image, pixels, grid, look)
            if evidence is not None and self._net.evidence is not None:
                found = self._net.with_evidence(found[None], evidence.inputs(self._net.evidence.boxes))[0]
            return torch.cat((found, self._words(look.classes, evidence))), evidence

        return self._kept(pixels, repr((grid, tiles, image is None)), tokens)

    def find_evidence(
        self, image: Image.Image, pixels: Tensor, grid: Grid, look: TowerOutput | None = None
    ) -> Evidence | None:
        """Find evidence in an image and its views [V, 3, S, S]; None for a model without a place or parts for it.

        `look` is what the tower made of the views, if that is known.
        """
        if self._parts is None or self._net.evidence is None:
            return None
        look = self._look(pixels) if look is None else look
        return None if look.maps is None else evidence_of(image, pixels, grid, look.maps, self._parts)

    def encode_video(self, frames: Sequence[Image.Image]) -> EncodedImage:
        """Encode the frames of a video."""
        pixels = frame_views(frames, self.require())
        return self._kept(
            pixels, "video", lambda: (self._to(self._net.video_tokens(self._look(pixels).features)), None)
        )

    def frame_tokens(self) -> int:
        """Return how many tokens one frame of a video takes."""
        side = -(-self.require().cells // 2)
        return side * (side + 1)

    def _kept(self, pixels: Tensor, manner: str, encode: Callable[[], tuple[Tensor, Evidence | None]]) -> EncodedImage:
        digest = hashlib.sha256(pixels.contiguous().numpy().data)
        digest.update(manner.encode())
        key = digest.digest()
        held = self._store.get(("image", key))
        if held is None:
            tokens, evidence = encode()
            held = EncodedImage(key=key, tokens=tokens, evidence=evidence)
            self._store.put(("image", key), held, held.tokens.nbytes)
            return held
        return replace(held, held=True)

    def _look(self, pixels: Tensor) -> TowerOutput:
        return self._net.look(self._to(pixels))

    def _to(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._net.denoiser.device, self._net.denoiser.dtype)

    def _words(self, classes: Tensor | None, evidence: Evidence | None) -> Tensor:
        """Return the embeddings [h, D] of the tower's first guess, from its logits [1, K], and of read text."""
        ids: list[int] = []
        if self._labels and classes is not None and isinstance(self._tokenizer, Tokenizer):
            ids = first_guess(self._tokenizer, self._labels, classes[0])
            texts = evidence.read() if evidence is not None else None
            ids += read_ids(self._tokenizer, texts) if texts is not None else []
        return self._net.denoiser.embed(torch.tensor(ids, dtype=torch.long, device=self._net.denoiser.device))


def first_guess(tokenizer: Tokenizer, labels: Sequence[Label], classes: Tensor) -> list[int]:
    """Return the ids of the hint for a tower's logits [K] over its named classes."""
    shares = classes.float().softmax(-1)
    best = int(shares.argmax())
    return hint_ids(tokenizer, labels[best], float(shares[best]))


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
    ) -> None:
        self.net, self.tokenizer, self.template, self.name = net, tokenizer, template, name
        self._names, self.curve = names, curve
        self.store = Store(memory)
        self.images = ImageEncoder(net, tokenizer, labels=labels, name=name, store=self.store, parts=parts)

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
        net, evidence = self.net, next((image.evidence for image in images if image.evidence is not None), None)
        if net.evidence is None or not net.evidence.names or evidence is None or self._names is None:
            return None
        found = mentions(self._names, ids.tolist(), self._user)
        if not found:
            return None
        device = net.denoiser.device
        numbers = torch.tensor([name for _, name in found], device=device)
        inputs = evidence.inputs(net.evidence.boxes).to(device)
        vectors = net.evidence.of_names(inputs, torch.zeros_like(numbers), numbers, net.denoiser.table)
        added = vectors.new_zeros(len(ids), vectors.shape[1])
        for (places, _), vector in zip(found, vectors, strict=True):
            added[places] = vector
        return added

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


def most_tokens(reader: PromptReader, pictures: Sequence[Image.Image | Sequence[Image.Image]]) -> int:
    """Return how many tokens pictures and frames of videos take at most."""
    if not pictures:
        return 0
    vision, tiles, total = reader.images.require(), reader.net.config.tiles, 0
    side = -(-vision.cells // 2) if tiles.pool else vision.cells
    for picture in pictures:
        if isinstance(picture, Image.Image):
            total += grid_of(*picture.size, vision, tiles).n_views * side * (side + 1) + _WORDS
        else:
            total += len(picture) * reader.images.frame_tokens()
    return total
