"""The calibration table on disk: found again, not mistaken for another model's, refused if damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import lavida
from lavida.decode import calibration as module
from lavida.decode.calibration import (
    FILE,
    Calibration,
    Quality,
    Speed,
    Trial,
    find_calibration,
    fingerprint,
    setup_of,
    store_calibration,
)
from lavida.errors import CheckpointError, RequestError
from lavida.nn.offload import Offloaded
from tests.tiny import tiny_config, tiny_net, tiny_tokenizer

ROW = Trial(options={"steps": 4, "cache": "prefix", "threshold": 0.9}, quality=0.5, tokens=6.0, passes=2.5)
SPEED = Speed(setup="a", words=0.1, picture=0.2, passes={"prefix": (0.01, 0.001)})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture()
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_folder, tmp_path / "model")


def table_of(folder: Path) -> Calibration:
    quality = Quality(measure="likeness", length=8, tried=(ROW,))
    return Calibration(model=fingerprint(folder), quality=quality, speeds=(SPEED,))


def test_a_table_is_what_was_written() -> None:
    table = Calibration(model="m", quality=Quality(measure="x", length=8, tried=(ROW,)), speeds=(SPEED,))
    assert Calibration.from_json(table.to_json()) == table
    assert Calibration.from_json(Calibration(model="m").to_json()) == Calibration(model="m")


def test_it_is_kept_beside_the_model(folder: Path, cache: Path) -> None:
    assert find_calibration(folder) is None
    assert store_calibration(table_of(folder), folder) == folder / FILE and not cache.exists()
    assert find_calibration(folder) == table_of(folder)


def test_it_is_kept_in_the_cache_where_the_folder_cannot_be_written(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / FILE).mkdir()  # writing fails whoever runs the tests
    kept = store_calibration(table_of(folder), folder)
    assert kept.is_relative_to(cache) and find_calibration(folder) == table_of(folder)


def test_that_of_the_packages_own_model_is_kept_in_the_cache(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PACKAGE", folder.parent)
    assert store_calibration(table_of(folder), folder).is_relative_to(cache)
    assert not (folder / FILE).exists() and find_calibration(folder) == table_of(folder)


def test_what_was_measured_here_goes_before_what_came_along(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_calibration(Calibration(model=fingerprint(folder)), folder)
    monkeypatch.setattr(module, "_PACKAGE", folder.parent)
    store_calibration(table_of(folder), folder)
    assert find_calibration(folder).quality is not None


def test_a_table_of_other_weights_is_none(folder: Path) -> None:
    store_calibration(table_of(folder), folder)
    path = folder / "model.safetensors"
    weights = bytearray(path.read_bytes())
    weights[-1] ^= 1
    path.write_bytes(weights)
    assert find_calibration(folder) is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"model": "m", "quality": null}', '{"model": "m", "quality": {"tried": 3}, "speeds": []}',
     '{"model": "m", "quality": {"measure": "x", "length": 8, "tried": []}, "speeds": []}',
     '{"model": "m", "quality": null, "speeds": [{"setup": "a", "words": 1, "picture": 1, "passes": {"none": "ab"}}]}'],
)  # fmt: skip
def test_a_damaged_table_is_refused_in_one_line(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text)
    with pytest.raises(RequestError, match="calibrate") as error:
        find_calibration(folder)
    assert "\n" not in str(error.value)


def test_a_missing_model_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        fingerprint(tmp_path)


def test_a_speed_takes_the_place_of_its_setups_earlier_one() -> None:
    other = Speed(setup="b", words=1, picture=1, passes={})
    again = Speed(setup="a", words=9, picture=9, passes={})
    table = Calibration(model="m").timed(SPEED).timed(other).timed(again)
    assert table.speed("a") is again and table.speed("b") is other and table.speed("c") is None


def test_a_setup_tells_threads_dtype_and_packing_apart(tiny_folder: Path) -> None:
    net = tiny_net(tiny_config(tiny_tokenizer()))
    threads, plain = torch.get_num_threads(), setup_of(net)
    packed = setup_of(lavida.load(tiny_folder, quantize="int8").net)
    away = tiny_net(net.config)
    away.denoiser.blocks = torch.nn.ModuleList(Offloaded(block, "cpu") for block in away.denoiser.blocks)
    try:
        torch.set_num_threads(threads + 1)
        assert len({plain, packed, setup_of(net), setup_of(away), setup_of(net.bfloat16())}) == 5
    finally:
        torch.set_num_threads(threads)
