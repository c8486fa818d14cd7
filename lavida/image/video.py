"""A video as frames sampled evenly from its first to its last; files are read by PyAV (`pip install lavida[video]`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lavida.errors import ImageError, RequestError
from lavida.image.load import open_image

if TYPE_CHECKING:
    from av.container import InputContainer

FRAMES = 32  # what LLaDA-V is trained and evaluated on


@dataclass(frozen=True, kw_only=True)
class Video:
    """A video file, or its frames as pictures; `frames` says how many of them are looked at, None = up to the model."""

    source: str | Path | Sequence[str | Path | bytes | Image.Image]
    frames: int | None = None

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise RequestError(f"frames must be at least 1, got {self.frames}")
        if not isinstance(self.source, (str, Path)) and not len(self.source):
            raise RequestError("a video of no frames; give at least one")

    @property
    def name(self) -> str:
        """The file, or how many pictures there are."""
        return str(self.source) if isinstance(self.source, (str, Path)) else f"{len(self.source)} frames"


def sample(total: int, count: int) -> list[int]:
    """Indices of `count` of `total` frames, evenly spaced, both ends included; all of them if there are no more."""
    return np.linspace(0, total - 1, min(count, total)).astype(int).tolist()


def open_video(video: Video, *, most: int = FRAMES) -> list[Image.Image]:
    """The sampled frames in RGB: `video.frames` of them, else up to `most`.

    Raises ImageError for a file that is missing or broken, for a bad frame, and if PyAV is not installed.
    """
    count = video.frames or most
    if isinstance(video.source, (str, Path)):
        return _read(Path(video.source), count)
    wanted = sample(len(video.source), count)
    return [open_image(video.source[i], name=f"frame {i + 1}", any_shape=True) for i in wanted]


def _read(path: Path, count: int) -> list[Image.Image]:
    if not path.is_file():
        raise ImageError(f"{path}: no such file; check the path")
    try:
        import av
    except ImportError:
        raise ImageError(f"{path}: reading a video takes PyAV; pip install 'lavida[video]', or give frames") from None
    try:
        with av.open(path) as container:
            wanted = sample(_count(container), count)
        with av.open(path) as container:
            return _frames(container, set(wanted))
    except (av.FFmpegError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"{path}: not a video that can be read ({reason}); use MP4, WebM, MKV or GIF") from None


def _count(container: InputContainer) -> int:
    """Frames of the first video stream, by its packets: what the header says is often missing or wrong."""
    total = sum(packet.size > 0 for packet in container.demux(video=0))
    if not total:
        raise ValueError("it holds no frames")
    return total


def _frames(container: InputContainer, wanted: set[int]) -> list[Image.Image]:
    pictures = []
    for index, frame in enumerate(container.decode(video=0)):
        if index in wanted:
            pictures.append(frame.to_image())
        if index >= max(wanted):
            break
    if not pictures:
        raise ValueError("none of its frames can be decoded")
    return pictures
