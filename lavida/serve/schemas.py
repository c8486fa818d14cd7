"""The answers of the API as pydantic models, for the OpenAPI document and for those who check answers against it.

Objects may hold more keys than are declared, as OpenAI's do.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """Say what is wrong and how to mend it."""

    message: str
    type: str
    param: str | None = Field(description="The field that is meant, such as `messages[0].content`.")
    code: str | None


class ErrorAnswer(BaseModel):
    """Hold an error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": {
                        "message": "steps must be 1 to length (16), got 99",
                        "type": "invalid_request_error",
                        "param": "steps",
                        "code": None,
                    }
                }
            ]
        }
    )
    error: Fault


class State(BaseModel):
    """Tell how the server is."""

    status: Literal["ok", "ready", "closing"]


class OptionFacts(BaseModel):
    """Describe one option of decoding."""

    name: str
    help: str
    type: Literal["integer", "number", "boolean", "string", "array"]
    default: Any
    choices: list[str] | None
    minimum: float | None = Field(description="`above` where the bound itself is no value.")
    above: float | None
    maximum: float | None
    group: str | None


class ModelFacts(BaseModel):
    """Describe what a model can do."""

    family: str
    vision: bool
    autoregressive: bool
    draws: bool = Field(description="Whether POST /v1/images/generations draws with it.")
    evidence: bool = Field(description="Whether answers tell what was found in the picture.")
    calibrated: bool = Field(description="Whether `quality` and `deadline` may be given.")
    longest: int = Field(description="Tokens of prompt and answer together.")
    options: list[OptionFacts]


class ModelEntry(BaseModel):
    """Name a model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    lavida: ModelFacts


class ModelList(BaseModel):
    """List the models."""

    object: Literal["list"]
    data: list[ModelEntry]


class PromptDetails(BaseModel):
    """Divide the tokens of a prompt."""

    image_tokens: int
    cached_tokens: int = Field(description="Computed for an earlier request.")


class OurUsage(BaseModel):
    """Count forward passes; `tokens_per_forward` counts the end token too."""

    steps: int | None
    tokens_per_forward: float | None
    seconds: float


class UsageFacts(BaseModel):
    """Count tokens, pictures' and the end token included."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    lavida: OurUsage | None = None


class TokenFacts(BaseModel):
    """Hold a token of the answer."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[Any]


class LogProbabilities(BaseModel):
    """Hold the tokens of the answer."""

    content: list[TokenFacts]
    refusal: None


class AnswerMessage(BaseModel):
    """Hold the text of an answer."""

    role: Literal["assistant"]
    content: str
    refusal: None = None


class Choice(BaseModel):
    """Hold one answer."""

    index: int
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: LogProbabilities | None
    lavida: dict[str, Any] = Field(
        description="ids of the canvas, steps, seconds, confidence, evidence, chosen setting, holes."
    )


class ChatCompletion(BaseModel):
    """Hold the answers to a dialogue."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: UsageFacts


class OutputText(BaseModel):
    """Hold the text of an answer."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]


class OutputMessage(BaseModel):
    """Hold an answer."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["completed", "incomplete"]
    content: list[OutputText]


class ResponseAnswer(BaseModel):
    """Hold the answer of POST /v1/responses."""

    id: str
    object: Literal["response"]
    created_at: float
    status: Literal["completed", "incomplete"]
    model: str
    output: list[OutputMessage]
    usage: dict[str, Any]
