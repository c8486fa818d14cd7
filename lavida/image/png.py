"""PNG files without the chunks that make Pillow refuse them: texts and colour profiles of more than a megabyte."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DROPPED = (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"tIME")
_SHORT = 4096  # bytes; a chunk up to this length stays, unless it is compressed
_COMPRESSED = (b"zTXt", b"iCCP")


def without_texts(data: bytes) -> bytes | None:
    """Return a PNG without its long or compressed texts and profiles; None for other data or if it has none."""
    if not data.startswith(SIGNATURE):
        return None
    kept, at, dropped = [SIGNATURE], len(SIGNATURE), False
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        body = data[at + 8 : end - 4]
        whole = zlib.crc32(kind + body) == int.from_bytes(data[end - 4 : end], "big")
        if kind in _DROPPED and (
            kind in _COMPRESSED or length > _SHORT or not whole or _is_compressed_text(kind, body)
        ):
            dropped = True
        else:
            kept.append(data[at:end])
        at = end
    return b"".join(kept) if dropped else None


def _is_compressed_text(kind: bytes, body: bytes) -> bool:
    _, _, rest = body.partition(b"\0")
    return kind == b"iTXt" and rest[:1] == b"\1"
