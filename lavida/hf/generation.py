"""What is asked of `generate` and what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, Self

from torch import LongTensor, Tensor
from transformers.utils import ModelOutput

from lavida.checkpoint.files import read_json
from lavida.decode.loop import Step
from lavida.decode.options import DecodeOptions
from lavida.errors import RequestError

GENERATION_CONFIG = "generation_config.json"
# What autoregressive models and other diffusion models call it.
_ELSEWHERE = {
    "max_new_tokens": "length",
    "max_length": "length",
    "gen_length": "length",
    "max_denoising_steps": "steps",
    "block_length": "block",
    "do_sample": "temperature",
    "cfg_scale": "guidance",
    "confidence_threshold": "threshold",
    "suppress_tokens": "banned",
    "cache_implementation": "cache",
    "use_cache": "cache",
}


class DiffusionGenerationConfig:
    """How an answer is decoded: the fields of `DecodeOptions`, each None until set, for the default of the family.

    Another name is refused here (RequestError), a value out of range by `generate`.
    """

    __slots__ = tuple(f.name for f in fields(DecodeOptions) if f.name != "language")  # nothing that JSON holds

    def __init__(self, **options: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, options.pop(name, None))
        if options:
            name = min(options)
            known = _ELSEWHERE.get(name)
            mend = f"write {known!r}" if known else f"choose from {', '.join(self.__slots__)}"
            raise RequestError(f"unknown generation argument {name!r}; {mend}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in self.to_dict().items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DiffusionGenerationConfig) and self.to_dict() == other.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}

    def updated(self, options: Mapping[str, Any]) -> Self:
        """A copy in which `options` win. Raises RequestError for an unknown name."""
        return type(self)(**{**self.to_dict(), **options})

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `generation_config.json`."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / GENERATION_CONFIG).write_text(json.dumps(self.to_dict(), indent=1) + "\n", "utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Read what `save_pretrained` wrote. Raises CheckpointError, and RequestError for another kind of file."""
        return cls(**read_json(Path(folder) / GENERATION_CONFIG))


@dataclass
class DiffusionOutput(ModelOutput):
    """Answers of B rows."""

    sequences: LongTensor | None = None  # [B, P + L]: the prompts as they came in, then the canvases
    tokens_per_forward: Tensor | None = None  # [B]: of each answer, its end token included
    steps: LongTensor | None = None  # [B]: forward passes of each


class Streamer(Protocol):
    """What transformers calls a streamer; `put_draft(ids)` besides makes it one that shows drafts."""

    def put(self, value: Tensor) -> None: ...

    def end(self) -> None: ...


def followed(
    steps: Iterable[Step], streamer: Streamer, prompt: Tensor, mask_id: int, *, revised: bool = False
) -> Iterator[Step]:
    """The steps of one answer, told to a streamer on the way: the prompt [P], then the text as it is committed.

    A streamer with `put_draft` gets the canvas [L] of each step, masks included, and the text when it is finished; any
    other one gets the text from the left as far as nothing is open in it. What was put is never taken back: if the
    answer may be `revised`, it is put when it is finished.
    """
    streamer.put(prompt)
    drafts, told = hasattr(streamer, "put_draft"), 0
    step = None
    for step in steps:
        opened = (step.canvas == mask_id).nonzero()
        ready = int(opened[0]) if len(opened) else len(step.canvas)
        if drafts:
            streamer.put_draft(step.canvas)
        elif ready > told and not revised:
            streamer.put(step.canvas[told:ready])
            told = ready
        yield step
    if (drafts or revised) and step is not None:
        streamer.put(step.canvas)
    streamer.end()
