"""A thin face over a tokenizer, and the byte-level BPE of lavida-mini."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as _Tokenizer

from lavida.errors import CheckpointError, RequestError

EOS, MASK, USER, ASSISTANT, NOTHING = "<|eos|>", "<|mask|>", "<|user|>", "<|assistant|>", "<|nothing|>"
FIM, SPAN = "<|fim|>", "<|span|>"
# How sure the tower's own classifier is of the name that it hints at.
HINTS = ("<|hint:sure|>", "<|hint:maybe|>", "<|hint:guess|>")
SPECIAL = (EOS, MASK, USER, ASSISTANT, NOTHING, FIM, SPAN, *HINTS, *(f"<|spare{i}|>" for i in range(6)))


class Vocabulary:
    """Text to ids and back; what any tokenizer of ours can do."""

    adds_space = False  # whether `encode` reads every text as if a space stood before it

    def __init__(self, backend: _Tokenizer, *, end_ids: Collection[int] = ()) -> None:
        self._backend = backend
        self.size = max(backend.get_vocab().values(), default=-1) + 1  # ids from here on stand for nothing
        self.end_ids = tuple(end_ids)  # a text ends at the first of them

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json`."""
        self._backend.save(str(Path(folder) / "tokenizer.json"))

    def backend(self) -> _Tokenizer:
        """A copy for code that works on `tokenizers` itself."""
        return _Tokenizer.from_str(self._backend.to_str())

    def id_of(self, token: str) -> int:
        """The id of a token by its exact spelling. Raises CheckpointError if there is none."""
        i = self._backend.token_to_id(token)
        if i is None:
            raise CheckpointError(
                f"the tokenizer has no token {token!r}; take the tokenizer.json that belongs to the model"
            )
        return i

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The tokens that stand for no text."""
        added = self._backend.get_added_tokens_decoder()
        return frozenset(i for i, token in added.items() if token.special)

    @cached_property
    def unspaced_ids(self) -> tuple[int, ...]:
        """The tokens of text that begin without a space."""
        return tuple(i for i in range(self.size) if i not in self.special_ids and not self.token(i).startswith(" "))

    def encode(self, text: str) -> list[int]:
        """Ids of a text. Raises RequestError for what is no Unicode, such as bytes of another encoding."""
        return self.encode_on(text)

    def encode_on(self, text: str) -> list[int]:
        """Ids of a text that goes on another one: as it stands, nothing put before it."""
        try:
            return self._backend.encode(text, add_special_tokens=False).ids
        except TypeError:
            raise RequestError("the text is not valid Unicode; write it in UTF-8") from None

    def decode(self, ids: Iterable[int], *, exact: bool = False) -> str:
        """The text up to the first end token, special tokens left out, and blanks at its ends unless it is `exact`."""
        kept = [int(i) for i in takewhile(lambda i: i not in self.end_ids, ids)]
        text = self._backend.decode(kept, skip_special_tokens=True)
        if exact:
            return text.removeprefix(" ") if self.adds_space else text
        return text.strip()

    def token(self, i: int) -> str:
        """The text of one id, special tokens spelled out."""
        return self._backend.decode([int(i)], skip_special_tokens=False)


class Tokenizer(Vocabulary):
    """That of lavida-mini: every text is read as if a space stood before it, so that a word is one token anywhere."""

    adds_space = True

    def __init__(self, backend: _Tokenizer) -> None:
        super().__init__(backend)
        self.eos_id, self.mask_id = self.id_of(EOS), self.id_of(MASK)
        self.end_ids = (self.eos_id,)

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizer:
        """Read `tokenizer.json` in a model folder. Raises CheckpointError if it is missing or broken."""
        path = Path(folder) / "tokenizer.json"
        try:
            return cls(_Tokenizer.from_file(str(path)))
        except Exception as error:  # the backend raises bare Exceptions
            raise CheckpointError(f"cannot read the tokenizer {path}: {error}") from None

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
        """Ids of a text, a space before it."""
        return self.encode_on(" " + text)
