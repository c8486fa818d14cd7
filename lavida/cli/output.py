"""Print what commands found, and write files that the user named."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavida.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image


def print_facts(facts: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print what was found, as one JSON object in a line or as text."""
    print(json.dumps(facts, ensure_ascii=False) if as_json else text, flush=True)


def as_line(facts: dict[str, Any]) -> str:
    """Return names and values in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def write_text(path: Path, text: str) -> None:
    """Write a file that the user named. Raises RequestError if that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot write {path} ({error.strerror}); choose another place or free some space") from None


def thumbnail(picture: Image.Image, most: int) -> tuple[Image.Image, str]:
    """Return a picture of at most `most` pixels a side, and the same as an address for HTML and SVG."""
    small, buffer = picture.convert("RGB"), io.BytesIO()
    small.thumbnail((most, most))
    small.save(buffer, "JPEG", quality=85)
    return small, "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
