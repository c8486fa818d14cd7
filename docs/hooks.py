"""Put the table of decoding options into the page of the site; MkDocs calls `on_page_markdown`."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lavida.decode.options import OPTIONS, DecodeOptions  # noqa: E402
from lavida.diffusion import DEFAULT_SHIFT  # noqa: E402

MARK = "<!-- table of the fields of DecodeOptions: docs/hooks.py -->"


def options_table() -> str:
    """Return a row for each option: name, default, values, meaning."""
    defaults = {field.name: field.default for field in fields(DecodeOptions)}
    lines = ["| option | default | values | meaning |", "|---|---|---|---|"]
    for name, option in OPTIONS.items():
        values = ", ".join(f"`{value}`" for value in option.choices or ()) or option.bounds()
        default = "-" if defaults[name] is None else f"`{spelled(defaults[name])}`"
        lines.append(f"| `{name}` | {default} | {values} | {option.help.replace('|', ' ')} |")
    return "\n".join(lines)


def spelled(value: object) -> str:
    """Return a default as one would write it."""
    return "1/3" if value == DEFAULT_SHIFT else str(value)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with the table in place of its mark."""
    return markdown.replace(MARK, options_table()) if MARK in markdown else markdown
