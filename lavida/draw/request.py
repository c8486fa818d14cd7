"""Draw a picture: a description and options become jobs of the driver, whose canvas holds codes instead of words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from lavida.config import CodesConfig
from lavida.decode.context import Unconditional
from lavida.decode.driver import Driver, Job, job_steps
from lavida.decode.image_encoder import CodeEncoder
from lavida.decode.loop import Step
from lavida.decode.noise import SlotNoise
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt, PromptReader
from lavida.diffusion.reveal import reveal_counts
from lavida.draw.options import RESOLUTION, DrawOptions
from lavida.errors import RequestError, check_text
from lavida.image.codes import cover, marked_cells, to_image, to_pixels
from lavida.text.codes import Layouts


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Hold a picture that was drawn and what it cost."""

    prompt: str
    image: Image.Image
    codes: tuple[int, ...]  # row by row
    shape: tuple[int, int]  # rows and columns of codes
    seed: int
    steps: int  # forward passes over the picture (NFE)
    seconds: float  # from the checked request to the last code, of all pictures that were drawn together


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """Hold a picture after one step: what is committed stays, the rest is still masked."""

    step: Step
    codes: Tensor  # [h * w], -1 where nothing is committed
    shape: tuple[int, int]
    easel: Easel

    @property
    def masked(self) -> int:
        """Return how many codes are still open."""
        return int((self.codes < 0).sum())

    def image(self) -> Image.Image:
        """Return the picture so far, which takes a pass of the image tokenizer; open cells are grey."""
        return self.easel.image(self.codes, self.shape)


@dataclass(frozen=True, kw_only=True)
class Easel:
    """Hold what is needed to draw: a reader of prompts, whose image encoder knows codes."""

    reader: PromptReader
    images: CodeEncoder

    @classmethod
    def of(cls, reader: PromptReader) -> Easel:
        """Return the easel of a model. Raises RequestError if it cannot draw."""
        if not isinstance(reader.images, CodeEncoder):
            raise RequestError(f"{reader.name} writes text only; load a model whose pictures are codes, such as MMaDA")
        return cls(reader=reader, images=reader.images)

    @property
    def codes(self) -> CodesConfig:
        """Return how pictures stand among the tokens."""
        return self.images.codes

    @property
    def layouts(self) -> Layouts:
        """Return how sequences are written."""
        return Layouts(codes=self.codes, end_id=self.reader.net.config.denoiser.eos_ids[0])

    def shape(self, options: DrawOptions) -> tuple[int, int]:
        """Return rows and columns of codes. Raises RequestError for a size that does not do."""
        cell = self.images.vq.config.cell
        if options.width % cell or options.height % cell:
            raise RequestError(
                f"sides are multiples of {cell} pixels, got {options.width}x{options.height}; try "
                f"{max(1, round(options.width / cell)) * cell}x{max(1, round(options.height / cell)) * cell}"
            )
        rows, columns = options.height // cell, options.width // cell
        most = self.reader.net.config.denoiser.max_length
        if rows * columns > most - 8:  # and a description
            raise RequestError(
                f"a picture of {options.width}x{options.height} takes {rows * columns} codes "
                f"and the model holds {most} tokens; make it smaller"
            )
        return rows, columns

    def canvas(self, options: DrawOptions, image: Image.Image | None, mask: Image.Image | None) -> Tensor:
        """Return the canvas [h * w + 1]: masks, or the codes of `image` where `mask` is dark, and the end of a picture.

        Raises:
            RequestError: One of the two is missing, they differ in size, or nothing is to be drawn.
        """
        rows, columns = self.shape(options)
        ids = torch.full((rows * columns,), self.reader.net.config.denoiser.mask_id)
        if (image is None) != (mask is None):
            raise RequestError("a picture is redrawn where a mask is bright; give both image and mask, or neither")
        if image is not None and mask is not None:
            if image.size != mask.size:
                raise RequestError(f"the picture is {_size(image)} and the mask {_size(mask)}; give both in one size")
            codes = self.images.codes_of(to_pixels(cover(image.convert("RGB"), options.width, options.height)))
            marked = marked_cells(mask, options.width, options.height, self.images.vq.config.cell)
            if not marked.any():
                raise RequestError("the mask is dark everywhere; make bright what is to be drawn")
            ids = torch.where(marked, ids, codes.cpu() + self.codes.first_id)
        return torch.cat((ids, torch.tensor([self.codes.end_id])))

    @torch.no_grad()
    def image(self, codes: Tensor, shape: tuple[int, int]) -> Image.Image:
        """Return the picture of codes [h * w]; cells of code -1 are grey."""
        weight = self.images.vq.decoder.conv_in.weight
        pixels = self.images.vq.decode(codes.clamp(min=0)[None].to(weight.device), shape)[0]
        open_cells = (codes < 0).view(shape).to(pixels.device)
        cell = self.images.vq.config.cell
        wide = open_cells.repeat_interleave(cell, 0).repeat_interleave(cell, 1)
        return to_image(pixels.masked_fill(wide, 0.0))


@dataclass(frozen=True, kw_only=True)
class DrawRequest:
    """Hold a description that is checked, and the job of each picture."""

    text: str
    easel: Easel
    options: DrawOptions
    shape: tuple[int, int]
    jobs: tuple[Job, ...]

    @torch.inference_mode()
    def run(self) -> list[Drawing]:
        """Draw all pictures together."""
        start = time.perf_counter()
        Driver(self.easel.reader.net).run(list(self.jobs))
        seconds = time.perf_counter() - start
        return [self.drawing(number, seconds) for number in range(len(self.jobs))]

    @torch.inference_mode()
    def sketches(self, number: int = 0) -> Iterator[Sketch]:
        """Yield one picture after each of its steps, making the forward passes."""
        for step in job_steps(self.jobs[number]):
            yield Sketch(step=step, codes=self._codes(step), shape=self.shape, easel=self.easel)

    @torch.inference_mode()
    def drawing(self, number: int, seconds: float) -> Drawing:
        """Return a finished picture."""
        step = self.jobs[number].last
        assert step is not None, "the picture is not drawn yet"
        codes = self._codes(step)
        return Drawing(
            prompt=self.text,
            image=self.easel.image(codes, self.shape),
            codes=tuple(codes.tolist()),
            shape=self.shape,
            seed=self.jobs[number].options.seed,
            steps=step.forwards,
            seconds=seconds,
        )

    def _codes(self, step: Step) -> Tensor:
        ids, codes = step.canvas[:-1], self.easel.codes
        return torch.where(ids == self.easel.reader.net.config.denoiser.mask_id, -1, ids - codes.first_id)


def make_drawing(
    reader: PromptReader,
    text: str,
    options: DrawOptions,
    *,
    image: Image.Image | None = None,
    mask: Image.Image | None = None,
) -> DrawRequest:
    """Check a description and its options, and set up the jobs; of the pictures nothing is computed yet.

    Args:
        reader: Of the model.
        text: What is to be seen; may be empty.
        options: Of the pictures.
        image: Kept where `mask` is dark.
        mask: Of the size of `image`; bright where the picture is to be drawn.

    Raises:
        RequestError: The model cannot draw, the description is too long, or an option does not fit.
        CheckpointError: There is no image tokenizer.
    """
    easel = Easel.of(reader)
    official = options.compat == "official"
    asked = _asked(easel, text, options.room, official)
    nothing = easel.layouts.asked([])
    draft = easel.canvas(options, image, mask)
    mask_id = reader.net.config.denoiser.mask_id
    decode = [
        decode_options(easel.codes, options, draft[:-1], mask_id=mask_id, number=number)
        for number in range(options.count)
    ]

    def prompt() -> Prompt:
        read = partial(reader.read, images=[], cache=options.cache, room=len(draft))
        found = read(asked)
        if not options.guidance:
            return found
        other = read(nothing)
        # The official code shows the first places as they were before the first step.
        stale = max(0, min(len(draft) - 1, RESOLUTION + 1 - (options.room + 2))) if official else 0
        unconditional = Unconditional(segments=other.segments, prefix=other.prefix, stale=stale)
        return replace(found, unconditional=unconditional)

    def noise(number: int, _: int) -> SlotNoise:
        return SlotNoise(options.seed, length=len(draft) - 1, row=number, rows=options.count)

    jobs = tuple(
        Job(reader.net, one, prompt, draft=draft, noise=partial(noise, number) if official else None)
        for number, one in enumerate(decode)
    )
    return DrawRequest(text=text, easel=easel, options=options, shape=easel.shape(options), jobs=jobs)


def decode_options(
    codes: CodesConfig, options: DrawOptions, slots: Tensor, *, mask_id: int, number: int = 0
) -> DecodeOptions:
    """Return the options of the denoising loop for picture `number`, whose canvas begins with `slots` [h * w]."""
    official = options.compat == "official"
    masks = int((slots == mask_id).sum())
    counts = reveal_counts(masks, options.steps, options.schedule, slots=len(slots) if official else None)
    return DecodeOptions(
        length=len(slots),
        counts=tuple(counts),
        temperature=1.0,
        selection_temperature=options.temperature,
        annealed=True,
        span=codes.span,
        guidance=options.guidance,
        early_stop=False,
        cache=options.cache,
        refresh=options.refresh,
        seed=options.seed if official else options.seed + number,
        compat=options.compat,
    )


def _asked(easel: Easel, text: str, room: int, official: bool) -> Sequence[int]:
    """Return the ids that ask for a picture; one that does not fit is cut as the official code does, or refused."""
    check_text("the description", text)
    assert easel.reader.tokenizer is not None, "a description needs a tokenizer"
    ids = easel.reader.tokenizer.encode(text) if text.strip() else []
    whole, cut = easel.layouts.asked(ids), easel.layouts.asked(ids, room)
    if whole != cut and not official:
        raise RequestError(
            f"the description takes {len(ids)} tokens and {room - 2} fit; shorten it, or give it more room"
        )
    return cut


def _size(image: Image.Image) -> str:
    return f"{image.width}x{image.height}"
