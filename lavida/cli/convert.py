"""`lavida convert IN OUT --to lavida|hf`: a checkpoint in our layout or in the published one, bytes unchanged."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from lavida.cli import options as o


def convert(
    source: Annotated[str, o.argument("IN", "A folder, or the id owner/name of a hub model.")],
    out: Annotated[Path, o.argument("OUT", "A new folder.")],
    to: Annotated[str, o.option("lavida (our names and configuration) or hf (the family's published ones).")],
) -> int:
    """Write a checkpoint in the other layout; what our layout does not need is kept for the way back."""
    from lavida.checkpoint.convert import convert as write
    from lavida.checkpoint.named import find_model

    left = write(find_model(source), out, to)
    if left:
        print(f"lavida: left behind, as code is never run: {', '.join(left)}", file=sys.stderr)
    return 0


app = o.application(convert)
