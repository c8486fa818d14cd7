"""Write the question that asks a model to fill in a form from an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def form_question(schema: Mapping[str, Any] | bool) -> str:
    """Return a question made of a JSON Schema's title and the names of its fields."""
    given = schema if isinstance(schema, Mapping) else {}
    title, fields = given.get("title"), given.get("properties")
    names = ", ".join(map(str, fields)) if isinstance(fields, Mapping) else ""
    return f"Read the {title if isinstance(title, str) else 'image'} as JSON{': ' * bool(names)}{names}."
