"""Pictures of requests: as the library opens them, refused before they are decoded, and no process that stays ill."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavida.errors import ImageError, RequestError
from lavida.image.load import open_image
from lavida.serve import pictures
from lavida.serve.errors import BusyError
from lavida.serve.metrics import resident_bytes
from lavida.serve.pictures import PictureDecoder
from lavida.serve.settings import Settings
from tests.pictures import gradient
from tests.serve.hostile import HOSTILE, address, encoded
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def decoder() -> Iterator[PictureDecoder]:
    found = PictureDecoder(Settings())
    yield found
    found.close()


def decode(decoder: PictureDecoder, source: str, **options: bool) -> Image.Image:
    return asyncio.run(decoder.decode(source, **options))


def process_of(decoder: PictureDecoder) -> subprocess.Popen[bytes]:
    """The only worker's process."""
    worker = decoder._idle.get()
    decoder._idle.put(worker)
    return worker._process


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(gradient(640, 480), "JPEG", exif=exif)


GOOD = {
    "png": encoded(gradient()),
    "jpeg upside down": turned(),
    "webp": encoded(gradient(), "WEBP"),
    "transparent": encoded(Image.merge("RGBA", (*gradient().split(), gradient().split()[0]))),
    "palette": encoded(gradient().convert("P"), "GIF"),
    "deep grey": encoded(Image.fromarray((np.arange(64 * 64).reshape(64, 64) * 16).astype(np.uint16))),
    "tiff": encoded(gradient(), "TIFF"),
    "ppm": encoded(gradient(), "PPM"),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("official", [False, True])
def test_a_picture_is_the_one_that_the_library_opens(decoder: PictureDecoder, data: bytes, official: bool) -> None:
    found, wanted = decode(decoder, address(data), official=official), open_image(data, official=official)
    assert found.mode == "RGB" and np.array_equal(np.asarray(found), np.asarray(wanted))


def test_an_answer_has_the_ids_of_the_bytes_themselves(decoder: PictureDecoder) -> None:
    model = tiny_model()
    for data in (GOOD["jpeg upside down"], GOOD["transparent"]):
        assert model.ask(decode(decoder, address(data)), "What is this?").ids == model.ask(data, "What is this?").ids


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_is_refused_in_one_line(decoder: PictureDecoder, name: str) -> None:
    source, words = HOSTILE[name]
    with pytest.raises(ImageError, match=words) as caught:
        decode(decoder, source)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
    assert decode(decoder, address(GOOD["png"])).size == (64, 48)


def test_hostile_pictures_leave_the_memory_as_it_was(decoder: PictureDecoder) -> None:
    decode(decoder, address(GOOD["png"]))
    before = process_of(decoder).pid
    held = resident_bytes(before)
    if held is None:
        pytest.skip("the system does not tell the memory of a process")
    for name in ("bomb", "large", "truncated", "moving") * 5:
        with pytest.raises(ImageError):
            decode(decoder, HOSTILE[name][0])
    assert process_of(decoder).pid == before, "none of these ends the process"
    assert resident_bytes(before) < held + (64 << 20), "nothing of 900 megapixels was kept or made"


def test_the_worker_imports_no_pytorch() -> None:
    code = "import sys; import lavida.serve.picture_worker; print('torch' in sys.modules, 'fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_picture_that_takes_too_much_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_MEMORY", 0)
    deep = encoded(Image.fromarray(np.zeros((4000, 4000), np.uint16)))  # 122 MB for each array of floating point
    decoder = PictureDecoder(replace(Settings(), image_pixels=25_000_000))  # 600 MB, most of it for the libraries
    try:
        with pytest.raises(ImageError, match="takes more memory to decode than there is"):
            decode(decoder, address(deep))
        assert decode(decoder, address(GOOD["png"])).size == (64, 48)
    finally:
        decoder.close()


def test_a_worker_that_is_killed_is_replaced(decoder: PictureDecoder) -> None:
    decode(decoder, address(GOOD["png"]))
    os.kill(process_of(decoder).pid, signal.SIGKILL)
    assert decode(decoder, address(GOOD["png"])).size == (64, 48)


def test_a_worker_that_dies_over_a_picture_gives_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    decoder = with_worker(monkeypatch, tmp_path, "import os; os._exit(139)")
    try:
        with pytest.raises(ImageError, match="the decoder broke over it; save the picture again"):
            decode(decoder, address(GOOD["png"]))
        with pytest.raises(ImageError, match="broke over it"):  # another process, not the dead one
            decode(decoder, address(GOOD["png"]))
    finally:
        decoder.close()


def test_a_picture_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    decoder = with_worker(monkeypatch, tmp_path, "import time; time.sleep(60)", image_seconds=0.2)
    try:
        begin = time.monotonic()
        with pytest.raises(ImageError, match="takes more than 0.2 s to decode"):
            decode(decoder, address(GOOD["png"]))
        assert time.monotonic() - begin < 30
    finally:
        decoder.close()


def test_a_picture_that_computes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pictures, "_SLOWER", 1000)  # not by the clock
    decoder = with_worker(monkeypatch, tmp_path, "while True: pass", image_seconds=0.2)
    try:
        with pytest.raises(ImageError, match="takes more than 0.2 s to decode"):
            decode(decoder, address(GOOD["png"]))
    finally:
        decoder.close()


def with_worker(monkeypatch: pytest.MonkeyPatch, folder: Path, deed: str, **settings: float) -> PictureDecoder:
    """A decoder whose worker does `deed` where it should decode."""
    script = folder / "worker.py"
    script.write_text(
        "from lavida.serve import picture_worker\n"
        f"def decode(data, facts):\n    {deed}\n"
        "picture_worker.decode = decode\npicture_worker.main()\n"
    )
    start = pictures.subprocess.Popen

    def other(args: list[str], **options: object) -> subprocess.Popen[bytes]:
        return start([args[0], str(script), args[-1]], **options)

    monkeypatch.setattr(pictures.subprocess, "Popen", other)
    return PictureDecoder(replace(Settings(), **settings))


def test_a_worker_that_does_not_start_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures.sys, "executable", "/bin/false")
    decoder = PictureDecoder(Settings())
    try:
        with pytest.raises(RuntimeError, match="does not start"):
            decode(decoder, address(GOOD["png"]))
    finally:
        decoder.close()


def test_the_pictures_of_a_request_are_counted(decoder: PictureDecoder) -> None:
    source = address(GOOD["png"])
    found = asyncio.run(decoder.decode_all([source] * 3))
    assert [one.size for one in found] == [(64, 48)] * 3
    with pytest.raises(RequestError, match="shows 200 pictures, and 16 are taken"):
        asyncio.run(decoder.decode_all([source] * 200))
    with pytest.raises(ImageError, match="^picture 2: "):
        asyncio.run(decoder.decode_all([source, HOSTILE["moving"][0]]))


def test_what_became_of_pictures_is_counted() -> None:
    decoder = PictureDecoder(Settings())
    try:
        decode(decoder, address(GOOD["png"]))
        with pytest.raises(ImageError):
            decode(decoder, HOSTILE["bomb"][0])
        assert (decoder.decoded, decoder.refused) == (1, 1)
    finally:
        decoder.close()


def test_pictures_in_use_take_a_limited_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_WAIT", 0.1)
    decoder = PictureDecoder(replace(Settings(), pixel_memory=2 * 64 * 48 * 6))
    source = address(GOOD["png"])
    try:
        held = [decode(decoder, source), decode(decoder, source)]
        with pytest.raises(BusyError, match="all the memory"):
            decode(decoder, source)
        del held[0]
        gc.collect()
        assert decode(decoder, source).size == (64, 48)
        held.clear()
        gc.collect()
        assert decoder._room._held == 0
    finally:
        decoder.close()


def test_decoding_together_keeps_pictures_apart() -> None:
    decoder = PictureDecoder(replace(Settings(), decoders=2))
    sizes = [(20 + i, 30) for i in range(12)]

    async def all_of() -> list[Image.Image]:
        return await asyncio.gather(*(decoder.decode(address(encoded(gradient(*size)))) for size in sizes))

    try:
        assert [one.size for one in asyncio.run(all_of())] == sizes
    finally:
        decoder.close()
