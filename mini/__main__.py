"""The making of lavida-mini: `python -m mini build | train | calibrate | eval`, from the root of the repository.

    python -m mini build                                  # the data set of lavida-mini, into build/mini
    python -m mini build documents                        # receipts, tickets and labels, into build/documents
    python -m mini train --minutes 60                     # into runs/mini; the same command goes on
    python -m mini eval scenes --model runs/mini/model    # figures beside baselines, and the model card
    python -m mini calibrate --model runs/mini/model      # the quality of every decoding setting
    python -m mini claims                                 # the papers' claims measured, into docs/claims.md

A mistake is one line and exit code 2, as with `lavida`.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavida.cli import options as o
from lavida.cli.main import guard, invoke
from lavida.errors import RequestError
from lavida.threads import parse_threads

if TYPE_CHECKING:
    from lavida.api import Model
    from mini.data.features import Features
    from mini.eval.splits import Split as HeldOut

PROGRAM = "python -m mini"
_PLAIN = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}
_HELP = {"context_settings": {"help_option_names": ["-h", "--help"]}}
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or auto. Default: as it is stored.")]
Threads = Annotated[str, typer.Option(help="CPU threads: a number or auto.", parser=parse_threads)]

app = typer.Typer(**_PLAIN, help="The making of lavida-mini.", **_HELP)
evaluations = typer.Typer(**_PLAIN, help="Evaluate a model on held-out data.", **_HELP)
app.add_typer(evaluations, name="eval")

Data = Annotated[Path, typer.Option(help="Folder that `python -m mini build` wrote.")]
Out = Annotated[Path, typer.Option(help="Folder of the figures, a JSON file.")]
Twin = Annotated[str | None, typer.Option(help="Autoregressive twin: a folder of `train --objective ar`.")]
Split = Annotated[str, typer.Option(help="Held-out split: i, ii_style, ii_image or iii.")]
Captions = Annotated[int, typer.Option("--n", min=1, help="Captions, at most.")]
Seed = Annotated[int, typer.Option(help="Seed of whatever is drawn.")]


@app.command(**_HELP)
def build(
    name: Annotated[str, typer.Argument(help="Data set: mini, or documents (receipts, tickets and labels).")] = "mini",
    out: Annotated[Path | None, typer.Option(help="Folder, about 100 MB. Default: build/NAME.")] = None,
    cache: Annotated[
        Path, typer.Option(help="Folder of the fetched packages: 750 MB for mini, 40 MB for documents.")
    ] = Path("build/packages"),
    count: Annotated[int, typer.Option(min=1, help="Documents to train on; 480 held-out ones are added.")] = 4000,
) -> None:
    """Fetch what is missing and build a data set; run again after any interruption."""
    out = out or Path("build") / name
    if name == "mini":
        from mini.data.build import build_mini

        build_mini(out, cache)
    elif name == "documents":
        from mini.data.documents.build import build_documents
        from mini.data.documents.fonts import FontLibrary

        build_documents(out, FontLibrary.fetch(cache), train=count)
    else:
        raise RequestError(f"unknown data set {name!r}; choose mini or documents")


@app.command(**_HELP)
def train(
    data: Data = Path("build/mini"),
    out: Annotated[Path, typer.Option(help="Folder of the run; a checkpoint in it is resumed.")] = Path("runs/mini"),
    minutes: Annotated[float | None, typer.Option(help="Stop after this time, with a checkpoint.")] = None,
    scenes: Annotated[int, typer.Option(min=1, help="Drawn scenes for training.")] = 14000,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    start: Annotated[
        str | None, typer.Option("--from", help="Model to go on from, by the last stage alone; e.g. lavida-mini.")
    ] = None,
    objective: Annotated[
        str, typer.Option(help="default, ar (the autoregressive twin), independent, 1/t or full (ablations).")
    ] = "default",
    compiled: Annotated[
        bool, typer.Option("--compile", help="torch.compile: half as fast again, needs a C++ compiler.")
    ] = False,
) -> None:
    """Train lavida-mini from its data set, or resume a run; a finished one is written to OUT/model."""
    from lavida.checkpoint.named import find_model
    from mini.train.run import train_mini

    train_mini(
        data, out, minutes=minutes, scenes=scenes, seed=seed, device=device, compiled=compiled, objective=objective,
        start=None if start is None else find_model(start),
    )  # fmt: skip


@app.command(**_HELP)
def calibrate(
    model: o.Model = "lavida-mini",
    data: Data = Path("build/mini"),
    questions: Annotated[int, typer.Option(min=1, help="Drawn scenes that are described, at most 200.")] = 100,
    length: Annotated[int | None, typer.Option(help="Tokens of the canvas that settings are tried on.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure the quality although the table has it.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the qualities to this file too, to ship with a model.")
    ] = None,
    device: Device = "cpu",
    dtype: Dtype = None,
    threads: Threads = "auto",
) -> None:
    """Calibrate as `lavida calibrate` does, with CIDEr-D of captions of drawn scenes as the quality."""
    from lavida import api
    from lavida.calibrate import calibrate as measure
    from lavida.cli.calibrate import report
    from mini.eval.calibration import captions_exam

    loaded = api.load(model, threads=threads, device=device, dtype=dtype)
    table = measure(loaded, exam=lambda: captions_exam(loaded, data, questions), length=length, again=again)
    report(table, loaded, out)


@app.command(**_HELP)
def claims(
    model: o.Model = "lavida-mini",
    data: Data = Path("build/mini"),
    out: Annotated[
        Path | None, typer.Option(help="Folder of claims.md, claims.json and plots. Default: docs; quick: the runs.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Claims, separated by commas: C1,C4. Default: all.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, max=20, help="Default: 3; quick: 2.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few questions: under 20 minutes, to see that it runs.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what is kept.")] = False,
    paired: Annotated[
        Path | None, typer.Option(help="Weights that were trained as long as the twin. Default: from git's history.")
    ] = None,
    twin: Annotated[Path | None, typer.Option(help="Autoregressive twin. Default: benchmarks/twin.")] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Folder of what was measured. Default: runs/claims; quick: runs/claims-quick.")
    ] = None,
) -> None:
    """Measure the papers' claims at lavida-mini's scale; go on where an earlier run ended, and write the table."""
    from mini.claims.run import run
    from mini.claims.setting import TWIN, Setting

    kept = runs or Path("runs/claims-quick" if quick else "runs/claims")
    setting = Setting(
        data=data, runs=kept, model=model, twin=twin or TWIN, paired=paired, seeds=seeds or (2 if quick else 3),
        quick=quick,
    )  # fmt: skip
    run(setting, out or (kept if quick else Path("docs")), only=only, again=again)


@evaluations.command(**_HELP)
def scenes(
    model: o.Model = "lavida-mini",
    data: Data = Path("build/mini"),
    out: Annotated[
        Path, typer.Option(help="Folder of results.json and MODEL_CARD.md (results.zh.json and so on of Chinese).")
    ] = Path("build/eval"),
    language: Annotated[str, typer.Option(help="Language of questions and answers: en or zh.")] = "en",
    natural: Annotated[
        Path | None, typer.Option(help="Section of `mini.natural.evaluate --section` that the card begins with.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Answer questions about held-out scenes and photographs, beside the baselines; write the model card."""
    from mini.eval.run import main as evaluate

    section = natural.read_text(encoding="utf-8") if natural else None
    evaluate(model, data, out, seed=seed, language=language, natural=section)


@evaluations.command(**_HELP)
def poem(
    model: o.Model = "lavida-mini",
    twin: Twin = None,
    data: Data = Path("build/mini"),
    out: Out = Path("build/eval"),
    count: Annotated[int, typer.Option(min=1, help="Pictures.")] = 100,
    seed: Seed = 0,
) -> None:
    """Write poems whose lines must begin with given letters; count the lines that do."""
    from mini.eval.poem import main as evaluate

    evaluate(model, data, out, twin_folder=twin, count=count, seed=seed)


@evaluations.command(**_HELP)
def infill(
    model: o.Model = "lavida-mini",
    twin: Twin = None,
    data: Data = Path("build/mini"),
    out: Out = Path("build/eval"),
    split: Split = "ii_image",
    n: Captions = 100,
    seed: Seed = 0,
    lengths: Annotated[
        bool, typer.Option("--lengths", help="Compare ways to find the length: the search, and [FIM] if it was taught.")
    ] = False,
) -> None:
    """Remove spans from captions and fill them: exact match and CIDEr-D, length known or not, or from the left only."""
    from mini.eval.infill import evaluate_infill

    if lengths:
        return _infill_lengths(model, data, out, split, n, seed)
    loaded, loaded_twin, features = _load(model, twin, data, split)
    result = evaluate_infill(loaded, features, n, twin=loaded_twin, seed=seed)
    rows = [(name, figures["exact"], figures["cider"]) for name, figures in result["methods"].items()]
    _report(result | {"split": split}, out / "infill.json", ("method", "exact", "CIDEr-D"), rows)


@evaluations.command(**_HELP)
def audit(
    model: o.Model = "lavida-mini",
    twin: Twin = None,
    data: Data = Path("build/mini"),
    out: Out = Path("build/eval"),
    split: Split = "ii_image",
    n: Captions = 100,
    seed: Seed = 0,
) -> None:
    """Exchange one name of a caption: how often an audit ranks it first, and how often a revision corrects it."""
    from mini.eval.audit import evaluate_audit

    loaded, loaded_twin, features = _load(model, twin, data, split)
    result = evaluate_audit(loaded, features, n, twin=loaded_twin, seed=seed)
    rows = [
        (f"{name}, {measure}", *figures.values())
        for name, by_measure in result["ranks"].items()
        for measure, figures in by_measure.items()
    ]
    heading = ("by", "first", "first of names", "AUC", "AUC of names")
    _report(result | {"split": split}, out / "audit.json", heading, rows)
    for name, share in result.get("revised", {}).items():
        print(f"revise: {name.replace('_', ' ')} {share:.3f}")


@evaluations.command(**_HELP)
def extract(
    model: o.Model = "lavida-mini",
    twin: Twin = None,
    data: Annotated[Path, typer.Option(help="Folder that `build documents` wrote.")] = Path("build/documents"),
    out: Out = Path("build/eval"),
    count: Annotated[int, typer.Option(min=1, help="Documents of each split, at most.")] = 120,
) -> None:
    """Read receipts, tickets and labels of held-out values, fonts and layouts; count the fields that are right."""
    from mini.eval.documents import main as evaluate

    evaluate(model, data, out, twin_folder=twin, count=count)


def _load(model: str, twin: str | None, data: Path, split: str) -> tuple[Model, Model | None, Features]:
    """Return the model, its twin and the trunk maps of a split's pictures. Raises RequestError."""
    from lavida.api import load
    from mini.data.atlas import Atlas
    from mini.eval.splits import split_features

    chosen = _split(split)
    loaded, loaded_twin = load(model), None if twin is None else load(twin)
    if loaded.net.config.denoiser.autoregressive:
        raise RequestError("the model writes left to right; give it as --twin, and a diffusion model as --model")
    features = split_features(Atlas.load(data), data / "features" / split, chosen, loaded.net.tower)
    return loaded, loaded_twin, features


def _infill_lengths(model: str, data: Path, out: Path, split: str, n: int, seed: int) -> None:
    """Fill spans of captions by every way to find their length, and write the figures."""
    from lavida.api import load
    from mini.data.atlas import Atlas
    from mini.eval.infill import draw_gaps
    from mini.eval.lengths import evaluate_lengths
    from mini.eval.splits import drawn_pictures, pictures

    chosen, atlas, loaded = _split(split), Atlas.load(data), load(model)
    gaps = draw_gaps([scene for _, scene, _ in itertools.islice(pictures(atlas, chosen), n)], n, seed)
    result = evaluate_lengths(loaded, list(itertools.islice(drawn_pictures(atlas, chosen), n)), gaps)
    rows = [
        (f"{method}, {group}", *figures.values())
        for method, by_group in result["methods"].items()
        for group, figures in by_group.items()
    ]
    heading = ("method", "n", "exact", "F1", "length", "passes", "canvases", "seconds")
    _report(result | {"split": split, "seed": seed}, out / "lengths.json", heading, rows)


def _split(name: str) -> HeldOut:
    """Return a held-out split by its name. Raises RequestError for an unknown one."""
    from mini.eval.splits import SPLITS

    if name not in SPLITS:
        raise RequestError(f"unknown split {name!r}; choose one of {', '.join(SPLITS)}")
    return SPLITS[name]


def _report(result: dict, path: Path, heading: tuple[str, ...], rows: list[tuple]) -> None:
    """Write the figures as JSON and print them as a table whose first column is a name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{result['split']}, {result['n']} captions, seed {result['seed']}: {path}")
    width = max(len(row[0]) for row in [heading, *rows])
    print(f"{heading[0]:{width}}" + "".join(f"{name:>16}" for name in heading[1:]))
    for name, *values in rows:
        print(f"{name:{width}}" + "".join(f"{value:16.3f}" for value in values))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code, as `lavida.cli.main.main` does."""
    args = list(sys.argv[1:] if argv is None else argv)
    return guard(lambda: invoke(app, PROGRAM, args or ["--help"], program="mini"), program="mini")


if __name__ == "__main__":
    sys.exit(main())
