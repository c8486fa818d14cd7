"""`lavida train tune --data photos.jsonl`: train a model of any family by a recipe, or go on with a run.

lavida train tune --data photos.jsonl --out runs/photos                        # lavida-mini on one's own pictures
lavida train finetune --model FOLDER --data a.jsonl --data b.jsonl=2 --device cuda
torchrun --nproc_per_node 8 -m lavida.cli.main train finetune --model FOLDER --data a.jsonl --device cuda
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lavida.cli.options import Model, application
from lavida.errors import RequestError

Name = Annotated[
    str, typer.Argument(metavar="RECIPE", help="align, finetune, fim, reason, ar, tune, llada-v-align ...")
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        help="JSON, JSON lines, tar shards, parquet, hub:OWNER/NAME; FILE=2 is drawn twice as often as FILE=1."
    ),
]
Images = Annotated[Path | None, typer.Option(help="Folder of the pictures. Default: that of FILE.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the run; it goes on if it exists. Default: runs/RECIPE.")]
Epochs = Annotated[float | None, typer.Option(help="Times that the data are seen. Default: the recipe's.")]
Steps = Annotated[int | None, typer.Option(help="Updates, instead of epochs.")]
Batch = Annotated[int | None, typer.Option(help="Samples of an update, over all processes. Default: the recipe's.")]
Micro = Annotated[int, typer.Option(help="Samples computed at a time on each process; what memory allows.")]
Rate = Annotated[float | None, typer.Option(help="The largest of the recipe's; other parts keep their ratio to it.")]
Freeze = Annotated[list[str] | None, typer.Option(help="A part that does not learn: denoiser, projector or tower.")]
Rule = Annotated[
    str | None, typer.Option(help="What of a dialogue is learnt: dialogue, lavida, lavida-fim, llada-v ...")
]
HeldOut = Annotated[
    int | None, typer.Option(help="Samples of the first file to measure by. Default: a tenth, up to 32.")
]
Evaluate = Annotated[int, typer.Option(help="Steps between two looks at them. Default: at the end.")]
Minutes = Annotated[float | None, typer.Option(help="Stop after so long, with a checkpoint.")]
LogEvery = Annotated[int, typer.Option(help="Steps between two lines of the log.")]
Save = Annotated[float, typer.Option(help="Seconds between two checkpoints.")]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Precision = Annotated[str, typer.Option(help="Of the arithmetic: bfloat16 or float32.")]
Workers = Annotated[int, typer.Option(help="Processes that read and cut pictures; 0 = the one that trains.")]
Shard = Annotated[int, typer.Option(help="Processes that share one copy of the weights. Default: all.")]
Checkpointing = Annotated[bool, typer.Option("--checkpointing", help="Less memory for a third more time.")]
Compile = Annotated[bool, typer.Option("--compile", help="torch.compile; needs a C++ compiler on a CPU.")]
Rank = Annotated[int | None, typer.Option(help="LoRA: adapters of this rank learn alone; takes lavida[lora].")]
Quantize = Annotated[str | None, typer.Option(help="With --lora: the resting weights in int8 or int4 (QLoRA).")]
Board = Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard too; takes lavida[tensorboard].")]


def train(
    recipe: Name,
    data: Data = None,
    model: Model = "lavida-mini",
    images: Images = None,
    out: Out = None,
    epochs: Epochs = None,
    steps: Steps = None,
    batch: Batch = None,
    micro: Micro = 8,
    rate: Rate = None,
    freeze: Freeze = None,
    rule: Rule = None,
    held_out: HeldOut = None,
    evaluate: Evaluate = 0,
    minutes: Minutes = None,
    log_every: LogEvery = 10,
    save: Save = 120.0,
    seed: Seed = 0,
    device: Device = "cpu",
    precision: Precision = "bfloat16",
    workers: Workers = 0,
    shard: Shard = 0,
    checkpointing: Checkpointing = False,
    compile: Compile = False,
    lora: Rank = None,
    quantize: Quantize = None,
    tensorboard: Board = False,
) -> None:
    """Train by a recipe of the papers, or go on with a run; the model is written to OUT/model, ready for --model.

    `lavida train report RUN` draws a run.
    """
    from lavida.data.rules import find_rule
    from lavida.train.failure import reported
    from lavida.train.launch import Options
    from lavida.train.launch import train as run
    from lavida.train.recipes import find_recipe
    from lavida.train.trainer import Habits

    with reported():  # of several processes one says what is wrong
        if epochs is not None and steps is not None:
            raise RequestError("--epochs and --steps say the same; give one of them")
        chosen = find_recipe(recipe)
        rates = chosen.rates.scaled(rate) if rate is not None else chosen.rates
        changes: dict[str, Any] = {
            "epochs": epochs,
            "steps": steps,
            "batch": batch,
            "rates": rates.frozen(freeze or ()),
        }
        changes |= {"rule": find_rule(rule) if rule is not None else None}
        if epochs is not None:
            chosen = replace(chosen, steps=None)
        chosen = replace(chosen, **{name: value for name, value in changes.items() if value is not None})
        options = Options(
            model=model, data=tuple(data or ()), images=images, held_out=held_out, out=out or Path("runs") / recipe,
            micro=micro, seed=seed, device=device, precision=precision, workers=workers, minutes=minutes,
            habits=Habits(log=log_every, evaluate=evaluate, save=save), shard=shard, checkpointing=checkpointing,
            compile=compile, tensorboard=tensorboard, lora=lora, quantize=quantize,
        )  # fmt: skip
    run(chosen, options)


app = application(train)
