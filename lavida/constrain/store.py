"""Automata that were made before, in the user's cache folder: numbers only, as safetensors, found by a hash."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from lavida.constrain.grammar import Term
from lavida.constrain.tokens import TokenAutomaton
from lavida.text.spelling import Spelling

FORMAT = 1  # raised when terms come to mean something else
MOST_FILES = 256

_NAMES = [field.name for field in fields(TokenAutomaton)]


def key_of(term: Term, spelling: Spelling) -> str:
    """Under which the automaton of a term is kept."""
    return sha256(f"{FORMAT} {spelling.digest} {term!r}".encode()).hexdigest()


def fetch(key: str) -> TokenAutomaton | None:
    """A kept automaton; None if there is none, or only a broken one."""
    try:
        held = load_file(_folder() / f"{key}.safetensors")
        return TokenAutomaton(**{name: held[name] for name in _NAMES})
    except (OSError, SafetensorError, KeyError):
        return None


def keep(key: str, automaton: TokenAutomaton) -> None:
    """Write an automaton for later; nothing happens where nothing can be written."""
    with suppress(OSError):
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
        for file in files[: max(len(files) + 1 - MOST_FILES, 0)]:
            file.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:  # whole or not at all
            file.write(save({name: getattr(automaton, name) for name in _NAMES}))
        os.replace(file.name, folder / f"{key}.safetensors")


def _folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "lavida" / "constraints"
