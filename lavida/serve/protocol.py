"""Requests of the API as pydantic models. What is not declared here is refused, and the answer says by which name.

The options of decoding come from `DecodeOptions`, which declares type, bounds and help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from lavida.decode.options import MAX_LENGTH, OPTIONS, DecodeOptions
from lavida.serve.errors import FieldError

_LONGEST_LIST = 4096
# Fields of OpenAI's that ask for what is not to be had here; the values that ask for nothing are taken.
_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "audio": (), "background": (False,), "conversation": (), "frequency_penalty": (0,), "function_call": ("none",),
    "functions": ([],), "include": ([],), "logit_bias": ({},), "max_tool_calls": (), "metadata": ({},),
    "modalities": (["text"],), "moderation": (), "parallel_tool_calls": (True, False), "prediction": (),
    "presence_penalty": (0,), "previous_response_id": (), "prompt": (), "prompt_cache_options": (),
    "prompt_cache_retention": (), "reasoning": (), "reasoning_effort": (), "service_tier": ("auto", "default"),
    "store": (False,), "tool_choice": ("none", "auto"), "tools": ([],), "truncation": ("disabled",),
    "verbosity": (), "web_search_options": (),
}  # fmt: skip
_KINDS: Mapping[str, Any] = {"counts": list[int], "banned": list[int], "stops": list[list[int]], "span": list[int]}
_EXAMPLE_SCHEMA = {
    "type": "object",
    "properties": {"animal": {"type": "string", "maxLength": 20}},
    "required": ["animal"],
    "additionalProperties": False,
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mO8IyfHgA0wMeAAg1MCAOBWAShOAhDlAAAA"
    "AElFTkSuQmCC"
)


class Body(BaseModel):
    """Declare the fields of an object; others are refused, and so are values of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class TextPart(Body):
    """Hold words."""

    type: Literal["text"]
    text: str


class ImageAddress(Body):
    """Hold a picture: a data URI, or an address where the server fetches pictures."""

    url: str = Field(description="`data:image/...;base64,...`; an http address only where the server fetches them.")
    detail: Literal["auto", "low", "high"] | None = Field(
        default=None, description="Read and without effect: a model cuts a picture in its own way."
    )


class ImagePart(Body):
    """Hold a picture."""

    type: Literal["image_url"]
    image_url: ImageAddress


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Parts = Annotated[list[Part], Field(min_length=1, max_length=_LONGEST_LIST)]


class Message(Body):
    """Hold one message of a dialogue, its last one the user's. Only the user shows pictures."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Parts | None = None
    name: str | None = Field(default=None, description="Not shown to the model.")
    refusal: None = None
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None


class TextFormat(Body):
    """Ask for plain text."""

    type: Literal["text"]


class ObjectFormat(Body):
    """Ask for a JSON object without lists or objects inside; fields and values are the model's choice."""

    type: Literal["json_object"]


class NamedSchema(Body):
    """Hold a JSON Schema. What it asks for is kept, strict or not; a schema that cannot be kept is refused."""

    name: str = Field(max_length=64)
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema", examples=[_EXAMPLE_SCHEMA])
    strict: bool | None = None


class SchemaFormat(Body):
    """Ask for JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


def _option_fields() -> dict[str, Any]:
    """Return each option of decoding as (type, field); None stands for the model's default."""
    made: dict[str, Any] = {}
    for declared in fields(DecodeOptions):
        option = OPTIONS[declared.name]
        if option.kind is object:
            continue
        choices = tuple(choice for choice in option.choices if choice is not None)
        kind: Any = Literal[choices] if choices else _KINDS.get(declared.name, option.kind)
        bounds = {"ge": option.minimum, "le": option.maximum, "gt": option.above}
        limits: dict[str, Any] = {name: value for name, value in bounds.items() if value is not None}
        if declared.name in _KINDS:
            limits = {"max_length": _LONGEST_LIST}
        made[declared.name] = (Annotated[kind, Field(**limits)] | None, Field(default=None, description=option.help))
    made["quality"] = (
        Literal["high", "balanced", "fast"] | None,
        Field(default=None, description="Steps, rule and cache as `lavida calibrate` measured."),
    )
    made["deadline"] = (
        float | Annotated[str, Field(max_length=40)] | None,
        Field(default=None, description="The same, the best that is ready in so many seconds, or `400ms`."),
    )
    made["regex"] = (
        Annotated[str, Field(max_length=10_000)] | None,
        Field(default=None, description="Regular expression that the whole answer matches."),
    )
    made["choices"] = (
        Annotated[list[str], Field(min_length=1, max_length=10_000)] | None,
        Field(default=None, description="Texts of which the answer is one."),
    )
    return made


_FIELDS = _option_fields()
OPTION_NAMES = tuple(_FIELDS)
_Options: Any = create_model("Options", __base__=Body, **_FIELDS)


class Ask(_Options):
    """Declare what every question has in common."""

    timeout: float | None = Field(default=None, gt=0, description="Seconds after which the answer is given up: 408.")
    user: str | None = Field(default=None, description="Read and without effect, as are the next two.")
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_what_asks_for_nothing(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for name in _NOTHING.keys() & data.keys() - cls.model_fields.keys():
            if data[name] is not None and not any(_same(data[name], value) for value in _NOTHING[name]):
                raise PydanticCustomError(
                    "unsupported", "this server does not do what {param} asks for; leave it out", {"param": name}
                )
        return {name: value for name, value in data.items() if name not in _NOTHING or name in cls.model_fields}

    def given(self) -> dict[str, Any]:
        """Return the options of decoding that were given, by name."""
        found = {name: getattr(self, name) for name in OPTION_NAMES}
        if found["top_p"] == 1:  # changes nothing at any temperature
            found["top_p"] = None
        return {name: value for name, value in found.items() if value is not None}


_LENGTH = Field(default=None, ge=1, le=MAX_LENGTH, description="Tokens of the canvas, as `length`; the longest answer.")


class Question(Ask):
    """Declare a dialogue to answer."""

    model: str | None = Field(default=None, description="As GET /v1/models lists them; the first if none is named.")
    messages: list[Message] = Field(min_length=1, max_length=_LONGEST_LIST)
    max_tokens: int | None = _LENGTH
    max_completion_tokens: int | None = _LENGTH
    stop: str | Annotated[list[str], Field(max_length=16)] | None = Field(
        default=None, description="Texts at the first of which the answer is cut off."
    )
    response_format: ResponseFormat | None = None

    @property
    def stops_at(self) -> tuple[str, ...]:
        """The texts at which the answer is cut off. Raises FieldError beside a form that the answer must keep."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        if not all(stop):
            raise FieldError("a stop is empty; leave it out", param="stop")
        if stop and (self.form or self.regex is not None or self.choices is not None):
            raise FieldError("stop would cut off what the form of the answer asks for; leave it out", param="stop")
        return stop

    @property
    def form(self) -> dict[str, Any]:
        """The option that holds the answer to the `response_format`, if that is not text."""
        asked = self.response_format
        if isinstance(asked, SchemaFormat):
            return {"schema": asked.json_schema.schema_}
        return {"regex": FLAT_OBJECT} if isinstance(asked, ObjectFormat) else {}

    def options(self) -> dict[str, Any]:
        """Return the options as `Model.ask` takes them. Raises FieldError for two that say different things."""
        found, form = self.given(), self.form
        if form and (self.regex is not None or self.choices is not None):
            raise FieldError("response_format and regex or choices ask for different forms; give one", param="regex")
        lengths = {self.length, self.max_tokens, self.max_completion_tokens} - {None}
        if len(lengths) > 1:
            raise FieldError("length, max_tokens and max_completion_tokens say the same; give one", param="max_tokens")
        length = {"length": lengths.pop()} if lengths else {}
        return {**found, **form, **length}


class StreamOptions(Body):
    """Say what a stream holds."""

    include_usage: bool | None = Field(default=None, description="End with a chunk that holds the usage.")
    include_obfuscation: Literal[False] | None = None


class ChatRequest(Question):
    """Ask as OpenAI's clients do; every option of decoding may stand beside their fields."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "lavida-mini",
                    "messages": [
                        {
                            "role": "user",
                            "content": [
                                {"type": "image_url", "image_url": {"url": PIXEL}},
                                {"type": "text", "text": "What colour is it?"},
                            ],
                        }
                    ],
                    "max_tokens": 16,
                    "steps": 8,
                }
            ]
        }
    )

    n: int | None = Field(
        default=None, ge=1, le=128, description="Answers, the first with the seed, each other with the next."
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = Field(
        default=None,
        description="The log-probability that each token had when it was committed; with remasking confidence.",
    )
    top_logprobs: Literal[0] | None = None
    draft: bool | None = Field(default=None, description="With stream: the canvas of each step in the key `lavida`.")
    holes: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="A text with holes [M], [M:4], [M:2-5]: the answer is this text with its holes filled.",
    )


class DenoiseRequest(Question):
    """Ask for the canvas after each step."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"messages": [{"role": "user", "content": "Describe the image."}], "length": 16, "steps": 8}]
        }
    )


def _flat_object() -> str:
    """Return the regular expression of a JSON object whose values are strings, numbers, true, false or null."""
    string = r'"([^"\\\x00-\x1f]|\\["\\/bfnrt])*"'
    number = r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?"
    pair = rf"{string}: ?({string}|{number}|true|false|null)"
    return rf"\{{{pair}(, ?{pair})*\}}"


FLAT_OBJECT = _flat_object()


def _same(given: Any, value: Any) -> bool:
    return given == value and isinstance(given, bool) == isinstance(value, bool)
