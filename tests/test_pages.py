"""Every command and every line of Python in README.md and docs/ is run here, or its block says why it cannot be.

A block is one of the languages below. In `sh`, `console` and `python` it is run, in the order of the page, in a folder
that holds the files which the pages speak of. Two comments before a block change that:

    <!-- not run: REASON -->       its commands and options must exist
    <!-- run with: --steps 1 -->   these options are added to its commands, to make them short

In a `console` block lines with `$ ` are commands, and what follows must be their output, numbers left out. `lavida
serve` starts a server, which the rest of the page talks to.
"""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main
from PIL import Image

import lavida
from lavida.api import Model
from lavida.cli.main import VERBS, main
from lavida.train.recipes import RECIPES
from tests.eval import sets
from tests.image.test_video import write_video
from tests.pictures import gradient
from tests.serve.servers import serving
from tests.tiny import save_tiny

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROSE = ("text", "json", "nginx")
FENCE = re.compile(r"(?:^<!-- (not run|run with): ([^\n]+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVED = "http://127.0.0.1:8000"
FOREIGN = ("lmms_eval",)  # modules of others, which need not be installed


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    text: str
    reason: str | None  # why it is not run
    added: tuple[str, ...]  # options that make its commands short

    def commands(self) -> list[list[str]]:
        """The words of each command; `a && b` are two."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        found = [shlex.split(part, comments=True) for line in lines for part in line.split(" && ")]
        return [[word.removeprefix(".venv/bin/") for word in words] for words in found if words]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            line=text.count("\n", 0, found.start()) + 1,
            language=found[3],
            text=found[4],
            reason=found[2] if found[1] == "not run" else None,
            added=tuple(shlex.split(found[2])) if found[1] == "run with" else (),
        )
        for found in FENCE.finditer(text)
    ]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


WITH_CODE = [page for page in PAGES if any(block.language not in PROSE for block in blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_has_a_language_and_stands_between_fences(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("\n```") == 2 * len(blocks(page))
    assert {block.language for block in blocks(page)} <= {"sh", "console", "python", *PROSE}
    assert all(block.reason is None or len(block.reason) > 3 for block in blocks(page))
    outside = FENCE.sub("", text)
    assert re.findall(r"^ {4,}(?:lavida|python|make|torchrun|git|pip) .*", outside, re.MULTILINE) == []
    assert not re.search(r"<!-- (?:not run|run with)", outside), "a mark that stands before no block"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_json_is_json(page: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            assert all(isinstance(json.loads(line), dict) for line in block.text.splitlines())


# What exists: the commands of blocks that are not run, and those in the middle of a sentence.


def verb_of(words: list[str]) -> str:
    return next(verb for verb in (" ".join(words[:2]), words[0]) if verb in VERBS)


def check_lavida(words: list[str]) -> None:
    """Verb and options of `lavida WORDS` exist."""
    if words[0] == "COMMAND" or words[0].startswith("-"):
        return
    verb = verb_of(words)
    app = getattr(import_module(VERBS[verb][0]), verb.replace(" ", "_").replace("-", "_"))
    parser: Any = typer.main.get_command(app)
    rest = words[len(verb.split()) :]
    if hasattr(parser, "commands"):
        parser = parser.commands[rest.pop(0)]
    known = {"--help", *(name for parameter in parser.params for name in parameter.opts)}
    assert [word for word in rest if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known] == []
    assert verb != "train" or not rest or rest[0] in (*RECIPES, "RECIPE", "report") or rest[0][0] == "-"


def check_module(name: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Options of `python -m NAME WORDS` exist."""
    if name in FOREIGN:
        return
    options = [word for word in words if word.startswith("--")]
    verbs = [word for word in words[:2] if re.fullmatch(r"[a-z]+", word)] if name == "mini" else []
    before = sys.argv
    capsys.readouterr()
    try:
        sys.argv = [name, *verbs, "--help"]
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(name, run_name="__main__")
    finally:
        sys.argv = before
    known = capsys.readouterr().out
    assert not ended.value.code and [option for option in options if not re.search(rf"{option}\b", known)] == []


def check_exists(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command that is not run could be: its program, options, targets and extras exist."""
    program, *rest = words
    if program == "lavida":
        check_lavida(rest)
    elif program in ("python", "torchrun") and "-m" in rest:
        at = rest.index("-m")
        if rest[at + 1] == "lavida.cli.main":
            check_lavida(rest[at + 2 :])
        else:
            check_module(rest[at + 1], rest[at + 2 :], capsys)
    elif program == "python":
        done = subprocess.run([sys.executable, ROOT / rest[0], "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and all(word in done.stdout for word in rest if word.startswith("--"))
    elif program == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert re.fullmatch(r"lavida\[(\w+)\]", rest[-1])[1] in extras  # type: ignore[index]
    else:
        assert program in ("git", "cd", "source"), f"{program}: an unknown program"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_that_are_not_run_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(page):
        if block.reason is not None:
            for words in block.commands():
                check_exists(words, capsys)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_in_sentences_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = FENCE.sub("", page.read_text(encoding="utf-8"))
    for code in re.findall(r"`((?:lavida|python -m|make|pip install) [^`]+)`", " ".join(outside.split())):
        check_exists(shlex.split(code), capsys)


# What runs.


@pytest.fixture(scope="module")
def mini() -> Model:
    return lavida.load()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, random_folders: dict[str, Path]) -> Path:
    """The files that the pages speak of."""
    root = tmp_path_factory.mktemp("files")
    demo = root / "lavida" / "assets" / "demo.jpg"
    demo.parent.mkdir(parents=True)
    shutil.copy(ROOT / "lavida" / "assets" / "demo.jpg", demo)
    shutil.copytree(ROOT / "examples", root / "examples")
    for name in ("photo", "new", "cat"):
        shutil.copy(demo, root / f"{name}.jpg")
    for n, name in enumerate(("receipt", "before", "after", "a", "b", "house")):
        gradient(90 + n, 60 + n).save(root / f"{name}.jpg")
    mask = Image.new("L", Image.open(root / "house.jpg").size, 0)
    mask.paste(255, (30, 20, 60, 60))
    mask.save(root / "mask.png")
    for n in range(6):
        for folder in (f"photos/{('a cat', 'a ball')[n % 2]}", "receipts"):
            (root / folder).mkdir(parents=True, exist_ok=True)
            gradient(60 + n, 48).save(root / folder / f"{n}.jpg")
    asked = [{"image": "a.jpg", "question": "What is this?", "answer": "a cat"}] * 24
    for name in ("photos.jsonl", "questions.jsonl"):
        sets.write(root / name, asked, lines=True)
    sets.write(root / "requests.jsonl", [{key: asked[0][key] for key in ("image", "question")}] * 3, lines=True)
    sets.write(root / "receipt.json", {"type": "object", "properties": {"total": {"type": "integer", "maximum": 99}},
                                       "required": ["total"], "additionalProperties": False})  # fmt: skip
    sets.coco(root / "coco")
    write_video(root / "clip.mp4", 8)
    for name in ("MODEL", "my-model"):
        save_tiny(root / name)
    for name in ("IN", "GSAI-ML/LLaDA-V"):  # of a family that keeps its prompts and takes videos
        shutil.copytree(random_folders["lavida-llada"], root / name)
    return root


class Runner:
    """Run the blocks of one page in the current folder."""

    def __init__(self, model: Model, capsys: pytest.CaptureFixture[str], stack: ExitStack) -> None:
        self._capsys, self._stack = capsys, stack
        self._served = SERVED
        self._names: dict[str, Any] = {"lavida": lavida, "model": model, "FOLDER": "MODEL"}

    def run(self, block: Block) -> None:
        if block.language == "python":
            exec(compile(self._at_server(block.text), f"line {block.line}", "exec"), self._names)
            return
        if "curl " in block.text:  # whose shell does more than name a program and its words
            script = self._at_server(block.text).replace("curl ", "curl --fail ")
            assert not shutil.which("curl") or subprocess.run(["bash", "-ceu", script]).returncode == 0
            return
        self._capsys.readouterr()
        for words in block.commands():
            self._command(words, block)
        if block.language == "console":
            printed = [line for line in block.text.splitlines() if not line.startswith("$ ")]
            assert without_numbers(self._capsys.readouterr().out.splitlines()) == without_numbers(printed)

    def _command(self, words: list[str], block: Block) -> None:
        program, *rest = words
        if program == "lavida" and rest[0] == "serve":
            self._stack.close()
            paths = [str(Path(word).resolve()) if Path(word).exists() else word for word in rest[1:]]
            self._served = self._stack.enter_context(serving(*paths)).url.rstrip("/")
        elif program == "lavida":
            assert main([*rest, *block.added]) == 0, shlex.join(words)
        else:
            assert program == "python", f"{program}: how is it run?"
            subprocess.run([sys.executable, *rest], check=True)

    def _at_server(self, text: str) -> str:
        assert SERVED not in text or self._served != SERVED, "the page has started no server"
        return text.replace(SERVED, self._served)


def without_numbers(lines: list[str]) -> list[str]:
    return [re.sub(r"\d+(\.\d+)?", "0", line.rstrip()) for line in lines]


@pytest.fixture
def runner(mini: Model, capsys: pytest.CaptureFixture[str]) -> Iterator[Runner]:
    with ExitStack() as stack:
        yield Runner(mini, capsys, stack)


@pytest.mark.parametrize("page", WITH_CODE, ids=named)
def test_a_page_runs(page: Path, runner: Runner, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for block in blocks(page):
        if block.language not in PROSE and block.reason is None:
            runner.run(block)
