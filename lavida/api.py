"""The Python interface: load a model, describe an image, ask about it, hold a dialogue, watch the answer appear.

model = lavida.load()
for draft in model.stream("photo.jpg", "What is this?", steps=8):
    print(draft.text)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import torch
from PIL import Image
from torch import Tensor

from lavida.cache.store import BUDGET
from lavida.checkpoint.adapters import find_adapter
from lavida.checkpoint.inventory import read_config, survey
from lavida.checkpoint.named import AUTO, DEFAULT_MODEL, DTYPES, find_model, load_net, tokenizer_of
from lavida.checkpoint.vq import check_use, vq_loader
from lavida.decode.budget import split_target
from lavida.decode.calibration import require_calibration
from lavida.decode.confidence import load_confidence
from lavida.decode.likelihood import Choice, Likelihood, choose, log_likelihood
from lavida.decode.prompt import Prompt, PromptReader
from lavida.decode.request import (
    Answer,
    Draft,
    Picture,
    Request,
    Shown,
    make_request,
    open_picture,
    read_question,
    turns_of,
)
from lavida.decode.resolve import decode_options, family_options
from lavida.draw.options import DrawOptions, draw_options
from lavida.draw.request import Drawing, DrawRequest, make_drawing
from lavida.edit.audit import GREY, Audit, audit
from lavida.edit.audit import LENGTH as AUDIT_LENGTH
from lavida.edit.infill import Infill, infill
from lavida.edit.revise import Revision, revise
from lavida.errors import RequestError, check_text
from lavida.evidence.gather import find_parts
from lavida.image.video import Video
from lavida.model.backend import fastest_dtype, record_passes
from lavida.model.vlm import VLM
from lavida.model.vq import ImageTokenizer
from lavida.text.chat import check_tokens, find_template, last_token
from lavida.text.labels import Label, load_labels
from lavida.text.messages import Turn, read_messages
from lavida.text.names import NameFinder, load_names
from lavida.text.pretrained import check_codes
from lavida.text.things import evidence_words
from lavida.text.tokenizer import Vocabulary
from lavida.threads import Threads, set_threads

if TYPE_CHECKING:
    from lavida.decode.options import AskOptions, ExtractOptions
    from lavida.draw.options import DrawNames
    from lavida.edit.extract import Extraction

__all__ = ["DESCRIBE", "Answer", "Draft", "Drawing", "Model", "Picture", "Shown", "check_options", "load"]

DESCRIBE = "Describe the image."


def load(
    path: str | Path | None = None,
    *,
    device: str = "cpu",
    dtype: str | None = None,
    quantize: str | None = None,
    offload: bool = False,
    threads: Threads | None = None,
    template: str | None = None,
    graphs: bool = False,
    vq: str | Path | None = None,
    side: int | None = None,
) -> Model:
    """Load a model.

    Args:
        path: A folder, a hub id or a name; None is lavida-mini, which comes with the package.
        device: "cpu" or "cuda".
        dtype: "float32", "bfloat16", "float16", or "auto" for the one that the device multiplies fastest. None keeps
            what is stored (lavida-mini: float32).
        quantize: "int8" or "int4" linear layers, or None.
        offload: Keep the denoiser's blocks on the CPU and copy one at a time to the device.
        threads: PyTorch's number of threads, for the whole process; "auto" is one for a small model and otherwise the
            cores that this process may use and others leave free. How threads wait for each other is settled when
            PyTorch is imported: call `lavida.threads.wait_passively()` before that, so that several of them do not
            stall beside a busy process.
        template: A family whose way of writing dialogues is used instead of the model's own; "plain" for base models.
        graphs: Replay forward passes as CUDA graphs, which saves a GPU their launches.
        vq: Folder or hub id of the image tokenizer of MMaDA; None is `vq` in its folder, or the published one.
        side: Pixels of the square that such a model sees a picture as; None is 512.

    Raises:
        CheckpointError: The model is missing or broken.
        RequestError: A device, dtype or template is not to be had.
    """
    if dtype not in (None, AUTO, *DTYPES):
        raise RequestError(f"unknown dtype {dtype!r}; choose one of {', '.join(DTYPES)}, {AUTO}")
    folder = find_model(path)
    if threads is not None:
        set_threads(threads, sum(file.stat().st_size for file in folder.glob("*.safetensors")))
    chosen = fastest_dtype(device) if dtype == AUTO else DTYPES[dtype] if dtype else None
    adapter = find_adapter(path)
    net = load_net(folder, dtype=chosen, adapter=adapter, device=device, quantize=quantize, offload=offload, pack=True)
    if graphs:
        record_passes(net)
    tokenizer = tokenizer_of(folder, net.config)
    labels, name = load_labels(folder), str(path or DEFAULT_MODEL)
    check_use(net.config, name, vq=vq, side=side)
    loader = vq_loader(vq, folder, device)
    return Model(net, tokenizer, labels=labels, name=name, template=template, folder=folder, vq=loader, side=side)


def check_options(path: str | Path | None, options: Mapping[str, Any]) -> None:
    """Check decoding options against a model's configuration, before its weights are read.

    Raises:
        RequestError: An option is unknown or out of range.
        CheckpointError: There is no such model.
    """
    folder = find_model(path)
    config = read_config(survey(folder))
    target, rest = split_target(options)
    decode_options(rest, family_options(config, rest.get("compat")))
    if target:
        require_calibration(folder, str(path or DEFAULT_MODEL))


class Model:
    """Answer questions about images with one network; keep what was computed of the last few images.

    Made by `load`.

    Attributes:
        net: The network.
        tokenizer: Its vocabulary.
        template: How its family writes a dialogue.
        name: Folder, hub id or name.
        folder: Where its files lie, if they are known.
        reader: Encodes images and reads prompts.
    """

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
        vq: Callable[[], ImageTokenizer] | None = None,
        side: int | None = None,
    ) -> None:
        self.net, self.tokenizer, self.labels, self.name, self.folder = net, tokenizer, labels, name, folder
        self.template = find_template(template or net.config.family)
        check_tokens(self.template, tokenizer)
        check_codes(net.config, tokenizer)
        parts, names = None, None
        curve = load_confidence(folder) if folder is not None else None
        if net.evidence is not None and labels and folder is not None:
            listed = load_names(folder) or []
            net.evidence.bind(evidence_words(tokenizer, labels), listed)
            parts, names = find_parts(folder, net, labels), NameFinder(listed, tokenizer)
        self.reader = PromptReader(
            net, tokenizer, self.template, labels=labels, name=name, memory=memory, parts=parts, names=names,
            curve=curve, vq=vq, side=side,
        )  # fmt: skip

    def describe(self, image: Shown, **options: Unpack[AskOptions]) -> Answer:
        """Describe an image; arguments and errors as in `ask`."""
        return self.ask(image, DESCRIBE, **options)

    def ask(self, image: Shown, question: str, **options: Unpack[AskOptions]) -> Answer:
        """Answer a question about an image, several, a video, or nothing but words.

        Args:
            image: A path, bytes, a PIL image, a `Video`, a list of these, or None.
            question: Must not be empty.
            **options: The fields of `DecodeOptions`. `regex`, `schema` (a mapping, JSON text or a file) or `choices`
                hold the answer to a form, whatever the model would rather write. In place of steps, rule and cache,
                `quality` ("high", "balanced", "fast") or `deadline` (seconds, or "400ms") choose them from the
                measurements of `lavida calibrate`.

        Returns:
            The finished answer.

        Raises:
            RequestError: An option is unknown or out of range, or the question does not fit the model.
            ImageError: A picture is missing or broken.
        """
        return self._answer(turns_of(image, question), options)

    def chat(self, messages: Sequence[Mapping[str, Any]], **options: Unpack[AskOptions]) -> Answer:
        """Answer the last message of a dialogue (its form: `lavida.text.messages`); options and errors as in `ask`.

        The whole dialogue is read. With `compat="official"` only its last question is, as LaViDa's own code does.
        """
        return self._answer(read_messages(messages), options)

    def stream(self, image: Shown, question: str = DESCRIBE, **options: Unpack[AskOptions]) -> Iterator[Draft]:
        """Return the drafts of an answer, one for each step; the last one is the answer.

        Arguments and errors as in `ask`; errors are raised at once, not at the first draft.
        """
        return self._drafts(make_request(self.reader, turns_of(image, question), options, folder=self.folder))

    def stream_chat(self, messages: Sequence[Mapping[str, Any]], **options: Unpack[AskOptions]) -> Iterator[Draft]:
        """Return the drafts of the answer to a dialogue; arguments and errors as in `chat` and `stream`."""
        return self._drafts(make_request(self.reader, read_messages(messages), options, folder=self.folder))

    def extract(
        self, image: Shown, schema: Any, *, question: str | None = None, **options: Unpack[ExtractOptions]
    ) -> Extraction:
        """Read an object of a schema off an image, with a confidence for each field.

        Args:
            image: As in `ask`.
            schema: A JSON Schema as a mapping, a file, or a pydantic model.
            question: Asked about the image; None asks for the fields of the schema.
            **options: As in `ask`.

        Raises:
            RequestError: The schema cannot be followed, or an option is wrong.
            ImageError: A picture is missing or broken.
        """
        from lavida.edit.extract import as_schema, extract, form_question

        form = as_schema(schema)
        turns = turns_of(image, question or form_question(form))
        return extract(make_request(self.reader, turns, {**options, "schema": form}, folder=self.folder), schema)

    @torch.inference_mode()
    def read(self, image: Shown, question: str = DESCRIBE, *, cache: str | None = None) -> Prompt:
        """Read a question about images as a prompt, for `lavida.edit` and `lavida.decode.likelihood`.

        `cache` is "prefix" (computed once), "none" (computed with every canvas) or None, the model's own way.

        Raises:
            RequestError: The question is empty or `cache` is another.
            ImageError: A picture is missing or broken.
        """
        return read_question(self.reader, image, question, cache=cache)

    def log_likelihood(
        self, image: Shown, question: str, answer: str, *, end: bool = True, cache: str | None = None, **options: Any
    ) -> Likelihood:
        """Estimate a bound on log p(answer | image, question) in nats (eq. 14 of arXiv 2502.09992).

        Args:
            image: As in `ask`.
            question: As in `ask`.
            answer: Must not be empty.
            end: Count the token that ends an answer too.
            cache: As in `read`.
            **options: `estimator`, `rounds`, `batch`, `seed` of `lavida.decode.likelihood.log_likelihood`.

        Raises:
            RequestError: The answer is empty or an option is wrong.
        """
        return log_likelihood(self.read(image, question, cache=cache), self._answer_ids(answer, end), **options)

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
        """Tell which of several answers is likeliest, and how sure that is.

        Arguments and errors as in `log_likelihood`, and `by_token` of `lavida.decode.likelihood.choose`.
        """
        ids = [self._answer_ids(answer, end) for answer in answers]
        return choose(self.read(image, question, cache=cache), ids, **options)

    def infill(
        self, image: Shown, text: str, *, question: str = DESCRIBE, cache: str | None = None, **options: Any
    ) -> Infill:
        """Fill the holes `[M]`, `[M:4]` and `[M:2-5]` of an answer to `question`.

        Args:
            image: As in `ask`.
            text: Holds at least one hole; `[M:4]` takes four tokens, `[M]` as many as fit best.
            question: The question that the text answers.
            cache: As in `read`.
            **options: The fields of `lavida.edit.infill.InfillOptions`, and those of `DecodeOptions` that change how a
                hole is written.

        Raises:
            RequestError: The text has no hole, an option is wrong, or the model writes left to right.
        """
        return infill(self.read(image, question, cache=cache), text, **options)

    def audit(
        self,
        image: Picture,
        text: str,
        *,
        question: str = DESCRIBE,
        cache: str | None = None,
        length: int = AUDIT_LENGTH,
    ) -> Audit:
        """Tell word by word what of an answer the image supports, against a grey image in its place.

        Args:
            image: One picture.
            text: The answer.
            question: The question that the text answers.
            cache: As in `read`.
            length: Tokens of the canvas, at least.

        Raises:
            RequestError: The text is empty, or several pictures were given.
        """
        picture = self._one_picture(image)
        grey = Image.new("RGB", picture.size, GREY)
        seen, blind = (self.read(one, question, cache=cache) for one in (picture, grey))
        return audit(seen, blind, text, length=length)

    def revise(
        self, image: Picture, text: str, *, question: str = DESCRIBE, cache: str | None = None, **options: Any
    ) -> Revision:
        """Write the unlikely words of an answer anew.

        Arguments and errors as in `audit`; `options` are the fields of `lavida.edit.revise.ReviseOptions`.
        """
        return revise(self.read(self._one_picture(image), question, cache=cache), text, **options)

    def draw(
        self, text: str, *, image: Picture | None = None, mask: Picture | None = None, **options: Unpack[DrawNames]
    ) -> list[Drawing]:
        """Draw pictures from a description, with a model whose pictures are codes (MMaDA).

        Args:
            text: What is to be seen; "" leaves it to the model.
            image: A picture that is kept where `mask` is dark.
            mask: Of the same size, bright where the picture is to be drawn.
            **options: The fields of `lavida.draw.options.DrawOptions`; `count` pictures have seeds from `seed` on.

        Raises:
            RequestError: The model cannot draw, or an option is wrong.
            ImageError: A picture is missing or broken.
        """
        return self.draw_request(text, image=image, mask=mask, options=draw_options(options)).run()

    @torch.inference_mode()
    def draw_request(
        self, text: str, *, image: Picture | None = None, mask: Picture | None = None, options: DrawOptions
    ) -> DrawRequest:
        """Check a description and return what draws it, step by step if wanted; arguments and errors as in `draw`."""
        shown, marked = (None if one is None else open_picture(self.net.config, one) for one in (image, mask))
        return make_drawing(self.reader, text, options, image=shown, mask=marked)

    def rename(self, name: str) -> None:
        """Give the model the name that messages call it by."""
        self.name = self.reader.name = self.reader.images.name = name

    def forget(self) -> None:
        """Drop what was kept of the images seen."""
        self.reader.store.clear()

    @torch.inference_mode()
    def _answer(self, turns: list[Turn], options: Mapping[str, Any]) -> Answer:
        request = make_request(self.reader, turns, options, folder=self.folder)
        start = time.perf_counter()
        request.run()
        return request.answer(time.perf_counter() - start)

    @torch.inference_mode()
    def _drafts(self, request: Request) -> Iterator[Draft]:
        yield from request.drafts()

    def _answer_ids(self, answer: str, end: bool) -> Tensor:
        check_text("an answer", answer)
        ids = self.tokenizer.encode(answer) if answer.strip() else []
        if not ids:
            raise RequestError("an answer is empty; give at least one word")
        last = last_token(self.template) if end else None
        return torch.tensor(ids + ([self.tokenizer.id_of(last)] if last else []))

    def _one_picture(self, image: Picture) -> Image.Image:
        if image is None or isinstance(image, (list, tuple, Video)):
            raise RequestError("a text is held against one picture; give one")
        self.reader.images.require()
        return open_picture(self.net.config, image)
