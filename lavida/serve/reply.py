"""A finished answer of the server, with what it cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lavida.decode.prompt import Prompt
from lavida.decode.request import Answer, Request
from lavida.errors import RequestError
from lavida.serve.certain import CertainText
from lavida.text.spelling import spell
from lavida.text.tokenizer import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Count the tokens of an answer, or of several to one prompt."""

    prompt: int
    image: int  # of these, what pictures take
    cached: int  # of these, what was computed for an earlier request
    completion: int  # the end token included
    steps: int | None  # forward passes over the canvas; None = nobody counts them
    seconds: float

    @classmethod
    def joined(cls, parts: Sequence[Usage]) -> Usage:
        """Return that of several answers to one prompt."""
        return cls(
            prompt=parts[0].prompt,
            image=parts[0].image,
            cached=parts[0].cached,
            completion=sum(part.completion for part in parts),
            steps=None if any(part.steps is None for part in parts) else sum(part.steps or 0 for part in parts),
            seconds=max(part.seconds for part in parts),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it in OpenAI's form, with our own figures under "lavida"."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"image_tokens": self.image, "cached_tokens": self.cached},
            "lavida": {
                "steps": self.steps,
                "tokens_per_forward": None if self.steps is None else round(self.completion / max(1, self.steps), 4),
                "seconds": round(self.seconds, 4),
            },
        }


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Hold a finished answer, cut off at the texts that the request stops at."""

    request: Request
    answer: Answer
    text: str
    finish: str  # "stop" or "length"
    ids: tuple[int, ...]  # of the text
    usage: Usage

    @classmethod
    def of(cls, request: Request, answer: Answer, stop: Sequence[str] = ()) -> Reply:
        """Return the reply to a request whose job is done."""
        certain, last = CertainText(request, stop), request.last
        ids = certain.ids(last)
        ended = len(ids) < len(last.canvas)
        stopped = certain.stops(last)
        prompt = request.job.prompt
        assert isinstance(prompt, Prompt), "the answer is finished"
        usage = Usage(
            prompt=prompt.length,
            image=sum(len(image.tokens) for image in prompt.images),
            cached=prompt.cached,
            completion=len(ids) + (ended and not stopped),
            steps=last.forwards,
            seconds=answer.seconds,
        )
        return cls(
            request=request,
            answer=answer,
            text=certain.text(last),
            finish="stop" if ended or stopped or request.options.language is not None else "length",
            ids=tuple(ids),
            usage=usage,
        )

    def more(self) -> dict[str, Any]:
        """Return what OpenAI's form has no place for: ids, steps, evidence, the setting that was chosen."""
        answer = self.answer
        found: dict[str, Any] = {"ids": list(answer.ids), "steps": answer.steps, "seconds": round(answer.seconds, 4)}
        if answer.confidence is not None:
            found["confidence"] = round(answer.confidence, 4)
        if answer.evidence:
            found["evidence"] = list(answer.evidence)
        if answer.chosen is not None:
            found["chosen"] = answer.chosen.to_json()
        return found

    def log_probabilities(self) -> list[dict[str, Any]]:
        """Return each token of the text with the log-probability that it had when it was committed."""
        vocabulary, confidence = self.request.reader.tokenizer, self.request.last.confidence.tolist()
        assert vocabulary is not None, "a request has a tokenizer"
        return [
            {
                "token": vocabulary.token(i),
                "logprob": math.log(sure) if sure > 0 else -9999.0,
                "bytes": list(bytes_of(vocabulary, i)),
                "top_logprobs": [],
            }
            for i, sure in zip(self.ids, confidence)
        ]


def bytes_of(vocabulary: Vocabulary, i: int) -> bytes:
    """Return what a token adds to a text."""
    try:
        return spell(vocabulary).bytes_of(i)
    except RequestError:  # no byte-level tokenizer
        return vocabulary.token(i).encode("utf-8", "replace")
