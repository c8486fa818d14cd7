"""Convert a checkpoint to the other layout: tensors keep their bytes and get other names.

What our model does not read, and the published config.json, go along into our layout, so that the way back gives
the same checkpoint again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lavida.checkpoint.families import FORMS, find_form
from lavida.checkpoint.files import (
    CONFIG,
    INDEX,
    PICKLES,
    PROJECTOR,
    TOWER_CONFIG,
    load_projector,
    new_folder,
    open_weights,
    read_json,
    shard_names,
    write_index,
    write_json,
    write_shard,
)
from lavida.checkpoint.inventory import Contents, Match, Stored, match, meta_model, read_config, survey
from lavida.checkpoint.layouts import KEPT, OURS, Layout, bare
from lavida.checkpoint.official import read_official, write_official
from lavida.checkpoint.vq import FOLDER as VQ
from lavida.config import VLMConfig
from lavida.errors import CheckpointError, RequestError

TARGETS = ("lavida", "hf")
OFFICIAL_CONFIG = "official_config.json"  # the published config.json, in a folder of our layout
# Code and pickles are left behind; weights and configurations are written anew.
_LEFT_BEHIND = (".py", ".safetensors", *PICKLES)
_WRITTEN = (CONFIG, TOWER_CONFIG, OFFICIAL_CONFIG, INDEX)


def convert(source: Path, out: Path, to: str) -> list[str]:
    """Write the checkpoint `source` to the new folder `out`, in our layout ("lavida") or the published one ("hf").

    Returns:
        The names of the files of code that were left behind.

    Raises:
        CheckpointError: The source is not complete, or the target cannot hold it; then there is no `out`.
        RequestError: `to` is not one of TARGETS.
    """
    if to not in TARGETS:
        raise RequestError(f"unknown layout {to!r}; choose one of {', '.join(TARGETS)}")
    contents = survey(source)
    config = read_config(contents)
    found = match(contents, meta_model(config, contents.tensors))
    found.require(contents)
    configs = _our_configs(contents, config) if to == "lavida" else _official_configs(contents, config)
    layout = OURS if to == "lavida" else FORMS[config.family].layout
    with new_folder(out) as folder:
        for name, data in configs.items():
            write_json(folder / name, data)
        _write_weights(folder, _renamed(found, layout, config))
        return copy_others(source, folder)


def _our_configs(contents: Contents, config: VLMConfig) -> dict[str, dict[str, Any]]:
    official: dict[str, Any] | None = contents.data
    if contents.layout is OURS:
        kept = contents.folder / OFFICIAL_CONFIG
        official = read_json(kept) if kept.exists() else None
    configs = {CONFIG: config.to_json(), OFFICIAL_CONFIG: official, TOWER_CONFIG: contents.tower}
    return {name: data for name, data in configs.items() if data}


def _official_configs(contents: Contents, config: VLMConfig) -> dict[str, dict[str, Any]]:
    kept = contents.folder / OFFICIAL_CONFIG
    form = find_form(config.family)
    official: dict[str, Any]
    tower: dict[str, Any] | None
    if contents.layout is not OURS:
        official, tower = contents.data, contents.tower
    elif kept.exists():
        official, tower = read_json(kept), contents.tower
    else:
        official, tower = write_official(config)
    if read_official(contents.standins | official, tower, form.layout, contents.shapes) != config:
        raise CheckpointError(
            f"the published config.json cannot say all that {contents.folder / CONFIG} says, or {OFFICIAL_CONFIG} is "
            "not its own; nothing was written"
        )
    return {CONFIG: official} | ({TOWER_CONFIG: tower} if tower else {})


def _renamed(found: Match, layout: Layout, config: VLMConfig) -> dict[str, Stored]:
    """Return every tensor by its name in the target."""
    named = {layout.from_ours(name): stored for name, stored in found.matched.items()}
    theirs = FORMS[config.family].layout if config.family in FORMS else OURS
    spare = {theirs.from_ours(name): stored for name, stored in found.idle.items()}
    spare |= {bare(stored.name.removeprefix(KEPT)): stored for stored in found.unused}
    return named | {(KEPT + name if layout is OURS else name): stored for name, stored in spare.items()}


def _write_weights(folder: Path, named: dict[str, Stored]) -> None:
    paths = sorted({stored.path for stored in named.values()})
    where: dict[str, str] = {}
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
    """Copy what is neither weights nor configuration, such as tokenizers; return the names of code left behind."""
    left = []
    if (source / VQ).is_dir():  # an image tokenizer has one layout only
        ignored = shutil.ignore_patterns("*.py", *(f"*{suffix}" for suffix in PICKLES))
        shutil.copytree(source / VQ, folder / VQ, ignore=ignored, dirs_exist_ok=True)
    for path in sorted(p for p in source.iterdir() if p.is_file() and p.name not in _WRITTEN):
        if path.suffix not in _LEFT_BEHIND:
            shutil.copyfile(path, folder / path.name)
        elif path.suffix == ".py":
            left.append(path.name)
    return left
