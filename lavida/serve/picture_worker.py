"""A process that decodes pictures for the server: it may crash, hang or run out of memory, and nothing else does.

It reads frames from its standard input and writes frames to its standard output; it imports no PyTorch.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from PIL import Image

from lavida.errors import ImageError
from lavida.image.load import from_data_address, open_image

# What browsers and phones write. Pillow's other decoders never see a byte of a request.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
_HEAD = struct.Struct(">IQ")  # bytes of the JSON text and of what follows it


def write_frame(stream: BinaryIO, facts: dict[str, Any], payload: bytes = b"") -> None:
    """Write facts and bytes."""
    text = json.dumps(facts).encode()
    stream.write(_HEAD.pack(len(text), len(payload)) + text)
    stream.write(payload)
    stream.flush()


def read_head(stream: BinaryIO) -> tuple[dict[str, Any], int]:
    """Return the facts of a frame and how many bytes follow them. Raises EOFError where the stream ends."""
    text, payload = _HEAD.unpack(read_all(stream, _HEAD.size))
    return json.loads(read_all(stream, text)), payload


def read_all(stream: BinaryIO, size: int) -> bytes:
    """Return exactly so many bytes. Raises EOFError where the stream ends before."""
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def decode(address: bytes, facts: dict[str, Any]) -> Image.Image:
    """Return the picture of a data URI, or of the bytes of a file where `facts` say so. Raises ImageError."""
    name, most = facts["name"], facts["bytes"]
    data = address if facts["file"] else from_data_address(address.decode("utf-8", "replace"))
    if len(data) > most:
        raise ImageError(f"{name}: {len(data):,} bytes, and {most:,} are taken; scale it down or compress it more")
    formats = [one for one in FORMATS if one in _known()]
    return open_image(
        data,
        name=name,
        any_shape=facts["any_shape"],
        official=facts["official"],
        pixels=facts["pixels"],
        formats=formats,
    )


def _known() -> set[str]:
    """Return the formats that this Pillow reads: AVIF is not in all of them."""
    Image.init()
    return set(Image.OPEN)


def limit(memory: int) -> None:
    """Limit this process to so many bytes of memory; it writes no file and leaves no image of itself behind."""
    with suppress(ImportError):  # not on Windows
        import resource

        for what, most in (
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            with suppress(OSError, ValueError):  # a lower limit is set already, or the system has none
                resource.setrlimit(what, (most, most))


def limit_time(seconds: float) -> None:
    """End this process when it has computed for so many seconds more, whole ones at least."""
    with suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        until = math.ceil(used.ru_utime + used.ru_stime + seconds)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main() -> None:
    """Decode until the input ends; the first argument is the memory that this process may take."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a decoder prints is no frame
    limit(int(sys.argv[1]))
    Image.init()
    write_frame(sink, {"ready": True})
    with suppress(EOFError, BrokenPipeError):
        while True:
            facts, size = read_head(source)
            data = read_all(source, size)
            limit_time(facts["seconds"])
            try:
                image = decode(data, facts)
            except ImageError as error:
                short = isinstance(error.__context__, MemoryError)  # of deep grey, which is computed in floating point
                much = f"{facts['name']}: takes more memory to decode than there is; scale the picture down first"
                write_frame(sink, {"error": much if short else str(error)})
                continue
            finally:
                del data
            write_frame(sink, {"size": image.size}, image.tobytes())
            del image


if __name__ == "__main__":
    main()
