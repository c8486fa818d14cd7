"""Small data sets for tests, written on the spot, and the tokenizer that spells a sample back."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from lavida.config import VLMConfig
from lavida.text.chat import TEMPLATES
from lavida.text.messages import IMAGE_ID
from lavida.text.pretrained import PretrainedTokenizer
from tests.fakes import tiny_config
from tests.pictures import gradient

Record = dict[str, Any]


def talk(*words: str) -> list[dict[str, str]]:
    """A dialogue in LLaVA's form, the user first."""
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(words)]


def ask(i: int = 0, **more: Any) -> Record:
    """A text-only entry."""
    return {"id": str(i), "conversations": talk(f"What is {i}?", f"Number {i}."), **more}


def write_lines(path: Path, records: Sequence[Any]) -> Path:
    """One entry a line; a text is written as it stands."""
    lines = [record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_shard(path: Path, files: Mapping[str, bytes]) -> Path:
    """A tar archive of files by name."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def png(width: int = 30, height: int = 20) -> bytes:
    """A picture as the bytes of its file."""
    out = io.BytesIO()
    gradient(width, height).save(out, "PNG")
    return out.getvalue()


def letters(template: str) -> PretrainedTokenizer:
    """One id a byte, and the special tokens of a template, those of gaps included."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    chosen = TEMPLATES[template]
    backend.add_special_tokens(sorted({*chosen.tokens(), *(chosen.gap or ())}))
    return PretrainedTokenizer(backend)


def model_of(family: str, **denoiser: Any) -> tuple[VLMConfig, PretrainedTokenizer]:
    """A tiny SigLIP model of a family and its tokenizer of letters; at most 600 tokens."""
    tokenizer = letters(family)
    size = {"vocab_size": tokenizer.size + 4, "mask_id": tokenizer.size, "eos_ids": (tokenizer.size + 1,)}
    config = tiny_config(**{"max_length": 600, **size, **denoiser})
    return VLMConfig(denoiser=config.denoiser, vision=config.vision, tiles=config.tiles, family=family), tokenizer


def spelled(ids: Sequence[int], tokenizer: PretrainedTokenizer) -> str:
    """Ids as text, `<image>` at the place of a picture and `_` for what is not in the vocabulary."""
    return "".join(
        "<image>" if i == IMAGE_ID else tokenizer.token(i) if i < tokenizer.size else "_" for i in map(int, ids)
    )
