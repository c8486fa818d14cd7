"""Requests: a dialogue and options by name are checked and become a job; its steps become drafts and an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from lavida.config import VLMConfig
from lavida.decode.budget import Setting, choose_setting, split_target
from lavida.decode.calibration import require_calibration, setup_of
from lavida.decode.confidence import answer_log_probability
from lavida.decode.driver import Job, job_steps
from lavida.decode.image_encoder import EncodedImage, check_pictures, most_tokens
from lavida.decode.loop import Step, find_stop
from lavida.decode.noise import Noise, TextNoise
from lavida.decode.options import DecodeOptions
from lavida.decode.prompt import Prompt, PromptReader
from lavida.decode.resolve import checked_options, constraint_for
from lavida.errors import RequestError, check_text
from lavida.image.load import open_image
from lavida.image.tiles import tiles_among
from lavida.image.video import FRAMES, Video, open_video
from lavida.text.chat import ChatTemplate, prompt_ids
from lavida.text.messages import Part, Turn, pictures_of, question_turns, without_history
from lavida.text.tokenizer import CHINESE, Vocabulary

Picture = str | Path | bytes | Image.Image
Shown = Picture | Video | Sequence[Picture | Video] | None  # what a question is about; None = nothing but words
Opened = Image.Image | list[Image.Image]  # an image, or the frames of a video


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Hold a finished answer and what it cost."""

    image: str  # names of the pictures, "" if there were none
    prompt: str  # the last question
    text: str
    steps: int  # forward passes of the denoiser over the canvas (NFE)
    seconds: float  # from the opened picture to the text
    tokens_per_forward: float  # tokens of the text, the end token included, by forward pass
    ids: tuple[int, ...]  # the whole canvas
    chosen: Setting | None = None  # the setting that `quality` or `deadline` chose
    evidence: tuple[dict[str, Any], ...] = ()  # of each picture: names, boxes, colours and text that parts found
    confidence: float | None = None  # the share of such answers that are right; None where nobody measured it


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Hold the canvas after one step: what is committed stays, the rest is still masked."""

    step: Step
    pieces: tuple[str | None, ...]  # text of each position; None = masked, "" = end of the answer
    text: str  # the committed words, masks left out
    chosen: Setting | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """Hold a question that is checked, its pictures opened, and the job that answers it."""

    reader: PromptReader
    image: str  # names of the pictures
    question: str
    options: DecodeOptions
    chosen: Setting | None
    job: Job
    tokens: int  # of prompt and canvas, at most

    def drafts(self) -> Iterator[Draft]:
        """Yield a draft for each step, making the forward passes; the last one is the answer."""
        for step in job_steps(self.job):
            yield self.draft(step)
        self.verify()

    def run(self) -> None:
        """Make all steps without drafts."""
        for _ in job_steps(self.job):
            pass
        self.verify()

    def verify(self) -> None:
        """Raise RequestError if the finished answer breaks the language that it was held to."""
        if self.options.language is not None:
            self.options.language.verify(self.text(self.last))

    @property
    def last(self) -> Step:
        """The last step that was made."""
        if self.job.last is None:
            raise RequestError("the answer has no open position; leave some of the canvas masked")
        return self.job.last

    def draft(self, step: Step) -> Draft:
        """Return a step in words."""
        denoiser, tokenizer = self.reader.net.config.denoiser, _tokenizer(self.reader)
        pieces = tuple(
            None if i == denoiser.mask_id else "" if i in denoiser.eos_ids else tokenizer.token(i)
            for i in step.canvas.tolist()
        )
        return Draft(step=step, pieces=pieces, text=self.text(step), chosen=self.chosen)

    def text(self, step: Step) -> str:
        """Return the committed words of a step."""
        written = step.canvas[: find_stop(step.canvas, self.options.stops)].tolist()
        exact = self.options.language is not None  # which may be about blanks too
        mask_id = self.reader.net.config.denoiser.mask_id
        return _tokenizer(self.reader).decode((i for i in written if i != mask_id), exact=exact)

    def answer(self, seconds: float) -> Answer:
        """Return the finished answer."""
        step = self.last
        return Answer(
            image=self.image,
            prompt=self.question,
            text=self.text(step),
            steps=step.forwards,
            seconds=seconds,
            tokens_per_forward=tokens_per_forward(step, self.reader.net.config),
            ids=tuple(step.canvas.tolist()),
            chosen=self.chosen,
            evidence=self._evidence(),
            confidence=self._confidence(),
        )

    def _confidence(self) -> float | None:
        """Return the calibrated confidence; None for a model without a curve, or where p is not what was measured."""
        curve, options = self.reader.curve, self.options
        if curve is None or options.remasking != "confidence" or options.language is not None or options.temperature:
            return None
        return curve(answer_log_probability(self.last, self.reader.net.config.denoiser.eos_ids))

    def _evidence(self) -> tuple[dict[str, Any], ...]:
        prompt = self.job.prompt
        images = prompt.images if isinstance(prompt, Prompt) else ()
        return tuple(image.evidence.to_json() for image in images if image.evidence is not None)


def make_request(
    reader: PromptReader,
    turns: Sequence[Turn],
    given: Mapping[str, Any],
    *,
    folder: Path | None = None,
    watch: Callable[[Step], None] | None = None,
) -> Request:
    """Check a dialogue and its options, open its pictures and set up the job; nothing is computed yet.

    Args:
        reader: Of the model.
        turns: The dialogue. With `compat="official"` only its last question is read, as LaViDa's own code does.
        given: Options by name: fields of `DecodeOptions`, `regex`, `schema`, `choices` or `template`, and `quality` or
            `deadline`.
        folder: Of the model, for the calibration that `quality` and `deadline` choose from.
        watch: Called with each step.

    Raises:
        RequestError: An option is unknown or out of range, or the dialogue does not go with the model.
        ImageError: A picture is bad.
    """
    net, tokenizer = reader.net, _tokenizer(reader)
    options, chosen = _options(reader, given, len(pictures_of(turns)), folder)
    options = _in_one_language(net.config, tokenizer, options, turns)
    official = options.compat == "official"
    shown = pictures_of(turns)
    ids, opened = open_prompt(reader, without_history(turns) if official else turns, official=official)
    job = Job(
        net,
        options,
        lambda: read_prompt(reader, ids, opened, cache=options.cache, room=options.length, official=official),
        constraint=constraint_for(net.config, tokenizer, options),
        watch=watch,
        noise=partial(_official_noise, options) if official and net.config.traits.whole_noise else None,
    )
    question = "\n".join(part.value for part in turns[-1].parts if part.kind == "text")
    names = ", ".join(name_of(part.value) for part in shown)
    tokens = len(ids) + most_tokens(net.config, reader.images, opened) + options.length
    return Request(
        reader=reader, image=names, question=question, options=options, chosen=chosen, job=job, tokens=tokens
    )


def _in_one_language(
    config: VLMConfig, tokenizer: Vocabulary, options: DecodeOptions, turns: Sequence[Turn]
) -> DecodeOptions:
    """Return options that ban Chinese tokens if a model of two languages is asked without any, in free text."""
    said = (part.value for turn in turns for part in turn.parts if part.kind == "text")
    free = options.language is None and options.compat is None
    if not (config.traits.two_languages and free) or any(map(CHINESE.search, said)):
        return options
    return replace(options, banned=(*options.banned, *tokenizer.chinese_ids))


def _official_noise(options: DecodeOptions, before: int) -> Noise:
    return TextNoise(options.seed, before=before, length=options.length)


def read_question(
    reader: PromptReader, image: Shown, question: str, *, cache: str | None = None, room: int = 0
) -> Prompt:
    """Read a question about pictures as a prompt; `cache` None is the model's own.

    Raises:
        RequestError: The question is empty, or `cache` is neither "prefix" nor "none".
        ImageError: A picture is bad.
    """
    cache = cache or checked_options(reader.net.config, _tokenizer(reader), {}).cache
    if cache not in ("prefix", "none"):
        raise RequestError(f"the cache of a likelihood is prefix or none, got {cache!r}")
    ids, opened = open_prompt(reader, turns_of(image, question))
    return read_prompt(reader, ids, opened, cache=cache, room=room)


def open_prompt(
    reader: PromptReader, turns: Sequence[Turn], *, official: bool = False
) -> tuple[list[int], list[Opened]]:
    """Return the token ids of a dialogue and its pictures, opened. Raises RequestError and ImageError."""
    check_pictures(reader.images, len(pictures_of(turns)))
    ids = prompt_ids(turns, _template(reader), _tokenizer(reader), official=official)
    return ids, [_open(reader, part, official) for part in pictures_of(turns)]


def read_prompt(
    reader: PromptReader,
    ids: Sequence[int],
    opened: Sequence[Opened],
    *,
    cache: str,
    room: int = 0,
    official: bool = False,
) -> Prompt:
    """Encode opened pictures and read the prompt; as `PromptReader.read`."""
    images = sum(isinstance(picture, Image.Image) for picture in opened)
    tiles = tiles_among(reader.net.config.tiles, images, official=official)
    encoded: list[EncodedImage] = [
        reader.images.encode(picture, tiles)
        if isinstance(picture, Image.Image)
        else reader.images.encode_video(picture)
        for picture in opened
    ]
    return reader.read(ids, encoded, cache=cache, room=room)


def turns_of(image: Shown, question: str) -> list[Turn]:
    """Return a question about pictures as a dialogue. Raises RequestError if it is empty."""
    check_text("the question", question)
    if not question.strip():
        raise RequestError("the question is empty; ask something about the picture")
    shown = [] if image is None else image if isinstance(image, (list, tuple)) else [image]
    return question_turns(
        question, [Part(kind="video" if isinstance(part, Video) else "image", value=part) for part in shown]
    )


def open_picture(config: VLMConfig, image: Picture, *, name: str | None = None, official: bool = False) -> Image.Image:
    """Open a picture for a model of this configuration. Raises ImageError; some models refuse odd shapes."""
    return open_image(image, name=name, any_shape=config.traits.any_shape, official=official)


def tokens_per_forward(last: Step, config: VLMConfig) -> float:
    """Return the tokens of a finished answer, the end token included, by forward pass."""
    ids = last.canvas.tolist()
    ends = [i for i, token in enumerate(ids) if token in config.denoiser.eos_ids]
    return (ends[0] + 1 if ends else len(ids)) / max(1, last.forwards)


def name_of(image: Any) -> str:
    """Return the name of what a question is about, for a report."""
    if image is None:
        return ""
    if isinstance(image, (list, tuple)):
        return ", ".join(name_of(part) for part in image)
    if isinstance(image, Video):
        return image.name
    if isinstance(image, Image.Image):
        return getattr(image, "filename", "") or "image"
    return "bytes" if isinstance(image, bytes) else str(image)


def _options(
    reader: PromptReader, given: Mapping[str, Any], pictures: int, folder: Path | None
) -> tuple[DecodeOptions, Setting | None]:
    """Return the options, with the setting that `quality` or `deadline` among them chooses."""
    config, tokenizer = reader.net.config, _tokenizer(reader)
    target, rest = split_target(given)
    plain = checked_options(config, tokenizer, rest)
    if target is None:
        return plain, None
    table = require_calibration(folder, reader.name)
    chosen = choose_setting(target, table, table.speed(setup_of(reader.net)), length=plain.length, pictures=pictures)
    return checked_options(config, tokenizer, {**rest, **chosen.options}), chosen


def _open(reader: PromptReader, part: Part, official: bool) -> Opened:
    reader.images.require()
    config = reader.net.config
    if part.value is None:
        raise RequestError(f"a part of type {part.kind!r} is empty; give a path, bytes or a picture")
    if part.kind == "image":
        return open_picture(config, part.value, official=official)
    video = part.value if isinstance(part.value, Video) else Video(source=part.value)
    if config.tiles.positions:
        raise RequestError(f"{reader.name} was not taught on videos; give single frames as pictures")
    # Half of the model's room at most: what LaViDa holds is less than LLaDA-V's 32 frames take.
    room = config.denoiser.max_length // 2 // reader.images.frame_tokens()
    return open_video(video, most=max(1, min(FRAMES, room)))


def _tokenizer(reader: PromptReader) -> Vocabulary:
    assert reader.tokenizer is not None, "a request needs a tokenizer"
    return reader.tokenizer


def _template(reader: PromptReader) -> ChatTemplate:
    assert reader.template is not None, "a request needs a template"
    return reader.template
