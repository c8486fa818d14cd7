"""Imports go downwards only: a module may import its own layer and the layers below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lavida"
LAYERS = (
    {"config", "errors"},
    {"nn", "cache"},
    {"model", "checkpoint", "text", "image"},
    {"diffusion"},
    {"decode", "constrain", "data"},
    {"train", "eval", "edit", "extract", "api", "engine"},
    {"hf"},
    {"cli"},
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")  # the front door may import api


def imported_parts(source: str) -> Iterator[str]:
    """The first name after `lavida` of everything that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports from the package's root"
            names = [f"lavida.{a.name}" for a in node.names] if node.module == "lavida" else [node.module or ""]
        for name in names:
            root, _, rest = name.partition(".")
            if root == "lavida" and rest:
                yield rest.split(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert own in LEVEL, f"lavida/{own} belongs to no layer; add it to LAYERS and to docs/architecture.md"
    for part in imported_parts(path.read_text(encoding="utf-8")):
        if part in LEVEL:
            assert LEVEL[part] <= LEVEL[own], f"lavida/{own} imports upwards from lavida/{part}"


@pytest.mark.parametrize("path", [p for p in MODULES if "hf" not in p.parts], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_of_ours_is_built_on_hf(path: Path) -> None:
    assert "hf" not in imported_parts(path.read_text(encoding="utf-8"))


def test_an_upward_import_is_seen() -> None:
    found = list(imported_parts("def f():\n    from lavida.api import load\n    import lavida.cli.main\n"))
    assert found == ["api", "cli"] and LEVEL["cli"] > LEVEL["api"] > LEVEL["decode"]


def test_every_layer_is_in_the_architecture_page() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [part for part in LEVEL if f"`{part}" not in page] == []
