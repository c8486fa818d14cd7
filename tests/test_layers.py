"""Imports go downwards only, from a package to those below it, and no module is part of a cycle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Bottom to top; those of one line do not import each other.
LAYERS = (
    ("errors",),
    ("config", "threads", "cache", "diffusion"),
    ("nn", "text", "image"),
    ("model",),
    ("evidence",),
    ("checkpoint",),
    ("constrain",),
    ("decode",),
    ("edit", "draw", "data"),
    ("api",),
    ("engine", "train", "hf"),
    ("",),  # lavida/__init__.py, which imports api and engine when asked for them
    ("serve", "batch", "plan"),
    ("eval",),
    ("calibrate",),
    ("cli",),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}


def modules(*packages: str) -> dict[str, Path]:
    """Each module of the packages by its dotted name."""
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imported(source: str, known: dict[str, Path]) -> Iterator[str]:
    """The modules that a source imports, inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            if node.level:  # of tests alone; ruff forbids it elsewhere
                continue
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module or ""


def graph(known: dict[str, Path]) -> dict[str, set[str]]:
    """The modules that each module imports."""
    return {
        name: {other for other in imported(path.read_text(encoding="utf-8"), known) if other in known} - {name}
        for name, path in known.items()
    }


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """A cycle of the graph, or nothing."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(edges[name]):
            if found := visit(other, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := visit(name, []))), [])


def part_of(name: str) -> str:
    """The part of the package that a module belongs to."""
    return name.split(".")[1] if "." in name else ""


LAVIDA = graph(modules("lavida"))
ALL = graph(modules("lavida", "mini", "benchmarks"))


def upward(edges: dict[str, set[str]]) -> list[str]:
    """The imports of lavida's modules that do not lead to a lower layer."""
    found = []
    for name, others in edges.items():
        own = part_of(name)
        found += [f"{name} -> {o}" for o in others if part_of(o) != own and LEVEL[part_of(o)] >= LEVEL[own]]
    return sorted(found)


def test_every_part_has_a_layer() -> None:
    parts = {part_of(name) for name in LAVIDA}
    assert parts == set(LEVEL), "LAYERS and docs/architecture.md list every part"


def test_imports_go_downwards() -> None:
    assert upward(LAVIDA) == []


def test_no_module_is_part_of_a_cycle() -> None:
    assert cycle(ALL) == []


def test_lavida_imports_nothing_that_is_built_on_it() -> None:
    known = modules("lavida", "mini", "benchmarks", "tests")
    outside = {name: [o for o in others if not o.startswith("lavida")] for name, others in graph(known).items()}
    assert [name for name, others in outside.items() if name.startswith("lavida") and others] == []


def test_a_cycle_and_an_upward_import_are_seen() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"] and cycle({"a": {"b"}, "b": set()}) == []
    known = dict.fromkeys(("lavida.api", "lavida.cli.main", "lavida.nn.layers", "lavida.text.chat"), Path())
    source = "def f():\n    from lavida.api import load\n    import lavida.cli.main\n    from lavida.nn import layers\n"
    assert list(imported(source, known)) == ["lavida.api", "lavida.cli.main", "lavida.nn.layers"]
    assert upward({"lavida.api": {"lavida.cli.main", "lavida.nn.layers"}}) == ["lavida.api -> lavida.cli.main"]
    assert upward({"lavida.nn.layers": {"lavida.text.chat"}}) == ["lavida.nn.layers -> lavida.text.chat"]


@pytest.mark.parametrize("part", sorted(set(LEVEL) - {""}))
def test_every_part_is_in_the_architecture_page(part: str) -> None:
    assert f"`{part}`" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_package_stays_small_and_its_modules_too() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules("lavida").items()}
    assert max(lengths.values()) <= 400, max(lengths, key=lengths.__getitem__)


def test_one_place_drives_the_loop() -> None:
    """Only the driver asks a denoising loop for its step."""
    calls = [
        name
        for name, path in modules("lavida", "mini").items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DenoisingLoop"
    ]
    assert calls == ["lavida.decode.driver"]
