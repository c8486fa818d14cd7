"""Turn what a caller asks for into a language: a regex, a JSON Schema, a choice of texts or a template."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Protocol

from lavida.constrain.base import CONSTRAINTS
from lavida.constrain.dfa import CAPS, Dfa, compile_capped, compile_term
from lavida.constrain.grammar import Term, alt, capped, text, typical_text
from lavida.constrain.nfa import Budget, TooComplexError
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
    length is set, and `places` are the parts of a schema, the innermost first, and what messages call them.
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
        """Implement `Language.automaton`."""
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
        """Implement `Language.verify`."""
        if not (self.matches or self.dfa.accepts)(answer):
            raise RuntimeError(f"an answer broke its constraint, which is a fault of lavida: {answer!r}")

    def _located(self, error: TooComplexError) -> TooComplexError:
        """Return an error that names the innermost part of a schema that is too complex by itself."""
        work = Budget.work
        for name, part in self.places:
            budget = Budget()
            try:
                compile_term(capped(part, CAPS[-1]), budget)
            except TooComplexError:
                return TooComplexError(name)
            if (work := work + budget.work - Budget.work) < 0:
                break
        return TooComplexError("the schema") if self.places else error


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
    return Texts(term=term, matches=lambda answer: valid(json.loads(answer)), places=tuple(reader.places.items()))


def choice_language(choices: Sequence[str]) -> Texts:
    """Return the language of several texts. Raises RequestError."""
    listed = isinstance(choices, Sequence) and not isinstance(choices, str)
    if not listed or not choices or not all(isinstance(choice, str) for choice in choices):
        raise RequestError("choices are a list of at least one text")
    if len(choices) > MOST_CHOICES or sum(map(len, choices)) > MOST_LETTERS:
        raise RequestError(f"too many choices; {MOST_CHOICES} of {MOST_LETTERS} letters in all are the most")
    longest = max(choices, key=lambda choice: len(choice.encode("utf-8", "surrogatepass")))
    return Texts(term=alt(text(choice) for choice in choices), matches=frozenset(choices).__contains__, longest=longest)


def language_of(asked: Mapping[str, Any]) -> Language | None:
    """Return the language of one of the options `CONSTRAINTS`, None if all are None. Raises RequestError if several."""
    given = {name: asked[name] for name in CONSTRAINTS if asked.get(name) is not None}
    if len(given) > 1:
        raise RequestError(f"{' and '.join(given)} cannot go together; ask for one of them")
    for name, value in given.items():
        return _MAKERS[name](value)
    return None


def _template_language(template: Any) -> Language:
    if not all(callable(getattr(template, method, None)) for method in _METHODS):
        raise RequestError(
            f"a template is a lavida.constrain.template.Template or has the methods {', '.join(_METHODS)}, "
            f"got {type(template).__name__}"
        )
    return template


_MAKERS: dict[str, Callable[[Any], Language]] = {
    "regex": regex_language,
    "schema": schema_language,
    "choices": choice_language,
    "template": _template_language,
}


def read_schema(schema: str | Path) -> Any:
    """Read a file of JSON, or JSON text that begins with a brace. Raises RequestError."""
    name = repr(str(schema)[:80])

    def refuse(constant: str) -> NoReturn:
        raise RequestError(f"the schema {name} holds {constant}, which is no JSON; write a number")

    try:
        data = str(schema).lstrip("\ufeff").encode()
        if isinstance(schema, Path) or not data.lstrip().startswith(b"{"):
            with open(schema, "rb") as file:
                data = file.read(LARGEST_SCHEMA + 1)
        if len(data) > LARGEST_SCHEMA:
            raise RequestError(f"the schema {name} has too many bytes; a schema has {LARGEST_SCHEMA} at most")
        source = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8"
        raise RequestError(f"cannot read the schema {name} ({reason}); name a file of JSON") from None
    try:
        return json.loads(source, parse_constant=refuse)
    except ValueError as error:  # JSON that is malformed, or an integer of thousands of digits
        raise RequestError(f"the schema is not JSON ({error}); mend it") from None
    except RecursionError:
        raise RequestError("the schema is nested too deeply; write it flatter") from None
