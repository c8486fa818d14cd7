"""Tokenizers of published checkpoints: `tokenizer.json`, or `vocab.json` and `merges.txt` (Dream); never their code."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as _Tokenizer

from lavida.errors import CheckpointError
from lavida.text.tokenizer import Tokenizer, Vocabulary

FAST, SLOW = "tokenizer.json", ("vocab.json", "merges.txt")


class PretrainedTokenizer(Vocabulary):
    """Text is encoded as it stands: a special token spelled out in it is text like any other."""

    def __init__(self, backend: _Tokenizer, *, end_ids: Collection[int] = ()) -> None:
        super().__init__(backend, end_ids=end_ids)
        backend.encode_special_tokens = True  # i.e. split as if they were text

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._backend.encode_special_tokens = True  # a copy of the backend, such as a worker process gets, forgets it

    @classmethod
    def load(cls, folder: str | Path, *, end_ids: Collection[int] = ()) -> PretrainedTokenizer:
        """Read a checkpoint folder. Raises CheckpointError if its tokenizer is missing or broken."""
        folder = Path(folder)
        try:
            if (folder / FAST).is_file():
                return cls(_Tokenizer.from_file(str(folder / FAST)), end_ids=end_ids)
            if all((folder / name).is_file() for name in SLOW):
                return cls(_from_merges(folder), end_ids=end_ids)
        except Exception as error:  # the backends raise bare Exceptions
            reason = " ".join(str(error).split())
            raise CheckpointError(f"cannot read the tokenizer in {folder} ({reason}); fetch its files again") from None
        raise CheckpointError(f"{folder} has no tokenizer; fetch {FAST}, or {' and '.join(SLOW)}, of the checkpoint")


def load_tokenizer(folder: str | Path, *, family: str, end_ids: Collection[int], rows: int) -> Vocabulary:
    """The tokenizer of a model folder, for an embedding of `rows` rows.

    Raises CheckpointError if it is missing, broken or larger than the embedding.
    """
    if family == "lavida-mini":
        tokenizer: Vocabulary = Tokenizer.load(folder)
    else:
        tokenizer = PretrainedTokenizer.load(folder, end_ids=end_ids)
    if tokenizer.size > rows:
        raise CheckpointError(
            f"the tokenizer in {folder} has {tokenizer.size} ids and the model {rows} embeddings; "
            "take the files that belong together"
        )
    return tokenizer


def _from_merges(folder: Path) -> _Tokenizer:
    """Qwen2's byte-level BPE with the added tokens of `tokenizer_config.json`."""
    from transformers import Qwen2Tokenizer
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it would tell that Dream's own class is not the one asked for
    try:
        read = Qwen2Tokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    finally:
        logging.set_verbosity(level)
    return read.backend_tokenizer
