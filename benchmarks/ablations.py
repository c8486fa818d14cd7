"""The effect of each ingredient of the training: one table of held-out figures with their spread over seeds.

    python -m mini build
    python benchmarks/ablations.py --data build/mini --out runs/ablations
    python benchmarks/ablations.py --objectives default full --steps 300 --rows 2 --seeds 2

Every run goes on from the weights of --start under its own objective (`mini.train.objectives`), the tower frozen. All
objectives of a seed are asked the same questions about the same pictures in the same order. A start that has much to
learn yet shows more than a finished one: the blocks alone cannot be trained anew within minutes (they stay at chance).

An interrupted run goes on where it was; a finished one is not run again. Under --out: a folder for each run, and
table.md, written anew after each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import lavida
from lavida.checkpoint.named import find_model
from lavida.text.labels import load_labels
from lavida.text.tokenizer import Tokenizer
from lavida.train.trainer import Habits, Trainer
from mini.data.atlas import Atlas
from mini.data.features import Features
from mini.data.prepare import load_tower, prepare
from mini.eval.answers import evaluate_quickly
from mini.eval.splits import SPLITS, split_features
from mini.train.batches import BatchBuilder
from mini.train.objectives import OBJECTIVES, find_objective
from mini.train.run import export
from mini.train.stages import Stage
from mini.train.task import MiniTask

JUDGED = ("i", "ii_style")  # splits of `mini.eval.splits`
BASE = "default"
# Title and how a run's figures give it; "mean" is that of all kinds with one right answer.
COLUMNS = {
    "right (i)": ("i", "mean"),
    "right (ii)": ("ii_style", "mean"),
    "name (i)": ("i", "name"),
    "count (i)": ("i", "count"),
    "colour (i)": ("i", "colour"),
    "next to (i)": ("i", "next_to"),
    "CIDEr-D (i)": ("i", "cider"),
    "CIDEr-D (ii)": ("ii_style", "cider"),
}


def train(objective: str, seed: int, folder: Path, args: argparse.Namespace) -> None:
    """Train one run; write its model to `folder / "model"` and its seconds to `folder / "seconds"`."""
    start = find_model(args.start)
    tokenizer, labels = Tokenizer.load(start), load_labels(start)
    drawn, photos = prepare(args.data, scenes=args.scenes)
    builder = BatchBuilder(
        tokenizer, labels, scenes=drawn, photos=photos, d_model=384, objective=find_objective(objective)
    )
    stage = Stage(name="finetune", steps=args.steps, rows=args.rows, views=0, symbolic=(0.05, 0.05), photos=0.2)
    task = MiniTask(builder, tokenizer, load_tower(args.data), [stage], seed=seed, device=args.device)
    trainer = Trainer(task, folder, habits=Habits(log=20), device=args.device)
    if not trainer.resume():
        task.start_from(start)
    spent, began = folder / "seconds", time.monotonic()
    before = float(spent.read_text()) if spent.exists() else 0.0
    try:
        trainer.run()
    finally:
        spent.write_text(str(before + time.monotonic() - began))
    export(task.vlm, tokenizer, labels, folder / "model")


def judge(model: lavida.Model, held_out: dict[str, Features], n: int) -> dict[str, dict[str, float]]:
    """Compute shares of right answers by split and kind, asked in English, on the first n scenes, and CIDEr-D."""
    found = {}
    for split, features in held_out.items():
        table = evaluate_quickly(model, features, n)
        shares = {kind: row["accuracy"] for kind, row in table.items() if row.get("n") and kind != "caption"}
        found[split] = {**shares, "mean": statistics.mean(shares.values()), "cider": table["caption"]["cider"]}
    return found


def overall(run: dict) -> float:
    """Return the share of right answers of a run, the mean of its splits."""
    return statistics.mean(figures["mean"] for figures in run["figures"].values())


def spread(values: Sequence[float]) -> str:
    """Format mean and standard deviation over seeds; a dash of nothing."""
    if not values:
        return "-"
    error = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{error}"


def table(runs: Sequence[dict]) -> str:
    """Return Markdown, a line for each objective; the last columns compare with the default seed by seed."""
    by_objective: dict[str, list[dict]] = {}
    for run in runs:
        by_objective.setdefault(run["objective"], []).append(run)
    base = {run["seed"]: overall(run) for run in by_objective.get(BASE, ())}
    lines = [["objective", "seeds", *COLUMNS, f"right in all, less {BASE}'s", "minutes"]]
    lines.append(["---"] * len(lines[0]))
    for objective, runs_of_one in by_objective.items():
        figures = [
            spread([f[kind] for run in runs_of_one if kind in (f := run["figures"][split])])  # few scenes ask less
            for split, kind in COLUMNS.values()
        ]
        apart = [overall(run) - base[run["seed"]] for run in runs_of_one if run["seed"] in base]
        minutes = f"{statistics.mean(run['seconds'] for run in runs_of_one) / 60:.1f}"
        lines.append([objective, str(len(runs_of_one)), *figures, "" if objective == BASE else spread(apart), minutes])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("build/mini"))
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rows", type=int, default=6, help="pictures a step")
    parser.add_argument("--scenes", type=int, default=4000, help="drawn scenes for training")
    parser.add_argument("--held-out", type=int, default=120, help="scenes of each split, and questions of each kind")
    parser.add_argument("--start", default="lavida-mini", help="name or folder of the model to go on from")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main() -> None:
    """Train and judge every objective and seed that is not done yet."""
    args = options()
    tower, features = load_tower(args.data).float(), args.data / "features"
    atlas = Atlas.load(args.data)
    held_out = {key: split_features(atlas, features / key, SPLITS[key], tower) for key in JUDGED}
    keep_setting(args)
    for seed in range(args.seeds):  # all objectives of a seed first: an early table compares what can be compared
        for objective in args.objectives:
            folder = args.out / f"{objective.replace('/', '-')}-{seed}"
            if not (folder / "figures.json").exists():
                print(f"{objective}, seed {seed}")
                train(objective, seed, folder, args)
                model = lavida.load(folder / "model", device=args.device)
                run = {"objective": objective, "seed": seed, "seconds": float((folder / "seconds").read_text())}
                run["figures"] = judge(model, held_out, args.held_out)
                (folder / "figures.json").write_text(json.dumps(run, indent=1) + "\n")
            runs = [json.loads(path.read_text()) for path in sorted(args.out.glob("*/figures.json"))]
            text = table(sorted(runs, key=lambda run: (list(OBJECTIVES).index(run["objective"]), run["seed"])))
            (args.out / "table.md").write_text(text)
            print(text)


def keep_setting(args: argparse.Namespace) -> None:
    """Write what all runs of a table have in common to setting.json; refuse a folder with another setting."""
    setting = {name: getattr(args, name) for name in ("steps", "rows", "scenes", "held_out", "start")}
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "setting.json"
    if path.exists() and json.loads(path.read_text()) != setting:
        raise SystemExit(f"the runs in {args.out} have another setting ({path}); give another --out")
    path.write_text(json.dumps(setting) + "\n")


if __name__ == "__main__":
    main()
