"""Random languages, each with a text that is in it: what the property tests ask for."""

from __future__ import annotations

import json
import random
import re
from typing import Any

LETTERS = 'ab cd"\\,:é日1'


def random_regex(r: random.Random, depth: int = 3) -> tuple[str, str]:
    """A pattern and a text that it matches."""
    kind = r.choice("lllsscoqraa" if depth else "lllsc")
    if kind == "l":
        char = r.choice(LETTERS)
        return re.escape(char), char
    if kind == "s":
        shown = r.sample(LETTERS, r.randint(1, 4))
        return "[" + "".join(map(re.escape, shown)) + "]", r.choice(shown)
    if kind == "c":
        return r.choice([(".", r.choice(LETTERS)), (r"\d", "7"), (r"\w", "b"), ("[^a-c]", "é"), (r"\S", "日")])
    body, text = random_regex(r, depth - 1)
    if kind == "o":
        return f"(?:{body})?", r.choice(["", text])
    if kind == "q":
        return f"(?:{body})*", text * r.randint(0, 2)
    if kind == "r":
        least, more = r.randint(0, 3), r.randint(0, 3)
        return f"(?:{body}){{{least},{least + more}}}", text * least
    other, also = random_regex(r, depth - 1)
    if kind == "a" and r.random() < 0.5:
        return f"(?:{body}|{other})", r.choice([text, also])
    return body + other, text + also


def random_schema(r: random.Random, depth: int = 2) -> tuple[dict[str, Any], Any]:
    """A schema and a value that is valid by it."""
    kind = r.choice(
        ["string", "integer", "number", "enum", "const", "boolean", "null"] + ["array", "object", "any"] * depth
    )
    return _MAKERS[kind](r, depth)


def _string(r: random.Random, depth: int) -> tuple[dict[str, Any], Any]:
    if r.random() < 0.3:
        pattern, text = random_regex(r, 1)
        return {"type": "string", "pattern": f"^{pattern}$"}, text
    text = "".join(r.choice(LETTERS) for _ in range(r.randint(0, 3)))
    return {"type": "string", "minLength": max(len(text) - 1, 0), "maxLength": len(text) + r.randint(0, 3)}, text


def _integer(r: random.Random, depth: int) -> tuple[dict[str, Any], Any]:
    value = r.choice([0, 7, -3, 12, 100, -45])
    schema: dict[str, Any] = {"type": "integer"}
    if r.random() < 0.6:
        schema["minimum"] = value - r.randint(0, 9)
    if r.random() < 0.6:
        schema["exclusiveMaximum"] = value + r.randint(1, 30)
    if r.random() < 0.3:
        schema["multipleOf"] = r.choice([d for d in range(1, 20) if value % d == 0])
    return schema, value


def _number(r: random.Random, depth: int) -> tuple[dict[str, Any], Any]:
    value = r.choice([0, 1.5, -2.25, 10, 99.9])
    schema: dict[str, Any] = {"type": "number"}
    if r.random() < 0.6:
        schema["exclusiveMinimum"] = value - r.choice([0.5, 3, 1.25])
    if r.random() < 0.6:
        schema["maximum"] = value + r.choice([0, 0.1, 7])
    return schema, value


def _enum(r: random.Random, depth: int) -> tuple[dict[str, Any], Any]:
    values = r.sample(["red", "green", 'a"b', None, True, 3, -1.5, [], ["x", 1], {"k": "é"}], r.randint(1, 4))
    return {"enum": values}, r.choice(values)


def _const(r: random.Random, depth: int) -> tuple[dict[str, Any], Any]:
    value = r.choice(["yes", 12, {"a": [1, None]}])
    return {"const": value}, value


def _array(r: random.Random, depth: int) -> tuple[dict[str, Any], Any]:
    if r.random() < 0.3:
        parts = [random_schema(r, depth - 1) for _ in range(r.randint(1, 3))]
        return {"type": "array", "prefixItems": [one for one, _ in parts], "minItems": len(parts)}, [
            v for _, v in parts
        ]
    schema, value = random_schema(r, depth - 1)
    n = r.randint(0, 2)
    return {"type": "array", "items": schema, "minItems": max(n - 1, 0), "maxItems": n + r.randint(0, 2)}, [value] * n


def _object(r: random.Random, depth: int) -> tuple[dict[str, Any], Any]:
    names = r.sample(["a", "b", "kind", "é"], r.randint(1, 3))
    parts = {name: random_schema(r, depth - 1) for name in names}
    required = [name for name in names if r.random() < 0.6]
    value = {name: one for name, (_, one) in parts.items() if name in required or r.random() < 0.5}
    schema = {"type": "object", "properties": {name: one for name, (one, _) in parts.items()}, "required": required}
    return schema, value


def _any(r: random.Random, depth: int) -> tuple[dict[str, Any], Any]:
    branches = [random_schema(r, depth - 1) for _ in range(2)]
    return {"anyOf": [one for one, _ in branches]}, r.choice(branches)[1]


_MAKERS = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "enum": _enum,
    "const": _const,
    "boolean": lambda r, depth: ({"type": "boolean"}, r.random() < 0.5),
    "null": lambda r, depth: ({"type": "null"}, None),
    "array": _array,
    "object": _object,
    "any": _any,
}


def as_text(value: Any) -> str:
    """A value as the schemas' languages write it."""
    return json.dumps(value, ensure_ascii=False)
