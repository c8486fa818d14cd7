"""The Python interface: load a model, describe a picture, ask about it, hold a dialogue, or watch the answer appear.

model = lavida.load()
for draft in model.stream("photo.jpg", "What is this?", steps=8):
    print(draft.text)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from lavida.cache.prefix import PrefixCache
from lavida.cache.store import BUDGET
from lavida.checkpoint.adapters import find_adapter
from lavida.checkpoint.contents import survey
from lavida.checkpoint.inventory import read_config
from lavida.checkpoint.named import DEFAULT_MODEL, find_model, load_net, tokenizer_of
from lavida.config import VLMConfig
from lavida.decode.budget import Chosen, choose_setting, split_wish
from lavida.decode.calibration import need_table, setup_of
from lavida.decode.canvas import find_stop
from lavida.decode.context import Answering, answering, steps_alone
from lavida.decode.defaults import family_options
from lavida.decode.likelihood import Choice, Likelihood, choose, log_likelihood
from lavida.decode.loop import Step
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Seen, Sight
from lavida.decode.resolve import checked_options, constraint_for, decode_options
from lavida.edit import requests
from lavida.errors import RequestError
from lavida.image.load import open_image
from lavida.image.tiles import tiles_among
from lavida.image.video import FRAMES, Video, open_video
from lavida.model.backend import fastest_dtype, record_passes
from lavida.model.vlm import VLM
from lavida.text.chat import check_tokens, find_template, last_token, prompt_ids
from lavida.text.labels import Label, load_labels
from lavida.text.messages import Part, Turn, pictures_of, question_turns, read_messages, without_history
from lavida.text.tokenizer import Vocabulary

if TYPE_CHECKING:
    from lavida.constrain.canvas import CanvasConstraint
    from lavida.edit.extract import Extraction

Picture = str | Path | bytes | Image.Image
Shown = Picture | Video | Sequence[Picture | Video] | None  # what a question is about; None = nothing but words
Opened = Image.Image | list[Image.Image]  # a picture, or the frames of a video

DESCRIBE = "Describe the image."
MAX_THREADS = 1024  # more of them take minutes to start
AUTO = "auto"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A finished answer and what it cost."""

    image: str  # names of the pictures, "" if there were none
    prompt: str  # the last question
    text: str
    steps: int  # forward passes of the denoiser
    seconds: float  # from the opened picture to the text
    tokens_per_forward: float  # tokens of the text, the end token included, by forward pass
    ids: tuple[int, ...]  # the whole canvas
    chosen: Chosen | None = None  # what `quality` or `deadline` came to


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The canvas after one step: what is committed stays, the rest is still masked."""

    step: Step
    pieces: tuple[str | None, ...]  # text of each position; None = masked, "" = end of the answer
    text: str  # the committed words, masks left out
    chosen: Chosen | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question on its way: whoever has it makes the passes that the answer asks for, alone or among others."""

    options: DecodeOptions
    chosen: Chosen | None
    answering: Answering


def load(
    path: str | Path | None = None,
    *,
    device: str = "cpu",
    dtype: str | None = None,
    quantize: str | None = None,
    offload: bool = False,
    threads: int | None = None,
    template: str | None = None,
    graphs: bool = False,
) -> Model:
    """A model by folder, hub id or name; None is the one that comes with the package.

    `dtype` None keeps what is stored (lavida-mini: float32), "auto" is what the device multiplies fastest. `graphs`
    plays passes back as CUDA graphs, which saves a GPU their launches. `quantize` and `offload` are those of
    `load_checkpoint`. `threads` sets PyTorch's number of threads for the whole process. `template` names a family whose
    way of writing dialogues is used instead of the model's own, or "plain" for base models. Raises CheckpointError for
    a model that is missing or broken, RequestError for a device, dtype or template that cannot be had.
    """
    if dtype not in (None, AUTO, *DTYPES):
        raise RequestError(f"unknown dtype {dtype!r}; choose one of {', '.join(DTYPES)}, {AUTO}")
    if threads is not None:
        if not 1 <= threads <= MAX_THREADS:
            raise RequestError(f"threads must be at least 1 and at most {MAX_THREADS}, got {threads}")
        torch.set_num_threads(threads)
    folder = find_model(path)
    chosen = fastest_dtype(device) if dtype == AUTO else DTYPES[dtype] if dtype else None
    adapter = find_adapter(path)
    net = load_net(folder, dtype=chosen, adapter=adapter, device=device, quantize=quantize, offload=offload)
    if graphs:
        record_passes(net)
    tokenizer = tokenizer_of(folder, net.config)
    labels, name = load_labels(folder), str(path or DEFAULT_MODEL)
    return Model(net, tokenizer, labels=labels, name=name, template=template, folder=folder)


def check_options(path: str | Path | None, options: Mapping[str, Any]) -> None:
    """Raise what a model would make of decoding options, from its configuration and before its weights are read.

    RequestError for an option that is unknown or out of range, CheckpointError if there is no such model.
    """
    folder = find_model(path)
    config = read_config(survey(folder))
    wish, rest = split_wish(options)
    decode_options(rest, family_options(config, rest.get("compat")))
    if wish:
        need_table(folder, str(path or DEFAULT_MODEL))


class Model:
    """A network with its tokenizer; keeps what it computed of the last few pictures."""

    def __init__(
        self,
        net: VLM,
        tokenizer: Vocabulary,
        *,
        labels: list[Label] | None = None,
        name: str = "",
        memory: int = BUDGET,
        template: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self.net, self.tokenizer, self.labels, self.name, self.folder = net, tokenizer, labels, name, folder
        self.template = find_template(template or net.config.family)
        check_tokens(self.template, tokenizer)
        self.sight = Sight(net, tokenizer, labels=labels, name=name, memory=memory)

    def describe(self, image: Shown, **options: Any) -> Answer:
        """Describe a picture; `options` as in `ask`."""
        return self.ask(image, DESCRIBE, **options)

    def ask(self, image: Shown, question: str, **options: Any) -> Answer:
        """Answer a question about a picture, several, a video or nothing.

        `options` are the fields of `DecodeOptions`. `regex`, `schema` (a mapping, JSON or a file) or `choices` hold the
        answer to a form, whatever the model would rather write. In place of steps, rule and cache, `quality` ("high",
        "balanced", "fast") or `deadline` (seconds, or "400ms") choose them from the table of `lavida calibrate`.
        """
        drafts, start = self.stream(image, question, **options), time.perf_counter()
        *_, last = drafts
        seconds = time.perf_counter() - start
        return self.answer(last, image=name_of(image), question=question, seconds=seconds)

    def extract(self, image: Shown, schema: Any, **options: Any) -> Extraction:
        """Read an object of a schema off a picture, with confidences; arguments as in `lavida.edit.extract.extract`."""
        from lavida.edit.extract import extract  # which stands on this module's answers

        return extract(self, image, schema, **options)

    def chat(self, messages: Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """Answer the last message of a dialogue (its form: `lavida.text.messages`); `options` as in `ask`."""
        turns = read_messages(messages)
        drafts, start = self._drafts(self._asked(turns, options)), time.perf_counter()
        *_, last = drafts
        seconds = time.perf_counter() - start
        image = ", ".join(name_of(part.value) for part in pictures_of(turns))
        question = "\n".join(part.value for part in turns[-1].parts if part.kind == "text")
        return self.answer(last, image=image, question=question, seconds=seconds)

    def stream(self, image: Shown, question: str = DESCRIBE, **options: Any) -> Iterator[Draft]:
        """The drafts of an answer, one for each forward pass; the last one is the answer.

        Raises RequestError at once for an option that is unknown or out of range, ImageError for a bad picture.
        """
        return self._drafts(self.asked(image, question, **options))

    def asked(self, image: Shown, question: str, **options: Any) -> Asked:
        """A question that is checked, its pictures opened; arguments and errors as in `stream`."""
        return self._asked(_turns(image, question), options)

    def stream_chat(self, messages: Sequence[Mapping[str, Any]], **options: Any) -> Iterator[Draft]:
        """The drafts of the answer to a dialogue; arguments and errors as in `chat` and `stream`.

        The whole dialogue is read. With `compat="official"` only its last question is, as LaViDa's own code does.
        """
        return self._drafts(self._asked(read_messages(messages), options))

    def log_likelihood(
        self, image: Shown, question: str, answer: str, *, end: bool = True, cache: str | None = None, **options: Any
    ) -> Likelihood:
        """Estimate a bound on log p(answer | picture, question); `options` as in `lavida.decode.likelihood`.

        With `end` the token that ends an answer is part of it. Raises RequestError.
        """
        segments, held = self.read_question(image, question, cache)
        return log_likelihood(self.net, segments, self._answer_ids(answer, end), cache=held, **options)

    def choose(
        self,
        image: Shown,
        question: str,
        answers: Sequence[str],
        *,
        end: bool = True,
        cache: str | None = None,
        **options: Any,
    ) -> Choice:
        """Which of several answers is likeliest, and how sure that is; `options` of `lavida.decode.likelihood.choose`.

        `end` as in `log_likelihood`. Raises RequestError.
        """
        ids = [self._answer_ids(answer, end) for answer in answers]
        segments, held = self.read_question(image, question, cache)
        return choose(self.net, segments, ids, cache=held, **options)

    def infill(self, image: Shown, text: str, *, question: str = DESCRIBE, **options: Any) -> requests.Infill:
        """Fill the holes `[M]` and `[M:4]` of an answer to `question`; `options` of `lavida.edit.requests.infill`."""
        return requests.infill(self, image, text, question, **options)

    def audit(self, image: Picture, text: str, *, question: str = DESCRIBE, **options: Any) -> requests.Audit:
        """What of an answer the picture supports, word by word; `options` of `lavida.edit.requests.audit`."""
        return requests.audit(self, image, text, question, **options)

    def revise(self, image: Picture, text: str, *, question: str = DESCRIBE, **options: Any) -> requests.Revision:
        """An answer with its unlikely words written anew; `options` of `lavida.edit.requests.revise`."""
        return requests.revise(self, image, text, question, **options)

    def forget(self) -> None:
        """Drop what was kept of the pictures seen."""
        self.sight.forget()

    def open(self, image: Picture, *, name: str | None = None, official: bool = False) -> Image.Image:
        """A picture that this model can look at. Raises ImageError; lavida-mini refuses tiny and very long ones."""
        return open_picture(self.net.config, image, name=name, official=official)

    def answer(self, draft: Draft, *, image: str, question: str, seconds: float) -> Answer:
        """The answer that a last draft amounts to."""
        ids = tuple(draft.step.canvas.tolist())
        return Answer(
            image=image,
            prompt=question,
            text=draft.text,
            steps=draft.step.forwards,
            seconds=seconds,
            tokens_per_forward=tokens_per_forward(draft.step, self.net.config),
            ids=ids,
            chosen=draft.chosen,
        )

    def _options(self, options: Mapping[str, Any]) -> DecodeOptions:
        return checked_options(self.net.config, self.tokenizer, options)

    def constraint(self, options: DecodeOptions) -> CanvasConstraint | None:
        """What holds a canvas to the language of its options, if they have one. Raises RequestError."""
        return constraint_for(self.net.config, self.tokenizer, options)

    def _dial(self, options: Mapping[str, Any], pictures: int) -> tuple[DecodeOptions, Chosen | None]:
        """The options, with what `quality` or `deadline` among them comes to."""
        wish, rest = split_wish(options)
        plain = self._options(rest)
        if wish is None:
            return plain, None
        table = need_table(self.folder, self.name)
        speed = table.speed(setup_of(self.net))
        chosen = choose_setting(wish, table, speed, length=plain.length, pictures=pictures)
        return self._options({**rest, **chosen.options}), chosen

    def _asked(self, turns: list[Turn], given: Mapping[str, Any]) -> Asked:
        """All that can be wrong with a dialogue is told here; passes are made as they are asked for."""
        options, choice = self._dial(given, len(pictures_of(turns)))
        official = options.compat == "official"
        ids, shown = self._read(without_history(turns) if official else turns, official)
        return Asked(options=options, chosen=choice, answering=self._answering(ids, shown, options))

    def _read(self, turns: list[Turn], official: bool) -> tuple[list[int], list[Opened]]:
        """Token ids of a dialogue and its pictures, opened."""
        ids = prompt_ids(turns, self.template, self.tokenizer, official=official)
        return ids, [self._open(part, official) for part in pictures_of(turns)]

    def _open(self, part: Part, official: bool) -> Opened:
        self.sight.require()
        if part.value is None:
            raise RequestError(f"a part of type {part.kind!r} is empty; give a path, bytes or a picture")
        if part.kind == "image":
            return self.open(part.value, official=official)
        video = part.value if isinstance(part.value, Video) else Video(source=part.value)
        if self.net.config.tiles.positions:
            raise RequestError(f"{self.name} was not taught on videos; give single frames as pictures")
        # Half of the model's room at most: what LaViDa holds is less than LLaDA-V's 32 frames take.
        room = self.net.config.denoiser.max_length // 2 // self.sight.frame_tokens()
        return open_video(video, most=max(1, min(FRAMES, room)))

    @torch.inference_mode()
    def _drafts(self, asked: Asked) -> Iterator[Draft]:
        for step in steps_alone(self.net, asked.answering):
            yield self.draft(step, asked)

    @torch.inference_mode()
    def _answering(self, ids: list[int], shown: list[Opened], options: DecodeOptions) -> Answering:
        seen = self._look(shown, official=options.compat == "official")
        segments, cache = yield from self.sight.prompting(ids, seen, cache=options.cache, room=options.length)
        held = self.constraint(options)
        last = yield from answering(self.net, segments, options, cache=cache, constraint=held)
        if options.language is not None:
            options.language.verify(self._text(last, options))
        return last

    @torch.inference_mode()
    def read_question(self, image: Shown, question: str, cache: str | None) -> tuple[list[Tensor], str | PrefixCache]:
        """The prompt as pieces [1, P_i, D], and what likelihoods take as `cache`."""
        cache = cache or self._options({}).cache
        if cache not in ("prefix", "none"):
            raise RequestError(f"the cache of a likelihood is prefix or none, got {cache!r}")
        ids, shown = self._read(_turns(image, question), official=False)
        segments, held = self.sight.prompt(ids, self._look(shown, official=False), cache=cache)
        return segments, held or cache

    def _answer_ids(self, answer: str, end: bool) -> Tensor:
        ids = self.tokenizer.encode(answer) if answer.strip() else []
        if not ids:
            raise RequestError("an answer is empty; give at least one word")
        last = last_token(self.template) if end else None
        return torch.tensor(ids + ([self.tokenizer.id_of(last)] if last else []))

    def _look(self, shown: list[Opened], *, official: bool) -> list[Seen]:
        pictures = sum(isinstance(one, Image.Image) for one in shown)
        tiles = tiles_among(self.net.config.tiles, pictures, official=official)
        look, watch = self.sight.look, self.sight.watch
        return [look(one, tiles) if isinstance(one, Image.Image) else watch(one) for one in shown]

    def draft(self, step: Step, asked: Asked) -> Draft:
        """A step of an answer in words."""
        denoiser = self.net.config.denoiser
        pieces = tuple(
            None if i == denoiser.mask_id else "" if i in denoiser.eos_ids else self.tokenizer.token(i)
            for i in step.canvas.tolist()
        )
        return Draft(step=step, pieces=pieces, text=self._text(step, asked.options), chosen=asked.chosen)

    def _text(self, step: Step, options: DecodeOptions) -> str:
        said = step.canvas[: find_stop(step.canvas, options.stops)].tolist()
        exact = options.language is not None  # which may be about blanks too
        return self.tokenizer.decode((i for i in said if i != self.net.config.denoiser.mask_id), exact=exact)


def open_picture(config: VLMConfig, image: Picture, *, name: str | None = None, official: bool = False) -> Image.Image:
    """A picture for a model of this configuration. Raises ImageError; lavida-mini refuses tiny and very long ones."""
    return open_image(image, name=name, any_shape=config.family != "lavida-mini", official=official)


def tokens_per_forward(last: Step, config: VLMConfig) -> float:
    """Tokens of a finished answer, the end token included, by forward pass."""
    ids = last.canvas.tolist()
    ends = [i for i, token in enumerate(ids) if token in config.denoiser.eos_ids]
    return (ends[0] + 1 if ends else len(ids)) / last.forwards


def _turns(image: Shown, question: str) -> list[Turn]:
    if not question.strip():
        raise RequestError("the question is empty; ask something about the picture")
    return question_turns(question, _parts(image))


def _parts(image: Shown) -> list[Part]:
    shown = [] if image is None else image if isinstance(image, (list, tuple)) else [image]
    return [Part(kind="video" if isinstance(one, Video) else "image", value=one) for one in shown]


def name_of(image: Any) -> str:
    if image is None:
        return ""
    if isinstance(image, (list, tuple)):
        return ", ".join(name_of(one) for one in image)
    if isinstance(image, Video):
        return image.name
    if isinstance(image, Image.Image):
        return getattr(image, "filename", "") or "image"
    return "bytes" if isinstance(image, bytes) else str(image)
