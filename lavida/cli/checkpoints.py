"""`lavida inspect MODEL`, `lavida convert IN OUT --to hf`, `lavida make-random OUT --family F`: checkpoints."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import Annotated, Any

from lavida.cli import options as o
from lavida.errors import CheckpointError

Model = Annotated[str, o.argument("MODEL", "A folder, the id owner/name of a hub model, lavida-mini.")]


@o.command()
def inspect(model: Model, json: o.Json = False) -> int:
    """Family, parameters, token ids, tensors and memory of a checkpoint; exit code 2 if it does not load."""
    from lavida.checkpoint.inventory import match, meta_model, read_config, survey
    from lavida.checkpoint.named import find_model
    from lavida.checkpoint.summary import summarise
    from lavida.cli.main import complain

    contents = survey(find_model(model))
    config = read_config(contents)
    found = match(contents, meta_model(config, contents.tensors))
    facts = summarise(contents, config, found)
    print(json_text.dumps(facts, indent=1) if json else as_text(facts))
    try:
        found.require(contents)
    except CheckpointError as error:
        return complain(error)
    return 0


def as_text(facts: dict[str, Any]) -> str:
    """Return the facts of `summarise` as lines."""
    canvas, picture, tensors, memory = (facts[key] for key in ("canvas", "picture", "tensors", "memory"))
    count = facts["parameters"]
    lines = {
        "family": f"{facts['family']}, tensors named as in {facts['layout']}",
        "folder": f"{facts['folder']} ({len(facts['files'])} file{'s' * (len(facts['files']) != 1)} of weights)",
        "parameters": f"{count['total']:,}",
        **{f"  {part}": f"{n:,}" for part, n in count.items() if part != "total"},
        "stored as": ", ".join(f"{dtype} ({n / count['total']:.0%})" for dtype, n in facts["dtypes"].items()),
        "picture": _picture(picture, facts["codes"]),
        "canvas": f"{canvas['vocabulary']:,} ids, mask {canvas['mask_id']}, end {_ids(canvas['eos_ids'])}"
        + (f", never written {_ids(canvas['banned_ids'])}" if canvas["banned_ids"] else "")
        + (", logits shifted by one" if canvas["logit_shift"] else "")
        + (", written left to right" if canvas["autoregressive"] else ""),
        "length": f"at most {canvas['max_length']:,} tokens",
        "tensors": _tensors(tensors),
        "memory": f"{_size(memory['as_stored'])} as stored, {_size(memory['float32'])} in float32, "
        + "".join(f"{_size(memory[kind])} in {kind}, " for kind in ("int8", "int4") if memory[kind] is not None)
        + f"and {_size(memory['prompt_of_1000'])} for each 1000 tokens of a prompt",
    }
    if facts["code_never_run"]:
        lines["code"] = f"never run: {', '.join(facts['code_never_run'])}"
    width = max(map(len, lines)) + 2
    return "\n".join(f"{name:{width}}{value}" for name, value in lines.items())


def _picture(picture: dict[str, Any] | None, codes: dict[str, Any] | None) -> str:
    if codes is not None:
        first, count = codes["first_id"], codes["count"]
        where = f"in {codes['tokenizer']}" if codes["tokenizer"] else "not in this folder: --vq names it"
        return f"{count:,} codes, ids {first} to {first + count - 1}, read and written; the image tokenizer is {where}"
    if picture is None:
        return "none, text only"
    view, most = picture["view"], picture["tiles_at_most"]
    tiles = f" and up to {most} tiles" if most else " only"
    return f"{picture['tower']}, one view of {view} x {view}{tiles}, {'' if picture['pooled'] else 'not '}pooled"


def _tensors(tensors: dict[str, Any]) -> str:
    words = [f"{tensors['matched']} matched"]
    for what in ("missing", "misshapen", "unexpected"):
        names = sorted(tensors[what])
        listed = f" ({', '.join(names[:3])}{', ...' * (len(names) > 3)})" if names else ""
        words.append(f"{len(names)} {what}{listed}")
    return ", ".join([*words, *([f"{len(tensors['unused'])} not needed"] if tensors["unused"] else [])])


def _ids(ids: list[int]) -> str:
    return " ".join(map(str, ids))


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 / 10 else f"{n_bytes / 2**20:.1f} MiB"


@o.command()
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


FAMILIES = "lavida-llada, lavida-dream, lavida-fim, lavida-reason, lavida-lowres, llada-v, llada, dream or mmada."


@o.command()
def make_random(
    out: Annotated[Path, o.argument("OUT", "A new folder.")],
    family: Annotated[str, o.option(FAMILIES)],
    scale: Annotated[
        str, o.option("tiny (a megabyte), half (half a billion weights, 2 GB) or 8b (as published, 16 GB).")
    ] = "tiny",
    seed: Annotated[int, o.option("Of the weights.")] = 0,
) -> int:
    """Write random weights, the configuration as published, and a stand-in tokenizer with the special tokens."""
    from lavida.checkpoint.make_random import make_random as write

    write(family, scale, out, seed=seed)
    return 0
