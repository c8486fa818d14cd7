"""Two processes train as one does: same losses, same checkpoint, whatever is sharded, recomputed or rounded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lavida.checkpoint.io import load_checkpoint
from lavida.errors import ConfigError, RequestError
from lavida.train import distributed as parallel
from lavida.train.distributed import layers, prepare, processes
from tests.tiny import tiny_config, tiny_net, tiny_tokenizer
from tests.train.distributed_worker import VARIANTS, Run, main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What one process and each of two told, and the folders they wrote to."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    worker = ["--nproc_per_node", "2", "--standalone", "-m", "tests.train.distributed_worker", str(two)]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *worker], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    main(one)
    return [json.loads(path.read_text()) for path in (one / "rank0.json", two / "rank0.json", two / "rank1.json")], two


def distance(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@pytest.mark.slow
@pytest.mark.sharded
def test_two_processes_give_the_losses_of_one(runs):
    (one, first, second), _ = runs
    assert len(one["plain"]["losses"]) == 20
    # Muon rounds its matrices to bfloat16, so that a last bit grows; bfloat16 itself is told by its own width.
    close = dict.fromkeys(VARIANTS, 1e-5) | {"muon": 1e-4, "bfloat16": 1e-2}
    for name in VARIANTS:
        assert distance(one[name]["losses"], first[name]["losses"]) < close[name], name
        assert first[name]["losses"] == second[name]["losses"], name
    assert one["plain"]["losses"][-1] < one["plain"]["losses"][0] - 0.5  # it learns


@pytest.mark.slow
@pytest.mark.sharded
def test_how_it_is_trained_changes_no_loss(runs):
    (one, _, _), _ = runs
    for name in ("copies", "checkpointing"):
        assert one[name]["losses"] == one["plain"]["losses"][:4], name
    assert 0 < distance(one["bfloat16"]["losses"], one["plain"]["losses"][:4]) < 0.1
    assert distance(one["muon"]["losses"], one["plain"]["losses"][:4]) > 1e-3


@pytest.mark.slow
@pytest.mark.sharded
def test_parts_of_a_sharded_model_can_be_called(runs):
    (one, first, second), _ = runs
    for name in VARIANTS:
        for when in ("before", "after"):
            assert first[name][when] == second[name][when]
            assert first[name][when] == pytest.approx(one[name][when], abs=0.3 if name == "bfloat16" else 0.05)


@pytest.mark.slow
@pytest.mark.sharded
def test_weights_are_gathered_by_the_first_process(runs):
    (one, first, second), _ = runs
    for name in VARIANTS:
        assert first[name]["weights"] == one[name]["weights"] > 15 and second[name]["weights"] == 0


@pytest.mark.slow
@pytest.mark.sharded
def test_a_sharded_model_is_exported(runs):
    (one, _, _), folder = runs
    vlm, _ = load_checkpoint(folder / "model")
    hidden = vlm.denoiser(vlm.denoiser.embed(torch.arange(12)[None]))
    assert vlm.denoiser.head(hidden)[0].sum().item() == pytest.approx(one["plain"]["after"], abs=0.05)


@pytest.mark.slow
@pytest.mark.sharded
def test_a_run_goes_on_after_ten_steps(runs):
    (one, first, second), folder = runs
    assert one["resumed"] == one["plain"]["losses"][10:]
    assert first["resumed"] == first["plain"]["losses"][10:]
    assert (first["own"], second["own"]) == ({"rank": 0}, {"rank": 1})
    # The checkpoint of two processes, on one.
    run = Run(folder / "plain")
    assert run.resume()["own"] == {"rank": 0} and run.done == 10
    assert distance([run.update() for _ in range(10)], first["plain"]["losses"][10:]) < 1e-5


def net():
    return tiny_net(tiny_config(tiny_tokenizer())).train()


def test_layers_are_those_that_repeat():
    vlm = net()
    assert layers(vlm) == list(vlm.denoiser.blocks)


def test_wrong_values_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="unknown precision 'half'; choose one of float32, bfloat16"):
        prepare(net(), precision="half")
    for shard in (-1, 3):
        monkeypatch.setattr(parallel, "world", lambda: 4)
        with pytest.raises(ConfigError, match=f"4 processes cannot form groups of {shard}"):
            prepare(net(), shard=shard)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RequestError, match="2 processes need a GPU each and there are 1"), processes("cuda"):
        pass


def test_alone_there_is_nothing_to_join(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes("cpu") as place:
        assert place == torch.device("cpu") and not torch.distributed.is_initialized()


@pytest.mark.slow
@pytest.mark.sharded
def test_compiled_layers_give_the_same():
    vlm = net()
    x = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    plain = vlm.denoiser(x)
    torch.testing.assert_close(prepare(vlm, compile=True).denoiser(x), plain, atol=1e-5, rtol=1e-5)
    assert vlm.denoiser.blocks[0]._compiled_call_impl is not None
