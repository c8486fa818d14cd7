"""The claims table: each claim is measured once, kept as JSON, and written into one page with plots.

python -m mini claims [--quick] [--only C1,C4]
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.harness import environment
from lavida.errors import RequestError
from mini.claims.claims import CLAIMS, Claim
from mini.claims.page import write_page
from mini.claims.result import NotMeasuredError, Result
from mini.claims.setting import Setting, write_json
from mini.data.atlas import Atlas

Log = Callable[[str], None]


def chosen(only: str | None, claims: Mapping[str, Claim] = CLAIMS) -> list[str]:
    """Return the claims named in "C1,C4", or all. Raises RequestError for an unknown one."""
    if only is None:
        return list(claims)
    wanted = [name.strip().upper() for name in only.split(",")]
    wrong = next((name for name in wanted if name not in claims), None)
    if wrong is not None:
        raise RequestError(f"unknown claim {wrong!r}; choose from {', '.join(claims)}, separated by commas")
    return [name for name in claims if name in wanted]


def run(
    setting: Setting,
    out: Path,
    *,
    only: str | None = None,
    again: bool = False,
    claims: Mapping[str, Claim] = CLAIMS,
    log: Log = print,
) -> dict[str, Result]:
    """Measure what is not measured yet and write the page after each claim; return all results.

    Args:
        setting: What is measured with.
        out: Folder of claims.md, claims.json and the plots in claims/.
        only: Claims separated by commas; None is all.
        again: Measure anew what is kept.
        claims: What there is to measure.
        log: Receives lines of progress.

    Raises:
        RequestError: A claim is unknown, or was kept under another setting.
        DataError: The data are not built.
    """
    wanted = [name for name in chosen(only, claims) if claims[name].measure is not None]
    torch.set_num_threads(1)
    facts = setting.facts()
    kept = {name: found for name in claims if (found := keep_or_drop(setting, name, facts, again and name in wanted))}
    missing = [name for name in wanted if name not in kept]
    if any(claims[name].needs_data for name in missing):
        Atlas.load(setting.data)  # before anything is measured
    reasons: dict[str, str] = {}
    for name in missing:
        measure = claims[name].measure
        assert measure is not None
        log(f"{name}: {claims[name].title}")
        if again:
            for path in (setting.runs / "parts").glob(f"{name}-*.json"):
                path.unlink()
            shutil.rmtree(setting.runs / name, ignore_errors=True)  # of trainings
        began, env = time.process_time(), environment()
        try:
            found = measure(setting)
        except NotMeasuredError as error:
            reasons[name] = str(error)
            log(f"{name}: not measured, {error}")
            continue
        taken = time.process_time() - began
        kept[name] = replace(found, setting=facts, environment=env, seconds=round(taken, 1))
        write_json(setting.runs / f"{name}.json", kept[name].to_json())
        log(f"{name}: {kept[name].verdict}, {taken:.0f} processor seconds")
        write_page(out, in_order(kept, claims), claims, quick=setting.quick, reasons=reasons)
    write_page(out, in_order(kept, claims), claims, quick=setting.quick, reasons=reasons)
    log(f"the page is in {out / 'claims.md'}")
    return in_order(kept, claims)


def keep_or_drop(setting: Setting, name: str, facts: dict, again: bool) -> Result | None:
    """Return a kept result, None if there is none or it is to be measured anew. Raises RequestError if it differs."""
    path = setting.runs / f"{name}.json"
    if again or not path.exists():
        return None
    found = Result.from_json(json.loads(path.read_text(encoding="utf-8")))
    other = next((key for key in facts if found.setting.get(key) != facts[key]), None)
    if other is not None:
        raise RequestError(
            f"{path} was measured with other {other} ({found.setting.get(other)}, now {facts[other]}); "
            "give --again, or another --runs"
        )
    return found


def in_order(found: Mapping[str, Result], names: Sequence[str] | Mapping[str, Claim]) -> dict[str, Result]:
    """Return results in the order of the claims."""
    return {name: found[name] for name in names if name in found}
