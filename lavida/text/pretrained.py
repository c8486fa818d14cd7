"""Tokenizers of published checkpoints: `tokenizer.json`, or `vocab.json` and `merges.txt` (Dream); never their code."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Self

from tokenizers import Tokenizer as _Tokenizer

from lavida.config import VLMConfig
from lavida.errors import CheckpointError
from lavida.text.tokenizer import Tokenizer, Vocabulary, broken_tokenizer, read_backend

FAST, SLOW = "tokenizer.json", ("vocab.json", "merges.txt")


class PretrainedTokenizer(Vocabulary):
    """Tokenize as a published checkpoint does; a special token spelled out in a text is text like any other."""

    @classmethod
    def load(cls, folder: str | Path, *, end_ids: Collection[int] = (), control_ids: Collection[int] = ()) -> Self:
        """Read a checkpoint folder. Raises CheckpointError if its tokenizer is missing or broken."""
        folder = Path(folder)
        if (folder / FAST).is_file():
            return cls(read_backend(folder / FAST), end_ids=end_ids, control_ids=control_ids)
        if all((folder / name).is_file() for name in SLOW):
            return cls(_from_merges(folder), end_ids=end_ids, control_ids=control_ids)
        raise CheckpointError(f"{folder} has no tokenizer; fetch {FAST}, or {' and '.join(SLOW)}, of the checkpoint")


def load_tokenizer(folder: str | Path, config: VLMConfig) -> Vocabulary:
    """Load the tokenizer of a model folder.

    Raises:
        CheckpointError: It is missing or broken, or has more ids than the model has embeddings.
    """
    denoiser = config.denoiser
    tokenizer: Vocabulary
    if config.traits.spaced_words:
        tokenizer = Tokenizer.load(folder)
    else:
        tokenizer = PretrainedTokenizer.load(folder, end_ids=denoiser.eos_ids, control_ids=(denoiser.mask_id,))
    if tokenizer.size > denoiser.vocab_size:
        raise CheckpointError(
            f"the tokenizer in {folder} has {tokenizer.size} ids and the model {denoiser.vocab_size} embeddings; "
            "take the files that belong together"
        )
    return tokenizer


def check_codes(config: VLMConfig, tokenizer: Vocabulary) -> None:
    """Raise CheckpointError unless the codes of pictures, if there are any, follow the tokenizer's ids."""
    if config.codes is not None and config.codes.first_id != tokenizer.size:
        raise CheckpointError(
            f"the tokenizer has {tokenizer.size} ids and the codes of pictures begin at {config.codes.first_id}; "
            "take the files that belong together"
        )


def _from_merges(folder: Path) -> _Tokenizer:
    """Return Qwen2's byte-level BPE with the added tokens of `tokenizer_config.json`."""
    from transformers import Qwen2Tokenizer
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it would warn that Dream's own class is not the one asked for
    try:
        read = Qwen2Tokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the backends raise bare Exceptions
        raise broken_tokenizer(folder / SLOW[0], error) from None
    finally:
        logging.set_verbosity(level)
    return read.backend_tokenizer
