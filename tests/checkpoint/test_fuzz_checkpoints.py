"""Checkpoints with changes to config.json, headers and tensors: loaded or refused in one line (tests/fuzz.py)."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save

from lavida.checkpoint.convert import convert
from lavida.checkpoint.inventory import match, meta_model, read_config, survey
from lavida.checkpoint.io import load_checkpoint
from lavida.checkpoint.make_random import RECIPES
from lavida.checkpoint.summary import summarise
from tests.fuzz import ANYTHING, cases, few_and_many, run

NUMBERS = st.integers(-3, 400) | st.sampled_from(
    [10**9, 10**20, -1, 0, 2**31, 2**63, 0.5, 1e300, float("inf"), float("nan")]
)
WORDS = st.sampled_from(
    ["", "silu", "pad", "square", "anyres", "anyres_max_9", "spatial_unpad", "flat", "siglip", "../x", "a\0b"]
)
PINPOINTS = st.sampled_from(["(1x1),...,(6x6)", "(1x1),...,(9999x9999)", "[(384, 768)]", "(" * 300, "[[1, 2, 3]]"])
VALUES = NUMBERS | WORDS | PINPOINTS | ANYTHING
EDITS = st.lists(st.tuples(st.integers(0, 99), VALUES | st.just("remove"), st.booleans()), min_size=1, max_size=3)
DTYPES = st.sampled_from([torch.float32, torch.float16, torch.float8_e4m3fn, torch.int8, torch.bool, torch.complex64])
TENSORS = st.lists(
    st.tuples(
        st.integers(0, 999),
        st.sampled_from(["remove", "rename", "double", "rows", "flat", "empty", "type", "nan", "scalar"]),
        st.text(max_size=6),
        DTYPES,
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def folders(random_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A copy of each family's tiny checkpoint, and one in our own layout."""
    root = tmp_path_factory.mktemp("fuzz")
    copies = {family: Path(shutil.copytree(random_folders[family], root / family)) for family in RECIPES}
    convert(copies["lavida-llada"], root / "ours", "lavida")
    return copies | {"ours": root / "ours"}


def look(folder: Path) -> None:
    """Inspect as `lavida inspect` does, then load."""
    contents = survey(folder)
    config = read_config(contents)
    found = match(contents, meta_model(config, contents.tensors))
    json.dumps(summarise(contents, config, found))
    found.require(contents)
    load_checkpoint(folder)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every object and key of a JSON value, nested ones too."""
    found: list[tuple[Any, Any]] = []
    if isinstance(data, dict):
        for key, value in data.items():
            found += [(data, key), *places(value)]
    return found


def edited(data: dict[str, Any], edits: list[tuple[int, Any, bool]]) -> dict[str, Any]:
    for place, value, new in edits:
        known = places(data)
        if not known:
            break
        home, key = known[place % len(known)]
        if value == "remove":
            del home[key]
        else:
            home[str(value)[:9] if new and place % 7 == 0 else key] = value
    return data


def text_of(data: Any) -> str:
    return json.dumps(data, default=lambda value: value.decode("latin-1"))


@few_and_many
def test_any_config(count: int, folders: dict[str, Path]) -> None:
    originals = {family: (folder / "config.json").read_text() for family, folder in folders.items()}
    loaded = 0

    @cases(count)
    @given(st.sampled_from(sorted(folders)), EDITS)
    def property_holds(family: str, edits: list[tuple[int, Any, bool]]) -> None:
        nonlocal loaded
        path = folders[family] / "config.json"
        path.write_text(text_of(edited(json.loads(originals[family]), edits)), encoding="utf-8", errors="replace")
        try:
            loaded += run(lambda: look(folders[family]))
        finally:
            path.write_text(originals[family])

    property_holds()
    assert loaded > count // 20


@few_and_many
def test_any_header(count: int, folders: dict[str, Path]) -> None:
    folder = folders["lavida-llada"]
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])

    @cases(count)
    @given(EDITS, st.integers(0, 3), st.binary(max_size=6), st.floats(0, 1))
    def property_holds(edits: list[tuple[int, Any, bool]], how: int, noise: bytes, place: float) -> None:
        if how == 0:
            at = int(place * (8 + length))
            data = whole[:at] + noise + whole[at + len(noise) :]
        elif how == 1:
            data = whole[: int(place * len(whole))]
        else:
            new = text_of(edited(json.loads(json.dumps(header)), edits)).encode("utf-8", "replace")
            data = struct.pack("<Q", len(new)) + new + whole[8 + length :]
        path.write_bytes(data)
        try:
            run(lambda: look(folder))
        finally:
            path.write_bytes(whole)

    property_holds()


@few_and_many
def test_any_tensors(count: int, folders: dict[str, Path]) -> None:
    family_tensors = {family: load_file(folder / "model.safetensors") for family, folder in folders.items()}

    @cases(count)
    @given(st.sampled_from(sorted(folders)), TENSORS)
    def property_holds(family: str, edits: list[tuple[int, str, str, torch.dtype]]) -> None:
        tensors = dict(family_tensors[family])
        for place, how, name, dtype in edits:
            if tensors:
                _change(tensors, sorted(tensors)[place % len(tensors)], how, name, dtype)
        path = folders[family] / "model.safetensors"
        whole = path.read_bytes()
        path.write_bytes(save(tensors))
        try:
            run(lambda: look(folders[family]))
        finally:
            path.write_bytes(whole)

    property_holds()


def _change(tensors: dict[str, torch.Tensor], name: str, how: str, word: str, dtype: torch.dtype) -> None:
    tensor = tensors.pop(name)
    if how == "rename":
        tensors[word.encode("utf-8", "replace").decode()] = tensor
    elif how == "double":
        tensors |= {name: tensor, f"module.{name}": tensor.clone()}
    elif how != "remove":
        changed = {
            "rows": lambda: torch.cat((tensor, tensor)) if tensor.dim() else tensor,
            "flat": lambda: tensor.flatten(),
            "empty": lambda: tensor.flatten()[:0],
            "type": lambda: tensor.to(dtype),
            "nan": lambda: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor,
            "scalar": lambda: tensor.flatten()[0] if tensor.numel() else tensor,
        }
        tensors[name] = changed[how]().clone()
