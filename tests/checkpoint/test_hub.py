"""Finding a model: folders first, then the hub, whose network is replaced by fakes or made to fail."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors as hub

from lavida.checkpoint.hub import FILES, find_checkpoint
from lavida.errors import CheckpointError


def fake_download(monkeypatch: pytest.MonkeyPatch, answer: Callable[[bool], Path]) -> list[bool]:
    """Replace the hub's download; the list tells of each call whether it was restricted to local files."""
    calls: list[bool] = []

    def download(repo_id: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        assert repo_id == "owner/name" and allow_patterns == list(FILES)
        calls.append(local_files_only)
        return str(answer(local_files_only))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return calls


def raising(error: Exception) -> Callable[[bool], Path]:
    def answer(local: bool) -> Path:
        raise hub.LocalEntryNotFoundError("not cached") if local else error

    return answer


def refusal(kind: type[hub.HfHubHTTPError]) -> Exception:
    return kind("refused", response=SimpleNamespace(headers={}, request=None))


def test_a_local_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_download(monkeypatch, raising(AssertionError("no folder needs the hub")))
    monkeypatch.chdir(tmp_path)
    Path("owner/name").mkdir(parents=True)
    assert find_checkpoint("owner/name") == Path("owner/name")
    assert find_checkpoint(tmp_path) == tmp_path
    assert calls == []


def test_neither_code_nor_pickles_are_fetched() -> None:
    fetched = [
        n
        for n in ("modeling_llada.py", "pytorch_model.bin", "optimizer.pt", "mm_projector.bin", "model.safetensors")
        if any(fnmatch(n, pattern) for pattern in FILES)
    ]
    assert fetched == ["mm_projector.bin", "model.safetensors"]


def test_what_is_cached_whole_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_download(monkeypatch, lambda local: tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert find_checkpoint("owner/name") == tmp_path
    assert calls == [True, False]  # the weights are not there yet
    shards = {"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(shards))
    (tmp_path / "1.safetensors").touch()
    calls.clear()
    find_checkpoint("owner/name")
    (tmp_path / "2.safetensors").touch()
    find_checkpoint("owner/name")
    assert calls == [True, False, True]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refusal(hub.RepositoryNotFoundError), "owner/name is neither a folder here nor a public model"),
        (refusal(hub.GatedRepoError), "owner/name asks for a login"),
        (hub.HFValidationError("bad"), "valid hub id"),
        (hub.LocalEntryNotFoundError("no connection"), "the hub cannot be reached"),
    ],
)
def test_each_failure_is_one_line(error: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_download(monkeypatch, raising(error))
    with pytest.raises(CheckpointError, match=words) as raised:
        find_checkpoint("owner/name")
    assert "\n" not in str(raised.value)


def test_without_network_and_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real hub library, which is not let out."""

    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="owner/nothing is not on this machine and the hub cannot be reached"):
        find_checkpoint("owner/nothing")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set"):
        find_checkpoint("owner/nothing")


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "../up", "/abs/olute", "owner/na me"])
def test_what_cannot_be_a_hub_id_is_refused_at_once(name: str) -> None:
    with pytest.raises(CheckpointError, match="no folder"):
        find_checkpoint(name)


def test_a_file_is_no_folder() -> None:
    with pytest.raises(CheckpointError, match="is a file; give the folder"):
        find_checkpoint(__file__)
