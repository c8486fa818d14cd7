"""A thin interface to tokenizers, and the byte-level BPE of lavida-mini.

No text becomes a control token, such as the mask or the end of a turn, whatever the tokenizer's file says of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as _Tokenizer

from lavida.errors import CheckpointError, RequestError

EOS, MASK, USER, ASSISTANT, NOTHING = "<|eos|>", "<|mask|>", "<|user|>", "<|assistant|>", "<|nothing|>"
FIM, SPAN = "<|fim|>", "<|span|>"
# How certain the tower's own classifier is of the name that it hints at.
HINTS = ("<|hint:sure|>", "<|hint:maybe|>", "<|hint:guess|>")
SPECIAL = (EOS, MASK, USER, ASSISTANT, NOTHING, FIM, SPAN, *HINTS, *(f"<|spare{i}|>" for i in range(6)))
_MARKUP = re.compile(r"<\|[^<>|]+\|>")
_PLAIN = re.compile(r"[\w\s]+|[^\w\s]+")  # words or punctuation: an added token of such is text, unless it has a role
CHINESE = re.compile(r"[\u3001-\u303f\u3400-\u9fff\uff00-\uffef]")
_MAYBE_CHINESE = re.compile(rf"{CHINESE.pattern}|[\u00e3-\u00e9\u00ef]")  # as it is, or as a byte-level BPE spells it


class Vocabulary:
    """Turn text into ids and back; the interface of every tokenizer here.

    `end_ids` end a text: it is decoded up to the first of them. `control_ids` are further tokens that stand for no
    text, such as the mask.
    """

    adds_space = False  # whether `encode` reads every text as if a space stood before it

    def __init__(
        self, backend: _Tokenizer, *, end_ids: Collection[int] = (), control_ids: Collection[int] = ()
    ) -> None:
        self._backend = _marked(backend, {*end_ids, *control_ids})
        self._backend.encode_special_tokens = True  # special tokens that a text spells are split as text
        self._control = frozenset(control_ids)
        self.size = max(backend.get_vocab().values(), default=-1) + 1  # ids from here on stand for nothing
        self.end_ids = tuple(end_ids)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._backend.encode_special_tokens = True  # a copy of the backend, such as a worker process gets, forgets it

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json`."""
        self._backend.save(str(Path(folder) / "tokenizer.json"))

    def backend(self) -> _Tokenizer:
        """Return a copy for code that works on `tokenizers` itself."""
        return _Tokenizer.from_str(self._backend.to_str())

    def id_of(self, token: str) -> int:
        """Return the id of a token by its exact spelling. Raises CheckpointError if there is none."""
        i = self._backend.token_to_id(token)
        if i is None:
            raise CheckpointError(
                f"the tokenizer has no token {token!r}; take the tokenizer.json that belongs to the model"
            )
        return i

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Return the control tokens, which stand for no text."""
        added = {i for i, token in self._backend.get_added_tokens_decoder().items() if token.special}
        spelled = {i for token, i in self._backend.get_vocab().items() if _MARKUP.fullmatch(token)}
        return frozenset(added | spelled | self._control)

    @cached_property
    def unspaced_ids(self) -> tuple[int, ...]:
        """Return the tokens of text that begin without a space."""
        return tuple(i for i in range(self.size) if i not in self.special_ids and not self.token(i).startswith(" "))

    @cached_property
    def chinese_ids(self) -> tuple[int, ...]:
        """Return the tokens of text that hold a Chinese character or its punctuation."""
        spelled = ((i, self._backend.id_to_token(i)) for i in range(self.size))
        likely = [i for i, token in spelled if token and _MAYBE_CHINESE.search(token) and i not in self.special_ids]
        texts = self._backend.decode_batch([[i] for i in likely], skip_special_tokens=False)
        return tuple(i for i, text in zip(likely, texts, strict=True) if CHINESE.search(text))

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, none of them in `special_ids`.

        Raises:
            RequestError: The text is no Unicode, such as bytes of another encoding.
        """
        return self.encode_on(text)

    def encode_on(self, text: str) -> list[int]:
        """Return the ids of a text that follows another one: nothing is put before it. Errors as in `encode`."""
        try:
            encoding = self._backend.encode(text, add_special_tokens=False)
        except TypeError:
            raise RequestError("the text is not valid Unicode; write it in UTF-8") from None
        ids: list[int] = encoding.ids
        if self.special_ids.isdisjoint(ids):
            return ids
        return self._encode_around(text, ids, encoding.offsets)

    def _encode_around(self, text: str, ids: list[int], offsets: list[tuple[int, int]]) -> list[int]:
        """Encode text in which the model itself found a control token: in pieces that end within its spelling."""
        start, end = next(span for i, span in zip(ids, offsets) if i in self.special_ids)
        cut = (start + end) // 2
        if not 0 < cut < len(text):
            raise RequestError(
                f"the tokenizer has no other token for {text[start:end]!r:.40} than a control token; leave it out"
            )
        return self.encode_on(text[:cut]) + self.encode_on(text[cut:])

    def decode(self, ids: Iterable[int], *, exact: bool = False) -> str:
        """Return the text up to the first end token, without special tokens; stripped unless `exact`."""
        kept = [int(i) for i in takewhile(lambda i: i not in self.end_ids, ids)]
        kept = [i for i in kept if i not in self.special_ids]
        text: str = self._backend.decode(kept, skip_special_tokens=True)
        if exact:
            return text.removeprefix(" ") if self.adds_space else text
        return text.strip()

    def token(self, i: int) -> str:
        """Return the text of one id, special tokens spelled out."""
        text: str = self._backend.decode([int(i)], skip_special_tokens=False)
        return text


def read_backend(path: Path) -> _Tokenizer:
    """Read a `tokenizer.json`. Raises CheckpointError if it is missing or broken."""
    try:
        return _Tokenizer.from_str(path.read_text(encoding="utf-8-sig"))
    except Exception as error:  # the backend raises bare Exceptions
        raise broken_tokenizer(path, error) from None


def broken_tokenizer(path: Path, error: Exception) -> CheckpointError:
    """Return the error for a tokenizer that cannot be read."""
    reason = " ".join(str(error).split())
    try:
        with path.open("rb") as file:
            if file.read(24).startswith(b"version https://git-lfs"):
                reason = "a git-lfs pointer; run `git lfs pull` in that folder"
    except OSError:
        pass
    return CheckpointError(f"cannot read the tokenizer {path} ({reason}); fetch its files again")


def _marked(backend: _Tokenizer, control: Collection[int]) -> _Tokenizer:
    """Return a backend whose added tokens are special unless they are plain words or punctuation without a role.

    Files of published tokenizers list some of their control tokens with "special": false.
    """
    unmarked = {
        i
        for i, token in backend.get_added_tokens_decoder().items()
        if not token.special and (i in control or not _PLAIN.fullmatch(token.content))
    }
    if not unmarked:
        return backend
    state = json.loads(backend.to_str())
    for token in state["added_tokens"]:
        token["special"] = token["special"] or token["id"] in unmarked
    return _Tokenizer.from_str(json.dumps(state))


class Tokenizer(Vocabulary):
    """Tokenize for lavida-mini: a space is put before every text, so that a word is one token anywhere."""

    adds_space = True

    def __init__(self, backend: _Tokenizer) -> None:
        super().__init__(backend)
        self.eos_id, self.mask_id = self.id_of(EOS), self.id_of(MASK)
        self.end_ids = (self.eos_id,)

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizer:
        """Read `tokenizer.json` in a model folder. Raises CheckpointError if it is missing or broken."""
        return cls(read_backend(Path(folder) / "tokenizer.json"))

    @classmethod
    def train(cls, texts: Iterable[str], size: int, words: Sequence[str] = ()) -> Tokenizer:
        """Learn a byte-level BPE of `size` ids: digits apart, JSON punctuation never merged with words.

        `words` are one token each wherever they stand, the longest that fits, as a language that is written without
        spaces needs them; the last of the ids are theirs. The space that every text begins with is part of them.
        """
        backend = _Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size - len(words),
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            min_frequency=2,
            show_progress=False,
        )
        backend.train_from_iterator((" " + t for t in texts), trainer)
        backend.add_tokens([AddedToken(word, lstrip=True, normalized=False) for word in words])
        return cls(backend)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, a space before it."""
        return self.encode_on(" " + text)
