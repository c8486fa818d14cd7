"""`lavida train tune --data photos.jsonl`: train a model by a recipe, or go on with a run; `lavida train report RUN`.

lavida train tune --data photos.jsonl --out runs/photos                        # lavida-mini on one's own pictures
lavida train finetune --model FOLDER --data a.jsonl --data b.jsonl=2 --device cuda
torchrun --nproc_per_node 8 -m lavida.cli.main train finetune --model FOLDER --data a.jsonl --device cuda
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from lavida.cli import options as o
from lavida.cli.main import collect_garbage
from lavida.cli.options import Model, argument, option
from lavida.errors import RequestError

Data = Annotated[
    list[str] | None,
    option("JSON, JSON lines, tar shards, parquet, hub:OWNER/NAME; FILE=2 is drawn twice as often as FILE=1."),
]
Freeze = Annotated[list[str] | None, option("A part that does not learn: denoiser, projector or tower.")]
Out = Annotated[Path | None, option("Folder of the run; it goes on if it exists. Default: runs/RECIPE.")]
Rate = Annotated[float | None, option("The largest of the recipe's; other parts keep their ratio to it.")]
Rule = Annotated[str | None, option("What of a dialogue is learnt: dialogue, lavida, lavida-fim, llada-v ...")]
HeldOut = Annotated[int | None, option("Samples of the first file to measure by. Default: a tenth, up to 32.")]


@o.command()
def train(
    recipe: Annotated[str, argument("RECIPE", "align, finetune, fim, reason, ar, tune, few-steps, llada-v-align ...")],
    data: Data = None,
    model: Model = "lavida-mini",
    images: Annotated[Path | None, option("Folder of the pictures. Default: that of FILE.")] = None,
    out: Out = None,
    epochs: Annotated[float | None, option("Times that the data are seen. Default: the recipe's.")] = None,
    steps: Annotated[int | None, option("Updates, instead of epochs.")] = None,
    batch: Annotated[int | None, option("Samples of an update, over all processes. Default: the recipe's.")] = None,
    micro: Annotated[int, option("Samples computed at a time on each process; what memory allows.")] = 8,
    rate: Rate = None,
    freeze: Freeze = None,
    rule: Rule = None,
    held_out: HeldOut = None,
    evaluate: Annotated[int, option("Steps between two looks at them. Default: at the end.")] = 0,
    minutes: Annotated[float | None, option("Stop after so long, with a checkpoint.")] = None,
    log_every: Annotated[int, option("Steps between two lines of the log.")] = 10,
    save: Annotated[float, option("Seconds between two checkpoints.")] = 120.0,
    seed: Annotated[int, option("Of everything random.")] = 0,
    device: Annotated[str, option("cpu or cuda.")] = "cpu",
    precision: Annotated[str, option("Of the arithmetic: bfloat16 or float32.")] = "bfloat16",
    workers: Annotated[int, option("Processes that read and cut pictures; 0 = the one that trains.")] = 0,
    shard: Annotated[int, option("Processes that share one copy of the weights. Default: all.")] = 0,
    checkpointing: Annotated[bool, option("Less memory for a third more time.", "--checkpointing")] = False,
    compile: Annotated[bool, option("torch.compile; needs a C++ compiler on a CPU.", "--compile")] = False,
    lora: Annotated[int | None, option("LoRA: adapters of this rank learn alone; takes lavida[lora].")] = None,
    quantize: Annotated[str | None, option("With --lora: the resting weights in int8 or int4 (QLoRA).")] = None,
    length: Annotated[int | None, option("few-steps: tokens of the canvas of the model's own answers.")] = None,
    only_right: Annotated[
        bool, option("few-steps: learn only own answers with the words of the data's.", "--only-right")
    ] = False,
    tensorboard: Annotated[
        bool, option("Log for TensorBoard too; takes lavida[tensorboard].", "--tensorboard")
    ] = False,
) -> None:
    """Train by a recipe of the papers, or go on with a run; the model is written to OUT/model, ready for --model.

    `lavida train report RUN` draws a run.
    """
    from lavida.data.rules import find_rule
    from lavida.train.failure import reported
    from lavida.train.finetune import Options
    from lavida.train.launch import train as run
    from lavida.train.recipes import find_recipe
    from lavida.train.trainer import Habits

    collect_garbage()

    with reported():  # of several processes one says what is wrong
        if epochs is not None and steps is not None:
            raise RequestError("--epochs and --steps say the same; give one of them")
        chosen = find_recipe(recipe)
        rates = chosen.rates if rate is None else chosen.rates.scaled(rate)
        changes: dict[str, Any] = {"epochs": epochs, "steps": steps, "batch": batch}
        changes["rates"] = rates.frozen(freeze or ())
        changes["rule"] = None if rule is None else find_rule(rule)
        if epochs is not None:
            chosen = replace(chosen, steps=None)
        chosen = replace(chosen, **{name: value for name, value in changes.items() if value is not None})
        options = Options(
            model=model, data=tuple(data or ()), images=images, held_out=held_out, out=out or Path("runs") / recipe,
            micro=micro, seed=seed, device=device, precision=precision, workers=workers, minutes=minutes,
            habits=Habits(log=log_every, evaluate=evaluate, save=save), shard=shard, checkpointing=checkpointing,
            compile=compile, tensorboard=tensorboard, lora=lora, quantize=quantize, length=length,
            only_right=only_right,
        )  # fmt: skip
    run(chosen, options)


@o.command()
def train_report(
    run: Annotated[Path, argument("RUN", "Folder of a run, finished or not.")],
    out: Annotated[Path | None, option("The page. Default: RUN/report.html.")] = None,
) -> None:
    """Draw a run's log.jsonl into one HTML page with its pictures; any browser opens it, without a network."""
    from lavida.train.report import write_report

    print(write_report(run, out))
