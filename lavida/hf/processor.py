"""Turn dialogues and pictures into the tensors that the model takes, and ids into text."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from transformers import BatchFeature, PreTrainedTokenizerFast
from transformers.processing_utils import ProcessorMixin

from lavida.checkpoint.files import read_json
from lavida.checkpoint.named import tokenizer_of
from lavida.config import VLMConfig
from lavida.decode.options import COMPAT
from lavida.decode.request import Picture, open_picture
from lavida.errors import CheckpointError, RequestError
from lavida.hf.config import LavidaConfig, folder_of
from lavida.image.tiles import tiles_among, views
from lavida.text.chat import check_tokens, find_template, piece_ids, prompt_ids, render, split
from lavida.text.messages import IMAGE_ID, Turn, pictures_of, read_messages, without_history
from lavida.text.tokenizer import Vocabulary

PROCESSOR = "processor_config.json"
# Arguments of transformers' processors, with the values besides None and False that ask for what is done anyway: rows
# are padded on the left, prompts hold their special tokens, and nothing is cut off.
_COMMON: dict[str, tuple[Any, ...]] = {
    "return_tensors": ("pt",), "padding": (True, "longest"), "padding_side": ("left",),
    "truncation": ("do_not_truncate",), "add_special_tokens": (True,), "return_attention_mask": (True,),
    "max_length": (), "stride": (0,), "videos": (), "audio": (), "continue_final_message": (), "tools": (),
    "documents": (), "chat_template": (), "device": ("cpu",), "return_mm_token_type_ids": (),
    "return_token_type_ids": (), "return_special_tokens_mask": (), "verbose": (True,), "load_audio_from_video": (),
    "tokenizer_kwargs": (), "return_assistant_tokens_mask": (), "pad_to_multiple_of": (1,),
}  # fmt: skip
_PLACES = ("path", "url")  # what transformers calls a picture's value besides "image"


class LavidaProcessor(ProcessorMixin):
    """Prepare prompts and pictures for one model; `template` is that of `lavida.load`.

    Pictures are local: paths, bytes or PIL images. Nothing is fetched from the network.
    """

    def __init__(self, config: VLMConfig, vocabulary: Vocabulary, *, template: str | None = None) -> None:
        self.config, self.vocabulary, self.template = config, vocabulary, template or config.family
        check_tokens(find_template(self.template), vocabulary)

    @classmethod
    def from_pretrained(cls, path: str | Path, *, template: str | None = None, **given: Any) -> Self:
        """Return the processor of a model by folder, hub id or name, or one that was saved.

        Raises CheckpointError for a broken one, RequestError for an unknown argument.
        """
        folder = folder_of(path, given)
        if (folder / PROCESSOR).is_file():
            saved = read_json(folder / PROCESSOR)
            if saved.get("processor_class") != cls.__name__ or not isinstance(saved.get("model"), dict):
                raise CheckpointError(f"{folder / PROCESSOR} is not one of {cls.__name__}; remove it")
            config, template = VLMConfig.from_json(saved["model"]), template or saved.get("template")
        else:
            config = LavidaConfig.from_pretrained(folder).vlm
        return cls(config, tokenizer_of(folder, config), template=template)

    def save_pretrained(self, folder: str | Path, **_: Any) -> list[str]:
        """Write `processor_config.json` and `tokenizer.json`; return the paths of both."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.vocabulary.save(folder)
        path = Path(folder) / PROCESSOR
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", "utf-8")
        return [str(path), str(Path(folder) / "tokenizer.json")]

    def to_dict(self) -> dict[str, Any]:
        """Return what `processor_config.json` holds."""
        return {"processor_class": type(self).__name__, "template": self.template, "model": self.config.to_json()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(family={self.config.family!r}, template={self.template!r})"

    @property
    def model_input_names(self) -> list[str]:
        """Return the names of what a call returns."""
        return ["input_ids", "attention_mask", "pixel_values", "image_grids"]

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the vocabulary as a tokenizer of transformers; prompts are written by `apply_chat_template`."""
        backend, fill = self.vocabulary.backend(), self.config.denoiser.eos_ids[0]
        return PreTrainedTokenizerFast(
            tokenizer_object=backend, clean_up_tokenization_spaces=False, padding_side="left",
            pad_token=backend.id_to_token(fill),
        )  # fmt: skip

    def apply_chat_template(
        self,
        conversation: Sequence[Any],
        *,
        add_generation_prompt: bool = True,
        tokenize: bool = False,
        return_dict: bool = False,
        compat: str | None = None,
        **common: Any,
    ) -> str | list[str] | Tensor | BatchFeature:
        """Write a dialogue (`lavida.text.messages`), or a list of dialogues, as a prompt that opens the answer.

        Text in the messages is never read as a special token; in the string, which a call reads back, it is.

        Args:
            conversation: Messages, or a list of such lists.
            add_generation_prompt: Must be True.
            tokenize: Return ids [B, P] instead of text.
            return_dict: With `tokenize`, return what a call returns, pictures included.
            compat: As in `DecodeOptions`.
            **common: Other arguments of transformers' processors that change nothing here (`return_tensors="pt"`).

        Raises:
            RequestError: The messages or an argument are wrong.
            ImageError: A picture is missing or broken.
        """
        if not add_generation_prompt:
            raise RequestError("a prompt always opens the answer; leave add_generation_prompt True")
        _check_common(common)
        official = _is_official(compat)
        several = bool(conversation) and not isinstance(conversation[0], Mapping)
        turns = [_turns(dialogue, official) for dialogue in (conversation if several else [conversation])]
        template = find_template(self.template)
        if not tokenize:
            texts = ["".join(render(dialogue, template)) for dialogue in turns]
            return texts if several else texts[0]
        ids = [prompt_ids(dialogue, template, self.vocabulary, official=official) for dialogue in turns]
        shown = [[part.value for part in pictures_of(dialogue)] if return_dict else [] for dialogue in turns]
        batch = self._batch(ids, shown, official)
        return batch if return_dict else batch["input_ids"]

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        *,
        compat: str | None = None,
        **common: Any,
    ) -> BatchFeature:
        """Return rendered prompts and their pictures as tensors.

        Args:
            images: Pictures in the order in which the texts name them, in lists of any depth.
            text: Prompts, with `<image>` where a picture stands.
            compat: As in `DecodeOptions`.
            **common: As in `apply_chat_template`.

        Returns:
            input_ids [B, P] with -200 for a picture, shorter rows padded on the left; attention_mask [B, P];
            pixel_values [V, 3, S, S], the views of all pictures one after the other; image_grids [N, 4], each
            picture's columns, rows, width and height.

        Raises:
            RequestError: Texts, pictures or arguments do not go together.
            ImageError: A picture is missing or broken.
        """
        _check_common(common)
        texts = [text] if isinstance(text, str) else list(text or ())
        if not texts:
            raise RequestError("give a text: what apply_chat_template returns")
        official, template = _is_official(compat), find_template(self.template)
        ids = [piece_ids(split(prompt), template, self.vocabulary, official=official) for prompt in texts]
        given, counts = _flat(images), [row.count(IMAGE_ID) for row in ids]
        if sum(counts) != len(given):
            places = f"{sum(counts)} places for a picture"
            raise RequestError(f"the text has {places} and {len(given)} were given; make them equal")
        pictures = iter(given)
        return self._batch(ids, [list(itertools.islice(pictures, count)) for count in counts], official)

    def decode(self, ids: Iterable[int] | Tensor, skip_special_tokens: bool = False, **_: Any) -> str:
        """Return the text of ids, without the places of pictures; spaces are never cleaned up."""
        kept = [int(i) for i in ids if int(i) >= 0]
        return self.tokenizer.decode(kept, skip_special_tokens=skip_special_tokens)

    def batch_decode(
        self, sequences: Iterable[Iterable[int]] | Tensor, skip_special_tokens: bool = False, **_: Any
    ) -> list[str]:
        """Return the texts of rows of ids."""
        return [self.decode(ids, skip_special_tokens) for ids in sequences]

    def post_process_image_text_to_text(
        self, generated_outputs: Tensor, skip_special_tokens: bool = True, **_: Any
    ) -> list[str]:
        """Return the texts of rows of ids, as a pipeline asks for them."""
        return self.batch_decode(generated_outputs, skip_special_tokens)

    def _batch(self, ids: list[list[int]], shown: list[list[Picture]], official: bool) -> BatchFeature:
        widest, fill = max(map(len, ids)), self.config.denoiser.eos_ids[0]
        data = {
            "input_ids": torch.tensor([[fill] * (widest - len(row)) + row for row in ids]),
            "attention_mask": torch.tensor([[0] * (widest - len(row)) + [1] * len(row) for row in ids]),
        }
        cut = [self._views(picture, len(row), official) for row in shown for picture in row]
        if cut:
            data["pixel_values"] = torch.cat([pixels for pixels, _ in cut])
            data["image_grids"] = torch.tensor([grid for _, grid in cut])
        return BatchFeature(data)

    def _views(self, picture: Picture, among: int, official: bool) -> tuple[Tensor, tuple[int, int, int, int]]:
        if self.config.vision is None:
            mend = "load it with lavida.load" if self.config.reads_pictures else "leave the pictures out"
            raise RequestError(f"this processor makes text only for this model; {mend}")
        if picture is None:
            raise RequestError("a part of type 'image' is empty; give a path, bytes or a picture")
        tiles = tiles_among(self.config.tiles, among, official=official)
        image = open_picture(self.config, picture, official=official)
        pixels, grid = views(image, self.config.vision, tiles)
        return pixels, (grid.columns, grid.rows, grid.width, grid.height)


def _turns(conversation: Sequence[Any], official: bool) -> list[Turn]:
    turns = read_messages([_with_images(message) for message in conversation])
    if any(part.kind == "video" for part in pictures_of(turns)):
        raise RequestError("this processor takes no videos; give frames as pictures, or use lavida.load")
    return without_history(turns) if official else turns


def _with_images(message: Any) -> Any:
    """Return the message with each picture under "image", wherever transformers lets it stand."""
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), (list, tuple)):
        return message
    parts = []
    for part in message["content"]:
        if isinstance(part, Mapping) and part.get("type") == "image":
            part = {"image" if name in _PLACES else name: value for name, value in part.items()}
            if isinstance(part.get("image"), str) and part["image"].startswith(("http://", "https://")):
                raise RequestError("pictures are not fetched from addresses; download it and give its path")
        parts.append(part)
    return {**message, "content": parts}


def _flat(images: Any) -> list[Picture]:
    if isinstance(images, (list, tuple)):
        return [picture for part in images for picture in _flat(part)]
    return [] if images is None else [images]


def _is_official(compat: str | None) -> bool:
    if compat not in COMPAT:
        raise RequestError(f"unknown compat {compat!r}; choose one of {', '.join(map(str, COMPAT))}")
    return compat == "official"


def _check_common(given: Mapping[str, Any]) -> None:
    """Raise RequestError for an argument of transformers' processors that asks for what this one does not do."""
    for name, value in given.items():
        if name.endswith("_kwargs") and isinstance(value, Mapping):
            _check_common(value)
        elif name not in _COMMON:
            raise RequestError(f"the processor takes no argument {name!r}; leave it out")
        elif value is not None and value is not False and value not in _COMMON[name]:
            raise RequestError(f"{name}={value!r} is not possible here; leave it out")
