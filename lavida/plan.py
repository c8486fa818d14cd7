"""Plan on paper: what captions and training cost on accelerators that are not here.

The model is built without weights and its own code is run on shapes, so that the operations counted are those made. A
stage takes the longer of two times (roofline): its operations at the accelerator's peak, its bytes at its bandwidth,
each divided by the share of it that is assumed to be reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from lavida.checkpoint.inventory import meta_model
from lavida.config import VLMConfig
from lavida.errors import RequestError
from lavida.image.tiles import grid_of
from lavida.train.recipes import Recipe
from lavida.train.speed import count_flops

QUESTION = 40  # tokens of a template and a question beside the picture's
NODE = 8  # devices that a link joins
RESERVE = 0.9  # share of the memory that is used


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """Describe a device by its data sheet; peaks are of dense products."""

    name: str
    peak: float  # bfloat16 operations a second
    bandwidth: float  # bytes a second to its own memory
    memory: float  # bytes
    link: float  # bytes a second to the other devices of a node, each way
    network: float = 50e9  # bytes a second to other nodes: 400 Gbit/s a device


# NVIDIA's data sheets; the link is half of what they call NVLink's, which counts both ways (PCIe 4.0 x16 for A5000 and
# A6000).
ACCELERATORS = {
    a.name: a
    for a in (
        Accelerator(name="a5000", peak=111e12, bandwidth=768e9, memory=24e9, link=32e9),
        Accelerator(name="a6000", peak=155e12, bandwidth=768e9, memory=48e9, link=32e9),
        Accelerator(name="a100", peak=312e12, bandwidth=2039e9, memory=80e9, link=300e9),
        Accelerator(name="h100", peak=989e12, bandwidth=3350e9, memory=80e9, link=450e9),
        Accelerator(name="h200", peak=989e12, bandwidth=4800e9, memory=141e9, link=450e9),
    )
}


@dataclass(frozen=True, kw_only=True)
class Reached:
    """Hold the shares of a data sheet that are assumed to be reached."""

    products: float = 0.5
    bandwidth: float = 0.7
    training: float = 0.4  # of the peak in a training step, gradients and all
    link: float = 0.7
    launch: float = 0.0  # seconds of a pass that no work of the device hides; 0 with CUDA graphs

    def __post_init__(self) -> None:
        """Check that all but the last are shares."""
        bad = [name for name, share in vars(self).items() if name != "launch" and not 0 < share <= 1]
        if bad:
            raise RequestError(f"the share of {bad[0]} that is reached lies above 0 and is at most 1")
        if not 0 <= self.launch < 10:
            raise RequestError(f"the seconds of launching a pass are at least 0 and below 10, got {self.launch:g}")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Hold what one picture, one prompt and one pass over a canvas cost, by the model's own code."""

    views: int
    image_tokens: int
    prompt: int  # tokens in all
    canvas: int  # tokens
    vision_flops: float  # tower and projector, of one picture
    prefill_flops: float
    pass_flops: float  # of a canvas against a cached prompt, head included
    full_flops: float  # of a canvas with its prompt, head of the canvas included
    vision_bytes: float  # of the weights
    denoiser_bytes: float
    token_bytes: float  # keys and values of a token
    parameters: float

    def prompt_bytes(self) -> float:
        """Return the keys and values of a prompt and its canvas."""
        return self.token_bytes * (self.prompt + self.canvas)


def count(config: VLMConfig, *, picture: tuple[int, int] = (640, 480), canvas: int = 32) -> Counts:
    """Count the operations and bytes of an answer about a picture of `picture` (width, height) pixels, in bfloat16.

    Raises:
        RequestError: The model reads no pictures.
    """
    if config.vision is None:
        raise RequestError("this model reads text only; plan for one that looks at pictures")
    vlm = meta_model(config, ()).to(torch.bfloat16).eval()
    denoiser, side = vlm.denoiser, config.vision.image_size
    grid = grid_of(*picture, config.vision, config.tiles)
    with torch.no_grad(), torch.device("meta"):
        views = torch.empty(grid.n_views, 3, side, side, dtype=torch.bfloat16)
        tokens = vlm.image_tokens(vlm.look(views).features, grid)
        vision = count_flops(lambda: _done(vlm.image_tokens(vlm.look(views).features, grid)))
        image = tokens.shape[-2]
        x, y = (torch.empty(1, n, config.denoiser.d_model, dtype=torch.bfloat16) for n in (image + QUESTION, canvas))
        prefill = count_flops(lambda: _done(vlm.prefill([x])))
        cached = vlm.prefill([x])
        step = count_flops(lambda: _done(denoiser.head(denoiser(y, cache=cached))))
        whole = count_flops(lambda: _done(denoiser.head(denoiser(torch.cat((x, y), 1))[:, -canvas:])))
    return Counts(
        views=grid.n_views,
        image_tokens=image,
        prompt=image + QUESTION,
        canvas=canvas,
        vision_flops=vision,
        prefill_flops=prefill,
        pass_flops=step,
        full_flops=whole,
        vision_bytes=_bytes(vlm) - _bytes(denoiser),
        # A pass reads the blocks and the head; of the embedding a few rows.
        denoiser_bytes=_bytes(denoiser) - (0 if denoiser.unembedding is None else _bytes(denoiser.embedding)),
        token_bytes=2 * config.denoiser.n_layers * config.denoiser.n_kv_heads * config.denoiser.head_dim * 2.0,
        parameters=sum(p.numel() for p in vlm.parameters()),
    )


def _done(_: object) -> None:
    """Drop a result."""


def _bytes(module: torch.nn.Module) -> float:
    return float(sum(p.numel() * p.element_size() for p in module.parameters()))


@dataclass(frozen=True, kw_only=True)
class AnswerTime:
    """Hold the seconds of the stages of a batch of answers."""

    batch: int
    vision: float
    prefill: float
    passes: float

    @property
    def total(self) -> float:
        """Return the seconds of the batch."""
        return self.vision + self.prefill + self.passes


def answer_time(
    counts: Counts, device: Accelerator, reached: Reached, *, steps: int, batch: int = 1, cached: bool = True
) -> AnswerTime:
    """Return the time of a batch of answers of `steps` passes each, with the prefix cache or without."""

    def seconds(flops: float, moved: float) -> float:
        return max(flops / (device.peak * reached.products), moved / (device.bandwidth * reached.bandwidth))

    kept = counts.prompt_bytes() * batch
    vision = seconds(counts.vision_flops * batch, counts.vision_bytes)
    if not cached:
        one = seconds(counts.full_flops * batch, counts.denoiser_bytes) + reached.launch
        return AnswerTime(batch=batch, vision=vision, prefill=0.0, passes=steps * one)
    prefill = seconds(counts.prefill_flops * batch, counts.denoiser_bytes + kept)
    one = seconds(counts.pass_flops * batch, counts.denoiser_bytes + kept) + reached.launch
    return AnswerTime(batch=batch, vision=vision, prefill=prefill, passes=steps * one)


def largest_batch(counts: Counts, device: Accelerator) -> int:
    """Return the largest power of two of answers whose keys and values fit beside the weights.

    Raises:
        RequestError: The weights do not fit.
    """
    left = RESERVE * device.memory - 2 * counts.parameters
    if left < counts.prompt_bytes():
        need = (2 * counts.parameters + counts.prompt_bytes()) / RESERVE / 1e9
        raise RequestError(f"{device.name} has {device.memory / 1e9:.0f} GB and the model needs {need:.0f}")
    return 2 ** int(math.log2(left / counts.prompt_bytes()))


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Describe a stage of training by what its cost depends on."""

    name: str
    samples: float  # seen, over all epochs
    tower: bool  # whether the part learns
    denoiser: bool
    copies: int  # masked copies of each answer
    answer: int  # tokens
    one_view: bool = False  # pictures as one view, every cell a token

    @classmethod
    def of(cls, recipe: Recipe, samples: float, *, answer: int) -> Stage:
        """Return the stage of a recipe over a data set of so many samples."""
        seen = recipe.steps * recipe.batch if recipe.steps else recipe.epochs * samples
        return cls(
            name=recipe.name,
            samples=seen,
            tower=recipe.rates.tower > 0,
            denoiser=recipe.rates.denoiser > 0,
            copies=1 if recipe.objective.autoregressive else 2,  # two masks, complementary or drawn apart
            answer=answer,
            one_view=recipe.one_view,
        )


@dataclass(frozen=True, kw_only=True)
class TrainingTime:
    """Hold the cost of a stage on several devices."""

    devices: int
    batch: int  # samples of an update: the recipe's, or one a device where that is more
    hours: float
    bound: str  # "products", "link" or "network", whichever takes longest
    fits: bool  # weights, gradients and moments, sharded, beside a tenth left for activations


def training_time(
    config: VLMConfig,
    stage: Stage,
    device: Accelerator,
    reached: Reached,
    *,
    devices: int,
    batch: int,
    checkpointing: bool = True,
    picture: tuple[int, int] = (640, 480),
) -> TrainingTime:
    """Return the time of a stage on `devices`, with `batch` samples an update; each node of eight holds one copy.

    A frozen part below what learns is run forwards alone, one above it forwards and backwards to its input; a part that
    learns backwards twice. Checkpointing runs the denoiser forwards once more. The link carries the weights twice for
    the passes and the gradients once, the network the gradients of a node's shards; both work beside the products.
    """
    if stage.one_view:
        config = replace(config, tiles=replace(config.tiles, pinpoints=(), pool=False, unpad=False))
    counts = count(config, picture=picture, canvas=stage.answer)
    forward = counts.full_flops * stage.copies
    passes = (3 if stage.denoiser else 2) + checkpointing
    flops = passes * forward + (3 if stage.tower else 1) * counts.vision_flops
    products = stage.samples * flops / (devices * device.peak * reached.training)
    batch = max(batch, devices)
    updates, node = stage.samples / batch, min(NODE, devices)
    moved = 2 * counts.parameters * (3 if stage.denoiser else 2) * (node - 1) / node
    reduced = 2 * 2 * counts.parameters / node if stage.denoiser and devices > NODE else 0.0
    times = {
        "products": products,
        "link": updates * moved / (device.link * reached.link),
        "network": updates * reduced / (device.network * reached.link),
    }
    held = counts.parameters * ((2 + 2 + 4 + 8 if stage.denoiser else 2) / node)
    fits = held + 2 * counts.parameters / config.denoiser.n_layers < 0.9 * RESERVE * device.memory
    bound = max(times, key=times.__getitem__)
    return TrainingTime(devices=devices, batch=batch, hours=times[bound] / 3600, bound=bound, fits=fits)
