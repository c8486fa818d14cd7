"""Pictures of requests, decoded in processes of their own.

A request shows a picture as a data URI, or by its address where the server fetches (`remote`). It is decoded by
`picture_worker`, a process without PyTorch and without more memory than a picture takes, which is ended when it is too
slow; bytes, pixels and frames are limited before a pixel is decoded. The picture is the one that `Model.ask` opens from
the same bytes.
"""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from PIL import Image

import lavida
from lavida.errors import ImageError, RequestError
from lavida.image.load import ADDRESS
from lavida.serve.errors import BusyError, DeadlineError
from lavida.serve.picture_worker import read_all, read_head, write_frame
from lavida.serve.settings import Settings

Fetch = Callable[[str], Awaitable[bytes]]
_START = 60.0  # seconds in which a worker must be ready
_PICTURES = 1000  # that a worker decodes before another takes its place
_SLOWER = 4  # times as long on the clock as a picture may compute: the machine may be busy
_OUT_OF_TIME = -getattr(signal, "SIGXCPU", 0) or None
_WAIT = 10.0  # seconds that a picture waits for others to be let go of
_BYTES = 6  # of a pixel, as long as an answer needs it: RGB here, and the copy that the model's reader makes
_MEMORY = 1 << 30  # of a worker, without a picture; an address space, of which little is used


class PictureDecoder:
    """Decode the pictures that requests hold.

    Attributes:
        decoded: Pictures that were decoded.
        refused: Pictures that were not.

    Args:
        settings: Of the server.
        fetch: Fetches the bytes behind an http(s) address; None refuses such addresses.
    """

    def __init__(self, settings: Settings, *, fetch: Fetch | None = None) -> None:
        self.decoded = self.refused = 0
        self._settings, self._fetch = settings, fetch
        self._threads = ThreadPoolExecutor(settings.decoders, thread_name_prefix="lavida-pictures")
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        memory = _MEMORY + 24 * settings.image_pixels
        for _ in range(settings.decoders):
            self._idle.put(_Worker(memory))
        self._room = _Room(settings.pixel_memory)
        self._pending = 0
        self._closed = False

    def start(self) -> None:
        """Start the worker processes without waiting for them; the first picture would, too."""
        for _ in range(self._settings.decoders):
            self._threads.submit(self._warm)

    def _warm(self) -> None:
        worker = self._idle.get()
        try:
            worker.start()
        finally:
            self._give_back(worker)

    async def decode_all(self, addresses: Sequence[str], **options: Any) -> list[Image.Image]:
        """Return the pictures of one request; options and errors as in `decode`, which also names the picture.

        Raises:
            RequestError: There are more than a request may show.
            DeadlineError: Together they take longer than an answer may.
        """
        most = self._settings.images
        if len(addresses) > most:
            raise RequestError(f"the request shows {len(addresses)} pictures, and {most} are taken; leave some out")
        several = len(addresses) > 1
        try:
            async with asyncio.timeout(self._settings.timeout):
                return [
                    await self.decode(address, name=f"picture {place}" if several else "the picture", **options)
                    for place, address in enumerate(addresses, start=1)
                ]
        except TimeoutError:
            raise DeadlineError(f"the pictures take more than {self._settings.timeout:g} s; send fewer") from None

    async def decode(
        self, address: str, *, name: str = "the picture", any_shape: bool = False, official: bool = False
    ) -> Image.Image:
        """Return a picture in RGB.

        Args:
            address: A data URI, or an address where the server fetches.
            name: Begins the line that reports an error.
            any_shape: As in `lavida.image.load.open_image`; a trait of the model.
            official: As there; for answers with `compat="official"`.

        Raises:
            ImageError: The picture is refused.
            BusyError: Too many pictures are waiting.
        """
        try:
            image = await self._decode(address, name, {"any_shape": any_shape, "official": official})
        except (ImageError, BusyError):
            self.refused += 1
            raise
        self.decoded += 1
        return image

    def close(self) -> None:
        """End the worker processes, those that are at work when they have finished."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        while True:
            try:
                self._idle.get_nowait().end()
            except queue.Empty:
                return

    async def _decode(self, address: str, name: str, kind: dict[str, Any]) -> Image.Image:
        settings = self._settings
        data, is_file = await self._bytes(address, name)
        if self._pending >= settings.active + settings.waiting:
            raise BusyError("too many pictures are waiting to be decoded; try again soon", after=1)
        self._pending += 1
        facts = {
            **kind,
            "name": name,
            "file": is_file,
            "bytes": settings.image_bytes,
            "pixels": settings.image_pixels,
            "seconds": settings.image_seconds,
        }
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, data, facts)
        finally:
            self._pending -= 1

    async def _bytes(self, address: str, name: str) -> tuple[bytes, bool]:
        """Return the bytes of a data URI, or those of the file behind an address; and which it is."""
        most = self._settings.image_bytes
        if address[:5].lower() == "data:":
            # Base64 takes four letters for three bytes, and may be broken into lines.
            if len(address) > most // 3 * 4 * 1.1 + 200:
                raise ImageError(f"{name}: more than {most:,} bytes; scale it down or compress it more")
            return address.encode("utf-8", "replace"), False
        if address[:5].lower() == "file:":
            raise ImageError(f"{name}: files of the server are not opened; send the picture as a data: address")
        if not ADDRESS.match(address):
            raise ImageError(f"{name}: is neither a data: address nor a link; send it as data:image/png;base64,...")
        if self._fetch is None:
            raise ImageError(
                f"{name}: this server fetches nothing from the network; send it as data:image/png;base64,..."
            )
        try:
            return await self._fetch(address), True
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from None

    def _give_back(self, worker: _Worker) -> None:
        if self._closed:
            worker.end()
        else:
            self._idle.put(worker)

    def _work(self, data: bytes, facts: dict[str, Any]) -> Image.Image:
        """Decode one picture in a worker; runs in a thread of its own."""
        worker = self._idle.get()
        try:
            return worker.decode(data, facts, self._room)
        finally:
            self._give_back(worker)


class _Worker:
    """One process that decodes pictures; another takes its place when it has ended."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._left = 0

    def decode(self, data: bytes, facts: dict[str, Any], room: _Room) -> Image.Image:
        """Return a picture. Raises ImageError, also if the process ends over it twice."""
        name, seconds = facts["name"], facts["seconds"]
        for last in (False, True):  # the first process may have been ended by another's doing, for want of memory
            alarm = _Alarm(self.start(), seconds * _SLOWER)
            try:
                return self._ask(data, facts, alarm, room)
            except (EOFError, OSError):
                if self.end() == _OUT_OF_TIME or alarm.rang:
                    message = f"{name}: takes more than {seconds:g} s to decode; save it as a plain JPEG"
                    raise ImageError(message) from None
                if last:
                    raise ImageError(f"{name}: the decoder broke over it; save the picture again") from None
            except ImageError:
                raise
            except BaseException:
                self.end()  # what it still has to say is not the next picture's
                raise
        raise AssertionError("the second time ends above")

    def _ask(self, data: bytes, facts: dict[str, Any], alarm: _Alarm, room: _Room) -> Image.Image:
        process = alarm.process
        source, sink = cast(BinaryIO, process.stdout), cast(BinaryIO, process.stdin)
        self._left -= 1
        with alarm:
            write_frame(sink, facts, data)
            reply, size = read_head(source)
        if "error" in reply:
            raise ImageError(reply["error"])
        held = room.take(_BYTES * size // 3)
        try:
            with alarm:
                image = Image.frombytes("RGB", tuple(reply["size"]), read_all(source, size))
        except BaseException:
            room.give(held)
            raise
        weakref.finalize(image, room.give, held).atexit = False
        return image

    def end(self) -> int | None:
        """End the process; return its exit code, or None if there was none."""
        process, self._process = self._process, None
        if process is None:
            return None
        with suppress(subprocess.TimeoutExpired):  # it is dying already, or will not by itself
            process.wait(0.2)
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # bytes that could not be written any more
                cast(BinaryIO, pipe).close()
        return code

    def start(self) -> subprocess.Popen[bytes]:
        """Return the process, a new one if there is none or it has done enough."""
        if self._process is not None and (self._process.poll() is not None or self._left <= 0):
            self.end()
        if self._process is None:
            self._process = process = _start(self._memory)
            self._left = _PICTURES
            try:
                with _Alarm(process, _START):
                    read_head(cast(BinaryIO, process.stdout))
            except EOFError:
                self.end()
                raise RuntimeError("the process that decodes pictures does not start") from None
        return self._process


def _start(memory: int) -> subprocess.Popen[bytes]:
    home = Path(lavida.__file__).parents[1]
    path = os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])])
    # In a session of its own, so that the signal that ends the server leaves it to finish what it began.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "lavida.serve.picture_worker", str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


class _Alarm:
    """End a process that is not done within some seconds; it may be set several times."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process, self._seconds = process, seconds
        self.rang = False

    def __enter__(self) -> None:
        self._timer = threading.Timer(self._seconds, self._ring)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()

    def _ring(self) -> None:
        self.rang = True
        self.process.kill()


class _Room:
    """Count the bytes of the pictures that are in use."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        # A picture may be let go of, by the garbage collector, in the thread that waits here.
        self._changed = threading.Condition(threading.RLock())

    def take(self, size: int) -> int:
        """Wait for room for so many bytes and take it; a picture that is alone is always taken. Raises BusyError."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._held or self._held + size <= self._most, _WAIT):
                raise BusyError("pictures of other requests take all the memory there is for them", after=2)
            self._held += size
        return size

    def give(self, size: int) -> None:
        """Give room back."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()
