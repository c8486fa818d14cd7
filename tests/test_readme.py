"""Check that the files, lines and commands which the README names exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lavida.cli.main import VERBS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PATH_TO_READ = re.findall(r"^\| `(lavida/[\w/]+\.py)` \| ([\d, -]+) \| ([^|]+) \|$", README, flags=re.MULTILINE)


def test_files_that_are_named_exist() -> None:
    named = re.findall(r"`((?:lavida|mini|docs|examples)/[\w/.]*)`", README)
    assert len(named) > 12 and [path for path in named if not (ROOT / path).exists()] == []


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "docs" / "architecture.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_commands_exist() -> None:
    verbs = set(re.findall(r"(?:^|`|/)lavida ([a-z]+)", README, flags=re.MULTILINE))
    assert verbs and verbs <= set(VERBS)
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", README, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= targets and all(f"\n{target}:" in makefile for target in targets)


def spans(path: Path) -> dict[str, tuple[int, int]]:
    """First and last line of each class, method and function of a module, decorators included."""
    found = {}
    top = ast.parse(path.read_text(encoding="utf-8")).body
    inner = [(f"{node.name}.", one) for node in top if isinstance(node, ast.ClassDef) for one in node.body]
    for before, node in [*(("", node) for node in top), *inner]:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            found[before + node.name] = (first, node.end_lineno or first)
    return found


def ranges(text: str) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in re.findall(r"(\d+)-(\d+)", text)]


def test_one_answer_is_followed_in_700_lines_of_7_files() -> None:
    assert 5 <= len(PATH_TO_READ) <= 7
    assert sum(b - a + 1 for _, lines, _ in PATH_TO_READ for a, b in ranges(lines)) <= 700


@pytest.mark.parametrize(("file", "lines", "what"), PATH_TO_READ, ids=[file for file, _, _ in PATH_TO_READ])
def test_the_lines_hold_what_is_named(file: str, lines: str, what: str) -> None:
    defined, given = spans(ROOT / file), ranges(lines)
    names = re.findall(r"`([\w.]+)`", what)
    assert names and [defined[name] for name in names] == given


def test_the_glossary_explains_every_class_on_the_way() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    glossary = re.search(r"^## Glossary\n(.*?)^## ", page, flags=re.MULTILINE | re.DOTALL)
    assert glossary is not None
    terms = re.findall(r"^- \*\*", glossary[1], flags=re.MULTILINE)
    classes = {name for file, _, what in PATH_TO_READ for name in re.findall(r"`([A-Z]\w+)[`.]", what)}
    assert len(terms) <= 10 and [name for name in sorted(classes) if f"`{name}`" not in glossary[1]] == []
