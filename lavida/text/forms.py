"""What a model is asked when a form is to be filled in from a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def form_question(schema: Mapping[str, Any]) -> str:
    """The question that a JSON Schema amounts to: its title and the names of its fields."""
    names = ", ".join(schema.get("properties", ()))
    return f"Read the {schema.get('title', 'image')} as JSON{': ' * bool(names)}{names}."
