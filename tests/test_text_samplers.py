"""`benchmarks/text_samplers.py` beside stand-ins for the checkouts: the real ones are not here."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import text_samplers

FAST_DLLM = {
    "generate": """
import torch
from model.modeling_llada import LLaDAModelLM
def _written(model, prompt, steps, gen_length, block_length, temperature, remasking, mask_id):
    assert isinstance(model, LLaDAModelLM) and (gen_length, block_length, remasking) == (64, 32, "low_confidence")
    assert prompt.shape == (1, 128) and not (prompt == mask_id).any() and temperature == 0
    print("words of its own")
    return torch.cat((prompt, torch.full((1, gen_length), steps)), 1), steps
def generate_with_prefix_cache(model, prompt, **options): return _written(model, prompt, **options)
def generate_with_dual_cache(model, prompt, **options): return _written(model, prompt, **options)
""",
    "model/__init__": "",
    "model/modeling_llada": """
import torch
class LLaDAModelLM(torch.nn.Module):
    @classmethod
    def from_pretrained(cls, folder, torch_dtype):
        assert torch_dtype == torch.float32 and torch.get_num_threads() == 1
        return cls()
""",
}
DLLM = {
    "__init__": "raise ImportError('what trains is not installed')",
    "core/samplers/__init__": "raise ImportError('nor are other samplers')",
    "core/samplers/utils": "FILL = 7",
    "pipelines/fastdllm/llada/__init__": """
from dllm.pipelines.fastdllm.llada.sampler import FastdLLMLLaDASampler, FastdLLMLLaDASamplerConfig
from dllm.pipelines.llada.models.modeling import FastdLLMLLaDAModelLM
""",
    "pipelines/fastdllm/llada/sampler": """
from dataclasses import dataclass
import torch
from dllm.core.samplers.utils import FILL
@dataclass
class FastdLLMLLaDASamplerConfig:
    steps: int
    max_new_tokens: int
    block_size: int
    temperature: float
    remasking: str
    use_cache: str
@dataclass
class FastdLLMLLaDASampler:
    model: object
    tokenizer: object
    def sample(self, prompt, config):
        assert config.use_cache in ("prefix", "dual") and config.block_size == 32
        assert self.tokenizer.mask_token_id not in prompt and self.tokenizer.eos_token_id > 0
        return torch.cat((prompt, torch.full((1, config.max_new_tokens), FILL)), 1)
""",
    "pipelines/llada/models/modeling": """
import torch
class FastdLLMLLaDAModelLM(torch.nn.Module):
    @classmethod
    def from_pretrained(cls, folder, torch_dtype): return cls()
""",
}


def _checkout(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _main(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["text_samplers", *map(str, words)])
    text_samplers.main()


@pytest.fixture
def given(tmp_path: Path, random_folders: dict[str, Path]) -> list[object]:
    """Options of a run in which nothing is missing."""
    _checkout(tmp_path / "fast" / "llada", FAST_DLLM)
    _checkout(tmp_path / "dllm" / "dllm", DLLM)
    return [
        "--fast-dllm", tmp_path / "fast", "--dllm", tmp_path / "dllm", "--python", sys.executable,
        "--model", random_folders["llada"], "--dtype", "float32", "--small", "--rounds", 1, "--out", tmp_path / "out",
    ]  # fmt: skip


def test_three_sides_take_turns_and_their_ids_are_compared(
    tmp_path: Path, given: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _main(monkeypatch, *given)
    rows = json.loads((tmp_path / "out" / "text_samplers.json").read_text())["rows"]
    assert [(row["series"], row["x"]) for row in rows] == [
        (side, f"{cache}, 32 steps") for cache in ("prefix", "dual") for side in ("Fast-dLLM", "dllm", "ours")
    ]
    for theirs, ours in ((rows[i], rows[3 * (i // 3) + 2]) for i in (0, 1, 3, 4)):
        assert len(theirs["values"]) == 1 and theirs["ratios"] == [theirs["values"][0] / ours["values"][0]]
        assert theirs["facts"]["MB"] > 50 and theirs["facts"]["ids"] == 1  # the stand-ins write one id over and over
        assert theirs["facts"]["equal ids"] != "64 of 64" == ours["facts"]["equal ids"]
        assert ours["facts"]["ids"] > 1
    assert "words of its own" not in capsys.readouterr().out


def test_ids_are_held_against_ours() -> None:
    kept = [{"ids": [1, 2, 3], "seconds": seconds, "memory": 9.0} for seconds in (1.0, 3.0)]
    found = text_samplers.facts(kept, [1, 5, 3])
    assert found == {"seconds": "2 [1 .. 3]", "MB": 9.0, "equal ids": "2 of 3", "ids": 3}


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("--dllm", "nowhere", "nowhere is no checkout of dllm: it has no dllm/pipelines/fastdllm/llada/sampler.py"),
        ("--python", "no-such-python", "no-such-python is no interpreter"),
        ("--model", "nowhere", "name the folder of the checkpoint"),
    ],
)
def test_what_is_missing_is_one_line(
    given: list[object], option: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=f"^{line}"):
        _main(monkeypatch, *given, option, value)


def test_without_a_checkout_nothing_is_compared(given: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="^name a checkout"):
        _main(monkeypatch, *given[4:])


def test_a_model_of_another_family_is_refused(
    given: list[object], random_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="of the family dream; a llada one is needed"):
        _main(monkeypatch, *given, "--model", random_folders["dream"])


def test_a_side_that_does_not_load_is_one_line(
    tmp_path: Path, given: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(tmp_path / "dllm" / "dllm" / "pipelines" / "llada")
    with pytest.raises(SystemExit, match="^dllm does not load in .*: No module named 'dllm.pipelines.llada.models"):
        _main(monkeypatch, *given)
    (tmp_path / "fast" / "torch.py").write_text("raise ImportError('there is no PyTorch')")
    with pytest.raises(SystemExit, match="^Fast-dLLM does not load in .*: there is no PyTorch"):
        _main(monkeypatch, *given[:2], *given[4:])
