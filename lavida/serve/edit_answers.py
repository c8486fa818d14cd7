"""The answers of /v1/infill, /v1/audit and /v1/extract as pydantic models, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from lavida.serve.schemas import UsageFacts

_NATS = "Log-likelihood in nats"


class Filling(BaseModel):
    """Hold another text of a hole."""

    text: str
    tokens: int
    probability: float = Field(description="Among the texts that were tried for this hole.")


class FilledHole(Filling):
    """Hold the text of a hole."""

    score: float = Field(description=f"{_NATS} of its tokens, given the picture and the rest of the text.")
    alternatives: list[Filling] = Field(description="The likeliest first.")


class InfillAnswer(BaseModel):
    """Hold a text whose holes are filled."""

    model: str
    text: str
    holes: list[FilledHole]
    tried: int = Field(description="Texts that were compared.")
    seconds: float


class AuditedPart(BaseModel):
    """Hold the figures of a word or token."""

    text: str
    log_likelihood: float = Field(description=f"{_NATS}, with the picture.")
    without_picture: float = Field(description=f"{_NATS}, with a grey picture in its place.")
    support: float = Field(description="The difference: above 0, the picture speaks for it.")


class AuditedToken(AuditedPart):
    """Hold the figures of a token."""

    likeliest: str = Field(description="The likeliest token at its place.")
    likeliest_log_likelihood: float


class AuditedWord(AuditedPart):
    """Hold the figures of a word."""

    start: int = Field(description="Its place in the text.")
    end: int
    tokens: list[AuditedToken]


class AuditAnswer(BaseModel):
    """Hold a text, word by word."""

    model: str
    text: str
    words: list[AuditedWord]
    seconds: float


class ExtractAnswer(BaseModel):
    """Hold an object that was read off a picture."""

    model: str
    object: Any = Field(description="Fits the schema.")
    confidence: dict[str, float] = Field(description="Of each field, by JSON pointer, such as `/items/0/price`.")
    text: str
    steps: int
    seconds: float
    usage: UsageFacts
