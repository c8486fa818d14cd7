"""The Python interface: load a model, describe a picture, ask about it, or watch the answer appear.

model = lavida.load()
for draft in model.stream("photo.jpg", "What is this?", steps=8):
    print(draft.text)
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.checkpoint.io import load_checkpoint
from lavida.decode.answer import answer_logits
from lavida.decode.canvas import Canvas
from lavida.decode.loop import Step, denoise
from lavida.decode.options import DecodeOptions
from lavida.errors import CheckpointError, ImageError, RequestError
from lavida.image.load import open_image
from lavida.image.tiles import views
from lavida.model.vlm import VLM
from lavida.text.prompt import hint_ids, question_ids
from lavida.text.tokenizer import Tokenizer

Picture = str | Path | bytes | Image.Image

DESCRIBE = "Describe the image."
LENGTH = 16  # tokens of an answer's canvas unless asked otherwise: what lavida-mini was mostly taught on
LONGEST = 64  # the longest canvas it was taught on
MODELS = {"lavida-mini": Path(__file__).parent / "assets" / "mini"}
DEFAULT_MODEL = "lavida-mini"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A finished answer and what it cost."""

    image: str
    prompt: str
    text: str
    steps: int  # forward passes of the denoiser
    seconds: float  # from the opened picture to the text
    tokens_per_forward: float  # tokens of the text, the end token included, by forward pass
    ids: tuple[int, ...]  # the whole canvas


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The canvas after one step: what is committed stays, the rest is still masked."""

    step: Step
    pieces: tuple[str | None, ...]  # text of each position; None = masked, "" = end of the answer
    text: str  # the committed words, masks left out


@dataclass(kw_only=True)
class _Seen:
    """What is kept of a picture between questions."""

    prefix: Tensor  # [1, P, D]: image tokens and the tower's hint
    cache: PrefixCache | None = None  # their keys and values, if no prompt changes them


def load(
    path: str | Path | None = None, *, device: str = "cpu", dtype: str = "float32", threads: int | None = None
) -> Model:
    """A model from its folder or by name; None is the one that comes with the package.

    `threads` sets PyTorch's number of threads for the whole process. Raises CheckpointError for a model that is
    missing or broken, RequestError for a device or dtype that cannot be had.
    """
    if dtype not in DTYPES:
        raise RequestError(f"unknown dtype {dtype!r}; choose one of {', '.join(DTYPES)}")
    if threads is not None:
        if threads < 1:
            raise RequestError(f"threads must be at least 1, got {threads}")
        torch.set_num_threads(threads)
    folder = find_model(path)
    tokenizer = Tokenizer.load(folder)
    net, _ = load_checkpoint(folder)
    try:
        net = net.to(device=device, dtype=DTYPES[dtype]).eval()
    except (RuntimeError, AssertionError) as error:  # PyTorch names no narrower type for a missing device
        raise RequestError(f"cannot use device {device!r} ({str(error).splitlines()[0]}); try cpu") from None
    return Model(net, tokenizer, labels=_read_labels(folder), name=str(path or DEFAULT_MODEL))


def find_model(path: str | Path | None) -> Path:
    """The folder of a model. Raises CheckpointError if there is none."""
    folder = MODELS.get(str(path or DEFAULT_MODEL), Path(str(path)))
    if not (folder / "config.json").is_file():
        name = str(path or DEFAULT_MODEL)
        if name in MODELS:
            raise CheckpointError(
                f"the model {name} is missing from this installation ({folder}); install lavida again"
            )
        raise CheckpointError(f"unknown model {name!r}; give a folder with config.json, or {', '.join(MODELS)}")
    return folder


class Model:
    """A network with its tokenizer; keeps what it computed of the last few pictures."""

    def __init__(
        self, net: VLM, tokenizer: Tokenizer, *, labels: list[str] | None = None, name: str = "", remember: int = 8
    ) -> None:
        self.net, self.tokenizer, self.labels, self.name = net, tokenizer, labels, name
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._remember = remember

    def describe(self, image: Picture, **options: Any) -> Answer:
        """Describe a picture; `options` are the fields of `DecodeOptions`."""
        return self.ask(image, DESCRIBE, **options)

    def ask(self, image: Picture, question: str, **options: Any) -> Answer:
        """Answer a question about a picture; `options` are the fields of `DecodeOptions`."""
        picture, start = open_image(image), time.perf_counter()
        *_, last = self.stream(picture, question, **options)
        seconds = time.perf_counter() - start
        return self.answer(last, image=_name(image), question=question, seconds=seconds)

    def stream(self, image: Picture, question: str = DESCRIBE, **options: Any) -> Iterator[Draft]:
        """The drafts of an answer, one for each forward pass; the last one is the answer.

        Raises RequestError at once for an option that is unknown or out of range, ImageError for a bad picture.
        """
        chosen = decode_options(options)
        if not question.strip():
            raise RequestError("the question is empty; ask something about the picture")
        return self._drafts(open_image(image), question, chosen)

    def forget(self) -> None:
        """Drop what was kept of the pictures seen."""
        self._seen.clear()

    def answer(self, draft: Draft, *, image: str, question: str, seconds: float) -> Answer:
        """The answer that a last draft amounts to."""
        ids = tuple(draft.step.canvas.tolist())
        ends = [i for i, token in enumerate(ids) if token in self.net.config.denoiser.eos_ids]
        written = ends[0] + 1 if ends else len(ids)
        return Answer(
            image=image,
            prompt=question,
            text=draft.text,
            steps=draft.step.forwards,
            seconds=seconds,
            tokens_per_forward=written / draft.step.forwards,
            ids=ids,
        )

    @torch.inference_mode()
    def _drafts(self, picture: Image.Image, question: str, options: DecodeOptions) -> Iterator[Draft]:
        denoiser = self.net.config.denoiser
        logits_of = self._logits_of(self._look(picture), question, options.cache)
        canvas = Canvas.blank(options.length, denoiser.mask_id)
        for step in denoise(logits_of, canvas, options, mask_id=denoiser.mask_id, eos_ids=denoiser.eos_ids):
            yield self._draft(step)

    def _logits_of(self, seen: _Seen, question: str, cache: str) -> Any:
        prompt = self._embed(question_ids(self.tokenizer, question))
        if not self.net.config.shared_image:  # the image sees the prompt: nothing can be kept
            return answer_logits(self.net, [torch.cat((seen.prefix, prompt), 1)], cache)
        if cache == "none":
            return answer_logits(self.net, [seen.prefix, prompt], cache)
        if seen.cache is None:
            seen.cache = self.net.prefill([seen.prefix])
        return answer_logits(self.net, [], self.net.prefill([prompt], seen.cache.fork()))

    def _look(self, picture: Image.Image) -> _Seen:
        """Image tokens and hint of a picture, from memory if it was seen lately."""
        config = self.net.config
        if config.vision is None:
            raise ImageError(f"the model {self.name} reads text only; load one with a vision tower")
        pixels, grid = views(picture, config.vision, config.tiles)
        key = hashlib.blake2b(pixels.numpy().tobytes() + repr(grid).encode()).digest()
        if key not in self._seen:
            weight = self.net.denoiser.embedding.weight
            features, classes = self.net.look(pixels.to(weight))
            tokens = self.net.image_tokens(features, grid).to(weight)[None]
            hint = self._embed(self._hint(classes))
            self._seen[key] = _Seen(prefix=torch.cat((tokens, hint), 1))
            while len(self._seen) > self._remember:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self._seen[key]

    def _hint(self, classes: Tensor | None) -> list[int]:
        """The tower's own first guess, from the global view, as tokens; none if it has no named classes."""
        if not self.labels or classes is None:
            return []
        shares = classes.float().softmax(-1)[0]
        best = int(shares.argmax())
        return hint_ids(self.tokenizer, self.labels[best], float(shares[best]))

    def _embed(self, ids: list[int]) -> Tensor:
        weight = self.net.denoiser.embedding.weight
        return self.net.denoiser.embed(torch.tensor(ids, dtype=torch.long, device=weight.device))[None]

    def _draft(self, step: Step) -> Draft:
        denoiser = self.net.config.denoiser
        ids = step.canvas.tolist()
        pieces = tuple(
            None if i == denoiser.mask_id else "" if i in denoiser.eos_ids else self.tokenizer.token(i) for i in ids
        )
        return Draft(step=step, pieces=pieces, text=self.tokenizer.decode(i for i in ids if i != denoiser.mask_id))


def decode_options(options: dict[str, Any]) -> DecodeOptions:
    """Options by name; None means the default. Raises RequestError for an unknown name or a value out of range."""
    known = [f.name for f in fields(DecodeOptions)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise RequestError(f"unknown option {unknown[0]!r}; choose from {', '.join(known)}")
    given = {k: v for k, v in options.items() if v is not None}
    if "length" not in given:  # as many steps need as many tokens; a number beyond the longest canvas is refused
        steps = given.get("steps") or LENGTH
        given["length"] = steps if LENGTH < steps <= LONGEST else LENGTH
    return DecodeOptions(**given)


def _name(image: Picture) -> str:
    if isinstance(image, Image.Image):
        return getattr(image, "filename", "") or "image"
    return "bytes" if isinstance(image, bytes) else str(image)


def _read_labels(folder: Path) -> list[str] | None:
    """Names of the tower's classes, a JSON list in `labels.json`; None if the model has none."""
    path = folder / "labels.json"
    if not path.is_file():
        return None
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"cannot read {path}: {error}; take the file that belongs to the model") from None
    if not (isinstance(labels, list) and all(isinstance(name, str) for name in labels)):
        raise CheckpointError(f"{path} must hold a list of names; take the file that belongs to the model")
    return labels
