"""The adapters for lmms-eval and VLMEvalKit.

Against stand-ins that keep to what the adapters use of both; where lmms-eval is installed, the last test runs the real
one on a tiny local task (docs/evaluation.md has the commands and what they printed).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from lavida.api import load
from lavida.errors import RequestError
from lavida.eval.foreign_options import read_options
from tests.eval.lmms_tasks.utils import doc_to_text, doc_to_visual, make_rows
from tests.pictures import gradient

TASKS = Path(__file__).with_name("lmms_tasks")


def test_options_of_the_published_scripts_are_read() -> None:
    lavida = read_options(
        {"max_new_tokens": 32, "temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False,
         "until": ["ASSISTANT:"], "prefix_lm": True, "step_ratio": 0.5, "schedule": "shift", "schedule__shift": 0.33}
    )  # fmt: skip
    expected = {"length": 32, "steps": 16, "cache": "prefix", "schedule": "shift", "shift": 0.33, "temperature": 0.0}
    assert lavida.options == expected and lavida.until == ("ASSISTANT:",)
    dream = read_options({"alg": "topk_margin", "prefix_lm": "True"})
    assert dream.options == {"remasking": "margin", "cache": "prefix"}
    llada_v = read_options(
        {"temperature": 0, "cfg": 0, "remasking": "low_confidence", "gen_length": 96, "block_length": 96,
         "gen_steps": 48, "think_mode": "think", "stopping_criteria": ["\n"]}
    )  # fmt: skip
    assert llada_v.options == {"temperature": 0.0, "remasking": "confidence", "length": 96, "block": 96, "steps": 48}
    assert llada_v.suffix == " /think" and llada_v.cut("a\nb") == "a" and llada_v.cut("ab") == "ab"
    blocks = read_options({"max_new_tokens": 100, "block_length": 32, "step_per_block": 8})
    assert blocks.options == {"length": 100, "block": 32, "steps": 32}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"refix_lm": True}, "unknown option 'refix_lm'; did you mean prefix_lm"),
        ({"max_new_token": 3}, "unknown option 'max_new_token'; did you mean max_new_tokens"),
        ({"num_beams": 4}, "num_beams=4 cannot be followed"),
        ({"step_ratio": 0.5}, "step_ratio is a share of the length"),
        ({"remasking": "luck"}, "unknown remasking 'luck'"),
        ({"think_mode": "maybe"}, "unknown think_mode 'maybe'"),
    ],
)
def test_what_cannot_be_followed_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_options(given)


def module(name: str, **values: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(values)
    return made


class _Result(SimpleNamespace):
    pass


class _Base:
    def __init__(self) -> None:
        self._rank = 0
        self.task_dict: dict[str, Any] = {}

    rank = property(lambda self: self._rank)


@pytest.fixture
def lmms(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The adapter, with a stand-in for what it imports of lmms-eval."""
    logged: list[dict[str, Any]] = []
    names = SimpleNamespace
    for name, values in (
        ("lmms_eval", {}), ("lmms_eval.api", {}), ("lmms_eval.models", {}), ("lmms_eval.models.model_utils", {}),
        ("lmms_eval.api.instance", {"GenerationResult": _Result, "Instance": names, "TokenCounts": names}),
        ("lmms_eval.api.model", {"lmms": _Base}),
        ("lmms_eval.models.model_utils.gen_metrics", {"log_metrics": lambda **facts: logged.append(facts)}),
        ("lmms_eval.models.registry_v2", {"ModelManifest": names}),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module(name, **values))
    monkeypatch.delitem(sys.modules, "lavida.eval.lmms", raising=False)
    found = importlib.import_module("lavida.eval.lmms")
    found.logged = logged  # type: ignore[attr-defined]
    yield found
    sys.modules.pop("lavida.eval.lmms", None)


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    make_rows(tmp_path)
    return json.loads((tmp_path / "rows.json").read_text())


def requests(rows: list[dict[str, Any]], *, simple: bool = False, **generation: Any) -> list[Any]:
    """The six arguments of each request, as lmms-eval 0.7.3 gives them."""

    def doc_to_messages(doc: dict[str, Any]) -> list[dict[str, Any]]:
        parts = [{"type": "image", "url": picture} for picture in doc_to_visual(doc)]
        return [{"role": "user", "content": [*parts, {"type": "text", "text": doc_to_text(doc)}]}]

    if simple:
        return [
            SimpleNamespace(args=(doc_to_text(r), generation, doc_to_visual, n, "t", "test"))
            for n, r in enumerate(rows)
        ]
    return [
        SimpleNamespace(args=(doc_to_text(r), doc_to_messages, generation, n, "t", "test")) for n, r in enumerate(rows)
    ]


@pytest.mark.parametrize(("kind", "batch"), [("LavidaChat", 1), ("LavidaChat", 4), ("LavidaSimple", 2)])
def test_answers_in_lmms_eval_are_those_of_ask_in_order(
    kind: str, batch: int, lmms: ModuleType, rows: list[dict[str, Any]], tiny_folder: Path
) -> None:
    model = getattr(lmms, kind)(pretrained=str(tiny_folder), batch_size=batch, device="cpu", steps=3)
    model.task_dict = {"t": {"test": rows}}
    found = model.generate_until(
        requests(rows, simple=model.is_simple, max_new_tokens=6, temperature=0, do_sample=False)
    )
    alone = load(str(tiny_folder))
    expected = [alone.ask(doc_to_visual(row)[0], doc_to_text(row), length=6, steps=3) for row in rows]
    assert [result.text for result in found] == [answer.text for answer in expected]
    assert [result.token_counts.output_tokens for result in found] == [6] * len(rows)
    (metrics,) = lmms.logged
    assert metrics["additional_metrics"]["nfe"] == 3 and metrics["additional_metrics"]["tokens_per_forward"] == 2


def test_likelihoods_in_lmms_eval_are_losses_of_the_model(
    lmms: ModuleType, rows: list[dict[str, Any]], tiny_folder: Path
) -> None:
    model = lmms.LavidaSimple(pretrained=str(tiny_folder), device="cpu")
    model.task_dict = {"t": {"test": rows}}
    asked = [
        SimpleNamespace(args=(doc_to_text(rows[0]), said, doc_to_visual, 0, "t", "test"))
        for said in (" A", lambda _: "B")
    ]
    found = [result.text for result in model.loglikelihood(asked)]
    alone, picture = load(str(tiny_folder)), doc_to_visual(rows[0])[0]
    for (loss, is_written), said in zip(found, "AB"):
        value = alone.log_likelihood(picture, doc_to_text(rows[0]), said, end=False).value
        assert loss == pytest.approx(-value) and loss > 0
        assert is_written == (alone.ask(picture, doc_to_text(rows[0]), length=1).text == said)
    with pytest.raises(RequestError, match="acc_mutual_info"):
        model.loglikelihood([SimpleNamespace(args=("", "A"))])


def test_what_lmms_eval_registers(lmms: ModuleType, tiny_folder: Path) -> None:
    manifest = lmms.manifest()
    assert manifest.model_id == "lavida"
    for path, simple in ((manifest.chat_class_path, False), (manifest.simple_class_path, True)):
        name = path.rpartition(".")[2]
        assert path == f"lavida.eval.lmms.{name}" and getattr(lmms, name).is_simple is simple
    with pytest.raises(RequestError, match="unknown option 'stepps'; did you mean steps"):
        lmms.LavidaChat(pretrained="nowhere", stepps=3)  # before the model is looked for
    model = lmms.LavidaChat(pretrained=str(tiny_folder), device="cpu")
    with pytest.raises(RequestError, match="several rounds"):
        model.generate_until_multi_round([])
    with pytest.raises(RequestError, match="'audio' cannot be shown"):
        lmms._dialogue([{"role": "user", "content": [{"type": "audio", "url": "x"}]}])


def test_the_entry_point_is_declared() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points."lmms_eval.models"]' in text and 'lavida = "lavida.eval.lmms:manifest"' in text


def test_vlmevalkit_is_given_our_model_and_runs_it(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table: dict[str, Any] = {}
    kit = tmp_path / "kit"
    kit.mkdir()
    # As the kit's own run.py: it reads the table by the name of the model, and asks it.
    (kit / "run.py").write_text(
        "import sys\nfrom vlmeval.config import supported_VLM\n"
        "model = supported_VLM[sys.argv[2]]()\n"
        f"message = [dict(type='image', value={str(tmp_path / 'p.png')!r}), dict(type='text', value='What is this?')]\n"
        "print(sys.argv[3:], repr(model.generate_inner(message, dataset='POPE')))\n"
    )
    gradient(60, 40).save(tmp_path / "p.png")
    for name, values in (
        ("vlmeval", {"__file__": str(kit / "vlmeval" / "__init__.py")}), ("vlmeval.vlm", {}),
        ("vlmeval.vlm.base", {"BaseModel": type("BaseModel", (), {})}), ("vlmeval.config", {"supported_VLM": table}),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module(name, **values))
    monkeypatch.setattr(sys, "argv", ["x"])
    from lavida.eval.vlmevalkit import main

    argv = ["--lavida", str(tiny_folder), "--lavida-option", "length=4", "--data", "POPE", "--mode", "infer"]
    assert main(argv) == 0
    answer = load(str(tiny_folder)).ask(Image.open(tmp_path / "p.png"), "What is this?", length=4).text.strip()
    assert capsys.readouterr().out == f"['--data', 'POPE', '--mode', 'infer'] {answer!r}\n"
    assert main(["--lavida-option", "stepps=4"]) == 2 and main(["--lavida-option", "steps"]) == 2
    (kit / "run.py").unlink()
    assert main(argv) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in errors] == ["lavida"] * 3
    assert "unknown option 'stepps'" in errors[0] and "no NAME=VALUE" in errors[1] and "name the folder" in errors[2]


INSTALLED = find_spec("lmms_eval") is not None and any(
    point.name == "lavida" for point in entry_points(group="lmms_eval.models")
)


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="lmms-eval is not installed beside lavida")
def test_lmms_eval_itself_runs_a_tiny_local_task(tiny_folder: Path, tmp_path: Path) -> None:
    make_rows(tmp_path)
    for path in TASKS.iterdir():
        if path.suffix in (".yaml", ".py"):
            text = path.read_text().replace("rows.json", str(tmp_path / "rows.json"))
            (tmp_path / path.name).write_text(text)
    argv = [sys.executable, "-m", "lmms_eval", "--model", "lavida", "--include_path", str(tmp_path)]
    argv += ["--model_args", f"pretrained={tiny_folder}", "--output_path", str(tmp_path / "out")]
    environment = {**os.environ, "OPENAI_API_KEY": "-", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    for more in (
        ["--tasks", "tiny_write", "--batch_size", "4"],
        ["--tasks", "tiny_choose", "--batch_size", "1", "--force_simple"],
    ):
        subprocess.run([*argv, *more], check=True, env=environment, cwd=tmp_path)
    results = [json.loads(path.read_text())["results"] for path in sorted((tmp_path / "out").rglob("*_results.json"))]
    found = {name: value for one in results for name, value in one.items()}
    assert found["tiny_write"]["written,none"] == 1.0 and 0 <= found["tiny_choose"]["acc,none"] <= 1
