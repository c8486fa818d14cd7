"""`lavida inspect`, `convert` and `make-random`, and checkpoints that are damaged or dangerous."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lavida.checkpoint import inventory
from lavida.checkpoint.io import load_checkpoint
from lavida.checkpoint.make_random import RECIPES
from lavida.cli.main import main
from lavida.errors import LavidaError

Folders = dict[str, Path]  # of the tiny checkpoint of each family


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a local folder needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


class HeadersOnly:
    """A safetensors file that gives no tensor."""

    def __init__(self, path: Path, framework: str) -> None:
        self._file = safe_open(path, framework=framework)
        self.keys = self._file.keys

    def __enter__(self) -> HeadersOnly:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def get_slice(self, name: str) -> SimpleNamespace:
        piece = self._file.get_slice(name)
        return SimpleNamespace(get_shape=piece.get_shape, get_dtype=piece.get_dtype)


@pytest.mark.parametrize("family", RECIPES)
def test_inspect_every_family(
    family: str, random_folders: Folders, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "open_weights", HeadersOnly)
    assert main(["inspect", str(random_folders[family]), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    state = load_file(random_folders[family] / "model.safetensors")
    loaded = sum(t.numel() for n, t in state.items() if "post_layernorm" not in n)
    assert facts["family"] == RECIPES[family].family
    assert facts["parameters"]["total"] == loaded
    assert facts["memory"]["as_stored"] == 2 * loaded
    sizes = [facts["memory"][kind] for kind in ("int4", "int8", "as_stored", "float32")]
    assert sizes == sorted(set(sizes))
    assert facts["tensors"]["missing"] == facts["tensors"]["unexpected"] == []
    assert facts["tensors"]["matched"] + len(facts["tensors"]["unused"]) == len(state)
    assert facts["code_never_run"] == (["auto_map"] if family in ("llada", "dream", "mmada") else [])
    assert main(["inspect", str(random_folders[family])]) == 0
    text = capsys.readouterr().out
    assert f"{loaded:,}" in text and f"mask {facts['canvas']['mask_id']}" in text and "BF16 (100%)" in text


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_the_memory_of_packed_weights_is_what_they_take(
    kind: str, random_folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(random_folders["llada-v"]), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["memory"][kind]
    model, _ = load_checkpoint(random_folders["llada-v"], quantize=kind)
    assert told == sum(t.nbytes for t in model.state_dict().values())


def test_inspect_our_own(capsys: pytest.CaptureFixture[str], tiny_folder: Path) -> None:
    assert main(["inspect", str(tiny_folder)]) == 0
    out = capsys.readouterr().out
    assert "lavida-mini, tensors named as in lavida" in out and "efficientnet-lite0, one view of 224 x 224" in out


@pytest.mark.parametrize("family", RECIPES)
def test_ask_every_family_without_a_network(
    family: str, random_folders: Folders, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [] if family in ("llada", "dream") else [str(photo)]
    asked = ["ask", *shown, "What is this?", "--model", str(random_folders[family]), "--length", "4", "--json"]
    canvases = []
    for options in ([], ["--quantize", "int8"], ["--offload"]):
        assert main([*asked, *options]) == 0
        out, err = capsys.readouterr()
        canvases.append(json.loads(out)["text"])
        assert err == "" and json.loads(out)["prompt"] == "What is this?"
    assert canvases[0] == canvases[2]  # on a CPU offloading changes nothing


def test_convert_and_make_random(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, ours = tmp_path / "made", tmp_path / "ours"
    assert main(["make-random", "--family", "lavida-dream", "--scale", "tiny", "--seed", "3", str(made)]) == 0
    (made / "modeling_dream.py").write_text("raise SystemExit")
    assert main(["convert", str(made), str(ours), "--to", "lavida"]) == 0
    assert "left behind, as code is never run: modeling_dream.py" in capsys.readouterr().err
    assert not list(ours.glob("*.py")) and (ours / "tokenizer.json").exists()
    assert main(["inspect", str(ours)]) == 0
    for argv, words in (
        (["convert", str(made), str(ours), "--to", "hf"], "exists; name a folder that does not"),
        (
            ["convert", str(made), str(tmp_path / "x"), "--to", "gguf"],
            "unknown layout 'gguf'; choose one of lavida",
        ),
        (["convert", str(made), str(tmp_path / "x")], "--to"),
        (["make-random", "--family", "gpt", str(tmp_path / "x")], "unknown family 'gpt'"),
        (["make-random", "--family", "llada", "--seed", str(2**64), str(tmp_path / "x")], "a seed has at most 64 bits"),
        (["make-random", "--family", "llada", "--scale", "1b", str(tmp_path / "x")], "unknown scale '1b'"),
    ):
        capsys.readouterr()
        assert main(argv) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made", "ours"]


class Evil:
    """Unpickled, it would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.mark,))


def _shards(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: state[name] for name in held}, folder / file)
    index = {"weight_map": {name: file for file, held in parts.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def truncated_shard(folder: Path, mark: Path) -> None:
    _shards(folder)
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1000])


def truncated_header(folder: Path, mark: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])


def missing_shard(folder: Path, mark: Path) -> None:
    _shards(folder)
    (folder / "model-00001-of-00002.safetensors").unlink()


def no_weights(folder: Path, mark: Path) -> None:
    (folder / "model.safetensors").unlink()


def unknown_family(folder: Path, mark: Path) -> None:
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(data | {"model_type": "gpt9"}))


def wrong_shape(folder: Path, mark: Path) -> None:
    state = load_file(folder / "model.safetensors")
    name = "model.transformer.blocks.0.q_proj.weight"
    save_file(state | {name: state[name][:-1].clone()}, folder / "model.safetensors")


def pickle_named_safetensors(folder: Path, mark: Path) -> None:
    torch.save({"model.transformer.wte.weight": Evil(mark)}, folder / "model.safetensors")


def pickle_only(folder: Path, mark: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"model.transformer.wte.weight": Evil(mark)}, folder / "pytorch_model.bin")


def evil_projector(folder: Path, mark: Path) -> None:
    torch.save({"model.mm_projector.0.weight": Evil(mark)}, folder / "mm_projector.bin")


def remote_code(folder: Path, mark: Path) -> None:
    code = f"open({str(mark)!r}, 'w').close()\n"
    data = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(data | {"model_type": "evil", "auto_map": auto_map}))
    for name in ("evil.py", "__init__.py", "tokenization_evil.py", "sitecustomize.py"):
        (folder / name).write_text(code)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncated_shard, "00002-of-00002.safetensors (Error while deserializing header"),
        (truncated_header, "it may be cut short; fetch the file again"),
        (missing_shard, "lacks 1 of 2 shards (model-00001-of-00002.safetensors); fetch the rest"),
        (no_weights, "holds no weights; put model.safetensors"),
        (unknown_family, "unknown model_type 'gpt9', not one of dream, llada"),
        (wrong_shape, "denoiser.blocks.0.attn.q.weight has shape (63, 64) and config.json asks for (64, 64)"),
        (pickle_named_safetensors, "is a pickle and not safetensors; it was not opened"),
        (pickle_only, "holds pickled weights only (pytorch_model.bin), which can execute code"),
        (evil_projector, "it may hold nothing but tensors"),
        (
            remote_code,
            "unknown model_type 'evil', not one of dream, llada, llava_dream, llava_llada, mmada; the code that it",
        ),
    ],
)
def test_damage_is_one_line_and_nothing_runs(
    damage: Callable[[Path, Path], None],
    words: str,
    random_folders: Folders,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, mark = tmp_path / "model", tmp_path / "executed"
    shutil.copytree(random_folders["llada"], folder)
    damage(folder, mark)
    assert main(["inspect", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lavida: ") and error.count("\n") == 1 and words in error, error
    with pytest.raises(LavidaError) as raised:
        load_checkpoint(folder)
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert main(["convert", str(folder), str(tmp_path / "out"), "--to", "lavida"]) == 2
    assert capsys.readouterr().err == error
    assert not mark.exists() and not (tmp_path / "out").exists()


def test_code_of_a_known_family_is_ignored(
    random_folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mark = tmp_path / "model", tmp_path / "executed"
    shutil.copytree(random_folders["llada"], folder)
    (folder / "modeling_llada.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    assert main(["inspect", str(folder)]) == 0
    assert "never run: auto_map, modeling_llada.py" in capsys.readouterr().out
    load_checkpoint(folder)
    assert not mark.exists()
