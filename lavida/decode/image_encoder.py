"""Image encoders: images and videos become tokens that stand in a prompt, as embeddings.

What was computed is found again by a hash of the pixels, under a budget of memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

import torch
from PIL import Image
from torch import Tensor

from lavida.cache.store import Store
from lavida.config import CodesConfig, TilesConfig, VisionConfig, VLMConfig
from lavida.errors import CheckpointError, ImageError, RequestError
from lavida.evidence.gather import Evidence, Parts, evidence_of
from lavida.image.codes import CELL, SIDE, square, to_pixels
from lavida.image.tiles import Grid, frame_views, grid_of, views
from lavida.model.vlm import VLM, TowerOutput
from lavida.model.vq import ImageTokenizer
from lavida.text.codes import Layouts
from lavida.text.labels import Label
from lavida.text.prompt import hint_ids
from lavida.text.reading import read_ids
from lavida.text.tokenizer import Tokenizer, Vocabulary

_WORDS = 52  # tokens that stand behind a picture's own at most: evidence and hint; read text has its own room


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

    def require(self) -> None:
        """Raise ImageError if the model reads no pictures."""
        self._vision()

    def _vision(self) -> VisionConfig:
        if self._net.config.vision is None:
            raise ImageError(f"the model {self.name} reads text only; load one with a vision tower")
        return self._net.config.vision

    def encode(self, image: Image.Image, tiles: TilesConfig) -> EncodedImage:
        """Encode an image that is cut into views by `tiles`; one that was seen before is not even cut."""
        vision = self._vision()
        image = image if image.mode == "RGB" else image.convert("RGB")

        def tokens() -> tuple[Tensor, Evidence | None]:
            pixels, grid = views(image, vision, tiles)
            return self._tokens(pixels, grid, tiles, image)

        return self._kept(_key(image.tobytes(), (image.size, tiles)), tokens)

    def encode_views(self, pixels: Tensor, grid: Grid, tiles: TilesConfig) -> EncodedImage:
        """Encode views [V, 3, S, S] in float32 that are cut already, without evidence."""
        return self._kept(_key(_bytes(pixels), (grid, tiles)), lambda: self._tokens(pixels, grid, tiles, None))

    def _tokens(
        self, pixels: Tensor, grid: Grid, tiles: TilesConfig, image: Image.Image | None
    ) -> tuple[Tensor, Evidence | None]:
        """Return tokens [T, D] of views [V, 3, S, S], and the evidence that is found in the image itself."""
        look = self._look(pixels)
        found = self._to(self._net.image_tokens(look.features, grid, tiles))
        evidence = None if image is None else self.find_evidence(image, pixels, grid, look)
        if evidence is not None and self._net.evidence is not None:
            found = self._net.with_evidence(found[None], evidence.inputs(self._net.evidence.boxes))[0]
        return torch.cat((found, self._words(look.classes, evidence))), evidence

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
        pixels = frame_views(frames, self._vision())
        return self._kept(
            _key(_bytes(pixels), "video"),
            lambda: (self._to(self._net.video_tokens(self._look(pixels).features)), None),
        )

    def frame_tokens(self) -> int:
        """Return how many tokens one frame of a video takes."""
        side = -(-self._vision().cells // 2)
        return side * (side + 1)

    def _kept(self, key: bytes, encode: Callable[[], tuple[Tensor, Evidence | None]]) -> EncodedImage:
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
            ids += read_ids(self._tokenizer, texts, self._net.config.reading) if texts is not None else []
        return self._net.denoiser.embed(torch.tensor(ids, dtype=torch.long, device=self._net.denoiser.device))


class CodeEncoder(ImageEncoder):
    """Turn images into the codes of an image tokenizer, which are tokens of the model's own vocabulary (MMaDA).

    Args:
        net: The network.
        load: Returns the image tokenizer, when the first picture is there.
        name: Of the model, for messages.
        store: Keeps what was computed.
        side: Pixels of the square that a picture is brought to.

    Raises:
        RequestError: The model cannot see a picture of that side.
    """

    def __init__(
        self, net: VLM, load: Callable[[], ImageTokenizer], *, name: str, store: Store, side: int = SIDE
    ) -> None:
        super().__init__(net, None, labels=None, name=name, store=store)
        room = net.config.denoiser.max_length
        if isinstance(side, bool) or not isinstance(side, int) or side < CELL or side % CELL:
            raise RequestError(f"the side of a picture is a multiple of {CELL} pixels, got {side!r:.20}; leave it out")
        if (side // CELL) ** 2 + 3 >= room:
            raise RequestError(f"a picture of side {side} takes {(side // CELL) ** 2} of the {room} tokens that fit")
        self._load, self.side = load, side

    @property
    def codes(self) -> CodesConfig:
        """Return how pictures stand among the tokens."""
        assert self._net.config.codes is not None, "this model's pictures are no codes"
        return self._net.config.codes

    @cached_property
    def vq(self) -> ImageTokenizer:
        """Return the image tokenizer. Raises CheckpointError if it is missing or not the model's."""
        vq = self._load()
        if vq.config.codes != self.codes.count:
            raise CheckpointError(
                f"the image tokenizer has {vq.config.codes} codes and {self.name} has ids for {self.codes.count}; "
                "take the one that belongs to the model"
            )
        return vq

    def require(self) -> None:
        """Do nothing: the model reads pictures."""

    def encode(self, image: Image.Image, tiles: TilesConfig | None = None) -> EncodedImage:
        """Encode an image as a square; `tiles` are those of other models."""
        pixels = to_pixels(square(image, self.side))

        def tokens() -> tuple[Tensor, None]:
            codes = self.codes_of(pixels)
            ids = Layouts(codes=self.codes, end_id=0).shown((codes + self.codes.first_id).tolist())
            return self._net.denoiser.embed(torch.tensor(ids, device=self._net.denoiser.device)), None

        return self._kept(_key(_bytes(pixels), "codes"), tokens)

    @torch.no_grad()
    def codes_of(self, pixels: Tensor) -> Tensor:
        """Compute the codes [T] of pixels [3, H, W] in -1..1; errors as in `ImageTokenizer.latent`."""
        weight = self.vq.decoder.conv_in.weight
        return self.vq.encode(pixels[None].to(weight.device, weight.dtype))[0]

    def encode_views(self, *_: object) -> NoReturn:
        """Refuse views."""
        raise RequestError(f"{self.name} reads pictures as codes and not as views; load it with lavida.load")

    def encode_video(self, frames: Sequence[Image.Image]) -> NoReturn:
        """Refuse videos."""
        raise RequestError(f"{self.name} was not taught on videos; give a single frame as a picture")

    def frame_tokens(self) -> int:
        """Refuse videos."""
        self.encode_video(())


def _key(pixels: bytes | memoryview, manner: object) -> bytes:
    """Return a hash of pixels and of how they are cut."""
    digest = hashlib.sha256(pixels)
    digest.update(repr(manner).encode())
    return digest.digest()


def _bytes(pixels: Tensor) -> memoryview:
    return pixels.contiguous().numpy().data


def check_pictures(images: ImageEncoder, count: int) -> None:
    """Raise RequestError if a prompt cannot show so many pictures."""
    if isinstance(images, CodeEncoder) and count > 1:
        raise RequestError(f"{images.name} was taught with one picture at a time, got {count}; ask about each alone")


def most_tokens(
    config: VLMConfig, images: ImageEncoder, pictures: Sequence[Image.Image | Sequence[Image.Image]]
) -> int:
    """Return how many tokens pictures and frames of videos take at most."""
    vision, tiles, total = config.vision, config.tiles, 0
    for picture in pictures:
        if isinstance(images, CodeEncoder):
            total += (images.side // CELL) ** 2 + 3
        elif not isinstance(picture, Image.Image):
            total += len(picture) * images.frame_tokens()
        elif vision is not None:
            side = -(-vision.cells // 2) if tiles.pool else vision.cells
            total += grid_of(*picture.size, vision, tiles).n_views * side * (side + 1) + _WORDS + config.reading.room
    return total


def first_guess(tokenizer: Tokenizer, labels: Sequence[Label], classes: Tensor) -> list[int]:
    """Return the ids of the hint for a tower's logits [K] over its named classes."""
    shares = classes.detach().float().softmax(-1)
    best = int(shares.argmax())
    return hint_ids(tokenizer, labels[best], float(shares[best]))
