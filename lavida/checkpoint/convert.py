"""A checkpoint in the other layout: tensors keep their bytes and get other names, configurations are kept whole.

What our model does not read, and the published config.json, go along into our layout, so that the way back gives
the same checkpoint again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lavida.checkpoint.contents import (
    CONFIG,
    INDEX,
    PROJECTOR,
    TOWER_CONFIG,
    Contents,
    Stored,
    load_projector,
    open_weights,
    read_json,
    survey,
)
from lavida.checkpoint.families import read_official
from lavida.checkpoint.inventory import Match, blueprint, match, read_config
from lavida.checkpoint.layouts import KEPT, OURS, Layout, bare
from lavida.checkpoint.published import FORMS, write_official
from lavida.checkpoint.writing import new_folder, shard_names, write_index, write_json, write_shard
from lavida.config import VLMConfig
from lavida.errors import CheckpointError, RequestError

TARGETS = ("lavida", "hf")
OFFICIAL_CONFIG = "official_config.json"  # the published config.json, in a folder of our layout
# Code and pickles are left behind; weights and configurations are written anew.
_LEFT_BEHIND = (".py", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl")
_WRITTEN = (CONFIG, TOWER_CONFIG, OFFICIAL_CONFIG, INDEX)


def convert(source: Path, out: Path, to: str) -> list[str]:
    """Write the checkpoint `source` to the new folder `out`, in our layout or the published one; what was left behind.

    Raises CheckpointError if the source is not complete, or the target cannot hold it; then there is no `out`.
    """
    if to not in TARGETS:
        raise RequestError(f"unknown layout {to!r}; choose one of {', '.join(TARGETS)}")
    contents = survey(source)
    config = read_config(contents)
    found = match(contents, blueprint(config, contents.tensors))
    found.require(contents)
    configs = _our_configs(contents, config) if to == "lavida" else _official_configs(contents, config)
    layout = OURS if to == "lavida" else FORMS[config.family].layout
    with new_folder(out) as folder:
        for name, data in configs.items():
            write_json(folder / name, data)
        _write_weights(folder, _renamed(found, layout, config))
        return copy_others(source, folder)


def _our_configs(contents: Contents, config: VLMConfig) -> dict[str, dict[str, Any]]:
    official = contents.data
    if contents.layout is OURS:
        kept = contents.folder / OFFICIAL_CONFIG
        official = read_json(kept) if kept.exists() else None
    configs = {CONFIG: config.to_json(), OFFICIAL_CONFIG: official, TOWER_CONFIG: contents.tower}
    return {name: data for name, data in configs.items() if data}


def _official_configs(contents: Contents, config: VLMConfig) -> dict[str, dict[str, Any]]:
    kept = contents.folder / OFFICIAL_CONFIG
    if contents.layout is not OURS:
        official, tower = contents.data, contents.tower
    elif kept.exists():
        official, tower = read_json(kept), contents.tower
    else:
        official, tower = write_official(config)
    if config.family not in FORMS:
        raise CheckpointError(f"{config.family} has no layout but its own; only {', '.join(FORMS)} have another")
    if read_official(official, tower, FORMS[config.family].layout, contents.shapes) != config:
        raise CheckpointError(
            f"the published config.json cannot say all that {contents.folder / CONFIG} says, or {OFFICIAL_CONFIG} is "
            "not its own; nothing was written"
        )
    return {CONFIG: official} | ({TOWER_CONFIG: tower} if tower else {})


def _renamed(found: Match, layout: Layout, config: VLMConfig) -> dict[str, Stored]:
    """Every tensor by its name in the target."""
    named = {layout.from_ours(name): stored for name, stored in found.matched.items()}
    theirs = FORMS[config.family].layout if config.family in FORMS else OURS
    spare = {theirs.from_ours(name): stored for name, stored in found.idle.items()}
    spare |= {bare(stored.name.removeprefix(KEPT)): stored for stored in found.unused}
    return named | {(KEPT + name if layout is OURS else name): stored for name, stored in spare.items()}


def _write_weights(folder: Path, named: dict[str, Stored]) -> None:
    paths = sorted({stored.path for stored in named.values()})
    where = {}
    for path, shard in zip(paths, shard_names(len(paths)), strict=True):
        wanted = {name: stored.name for name, stored in named.items() if stored.path == path}
        where |= dict.fromkeys(wanted, shard)
        if path.name == PROJECTOR:
            held = load_projector(path)
            write_shard(folder / shard, {name: held[theirs].contiguous() for name, theirs in wanted.items()})
            continue
        with open_weights(path) as file:  # mapped from disk: a shard is copied without being loaded
            tensors = {name: file.get_tensor(theirs) for name, theirs in wanted.items()}
            write_shard(folder / shard, tensors, file.metadata())
    write_index(folder, where, sum(stored.n_bytes for stored in named.values()))


def copy_others(source: Path, folder: Path) -> list[str]:
    """Copy what is neither weights nor configuration, such as a tokenizer; the code that is left behind."""
    left = []
    for path in sorted(p for p in source.iterdir() if p.is_file() and p.name not in _WRITTEN):
        if path.suffix not in _LEFT_BEHIND:
            shutil.copyfile(path, folder / path.name)
        elif path.suffix == ".py":
            left.append(path.name)
    return left
