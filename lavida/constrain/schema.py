"""Read JSON Schemas as terms.

A value is written as `json.dumps` would, with or without a space behind commas and colons. What is written is valid,
and not all that is valid can be written: properties stand in the schema's order, only those that it names; numbers have
no exponent. A keyword that asserts something and cannot be kept is refused by name; everything else that a schema may
hold is an annotation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from lavida.constrain.grammar import EMPTY, NOTHING, Listed, Repeat, Term, alt, optional, seq, text
from lavida.constrain.regex import regex_term
from lavida.constrain.scalars import COLON, COMMA, FORMATS, counts, literal, number, string
from lavida.constrain.validate import check_schema, disjoint, escape, finds, separating_names, size_of, validator
from lavida.errors import RequestError

MOST_NODES = 2_000  # schemas inside the schema, each counted as often as it is referred to
MOST_BRANCHES = 500  # of a oneOf
MOST_CHECKS = 200_000  # listed values times the values in what else is said about them

# Keywords that assert something about any value, or about values of a type, and that cannot be guaranteed.
_REFUSED = ("not", "$dynamicRef", "$recursiveRef", "extends", "disallow")
_REFUSED_OF = {
    "array": ("contains", "uniqueItems", "unevaluatedItems"),
    "object": ("propertyNames", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties"),
    "number": ("divisibleBy",),
    "integer": ("divisibleBy",),
}
# Keywords that speak of a type, which is meant where a schema names none.
_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_ASSERTING = frozenset(
    {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "if", *_REFUSED}.union(
        *_KEYWORDS.values(), *_REFUSED_OF.values()
    )
)


@dataclass(frozen=True)
class _Part:
    """Hold one of the schemas that a value has to satisfy."""

    schema: Mapping[str, Any]
    where: str  # a JSON pointer, for messages
    resolver: Any
    open: tuple[int, ...] = ()  # the schemas whose references led here
    beside: bool = False  # whether others hold for the same value that this one does not know of

    def at(self, *path: str | int, schema: Any) -> _Part:
        """Return the part of a schema further down."""
        where = self.where + "".join(f"/{escape(str(name))}" for name in path)
        return replace(self, schema=schema, where=where, beside=False)

    def without(self, *keywords: str) -> _Part:
        """Return the part without some of its keywords."""
        return replace(self, schema={key: value for key, value in self.schema.items() if key not in keywords})


class SchemaReader:
    """Read one schema; `places` holds the terms of its parts and what messages call them, once `term` was called."""

    def __init__(self, schema: Any) -> None:
        self._root, self._nodes = schema, 0
        self._checked: set[int] = set()
        self._validator = validator(schema)
        self.places: dict[str, Term] = {}

    def term(self) -> Term:
        """Return the texts that are valid by the schema and that this module writes. Raises RequestError."""
        resolver = Registry().resolver_with_root(DRAFT202012.create_resource(self._root))
        return self._term([_Part(self._root, "", resolver)])

    def _term(self, parts: Sequence[_Part], where: str | None = None) -> Term:
        """Return the values that are valid by all the parts; `where` names them in messages."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise RequestError(f"the schema has more than {MOST_NODES} parts; make it smaller")
        where = parts[0].where if where is None else where
        flat = list(self._flat(parts))
        if any(part.schema is False for part in flat):
            return NOTHING
        flat = [part for part in flat if isinstance(part.schema, dict) and _ASSERTING & set(part.schema)]
        for part in flat:
            if "const" in part.schema or "enum" in part.schema:
                return self._listed(part, [other for other in flat if other is not part])
        for part in flat:
            _check(part, _REFUSED)
            if "if" in part.schema and {"then", "else"} & set(part.schema):
                _refuse(part.where, "uses 'if', which cannot be guaranteed", "write the cases as anyOf")
        for keyword in ("anyOf", "oneOf"):
            for i, part in enumerate(flat):
                if keyword in part.schema:
                    return self._branches(flat, i, keyword, where)
        kinds = _kinds(part.schema for part in flat)
        if kinds is None:
            _refuse(where, "allows any value", "give a type")
        term = alt([self._of_type(kind, flat, where) for kind in kinds])
        self.places.setdefault(_named(where), term)
        return term

    def _flat(self, parts: Iterable[_Part]) -> Iterator[_Part]:
        """Yield the parts with what they refer to and combine by allOf as parts of their own."""
        for part in parts:
            if isinstance(part.schema, bool):
                yield part
                continue
            own = part.without("$ref", "allOf", "$id").schema
            if "$id" in part.schema and part.schema is not self._root:  # which its references are relative to
                with _located(part.where):
                    inside = part.resolver.in_subresource(DRAFT202012.create_resource(part.schema))
                part = replace(part, resolver=inside)
            yield replace(part, schema=own)
            inner = [part.at("allOf", i, schema=one) for i, one in enumerate(part.schema.get("allOf", ()))]
            if "$ref" in part.schema:
                inner.append(self._referred(part))
            beside = part.beside or len(inner) > 1 or bool(_ASSERTING & set(own))
            yield from self._flat(replace(one, beside=beside) for one in inner)

    def _referred(self, part: _Part) -> _Part:
        target = part.schema["$ref"]
        try:
            found = part.resolver.lookup(target)
        except (Unresolvable, LookupError, TypeError, ValueError, AttributeError):
            if target.startswith("#"):
                _refuse(part.where, f"refers to {target!r}, which is not in it", "define it under $defs")
            _refuse(part.where, f"refers to {target!r}, outside of itself", "copy that under $defs")
        schema = found.contents
        if id(schema) in part.open:
            _refuse(part.where, f"is recursive ({target})", "write out as many levels as are needed")
        where = target[1:] if target.startswith("#/") else target
        if id(schema) not in self._checked:  # it may stand where its metaschema does not look
            check_schema(schema, where)
            self._checked.add(id(schema))
        return _Part(schema, where, found.resolver, (*part.open, id(schema)))

    def _listed(self, part: _Part, others: Sequence[_Part]) -> Term:
        """Return the values of the enum or const of a part that its other keywords and the other parts allow."""
        keyword = "const" if "const" in part.schema else "enum"
        values = [part.schema["const"]] if keyword == "const" else part.schema["enum"]
        schemas = [part.without(keyword).schema, *(other.schema for other in others)]
        with _located(part.where):
            for schema in (schema for schema in schemas if _ASSERTING & set(schema)):
                if len(values) * size_of(schema) > MOST_CHECKS:
                    _refuse(part.where, "lists many values beside other keywords", "leave those out")
                values = list(filter(self._validator.evolve(schema=schema).is_valid, values))
            return alt([literal(value) for value in values])

    def _branches(self, flat: Sequence[_Part], i: int, keyword: str, where: str) -> Term:
        """Return any of the branches of one part, each with all the other parts."""
        part = flat[i]
        rest = part.without(keyword)
        # The first part stands above the others; all besides it know nothing of the branch.
        others = [rest if j == i else replace(other, beside=other.beside or j > 0) for j, other in enumerate(flat)]
        beside = part.beside or len(flat) > 1 or bool(_ASSERTING & set(rest.schema))
        below = [part.at(keyword, j, schema=one) for j, one in enumerate(part.schema[keyword])]
        branches = [replace(branch, beside=beside) for branch in below]
        needed = self._apart(part, branches) if keyword == "oneOf" and len(branches) > 1 else [[]] * len(branches)
        terms = []
        for branch, names in zip(branches, needed, strict=True):
            required = [replace(branch, schema={"type": "object", "required": names})] if names else []
            terms.append(self._term([*others, branch, *required], branch.where))
        return alt(terms)

    def _apart(self, part: _Part, branches: Sequence[_Part]) -> list[list[str]]:
        """Return the properties to require in each branch, so that no value is valid by two of them."""
        if len(branches) > MOST_BRANCHES:
            _refuse(part.where, f"has a oneOf of {len(branches)} branches", f"take {MOST_BRANCHES} at most, or anyOf")

        def resolved(branch: _Part) -> list[Any]:
            return [one.schema for one in self._flat([branch]) if one.schema is not True]

        def resolve(schema: Any) -> list[Any]:
            return resolved(replace(part, schema=schema))

        sides = list(map(resolved, branches))
        needed: list[dict[str, None]] = [{} for _ in branches]
        for i, side in enumerate(sides):
            for j, other in enumerate(sides[:i]):
                if disjoint(side, other, resolve):
                    continue
                names = separating_names(side, other, resolve)
                if not names:
                    _refuse(part.where, "has a oneOf whose branches may overlap", "use anyOf, or a const in each")
                name = next((name for name in names if name in needed[j]), names[0])
                needed[i][name] = needed[j][name] = None
        return [list(names) for names in needed]

    def _of_type(self, kind: str, flat: Sequence[_Part], where: str) -> Term:
        schemas = [part.schema for part in flat]
        most = counts(schemas, "minItems", "maxItems")[1]
        for part in flat:
            _check(part, _REFUSED_OF.get(kind, ()), single=most is not None and most < 2)
        with _located(where):
            match kind:
                case "null":
                    return text("null")
                case "boolean":
                    return alt([text("true"), text("false")])
                case "string":
                    return string(schemas, [self._pattern(part) for part in flat if "pattern" in part.schema])
                case "number" | "integer":
                    return number(schemas, whole=kind == "integer")
        return self._array(flat, where) if kind == "array" else self._object(flat, where)

    def _pattern(self, part: _Part) -> Term:
        term = regex_term(part.schema["pattern"], search=True)
        return self.places.setdefault(f"the pattern of {_named(part.where)}", term)

    def _array(self, flat: Sequence[_Part], where: str) -> Term:
        least, most = counts([part.schema for part in flat], "minItems", "maxItems")
        given = max(len(part.schema.get("prefixItems", ())) for part in flat)
        given = given if most is None else min(given, most)
        first = [self._items_at(flat, i, f"{where}/prefixItems/{i}") for i in range(given)]
        more: Term = NOTHING
        if (most is None or most > given) and (not first or any("items" in part.schema for part in flat)):
            more = self._items_at(flat, given, f"{where}/items")
        if more == NOTHING:
            most = given
        elif not first:
            first = [more]
        if most is not None and least > most:
            return NOTHING
        rest = None if most is None else most - len(first)
        items: Term = Repeat(seq(COMMA, more), max(least - len(first), 0), rest)
        for i in range(len(first) - 1, -1, -1):
            items = seq(COMMA if i else EMPTY, first[i], items)
            items = items if i < least else optional(items)
        return seq(text("["), items, text("]"))

    def _items_at(self, flat: Sequence[_Part], i: int, where: str) -> Term:
        """Return the items at a place, of which the one behind all `prefixItems` stands for those that follow."""
        found = []
        for part in flat:
            listed = part.schema.get("prefixItems", ())
            if i < len(listed):
                found.append(part.at("prefixItems", i, schema=listed[i]))
            elif "items" in part.schema:
                found.append(part.at("items", schema=part.schema["items"]))
        return self._together(found, where)

    def _together(self, parts: Sequence[_Part], where: str) -> Term:
        if not parts:
            _refuse(where, "allows any value", "give a type")
        return self._term([replace(part, beside=len(parts) > 1) for part in parts])

    def _object(self, flat: Sequence[_Part], where: str) -> Term:
        schemas = [part.schema for part in flat]
        least, most = counts(schemas, "minProperties", "maxProperties")
        named = dict.fromkeys(name for schema in schemas for name in schema.get("properties", ()))
        required = dict.fromkeys(name for schema in schemas for name in schema.get("required", ()))
        members: dict[str, Term] = {}
        for name in named | required:
            found = [below for part in flat for below in _property(part, name)]
            if not found:
                _refuse(where, f"requires {name!r} and does not describe it", "put it among the properties")
            if all(below.schema is not False for below in found):
                with _located(where):
                    label = literal(name)
                members[name] = seq(label, COLON, self._together(found, found[0].where))
            elif name in required:
                return NOTHING
        if not named | required and most != 0 and not any(map(_is_closed, schemas)):
            _refuse(where, "is an object without properties", "name those that it has")
        listed = Listed(tuple(members.values()), tuple(name in required for name in members), COMMA, least, most)
        return seq(text("{"), listed, text("}"))


def _is_closed(schema: Mapping[str, Any]) -> bool:
    return schema.get("additionalProperties") is False and not schema.get("patternProperties")


def _property(part: _Part, name: str) -> Iterator[_Part]:
    """Yield the schemas that a part has for a property."""
    found = []
    if name in part.schema.get("properties", ()):
        found.append(("properties", name))
    with _located(part.where):
        found += [("patternProperties", one) for one in part.schema.get("patternProperties", ()) if finds(one, name)]
    for path in found:
        yield part.at(*path, schema=part.schema[path[0]][path[1]])
    if not found and part.schema.get("additionalProperties", True) not in (True, {}):
        yield part.at("additionalProperties", schema=part.schema["additionalProperties"])


def _kinds(schemas: Iterable[Mapping[str, Any]]) -> list[str] | None:
    """Return the types that all the schemas allow, or that their keywords speak of; None if they speak of none."""
    schemas = list(schemas)
    given = [[s["type"]] if isinstance(s["type"], str) else s["type"] for s in schemas if "type" in s]
    if not given:
        spoken = [kind for kind, keywords in _KEYWORDS.items() if any(set(keywords) & set(s) for s in schemas)]
        if any(s.get("format") in FORMATS for s in schemas) and "string" not in spoken:
            spoken.append("string")
        return spoken or None
    wide = [{*kinds, "integer"} if "number" in kinds else set(kinds) for kinds in given]
    kinds = [kind for kind in dict.fromkeys([*given[0], "integer"]) if all(kind in one for one in wide)]
    return [kind for kind in kinds if kind != "integer" or "number" not in kinds]


def _check(part: _Part, refused: Sequence[str], *, single: bool = False) -> None:
    """Refuse keywords that cannot be guaranteed, unless they assert nothing; `single` arrays hold one item at most."""
    for keyword in refused:
        if keyword not in part.schema:
            continue
        value = part.schema[keyword]
        asserts = {
            "not": True,
            "contains": True,
            "uniqueItems": value and not single,
            "unevaluatedItems": part.beside,  # only what its own schema describes is written
            "unevaluatedProperties": part.beside,
        }
        if asserts.get(keyword, value not in (True, {}, [])):
            _refuse(part.where, f"uses {keyword!r}, which cannot be guaranteed", "leave it out")


@contextmanager
def _located(where: str) -> Iterator[None]:
    """Name a place of the schema in the refusals of what knows nothing of schemas."""
    try:
        yield
    except _RefusedError:
        raise
    except Unresolvable as error:
        _refuse(where, f"refers to {error.ref!r}, which is not in it", "define it under $defs")
    except RequestError as error:
        raise _RefusedError(f"{_named(where)}: {error}") from None


class _RefusedError(RequestError):
    """Report a refusal that names its place."""


def _named(where: str) -> str:
    return f"the schema{f' at {where}' if where else ''}"


def _refuse(where: str, what: str, remedy: str) -> NoReturn:
    raise _RefusedError(f"{_named(where)} {what}; {remedy}")
