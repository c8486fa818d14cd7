"""Videos: which frames are looked at, from a file or from pictures, and what is said when one cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavida.errors import ImageError, RequestError
from lavida.image.video import FRAMES, Video, open_video, sample


def grey(level: int) -> Image.Image:
    return Image.new("RGB", (64, 48), (level, level, level))


def write_video(path: Path, frames: int) -> Path:
    """A film that grows lighter, four levels a frame."""
    av = pytest.importorskip("av")
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 1_000_000
        for i in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_image(grey(4 * i))))
        container.mux(stream.encode())
    return path


def levels(frames: list[Image.Image]) -> list[int]:
    return [round(np.asarray(frame).mean() / 4) for frame in frames]


@pytest.mark.parametrize(
    ("total", "count", "indices"),
    [(100, 5, [0, 24, 49, 74, 99]), (5, 5, [0, 1, 2, 3, 4]), (3, 32, [0, 1, 2]), (9, 1, [0]), (1, 4, [0])],
)
def test_frames_are_spread_from_the_first_to_the_last(total: int, count: int, indices: list[int]) -> None:
    assert sample(total, count) == indices


def test_a_file_gives_32_frames_unless_told_otherwise(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 50)
    assert levels(open_video(Video(source=path))) == pytest.approx(sample(50, FRAMES), abs=1)
    assert levels(open_video(Video(source=str(path), frames=4))) == pytest.approx([0, 16, 32, 49], abs=1)
    assert len(open_video(Video(source=path), most=7)) == 7
    assert all(frame.mode == "RGB" and frame.size == (64, 48) for frame in open_video(Video(source=path, frames=2)))


def test_pictures_are_frames_too(tmp_path: Path) -> None:
    grey(8).save(tmp_path / "a.png")
    film = Video(source=[grey(0), tmp_path / "a.png", grey(16), grey(24)])
    assert levels(open_video(film)) == [0, 2, 4, 6] and film.name == "4 frames"
    assert levels(open_video(film, most=2)) == [0, 6]


def test_what_is_wrong_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("not a film")
    pytest.importorskip("av")
    for path, words in ((tmp_path / "no.mp4", "no such file"), (text, "not a video that can be read")):
        with pytest.raises(ImageError, match=words) as error:
            open_video(Video(source=path))
        assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    with pytest.raises(RequestError, match="frames must be at least 1"):
        Video(source=text, frames=0)
    with pytest.raises(RequestError, match="a video of no frames"):
        Video(source=[])
    monkeypatch.setitem(sys.modules, "av", None)  # as if PyAV were not installed
    with pytest.raises(ImageError, match=r"takes PyAV; pip install 'lavida\[video\]'"):
        open_video(Video(source=text))
