"""A report as a picture: a line for each series where x is a number, bars where it is a name."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import Report, Row

_SIZE, _DPI = (7.0, 4.0), 110


def draw(report: Report, path: Path) -> None:
    """Write a PNG or, by the name of `path`, an SVG; without matplotlib a line on standard error says so."""
    try:
        import matplotlib
    except ImportError:
        print("no chart is drawn without matplotlib; pip install 'lavida[bench]'", file=sys.stderr)
        return
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = report.name  # names inside an SVG that are the same in every run
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=_SIZE, dpi=_DPI, layout="constrained")
    if any(isinstance(row.x, str) for row in report.rows):
        _bars(axes, report)
    else:
        _lines(axes, report)
    axes.set_title(report.title, fontsize=10)
    axes.grid(alpha=0.3)
    env = report.environment
    threads = f"{env.get('threads', '?')} threads, commit {env.get('commit', '?')}"
    figure.text(0.995, 0.005, f"{env.get('processor', '')}, {threads}", ha="right", va="bottom", fontsize=6)
    dated = ("Date", "Creator") if path.suffix == ".svg" else ("Software",)
    figure.savefig(path, metadata=dict.fromkeys(dated))  # the same bytes whatever day and version of matplotlib
    pyplot.close(figure)


def _lines(axes: Any, report: Report) -> None:
    for series, rows in _by_series(report).items():
        rows.sort(key=lambda row: row.x)
        middle = [statistics.median(row.values) for row in rows]
        low = [m - min(row.values) for m, row in zip(middle, rows, strict=True)]
        high = [max(row.values) - m for m, row in zip(middle, rows, strict=True)]
        axes.errorbar([row.x for row in rows], middle, yerr=(low, high), marker="o", capsize=3, label=series)
    axes.set_xlabel(report.x)
    axes.set_ylabel(report.y)
    if all(statistics.median(row.values) >= 0 for row in report.rows):
        axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)


def _bars(axes: Any, report: Report) -> None:
    rows = list(reversed(report.rows))
    middle = [statistics.median(row.values) for row in rows]
    low = [m - min(row.values) for m, row in zip(middle, rows, strict=True)]
    high = [max(row.values) - m for m, row in zip(middle, rows, strict=True)]
    axes.barh([row.name for row in rows], middle, xerr=(low, high), capsize=3)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel(report.y)


def _by_series(report: Report) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in report.rows:
        found.setdefault(row.series, []).append(row)
    return found
