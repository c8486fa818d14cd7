"""What each ingredient of the training is worth: one table of held-out figures with their spread over seeds.

    python -m mini build
    python benchmarks/ablations.py --data build/mini --out runs/ablations
    python benchmarks/ablations.py --arms default full --steps 300 --rows 2 --seeds 2

Every arm goes on from the weights of --start under its own objective (`mini.train.objectives`), the tower frozen. All
arms of a seed are asked the same questions about the same pictures in the same order. A start that has much to learn
yet shows more than a finished one: the blocks alone cannot be trained anew within minutes (they stay at chance).

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
from mini.eval.answers import quick
from mini.eval.splits import SPLITS, split_features
from mini.train.batches import Feed
from mini.train.objectives import ARMS, find_arm
from mini.train.run import export
from mini.train.stages import Stage
from mini.train.task import Curriculum

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


def train(arm: str, seed: int, folder: Path, args: argparse.Namespace) -> None:
    """One run, its model in `folder / "model"` and its seconds in `folder / "seconds"`."""
    start = find_model(args.start)
    tokenizer, labels = Tokenizer.load(start), load_labels(start)
    drawn, photos = prepare(args.data, scenes=args.scenes)
    feed = Feed(tokenizer, labels, scenes=drawn, photos=photos, d_model=384, objective=find_arm(arm))
    stage = Stage(name="finetune", steps=args.steps, rows=args.rows, views=0, symbolic=(0.05, 0.05), photos=0.2)
    task = Curriculum(feed, tokenizer, load_tower(args.data), [stage], seed=seed, device=args.device)
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
    """Shares of right answers by split and kind, asked in English, on the first n scenes; and the captions' CIDEr-D."""
    found = {}
    for split, features in held_out.items():
        table = quick(model, features, n)
        shares = {kind: row["accuracy"] for kind, row in table.items() if row.get("n") and kind != "caption"}
        found[split] = {**shares, "mean": statistics.mean(shares.values()), "cider": table["caption"]["cider"]}
    return found


def overall(run: dict) -> float:
    """Right answers of a run, the mean of its splits."""
    return statistics.mean(figures["mean"] for figures in run["figures"].values())


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds; a dash of nothing."""
    if not values:
        return "-"
    error = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{error}"


def table(runs: Sequence[dict]) -> str:
    """Markdown, a line for each arm. The last columns compare with the default arm seed by seed, and tell the cost."""
    by_arm: dict[str, list[dict]] = {}
    for run in runs:
        by_arm.setdefault(run["arm"], []).append(run)
    base = {run["seed"]: overall(run) for run in by_arm.get(BASE, ())}
    lines = [["objective", "seeds", *COLUMNS, f"right in all, less {BASE}'s", "minutes"]]
    lines.append(["---"] * len(lines[0]))
    for arm, mine in by_arm.items():
        figures = [
            spread([f[kind] for run in mine if kind in (f := run["figures"][split])])  # few scenes ask less
            for split, kind in COLUMNS.values()
        ]
        apart = [overall(run) - base[run["seed"]] for run in mine if run["seed"] in base]
        minutes = f"{statistics.mean(run['seconds'] for run in mine) / 60:.1f}"
        lines.append([arm, str(len(mine)), *figures, "" if arm == BASE else spread(apart), minutes])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("build/mini"))
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rows", type=int, default=6, help="pictures a step")
    parser.add_argument("--scenes", type=int, default=4000, help="drawn scenes for training")
    parser.add_argument("--held-out", type=int, default=120, help="scenes of each split, and questions of each kind")
    parser.add_argument("--start", default="lavida-mini", help="the model that every arm goes on from: name or folder")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main() -> None:
    args = options()
    tower, features = load_tower(args.data).float(), args.data / "features"
    atlas = Atlas.load(args.data)
    held_out = {key: split_features(atlas, features / key, SPLITS[key], tower) for key in JUDGED}
    keep_setting(args)
    for seed in range(args.seeds):  # all arms of a seed first: an early table compares what can be compared
        for arm in args.arms:
            folder = args.out / f"{arm.replace('/', '-')}-{seed}"
            if not (folder / "figures.json").exists():
                print(f"{arm}, seed {seed}")
                train(arm, seed, folder, args)
                model = lavida.load(folder / "model", device=args.device)
                run = {"arm": arm, "seed": seed, "seconds": float((folder / "seconds").read_text())}
                run["figures"] = judge(model, held_out, args.held_out)
                (folder / "figures.json").write_text(json.dumps(run, indent=1) + "\n")
            runs = [json.loads(path.read_text()) for path in sorted(args.out.glob("*/figures.json"))]
            text = table(sorted(runs, key=lambda run: (list(ARMS).index(run["arm"]), run["seed"])))
            (args.out / "table.md").write_text(text)
            print(text)


def keep_setting(args: argparse.Namespace) -> None:
    """What all runs of a table have in common, in setting.json; a table of different ones would compare nothing."""
    setting = {name: getattr(args, name) for name in ("steps", "rows", "scenes", "held_out", "start")}
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "setting.json"
    if path.exists() and json.loads(path.read_text()) != setting:
        raise SystemExit(f"the runs in {args.out} have another setting ({path}); give another --out")
    path.write_text(json.dumps(setting) + "\n")


if __name__ == "__main__":
    main()
