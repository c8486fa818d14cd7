"""Videos as frames sampled evenly from first to last; files are read by PyAV (`pip install lavida[video]`)."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lavida.errors import ImageError, RequestError
from lavida.image.load import ADDRESS, open_image

if TYPE_CHECKING:
    from av.container import InputContainer

FRAMES = 32  # as many as LLaDA-V is trained and evaluated on


@dataclass(frozen=True, kw_only=True)
class Video:
    """Name a video, or give its frames as pictures.

    `source` is a path, the bytes of a file, a file object, or a sequence or array of whatever `open_image` takes.
    `frames` is how many of them the model sees; None leaves it to the model.
    """

    source: Any
    frames: int | None = None

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise RequestError(f"frames must be at least 1, got {self.frames}")
        if self._is_file:
            return
        if not isinstance(self.source, (Sequence, np.ndarray)) and not hasattr(self.source, "__array__"):
            kind = type(self.source).__name__
            raise RequestError(f"cannot read a video from {kind}; give a path, bytes, a file or a list of frames")
        if not len(self.source):
            raise RequestError("a video of no frames; give at least one")

    @property
    def _is_file(self) -> bool:
        file = isinstance(self.source, (str, os.PathLike, bytes, bytearray))
        return file or callable(getattr(self.source, "read", None))

    @property
    def name(self) -> str:
        """Return the file, or how many pictures there are."""
        if isinstance(self.source, (str, os.PathLike)):
            return str(self.source)
        return "the video" if self._is_file else f"{len(self.source)} frames"

    def open(self, count: int) -> list[Image.Image]:
        """Return `count` of its frames in RGB, or all if there are no more; errors as in `open_video`."""
        if isinstance(self.source, (str, os.PathLike)):
            path = Path(self.source)
            if ADDRESS.match(str(path)):
                raise ImageError(f"{self.source}: is an address and no file; download it first")
            if not path.is_file():
                raise ImageError(f"{path}: no such file; check the path")
            return _read(str(path), self.name, count)
        if self._is_file:
            data = self.source if isinstance(self.source, (bytes, bytearray)) else self.source.read()
            if not isinstance(data, (bytes, bytearray)):
                raise ImageError(f"the video: the file object gives {type(data).__name__}; open it in binary mode")
            return _read(io.BytesIO(data), self.name, count)
        wanted = sample(len(self.source), count)
        return [open_image(self.source[i], name=f"frame {i + 1}", any_shape=True) for i in wanted]


def sample(total: int, count: int) -> list[int]:
    """Return indices of `count` of `total` frames, evenly spaced, both ends included; all if there are no more."""
    indices: list[int] = np.linspace(0, total - 1, min(count, total)).astype(int).tolist()
    return indices


def open_video(video: Video, *, most: int = FRAMES) -> list[Image.Image]:
    """Return the sampled frames in RGB: `video.frames` of them, else up to `most`.

    Raises:
        ImageError: The file is missing or broken, a frame is bad, or PyAV is not installed.
    """
    return video.open(video.frames or most)


def _read(source: str | io.BytesIO, name: str, count: int) -> list[Image.Image]:
    try:
        import av
    except ImportError:
        raise ImageError(f"{name}: reading a video takes PyAV; pip install 'lavida[video]', or give frames") from None
    try:
        with av.open(source) as container:
            wanted = sample(_count(container), count)
        if isinstance(source, io.BytesIO):
            source.seek(0)
        with av.open(source) as container:
            return _frames(container, set(wanted))
    except Exception as error:  # decoders raise anything on broken bytes
        reason = " ".join(str(error).split())
        raise ImageError(f"{name}: not a video that can be read ({reason}); use MP4, WebM, MKV or GIF") from None


def _count(container: InputContainer) -> int:
    """Return the frames of the first video stream by its packets: the header's number is often missing or wrong."""
    total = sum(packet.size > 0 for packet in container.demux(video=0))
    if not total:
        raise ValueError("it holds no frames")
    return total


def _frames(container: InputContainer, wanted: set[int]) -> list[Image.Image]:
    pictures: list[Image.Image] = []
    for index, frame in enumerate(container.decode(video=0)):
        if index in wanted:
            pictures.append(frame.to_image())
        if index >= max(wanted):
            break
    if not pictures:
        raise ValueError("none of its frames can be decoded")
    return pictures
