"""Arguments of `generate` and what it returns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from torch import LongTensor, Tensor
from transformers import GenerationConfig
from transformers.utils import ModelOutput

from lavida.checkpoint.files import read_json
from lavida.decode.loop import Step
from lavida.decode.options import OPTIONS, check_names
from lavida.errors import RequestError

GENERATION_CONFIG = "generation_config.json"
NAMES = tuple(name for name in OPTIONS if name != "language")  # which JSON cannot hold
# Arguments of transformers that change nothing here: every row is answered alone, and end tokens fill the canvas.
_WITHOUT_EFFECT = (
    "pad_token_id", "bos_token_id", "transformers_version", "synced_gpus", "tokenizer", "return_dict_in_generate",
)  # fmt: skip
_NEUTRAL = {
    "num_beams": 1, "num_return_sequences": 1, "num_beam_groups": 1, "repetition_penalty": 1.0, "length_penalty": 1.0,
    "diversity_penalty": 0.0, "no_repeat_ngram_size": 0, "min_length": 0, "min_new_tokens": 0, "use_cache": True,
    "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "max_length": 20, "early_stopping": False,
}  # fmt: skip

# Arguments of its `generate` besides those of its configuration.
_OF_GENERATE = (
    "assistant_model", "custom_generate", "logits_processor", "mm_token_type_ids", "negative_prompt_attention_mask",
    "negative_prompt_ids", "prefix_allowed_tokens_fn", "stopping_criteria", "token_type_ids",
)  # fmt: skip


def translate(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return decoding options from the arguments that any model of transformers takes.

    `max_new_tokens` becomes `length`; `do_sample` False is temperature 0, True without a temperature is temperature 1.
    What has no effect or asks for nothing (`num_beams=1`, `output_scores=False`) is left out.

    Raises:
        RequestError: An argument asks for what masked diffusion does not do, or is unknown.
    """
    options = {name: value for name, value in given.items() if name in NAMES}
    rest = {name: value for name, value in given.items() if name not in NAMES and name not in _WITHOUT_EFFECT}
    length = rest.pop("max_new_tokens", None)
    if length is not None:
        if options.get("length") not in (None, length):
            raise RequestError(f"length {options['length']} and max_new_tokens {length} are the same; give one of them")
        options["length"] = length
    sample = rest.pop("do_sample", None)
    if sample is True and options.get("temperature") is None:
        options["temperature"] = 1.0
    elif sample is False:
        options |= {"temperature": 0.0, "top_p": None, "top_k": None}
    known, rest = {*vars(GenerationConfig()), *_OF_GENERATE}, {n: v for n, v in rest.items() if not n.startswith("_")}
    check_names(rest.keys() - known, NAMES)
    for name, value in rest.items():
        if value not in (None, False, [], ()) and value != _NEUTRAL.get(name):
            raise RequestError(f"{name}={value!r} is not possible by masked diffusion; leave it out")
    return options


class DiffusionGenerationConfig:
    """Hold how an answer is decoded: the fields of `DecodeOptions`, each None until set, for the family's default.

    Arguments of transformers are translated (`translate`). Raises RequestError for an unknown name; values are checked
    by `generate`.
    """

    __slots__ = NAMES

    def __init__(self, **options: Any) -> None:
        chosen = translate(options)
        for name in self.__slots__:
            setattr(self, name, chosen.get(name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in self.to_dict().items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DiffusionGenerationConfig) and self.to_dict() == other.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}

    def to_diff_dict(self) -> dict[str, Any]:
        """Return the fields that are set, and `max_new_tokens`, which a pipeline would otherwise set itself."""
        return {**self.to_dict(), "max_new_tokens": getattr(self, "length")}  # noqa: B009  fields are set by name

    def updated(self, options: Mapping[str, Any]) -> Self:
        """Return a copy in which `options` win. Raises RequestError for an unknown name."""
        return type(self)(**{**self.to_dict(), **translate(options)})

    def update(self, **options: Any) -> dict[str, Any]:
        """Set options in place; the empty dictionary says that none is unused. Raises RequestError."""
        for name, value in translate(options).items():
            setattr(self, name, value)
        return {}

    def save_pretrained(self, folder: str | Path, **_: Any) -> None:
        """Write `generation_config.json`."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / GENERATION_CONFIG).write_text(json.dumps(self.to_dict(), indent=1) + "\n", "utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Read what `save_pretrained` wrote. Raises CheckpointError, and RequestError for another kind of file."""
        return cls(**read_json(Path(folder) / GENERATION_CONFIG))


def read_options(config: Any, own: DiffusionGenerationConfig, given: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the decoding options of a call of `generate`, and whether it wants a `ModelOutput`.

    Args:
        config: The call's `generation_config`, ours or that of transformers; None is the model's.
        own: The model's.
        given: Other arguments of the call, which win.

    Raises:
        RequestError: As `translate`, or `config` is of another type.
    """
    if isinstance(config, GenerationConfig):
        base: DiffusionGenerationConfig = own.updated(config.to_diff_dict())
        in_config = bool(config.return_dict_in_generate)
    elif config is None or isinstance(config, DiffusionGenerationConfig):
        base, in_config = config or own, False
    else:
        raise RequestError(f"generation_config is a {type(config).__name__}; give a DiffusionGenerationConfig")
    wants_output = given.get("return_dict_in_generate")
    return base.updated(given).to_dict(), in_config if wants_output is None else bool(wants_output)


@dataclass
class DiffusionOutput(ModelOutput):
    """Hold the answers of B rows."""

    sequences: LongTensor | None = None  # [B, P + L]: the prompts as they came in, then the canvases
    tokens_per_forward: Tensor | None = None  # [B]: of each answer, its end token included
    steps: LongTensor | None = None  # [B]: forward passes of each


class Streamer(Protocol):
    """Describe the streamers of transformers; with a method `put_draft(ids)` too, one is shown every draft."""

    def put(self, value: Tensor) -> None:
        """Take the next ids."""

    def end(self) -> None:
        """Take note that the answer is complete."""


def stream_steps(
    steps: Iterable[Step], streamer: Streamer, prompt: Tensor, mask_id: int, *, revised: bool = False
) -> Iterator[Step]:
    """Yield the steps of one answer and hand a streamer the prompt [P], then the text as it is committed.

    A streamer with `put_draft` gets the canvas [L] of each step, masks included, and the text when it is finished. Any
    other gets the text from the left as far as no mask is left in it. What was put is never taken back: if the answer
    may be `revised`, it is put when it is finished.
    """
    streamer.put(prompt)
    show_draft, sent, step = getattr(streamer, "put_draft", None), 0, None
    for step in steps:
        masks = (step.canvas == mask_id).nonzero()
        ready = int(masks[0]) if len(masks) else len(step.canvas)
        if show_draft is not None:
            show_draft(step.canvas)
        elif ready > sent and not revised:
            streamer.put(step.canvas[sent:ready])
            sent = ready
        yield step
    if (show_draft is not None or revised) and step is not None:
        streamer.put(step.canvas)
    streamer.end()
