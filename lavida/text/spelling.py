"""Find the bytes that each token of a byte-level tokenizer adds to a text."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from lavida.errors import RequestError
from lavida.text.tokenizer import Vocabulary


@dataclass(frozen=True, kw_only=True, eq=False)
class Spelling:
    """Hold what tokens add: token i adds `data[starts[i] : starts[i + 1]]`, special tokens nothing."""

    data: np.ndarray[Any, Any]  # uint8
    starts: np.ndarray[Any, Any]  # int64 [V + 1]

    @classmethod
    def of(cls, tokens: list[bytes]) -> Spelling:
        """Build it from the bytes of each token."""
        lengths = np.array([len(token) for token in tokens], dtype=np.int64)
        return cls(
            data=np.frombuffer(b"".join(tokens), dtype=np.uint8), starts=np.concatenate(([0], np.cumsum(lengths)))
        )

    @property
    def size(self) -> int:
        """The number of tokens."""
        return len(self.starts) - 1

    @cached_property
    def digest(self) -> str:
        """A hash of the spelling."""
        return sha256(self.data.tobytes() + self.starts.tobytes()).hexdigest()

    def bytes_of(self, i: int) -> bytes:
        """Return what one token adds."""
        return self.data[self.starts[i] : self.starts[i + 1]].tobytes()


@lru_cache(maxsize=4)
def spell(vocabulary: Vocabulary) -> Spelling:
    """Return the spelling of a tokenizer. Raises RequestError unless it is a byte-level one."""
    backend = vocabulary.backend()
    if type(backend.decoder).__name__ != "ByteLevel":
        raise RequestError("constraints take a byte-level tokenizer, and this model has another; ask without one")
    alphabet = _alphabet()
    to_bytes, letters = str.maketrans(alphabet), frozenset(alphabet)
    tokens = [b""] * vocabulary.size
    for token, i in backend.get_vocab(with_added_tokens=True).items():
        if i not in vocabulary.special_ids:  # what is not written in the alphabet stands for itself, as in the decoder
            plain = letters.issuperset(token)
            tokens[i] = token.translate(to_bytes).encode("latin-1") if plain else token.encode()
    return Spelling.of(tokens)


def _alphabet() -> dict[str, str]:
    """Return the letters of byte-level BPE (GPT-2's) for each byte: printable ones as they are, others from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): chr(byte) for byte in printable} | {chr(256 + i): chr(byte) for i, byte in enumerate(others)}
