"""What the README promises exists: every module in its tree, every file and command that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lavida.cli.main import VERBS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "lavida"


PARTS = sorted({p.relative_to(PACKAGE).parts[0] for p in PACKAGE.rglob("*.py")})


@pytest.mark.parametrize("part", PARTS)
def test_the_tree_names_every_folder_and_top_level_module(part: str) -> None:
    assert re.search(rf"^ +{re.escape(part)}[/ ]", README, flags=re.MULTILINE), f"README.md: what is {part}?"


def test_every_module_of_the_tree_and_the_map_exists() -> None:
    named = re.findall(r"^ +([a-z_]+/)?([a-z0-9_]+\.py) ", README, flags=re.MULTILINE)
    named += [("", path) for path in re.findall(r"`lavida/([a-z0-9_/]+\.py)`", README)]
    assert len(named) > 20
    assert [folder + name for folder, name in named if not (PACKAGE / folder / name).exists()] == []


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "docs" / "architecture.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_commands_exist() -> None:
    verbs = set(re.findall(r"^(?:\.venv/bin/)?lavida ([a-z]+)", README, flags=re.MULTILINE))
    assert verbs and verbs <= set(VERBS)
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", README, flags=re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= targets and all(f"\n{target}:" in makefile for target in targets)
