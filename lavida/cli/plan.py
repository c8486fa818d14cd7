"""`lavida plan`, `lavida plan --model FOLDER --device h200 --images 1e9 --gpus 8,64,512`: costs on paper."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o
from lavida.errors import RequestError

if TYPE_CHECKING:
    from lavida.config import VLMConfig
    from lavida.plan import Accelerator, Reached

# stage -> samples of its published data set (../docs/scale.md says where from)
STAGES = {
    "align": 558_128,
    "finetune": 1_000_000,
    "fim": 200_000,
    "reason": 19_200,
    "llada-v-align": 558_128,
    "llada-v-single": 10_000_000,
}
Shares = "Share of the data sheet's "


@o.command()
def plan(
    model: Annotated[
        str, o.option("A family at its published size (lavida-llada, lavida-dream, llada-v ...), or a folder.")
    ] = "lavida-llada",
    device: Annotated[str, o.option("a5000, a6000, a100, h100 or h200.")] = "h100",
    images: Annotated[float, o.option("Pictures to caption.")] = 1e9,
    canvas: Annotated[int, o.option("Tokens of a caption's canvas.")] = 32,
    steps: Annotated[int, o.option("Passes of a caption.")] = 16,
    gpus: Annotated[str, o.option("Numbers of devices to train on, with commas.")] = "8,64,512",
    answer: Annotated[int, o.option("Tokens of an answer that is learnt.")] = 150,
    products: Annotated[float, o.option(Shares + "peak that products reach.")] = 0.5,
    bandwidth: Annotated[float, o.option(Shares + "bandwidth that is reached.")] = 0.7,
    training: Annotated[float, o.option(Shares + "peak that a training step reaches.")] = 0.4,
    launch: Annotated[float, o.option("Seconds of a pass that nothing hides; 0 with CUDA graphs.")] = 0.0,
    json: o.Json = False,
) -> None:
    """Tell what captions and the stages of training would cost, from counted operations and data sheets."""
    from lavida.plan import ACCELERATORS, Reached

    if device not in ACCELERATORS:
        raise RequestError(f"unknown device {device!r}; choose one of {', '.join(ACCELERATORS)}")
    if not 1 <= images < 1e15 or not 1 <= canvas <= 1024 or not 1 <= steps <= canvas or not 1 <= answer <= 4096:
        raise RequestError("images and answer are at least 1, canvas 1 to 1024, and steps 1 to canvas")
    reached = Reached(products=products, bandwidth=bandwidth, training=training, launch=launch)
    config, numbers = _config(model), _numbers(gpus)
    chosen = ACCELERATORS[device]
    facts = {
        "model": model,
        "device": asdict(chosen),
        "assumed": asdict(reached),
        "captions": _captions(config, chosen, reached, images, canvas, steps),
        "training": _training(config, chosen, reached, numbers, answer),
    }
    print(json_text.dumps(facts, indent=1) if json else as_text(facts))


def _config(model: str) -> VLMConfig:
    from lavida.checkpoint.inventory import read_config, survey
    from lavida.checkpoint.make_random import RECIPES, random_config
    from lavida.checkpoint.named import find_model

    return random_config(model, "8b") if model in RECIPES else read_config(survey(find_model(model)))


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1 or max(numbers) > 100_000:
        raise RequestError(f"--gpus takes whole numbers with commas, such as 8,64,512, got {text!r}")
    return numbers


def _captions(
    config: VLMConfig, device: Accelerator, reached: Reached, images: float, canvas: int, steps: int
) -> list[dict[str, Any]]:
    from lavida.plan import answer_time, count, largest_batch

    counts = count(config, canvas=canvas)
    rows = []
    for batch in (1, largest_batch(counts, device)):
        for cached in (True, False):
            time = answer_time(counts, device, reached, steps=steps, batch=batch, cached=cached)
            hours = images * time.total / batch / 3600
            rows.append(
                {
                    "batch": batch,
                    "prefix_cache": cached,
                    "vision_s": time.vision,
                    "prefill_s": time.prefill,
                    "passes_s": time.passes,
                    "images_per_s": batch / time.total,
                    "gpu_hours": hours,
                }
            )
    return rows


def _training(
    config: VLMConfig, device: Accelerator, reached: Reached, numbers: list[int], answer: int
) -> list[dict[str, Any]]:
    from lavida.plan import Stage, training_time
    from lavida.train.recipes import RECIPES

    rows = []
    for name, samples in STAGES.items():
        if name.startswith("llada-v") != (config.family == "llada-v"):
            continue
        stage = Stage.of(RECIPES[name], samples, answer=answer)
        times = [training_time(config, stage, device, reached, devices=n, batch=RECIPES[name].batch) for n in numbers]
        rows.append({"stage": name, "samples": stage.samples, "runs": [asdict(time) for time in times]})
    return rows


def as_text(facts: dict[str, Any]) -> str:
    """Return a plan as two tables and the assumptions."""
    assumed = facts["assumed"]
    lines = [
        f"{facts['model']} on {facts['device']['name']}; assumed: {assumed['products']:.0%} of the peak in products, "
        f"{assumed['bandwidth']:.0%} of the bandwidth, {assumed['training']:.0%} of the peak in training, "
        f"{assumed['launch']:g} s to launch a pass",
        "",
        "captions   batch  prefix  vision s  prefill s  passes s  pictures/s     GPU hours",
    ]
    for row in facts["captions"]:
        lines.append(
            f"{'':9}{row['batch']:7}  {'cached' if row['prefix_cache'] else 'none':6}{row['vision_s']:10.3f}"
            f"{row['prefill_s']:11.3f}{row['passes_s']:10.3f}{row['images_per_s']:12.2f}{row['gpu_hours']:14,.0f}"
        )
    lines += ["", "training            samples   GPUs  batch       hours  GPU hours  limited by"]
    for stage in facts["training"]:
        for run in stage["runs"]:
            lines.append(
                f"{stage['stage']:15}{stage['samples']:12,.0f}{run['devices']:7}{run['batch']:7}{run['hours']:12.2f}"
                f"{run['hours'] * run['devices']:11,.0f}  {run['bound']}{'' if run['fits'] else ', does not fit'}"
            )
    return "\n".join(lines)
