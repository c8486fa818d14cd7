"""`lavida` does not know `mini`: no module imports it, and a wheel holds neither it nor its lists of packages."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "lavida").rglob("*.py"))


def imports_mini(source: str) -> bool:
    """Report whether a module imports `mini` anywhere, inside functions too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return any(name.split(".")[0] == "mini" for name in names)


def test_no_module_of_lavida_imports_mini() -> None:
    assert len(MODULES) > 50
    assert [str(path) for path in MODULES if imports_mini(path.read_text(encoding="utf-8"))] == []
    assert imports_mini("def f():\n    from mini.data import english\n") and not imports_mini("import minimal")


def test_the_verbs_lie_in_lavida() -> None:
    from lavida.cli.main import VERBS

    assert all(module.startswith("lavida.") for module, _ in VERBS.values())


def test_a_wheel_holds_lavida_alone(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
        assert {"lavida/api.py", "lavida/assets/mini/model.safetensors"} <= set(names)
        assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"lavida"}
        texts = {name: held.read(name).decode() for name in names if name.endswith((".py", ".json", ".tsv", ".txt"))}
    listed = ("iconify", "emojibase", "fluent-emoji", "gnome-backgrounds")  # what `mini.data.build` fetches
    assert [name for name, text in texts.items() if any(word in text.lower() for word in listed)] == []
