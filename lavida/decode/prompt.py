"""Pictures, videos and prompts as tokens and keys, kept under a budget: what was seen once is not computed again.

Everything is found by a hash of its content. A second question on a picture skips the tower, the same question on it
the prompt's pass too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.cache.store import BUDGET, Store
from lavida.config import TilesConfig, VisionConfig
from lavida.errors import ImageError
from lavida.image.tiles import Grid, frame_views, views
from lavida.model.passes import Passing, alone
from lavida.model.vlm import VLM
from lavida.text.labels import Label
from lavida.text.messages import IMAGE_ID
from lavida.text.prompt import hint_ids
from lavida.text.tokenizer import Tokenizer, Vocabulary


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One picture or video."""

    key: bytes  # hash of its pixels and of how they were cut
    tokens: Tensor  # [T, D]: image tokens, and behind them the tower's hint if it gives one


class Sight:
    """The eyes of a model; `labels` are the tower's own classes, for the hint of lavida-mini.

    `memory` bytes are kept of what was seen and of the prompts about it.
    """

    def __init__(
        self, net: VLM, tokenizer: Vocabulary | None, *, labels: list[Label] | None, name: str, memory: int = BUDGET
    ) -> None:
        self._net, self._tokenizer, self._labels, self._name = net, tokenizer, labels, name
        self.store = Store(memory)

    def forget(self) -> None:
        """Drop everything kept."""
        self.store.clear()

    def require(self) -> VisionConfig:
        """The tower's configuration. Raises ImageError if there is none."""
        if self._net.config.vision is None:
            raise ImageError(f"the model {self._name} reads text only; load one with a vision tower")
        return self._net.config.vision

    def look(self, picture: Image.Image, tiles: TilesConfig) -> Seen:
        """Tokens of a picture cut by `tiles`, from memory if it was seen lately."""
        pixels, grid = views(picture, self.require(), tiles)
        return self.look_at(pixels, grid, tiles)

    def look_at(self, pixels: Tensor, grid: Grid, tiles: TilesConfig) -> Seen:
        """The same of views [V, 3, S, S] in float32 that are cut already."""

        def tokens() -> Tensor:
            features, classes = self._eyes(pixels)
            weight = self._net.denoiser.embedding.weight
            return torch.cat((self._net.image_tokens(features, grid, tiles).to(weight), self._hint(classes)))

        return self._kept(pixels, repr((grid, tiles)), tokens)

    def watch(self, frames: Sequence[Image.Image]) -> Seen:
        """Tokens of a video's frames, from memory if they were seen lately."""
        pixels = frame_views(frames, self.require())
        weight = self._net.denoiser.embedding.weight
        return self._kept(pixels, "video", lambda: self._net.video_tokens(self._eyes(pixels)[0]).to(weight))

    def prompt(
        self, ids: Sequence[int] | Tensor, seen: Sequence[Seen], *, cache: str, room: int = 0
    ) -> tuple[list[Tensor], PrefixCache | None]:
        """The prompt of ids [P] as pieces [1, P_i, D], or as keys and values if it is to be computed once.

        `cache` is that of `DecodeOptions`, `room` the length of the canvas if it is known. Raises RequestError unless
        each -200 has its picture or video.
        """
        return alone(self._net.denoiser, self.prompting(ids, seen, cache=cache, room=room))

    def prompting(
        self, ids: Sequence[int] | Tensor, seen: Sequence[Seen], *, cache: str, room: int = 0
    ) -> Passing[tuple[list[Tensor], PrefixCache | None]]:
        """The coroutine of `prompt`."""
        net = self._net
        ids = torch.as_tensor(ids, device=net.denoiser.embedding.weight.device)
        if cache != "prefix":
            return net.segments(ids, [one.tokens for one in seen]), None
        key = ("prompt", tuple(ids.tolist()), *(one.key for one in seen))
        held = self.store.get(key)
        if held is None:
            if net.config.shared_image and len(seen) == 1:
                words = net.denoiser.embed(ids[ids != IMAGE_ID])[None]
                held = yield from net.prefilling([words], self._keys(*seen).fork(room))
            else:  # long: made at once, so that those who ask the same next find it
                held = net.prefill(net.segments(ids, [one.tokens for one in seen]), room=room)
            self.store.put(key, held, held.nbytes)
        return [], held

    def _keys(self, seen: Seen) -> PrefixCache:
        """Keys and values of a picture that no prompt changes."""
        held = self.store.get(("keys", seen.key))
        if held is None:
            held = self._net.prefill([seen.tokens[None]])
            self.store.put(("keys", seen.key), held, held.nbytes)
        return held

    def frame_tokens(self) -> int:
        """Tokens that one frame of a video takes."""
        side = -(-self.require().cells // 2)
        return side * (side + 1)

    def _kept(self, pixels: Tensor, manner: str, tokens: Callable[[], Tensor]) -> Seen:
        found = hashlib.sha256(pixels.contiguous().numpy())
        found.update(manner.encode())
        key = found.digest()
        held = self.store.get(("seen", key))
        if held is None:
            held = Seen(key=key, tokens=tokens())
            self.store.put(("seen", key), held, held.tokens.nbytes)
        return held

    def _eyes(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        return self._net.look(pixels.to(self._net.denoiser.embedding.weight))

    def _hint(self, classes: Tensor | None) -> Tensor:
        """Embeddings [h, D] of the tower's own first guess, from its logits [1, K]; none if it has no named classes."""
        ids: list[int] = []
        if self._labels and classes is not None and isinstance(self._tokenizer, Tokenizer):
            ids = first_guess(self._tokenizer, self._labels, classes[0])
        weight = self._net.denoiser.embedding.weight
        return self._net.denoiser.embed(torch.tensor(ids, dtype=torch.long, device=weight.device))


def first_guess(tokenizer: Tokenizer, labels: Sequence[Label], classes: Tensor) -> list[int]:
    """Ids of the hint that a tower's logits [K] over its named classes amount to."""
    shares = classes.float().softmax(-1)
    best = int(shares.argmax())
    return hint_ids(tokenizer, labels[best], float(shares[best]))
