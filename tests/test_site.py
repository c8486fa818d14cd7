"""The site of `make docs`: all pages are in it, nothing comes from elsewhere, pictures and tables are the code's."""

from __future__ import annotations

import json
import re
import runpy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import lavida
from benchmarks.pictures import OUT, PICTURES
from lavida.checkpoint.families import FORMS
from lavida.checkpoint.make_random import random_config
from lavida.checkpoint.named import MODELS
from lavida.cli.main import VERBS
from lavida.config import VLMConfig
from lavida.decode.options import OPTIONS, DecodeOptions
from lavida.decode.resolve import LENGTH, family_options
from lavida.train.recipes import RECIPES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, in which tags name functions of Python."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
SITE = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)


def pages(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for one in (nav.values() if isinstance(nav, dict) else nav) for page in pages(one)]  # type: ignore


def test_every_page_is_in_the_nav_once() -> None:
    listed = pages(SITE["nav"])
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert SITE["theme"]["font"] is False and "offline" not in SITE["plugins"]  # which fetches a script
    for page in DOCS.rglob("*.md"):
        assert not re.search(r"!\[[^]]*\]\(https?:|<(?:img|script|link|iframe)\b", page.read_text(encoding="utf-8")), (
            page
        )
    assert "http" not in (DOCS / "site.css").read_text()


def test_links_lead_somewhere() -> None:
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page} links to {target}"


@pytest.fixture(scope="module")
def mini() -> lavida.Model:
    return lavida.load()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_moves(name: str, mini: lavida.Model) -> None:
    kept = (OUT / f"{name}.svg").read_text(encoding="utf-8")
    assert len(kept.encode()) < 60_000 and "<script" not in kept and "<animate" in kept
    made = PICTURES[name](mini).svg()
    assert made.count("<animate") > 5 and re.findall("<title>.*", made) == re.findall("<title>.*", kept)
    if name in ("masking", "schedule-shift"):  # which no weights decide
        assert made == kept, "run python -m benchmarks.pictures"


def test_the_table_of_options_has_them_all() -> None:
    hooks = runpy.run_path(str(DOCS / "hooks.py"))
    page = (DOCS / "api" / "options.md").read_text(encoding="utf-8")
    made = hooks["on_page_markdown"](page)
    assert hooks["MARK"] in page and hooks["MARK"] not in made
    assert [name for name in OPTIONS if f"| `{name}` |" not in made] == []


def test_what_stands_for_official_arguments_exists() -> None:
    page = (DOCS / "from-official.md").read_text(encoding="utf-8")
    known = {name for verb in ("ask", "fill", "draw", "train") for name in options_of(verb)}
    named = set(re.findall(r"(?<![-\w])(--[a-z][a-z-]*)", page))
    assert len(named) > 25 and named - known <= {"--model"}
    recipes = set(re.findall(r"`(?:lavida train )?((?:llada-v|mmada)-[a-z]+|align|finetune|fim|reason)`", page))
    assert len(recipes) == 13 and recipes <= set(RECIPES)


def options_of(verb: str) -> list[str]:
    parser: Any = typer.main.get_command(getattr(import_module(VERBS[verb][0]), verb))
    return [name for parameter in parser.params for name in parameter.opts]


def listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values)) or "-"


def expected(family: str) -> dict[str, str]:
    """Return what the rows of docs/families.md say of a family."""
    form, mini = FORMS.get(family), json.loads((MODELS["lavida-mini"] / "config.json").read_text())
    config = random_config(family, "8b") if form else VLMConfig.from_json(mini)
    denoiser, options = config.denoiser, {"schedule": "shift", "remasking": "confidence", **family_options(config)}
    return {
        "`model_type`": f"`{form.model_type if form else 'lavida'}`",
        "denoiser: layers, width, MLP": listed((denoiser.n_layers, denoiser.d_model, denoiser.mlp_size)),
        "heads: queries, keys": listed((denoiser.n_heads, denoiser.n_kv_heads)),
        "rows of the embedding": str(denoiser.vocab_size),
        "q, k, v biases": "yes" if denoiser.qkv_bias else "no",
        "row i predicts token": "i + 1" if denoiser.logit_shift else "i",
        "mask id": str(denoiser.mask_id),
        "end ids": listed(denoiser.eos_ids),
        "ids never written": listed(denoiser.banned_ids),
        "`cache` by default": options.get("cache", DecodeOptions.cache),
        "`length` by default": str(options.get("length", LENGTH)),
        "`schedule` by default": "shift 1/3" if options["schedule"] == "shift" else options["schedule"],
        "`remasking` by default": options["remasking"],
        "`threshold` by default": str(options.get("threshold", "-")),
        "draws pictures": "yes" if config.codes else "no",
    }


def test_the_table_of_families_says_what_the_code_says() -> None:
    page = (DOCS / "families.md").read_text(encoding="utf-8")
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line[:1] == "|"]
    told = {row[0]: row[1:] for row in rows}
    for place, family in enumerate(head[1:]):
        facts = expected(family.strip("`"))
        assert {name: told[name][place] for name in facts} == facts, family
