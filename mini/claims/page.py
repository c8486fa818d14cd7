"""The page of the claims: a table of verdicts, then each claim with what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.chart import draw
from lavida.eval.metrics import without_nan
from mini.claims.claims import Claim
from mini.claims.result import RULE, Check, Result, Table

QUICK = "This is the quick table: few questions and seeds, to see that it runs. Its verdicts are not the full table's."
_COMMAND = "python -m mini claims"


def write_page(
    out: Path,
    results: Mapping[str, Result],
    claims: Mapping[str, Claim],
    *,
    quick: bool,
    reasons: Mapping[str, str] | None = None,
) -> None:
    """Write claims.json, claims.md and a plot of each chart in claims/."""
    plots = out / "claims"
    plots.mkdir(parents=True, exist_ok=True)
    for result in results.values():
        for chart in result.charts:
            draw(replace(chart, environment=result.environment), plots / f"{chart.name}.svg")
    data = {
        "quick": quick,
        "reasons": dict(reasons or {}),
        "results": [result.to_json() for result in results.values()],
    }
    text = json.dumps(without_nan(data), indent=1, ensure_ascii=False) + "\n"
    (out / "claims.json").write_text(text, encoding="utf-8")
    drawn = {path.stem for path in plots.glob("*.svg")}
    page = as_page(results, claims, quick=quick, reasons=reasons or {}, drawn=drawn)
    (out / "claims.md").write_text(page, encoding="utf-8")


def as_page(
    results: Mapping[str, Result],
    claims: Mapping[str, Claim],
    *,
    quick: bool,
    reasons: Mapping[str, str],
    drawn: set[str],
) -> str:
    """Return the page; charts that were not drawn are left out."""
    command = f"{_COMMAND} --quick" if quick else _COMMAND
    parts = [
        "# The papers' claims, measured with lavida-mini",
        f"Written by `{command}` from `claims.json`; do not edit. All figures are of lavida-mini and its drawn scenes, "
        "or of networks named beside them, on one CPU thread. A verdict says what holds here, not for models "
        "of 8 B weights.",
    ]
    parts += [QUICK] * quick
    parts += [summary(results, claims, reasons), "## The rule of the verdicts", RULE]
    parts += [section(name, claims[name], result, drawn) for name, result in results.items()]
    return "\n\n".join(parts) + "\n"


def summary(results: Mapping[str, Result], claims: Mapping[str, Claim], reasons: Mapping[str, str]) -> str:
    """Return a line for each claim: the paper's figure, ours, the verdict."""
    rows = []
    for name, claim in claims.items():
        title = f"{name}. {claim.title}"
        if name in results:
            here = "; ".join(f"{one.name}: {number(one.mean)} ({one.outcome})" for one in results[name].checks)
            n = str(max(one.n for one in results[name].checks))
            rows.append((title, claim.published, here, n, f"**{results[name].verdict}**"))
        else:
            rows.append((title, claim.published, reasons.get(name) or claim.why or "not run", "0", "not measured"))
    return table(("claim", "published", "here", "n", "verdict"), rows)


def section(name: str, claim: Claim, result: Result, drawn: set[str]) -> str:
    """Return what was measured of one claim."""
    seeds = len(result.checks[0].seeds)
    head = ("comparison", "the paper's", "mean", "95 % interval", *(f"seed {i}" for i in range(seeds)), "n", "")
    parts = [
        f"## {name}. {claim.title}: {result.verdict}",
        f"> {claim.says}\n>\n> {claim.source}: {claim.published}.",
        f"Measured: {result.measured}",
        table(head, [check_row(one) for one in result.checks]),
        *(f"{f'{one.title}:' + chr(10) * 2 if one.title else ''}{cells(one)}" for one in result.tables),
        *(f"![{chart.title}](claims/{chart.name}.svg)" for chart in result.charts if chart.name in drawn),
        "\n".join(f"- {note}" for note in result.notes),
        footnote(result),
    ]
    return "\n\n".join(filter(None, parts))


def check_row(one: Check) -> tuple[str, ...]:
    """Return the cells of a comparison."""
    sign = "≥" if one.reached else ">"
    name = f"{one.name} ({sign} {number(one.bound)})"
    seeds = map(number, one.seeds)
    return (
        name,
        one.paper,
        number(one.mean),
        f"{number(one.low)} to {number(one.high)}",
        *seeds,
        str(one.n),
        one.outcome,
    )


def footnote(result: Result) -> str:
    """Return the machine, the commit and the cost."""
    env, setting = result.environment, result.setting
    changed = " with changes" if env.get("changed") else ""
    facts = [
        f"commit {env.get('commit', '?')}{changed}", str(env.get("date", "?"))[:10], str(env.get("processor", "?")),
        f"torch {env.get('torch', '?')}", f"weights {str(setting.get('weights', '?'))[:12]}",
    ]  # fmt: skip
    if result.seconds >= 1:  # less where its parts had been kept by an earlier run
        facts.append(f"{result.seconds:.0f} processor seconds")
    return f"<sub>{', '.join(facts)}</sub>"


def cells(one: Table) -> str:
    """Return a table of results."""
    return table(one.head, [[number(c) if isinstance(c, (int, float)) else c for c in row] for row in one.rows])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)


def number(value: float | None) -> str:
    """Return a number with three digits; a dash of none."""
    if value is None or value != value:
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
