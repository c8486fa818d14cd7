"""What a caller asks for: a regex, a JSON Schema or a choice of texts, each a term and an independent check."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from lavida.constrain.base import CONSTRAINTS
from lavida.constrain.compile import term_automaton
from lavida.constrain.dfa import compile_term
from lavida.constrain.grammar import Term, alt, text
from lavida.constrain.regex import regex_term
from lavida.constrain.schema import MOST_LETTERS, schema_term, validator
from lavida.constrain.tokens import TokenAutomaton
from lavida.errors import RequestError
from lavida.text.tokenizer import Vocabulary

LARGEST_SCHEMA = 1_000_000  # bytes of JSON
MOST_CHOICES = 10_000


class Language(Protocol):
    """A set of texts that an answer is held to."""

    def automaton(self, vocabulary: Vocabulary) -> TokenAutomaton:
        """The sequences of tokens that spell its texts. Raises RequestError if they make no automaton."""

    def room(self, vocabulary: Vocabulary) -> int:
        """Tokens that a canvas needs at least so that no text is left out only because it is long; 0 = any will do."""

    def verify(self, answer: str) -> None:
        """Raises RuntimeError for an answer outside the language, which is a fault of this package."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The `Language` of a term; `matches` tells without tokens whether a text is in it."""

    term: Term
    matches: Callable[[str], bool] = field(compare=False)
    longest: str = ""  # a text that should fit where no length is asked for

    def automaton(self, vocabulary: Vocabulary) -> TokenAutomaton:
        """The sequences of tokens that spell its texts. Raises RequestError."""
        return term_automaton(self.term, vocabulary)

    def room(self, vocabulary: Vocabulary) -> int:
        """Tokens of the longest text, with one that ends it."""
        return len(vocabulary.encode(self.longest)) + 1 if self.longest else 0

    def verify(self, answer: str) -> None:
        """Raises RuntimeError for an answer outside the language, which is a fault of this package."""
        if not self.matches(answer):
            raise RuntimeError(f"an answer broke its constraint, which is a fault of lavida: {answer!r}")


def regex_language(pattern: str) -> Texts:
    """The texts that `re.fullmatch` accepts. Raises RequestError."""
    if not isinstance(pattern, str):
        raise RequestError(f"a regex is a text, got {type(pattern).__name__}")
    term = regex_term(pattern)  # matched by its automaton: `re` may take exponential time
    return Texts(term=term, matches=lambda answer: compile_term(term).accepts(answer))


def schema_language(schema: Any) -> Texts:
    """JSON that is valid by a schema: a mapping, its JSON text, or the path of a file. Raises RequestError."""
    if isinstance(schema, (str, Path)):
        schema = read_schema(schema)
    if not isinstance(schema, (Mapping, bool)):
        raise RequestError(f"a schema is an object, got {type(schema).__name__}; see json-schema.org")
    try:
        valid = validator(schema).is_valid
    except RecursionError:
        raise RequestError("the schema is nested too deeply; write it flatter") from None
    return Texts(term=schema_term(schema), matches=lambda answer: valid(json.loads(answer)))


def choice_language(choices: Sequence[str]) -> Texts:
    """One of several texts. Raises RequestError."""
    if isinstance(choices, str) or not choices or not all(isinstance(one, str) for one in choices):
        raise RequestError("choices are a list of at least one text")
    if len(choices) > MOST_CHOICES or sum(map(len, choices)) > MOST_LETTERS:
        raise RequestError(f"too many choices; {MOST_CHOICES} of {MOST_LETTERS} letters in all are the most")
    longest = max(choices, key=lambda one: len(one.encode("utf-8", "surrogatepass")))
    return Texts(term=alt(text(one) for one in choices), matches=frozenset(choices).__contains__, longest=longest)


def language_of(asked: Mapping[str, Any]) -> Language | None:
    """The language of `regex`, `schema` or `choices`, or the `template` itself, a `Language` of another making.

    None if all of them are. Raises RequestError.
    """
    given = {name: asked[name] for name in CONSTRAINTS if asked.get(name) is not None}
    if len(given) > 1:
        raise RequestError(f"{' and '.join(given)} cannot go together; ask for one of them")
    makers = {"regex": regex_language, "schema": schema_language, "choices": choice_language}
    return next((makers[name](value) if name in makers else value for name, value in given.items()), None)


def read_schema(schema: str | Path) -> Any:
    """What a file of JSON, or JSON text that begins with a brace, holds. Raises RequestError."""
    try:
        path = Path(schema)
        is_file = isinstance(schema, Path) or not schema.lstrip().startswith("{")
        if is_file and path.stat().st_size > LARGEST_SCHEMA:
            raise RequestError(f"{path} has {path.stat().st_size} bytes; a schema has {LARGEST_SCHEMA} at most")
        source = path.read_text(encoding="utf-8") if is_file else str(schema)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise RequestError(f"cannot read the schema {str(schema)[:80]!r} ({reason}); name a file of JSON") from None
    if len(source) > LARGEST_SCHEMA:
        raise RequestError(f"the schema has {len(source)} characters; {LARGEST_SCHEMA} are the most")
    try:
        return json.loads(source, parse_constant=partial(_no_number, str(schema)[:80]))
    except json.JSONDecodeError as error:
        raise RequestError(f"the schema is not JSON ({error}); mend it") from None
    except RecursionError:
        raise RequestError("the schema is nested too deeply; write it flatter") from None


def _no_number(where: str, name: str) -> NoReturn:
    raise RequestError(f"the schema {where!r} holds {name}, which is no JSON; write a number")
