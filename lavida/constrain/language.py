"""Turn what a caller asks for into a language: a regex, a JSON Schema, a choice of texts or a template."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from lavida.constrain.base import CONSTRAINTS
from lavida.constrain.dfa import Dfa, compile_capped
from lavida.constrain.grammar import Term, alt, largest_part, text, typical_text
from lavida.constrain.nfa import TooComplexError
from lavida.constrain.regex import regex_term
from lavida.constrain.tokens import TokenAutomaton, term_automaton
from lavida.errors import RequestError
from lavida.text.tokenizer import Vocabulary

LARGEST_SCHEMA = 1_000_000  # bytes of JSON
MOST_CHOICES, MOST_LETTERS = 10_000, 100_000
MOST_ROOM = 256  # tokens of a canvas whose length nobody has set
_METHODS = ("automaton", "room", "verify")


class Language(Protocol):
    """Represent a set of texts that an answer is held to."""

    def automaton(self, vocabulary: Vocabulary) -> TokenAutomaton:
        """Return the sequences of tokens that spell its texts. Raises RequestError if they make no automaton."""

    def room(self, vocabulary: Vocabulary) -> int:
        """Return the length of a canvas that holds an ordinary text and its end; 0 = any will do."""

    def verify(self, answer: str) -> None:
        """Raise RuntimeError for an answer outside the language, which is a fault of this package."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Texts:
    """Represent the `Language` of a term.

    `matches` tells, without tokens, whether a text is in it; `longest` is a text that a canvas should hold where no
    length is set, and `places` are the parts of a schema, by JSON pointer.
    """

    term: Term
    matches: Callable[[str], bool] | None = None  # None: by the automaton of the term
    longest: str = ""
    places: tuple[tuple[str, Term], ...] = ()

    @cached_property
    def dfa(self) -> Dfa:
        """The automaton of the term over bytes, without its longest texts if it would be too large."""
        try:
            return next(compile_capped(self.term))
        except TooComplexError as error:
            raise self._located(error) from None

    def automaton(self, vocabulary: Vocabulary) -> TokenAutomaton:
        """Return the sequences of tokens that spell its texts. Raises RequestError."""
        try:
            return term_automaton(self.term, vocabulary)
        except TooComplexError as error:
            raise self._located(error) from None

    def room(self, vocabulary: Vocabulary) -> int:
        """Return the tokens of an ordinary text, or of the longest one if it is known, with one that ends it."""
        if self.longest:
            return len(vocabulary.encode(self.longest)) + 1
        return min(len(vocabulary.encode(typical_text(self.term))) + 1, MOST_ROOM)

    def verify(self, answer: str) -> None:
        """Raise RuntimeError for an answer outside the language, which is a fault of this package."""
        if not (self.matches or self.dfa.accepts)(answer):
            raise RuntimeError(f"an answer broke its constraint, which is a fault of lavida: {answer!r}")

    def _located(self, error: TooComplexError) -> RequestError:
        if not self.places or error.located:
            return error
        place = largest_part(self.term, dict(self.places))
        return TooComplexError(f"the schema at {place}" if place else "the schema", located=True)


def regex_language(pattern: str) -> Texts:
    """Return the texts that `re.fullmatch` accepts. Raises RequestError."""
    if not isinstance(pattern, str):
        raise RequestError(f"a regex is a text, got {type(pattern).__name__}")
    return Texts(term=regex_term(pattern))  # matched by its automaton: `re` may take exponential time


def schema_language(schema: Any) -> Texts:
    """Return the JSON texts that are valid by a schema: a mapping, its JSON text, or the path of a file.

    Raises RequestError if the schema is malformed, or asserts what cannot be guaranteed.
    """
    from lavida.constrain.schema import SchemaReader  # jsonschema takes long to import
    from lavida.constrain.validate import as_json, validator

    if isinstance(schema, (str, Path)):
        schema = read_schema(schema)
    if not isinstance(schema, (Mapping, bool)):
        raise RequestError(f"a schema is an object, got {type(schema).__name__}; see json-schema.org")
    try:
        schema = as_json(schema)
        valid = validator(schema).is_valid
        reader = SchemaReader(schema)
        term = reader.term()
    except RecursionError:
        raise RequestError("the schema is nested too deeply; write it flatter") from None
    return Texts(term=term, matches=lambda answer: valid(json.loads(answer)), places=reader.places)


def choice_language(choices: Sequence[str]) -> Texts:
    """Return the language of several texts. Raises RequestError."""
    if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
        raise RequestError("choices are a list of at least one text")
    if not all(isinstance(choice, str) for choice in choices):
        raise RequestError("choices are a list of at least one text")
    if len(choices) > MOST_CHOICES or sum(map(len, choices)) > MOST_LETTERS:
        raise RequestError(f"too many choices; {MOST_CHOICES} of {MOST_LETTERS} letters in all are the most")
    longest = max(choices, key=lambda choice: len(choice.encode("utf-8", "surrogatepass")))
    return Texts(term=alt(text(choice) for choice in choices), matches=frozenset(choices).__contains__, longest=longest)


def language_of(asked: Mapping[str, Any]) -> Language | None:
    """Return the language of the options `regex`, `schema`, `choices` or `template`; None if all of them are None.

    A `template` is any `Language`. Raises RequestError if several are given.
    """
    given = {name: asked[name] for name in CONSTRAINTS if asked.get(name) is not None}
    if len(given) > 1:
        raise RequestError(f"{' and '.join(given)} cannot go together; ask for one of them")
    makers: dict[str, Callable[[Any], Language]] = {
        "regex": regex_language,
        "schema": schema_language,
        "choices": choice_language,
        "template": _template_language,
    }
    return next((makers[name](value) for name, value in given.items()), None)


def _template_language(template: Any) -> Language:
    if not all(callable(getattr(template, method, None)) for method in _METHODS):
        raise RequestError(
            f"a template is a lavida.constrain.template.Template or has the methods {', '.join(_METHODS)}, "
            f"got {type(template).__name__}"
        )
    return template


def read_schema(schema: str | Path) -> Any:
    """Read a file of JSON, or JSON text that begins with a brace. Raises RequestError."""
    try:
        path = Path(schema)
        is_file = isinstance(schema, Path) or not schema.lstrip("\ufeff \t\r\n").startswith("{")
        if is_file and path.stat().st_size > LARGEST_SCHEMA:
            raise RequestError(f"{path} has {path.stat().st_size} bytes; a schema has {LARGEST_SCHEMA} at most")
        source = path.read_text(encoding="utf-8-sig") if is_file else str(schema).lstrip("\ufeff")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8"
        raise RequestError(f"cannot read the schema {str(schema)[:80]!r} ({reason}); name a file of JSON") from None
    if len(source) > LARGEST_SCHEMA:
        raise RequestError(f"the schema has {len(source)} characters; {LARGEST_SCHEMA} are the most")
    try:
        return json.loads(source, parse_constant=partial(_no_number, str(schema)[:80]))
    except ValueError as error:  # JSON that is malformed, or an integer of thousands of digits
        raise RequestError(f"the schema is not JSON ({error}); mend it") from None
    except RecursionError:
        raise RequestError("the schema is nested too deeply; write it flatter") from None


def _no_number(where: str, name: str) -> NoReturn:
    raise RequestError(f"the schema {where!r} holds {name}, which is no JSON; write a number")
