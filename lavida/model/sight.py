"""Pictures and videos as tokens, kept for the last few of them: what was seen once is not encoded again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.config import TilesConfig, VisionConfig
from lavida.errors import ImageError
from lavida.image.tiles import Grid, frame_views, views
from lavida.model.vlm import IMAGE_ID, VLM
from lavida.text.labels import Label
from lavida.text.prompt import hint_ids
from lavida.text.tokenizer import Tokenizer, Vocabulary


@dataclass(kw_only=True)
class Seen:
    """What is kept of one picture or video."""

    tokens: Tensor  # [T, D]: image tokens, and behind them the tower's hint if it gives one
    cache: PrefixCache | None = None  # their keys and values, if no prompt changes them


class Sight:
    """The eyes of a model; `labels` are the tower's own classes, for the hint of lavida-mini."""

    def __init__(
        self, net: VLM, tokenizer: Vocabulary | None, *, labels: list[Label] | None, name: str, remember: int = 8
    ) -> None:
        self._net, self._tokenizer, self._labels, self._name = net, tokenizer, labels, name
        self._seen: OrderedDict[bytes, Seen] = OrderedDict()
        self.remember = remember

    def __len__(self) -> int:
        return len(self._seen)

    def forget(self) -> None:
        """Drop everything kept."""
        self._seen.clear()

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

    def prompt(self, ids: Tensor, seen: Sequence[Seen], *, cache: str) -> tuple[list[Tensor], PrefixCache | None]:
        """The prompt of ids [P] as pieces [1, P_i, D], or as keys and values where the picture's are kept.

        `cache` is that of `DecodeOptions`. Raises RequestError unless each -200 has its picture or video.
        """
        net = self._net
        if not (net.config.shared_image and len(seen) == 1 and cache == "prefix"):
            return net.segments(ids, [one.tokens for one in seen]), None
        (one,) = seen
        if one.cache is None:
            one.cache = net.prefill([one.tokens[None]])
        words = net.denoiser.embed(ids[ids != IMAGE_ID])[None]
        return [], net.prefill([words], one.cache.fork())

    def frame_tokens(self) -> int:
        """Tokens that one frame of a video takes."""
        side = -(-self.require().cells // 2)
        return side * (side + 1)

    def _kept(self, pixels: Tensor, manner: str, tokens: Callable[[], Tensor]) -> Seen:
        key = hashlib.blake2b(pixels.numpy().tobytes() + manner.encode()).digest()
        if key not in self._seen:
            self._seen[key] = Seen(tokens=tokens())
            while len(self._seen) > self.remember:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self._seen[key]

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
