"""Models of ours in lmms-eval, which finds them by the entry point `lavida`; nothing of lmms-eval is changed.

lmms-eval --model lavida --model_args pretrained=owner/name,steps=16 --tasks coco2017_cap_val --batch_size 8
lmms-eval --model lavida --force_simple --tasks TASK                    # tasks that compare likelihoods need this
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms
from lmms_eval.models.model_utils.gen_metrics import log_metrics
from lmms_eval.models.registry_v2 import ModelManifest

from lavida.api import load
from lavida.engine import Engine, Ticket
from lavida.errors import RequestError
from lavida.eval.foreign_options import Asked, read_options

_LOADING = ("dtype", "quantize", "offload", "threads", "template")
Message = dict[str, Any]


def manifest() -> ModelManifest:
    """Return what lmms-eval registers."""
    return ModelManifest(
        model_id="lavida",
        simple_class_path="lavida.eval.lmms.LavidaSimple",
        chat_class_path="lavida.eval.lmms.LavidaChat",
    )


class LavidaChat(lmms):
    """Answer requests whose prompts are dialogues.

    Args:
        pretrained: A folder, a hub id or a name, as `lavida.load` takes it.
        batch_size: Answers that are written side by side.
        device: "cpu" or "cuda".
        max_batch_size: Ignored; lmms-eval passes it on.
        **options: Of loading (dtype, quantize, offload, threads, template), or of decoding; the latter go before those
            of a task.

    Raises:
        RequestError: An option is unknown.
    """

    is_simple = False

    def __init__(
        self, pretrained: str = "lavida-mini", batch_size: int | str = 1, device: str | None = None,
        max_batch_size: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        loading = {name: options.pop(name) for name in _LOADING if name in options}
        self._given = options
        read_options(options)  # a mistake is reported before weights are read
        self._most = int(batch_size)
        self.lavida = load(pretrained, device=_device(device), **loading)

    @property
    def batch_size(self) -> int:
        """Return how many answers are written side by side."""
        return self._most

    def generate_until(self, requests: list[Instance]) -> list[GenerationResult]:
        """Answer, `batch_size` requests side by side; the results are in the order of the requests."""
        start, results, passes = time.perf_counter(), [], 0
        for asked, ticket in self._tickets(requests):
            answer = ticket.result()
            passes += answer.steps
            tokens = round(answer.tokens_per_forward * answer.steps)
            results.append(
                GenerationResult(text=asked.cut(answer.text), token_counts=TokenCounts(output_tokens=tokens))
            )
        self._log(results, passes, time.perf_counter() - start)
        return results

    def loglikelihood(self, requests: list[Instance]) -> list[GenerationResult]:
        """Return for each continuation its loss and whether it is what would be written.

        Both stand in a GenerationResult: of the tuple that it declares, lmms-eval 0.7.3 makes a text, and fails.

        The loss is minus the log-likelihood in nats, estimated as a bound for masked diffusion: lmms-eval takes the
        smallest. Continuations follow the prompt as an answer of its own, so blanks before them are dropped.
        """
        found = []
        for request in requests:
            if len(request.args) < 6 or not request.args[0]:
                raise RequestError("a likelihood without a prompt is not offered; leave out the metric acc_mutual_info")
            context, continuation, doc_to_visual, number, task, split = request.args
            doc = self.task_dict[task][split][number]
            answer = (continuation(doc) if callable(continuation) else continuation).strip()
            images = [*(doc_to_visual(doc) or ())] or None
            likelihood = self.lavida.log_likelihood(images, context, answer, end=False)
            written = self.lavida.ask(images, context, length=likelihood.tokens).text
            found.append(GenerationResult(text=(-likelihood.value, written.strip() == answer)))
        return found

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Raise RequestError: a task of several rounds is not offered."""
        raise RequestError("tasks of several rounds are not offered by the model lavida")

    def get_model_info(self) -> dict[str, Any]:
        """Return what lmms-eval writes beside its results."""
        count = sum(parameter.numel() for parameter in self.lavida.net.parameters())
        return {"model_name": self.lavida.name, "model_num_parameters": count}

    def _tickets(self, requests: Sequence[Instance]) -> Iterator[tuple[Asked, Ticket]]:
        """Yield each request's ticket in their order, a few of them ahead."""
        engine, waiting = Engine(self.lavida, most=self._most), deque[tuple[Asked, Ticket]]()
        for request in requests:
            messages, generation = self._read(request)
            asked = read_options({**generation, **self._given})
            if asked.suffix:
                messages = _with_suffix(messages, asked.suffix)
            waiting.append((asked, engine.submit_chat(messages, **asked.options)))
            if len(waiting) >= 2 * self._most:
                yield waiting.popleft()
        yield from waiting

    def _read(self, request: Instance) -> tuple[list[Message], dict[str, Any]]:
        """Return the dialogue of a request, and its options."""
        _, doc_to_messages, generation, number, task, split = request.args
        return _dialogue(doc_to_messages(self.task_dict[task][split][number])), generation

    def _log(self, results: Sequence[GenerationResult], passes: int, seconds: float) -> None:
        tokens = sum(result.token_counts.output_tokens for result in results)
        log_metrics(
            total_gen_tokens=tokens, total_elapsed_time=seconds, avg_speed=tokens / seconds if seconds else 0.0,
            additional_metrics={
                "rank": self.rank, "nfe": passes / max(1, len(results)), "tokens_per_forward": tokens / max(1, passes),
            },
        )  # fmt: skip


class LavidaSimple(LavidaChat):
    """Answer requests whose prompts are a text and pictures, as tasks that compare likelihoods give them."""

    is_simple = True

    def _read(self, request: Instance) -> tuple[list[Message], dict[str, Any]]:
        context, generation, doc_to_visual, number, task, split = request.args
        visuals = doc_to_visual(self.task_dict[task][split][number]) or ()
        parts = [{"type": "image", "url": visual} for visual in visuals]
        return _dialogue([{"role": "user", "content": [*parts, {"type": "text", "text": context}]}]), generation


def _dialogue(messages: Sequence[Message]) -> list[Message]:
    """Return messages of lmms-eval in the form of ours. Raises RequestError for sound."""
    found = []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        found.append({"role": message["role"], "content": [_part(part) for part in parts]})
    return found


def _part(part: Message) -> Message:
    kind = part["type"]
    if kind == "text":
        return {"type": "text", "text": part["text"]}
    if kind not in ("image", "video"):
        raise RequestError(f"a part of type {kind!r} cannot be shown to the model; choose tasks of pictures or videos")
    return {"type": kind, kind: part["url"]}


def _with_suffix(messages: Sequence[Message], suffix: str) -> list[Message]:
    """Return a dialogue whose last text is followed by a suffix."""
    *before, last = messages
    *parts, text = last["content"]
    if text["type"] != "text":
        return [*before, {**last, "content": [*last["content"], {"type": "text", "text": suffix}]}]
    return [*before, {**last, "content": [*parts, {"type": "text", "text": text["text"] + suffix}]}]


def _device(device: str | None) -> str:
    """Return the device of this process: a GPU if there is one, under torchrun or accelerate one of its own."""
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    local = os.environ.get("LOCAL_RANK")
    return place if place == "cpu" or ":" in place or local is None else f"{place}:{local}"
