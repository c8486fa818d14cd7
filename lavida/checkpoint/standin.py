"""Stand-ins for the published tokenizers: plain byte-level BPE with the special tokens of a family in their places.

Words of a stand-in mean nothing, but ids, templates and sizes are those of the real thing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

# Single bytes in the order of GPT-2's table, as in both published vocabularies: "!" is 0, a newline 198.
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The special tokens of a backbone with their official ids, and the names of those that have a role."""

    official: dict[str, int]
    roles: dict[str, str]  # bos, eos, pad, mask: token
    turn: str  # ends a turn
    template: str  # Jinja, for `apply_chat_template`
    tiny: tuple[str, ...] = field(default=())  # the special tokens that a tiny vocabulary has


def _numbered(first: int, names: tuple[str, ...]) -> dict[str, int]:
    return {name: first + i for i, name in enumerate(names)}


_LLADA_NAMED = {
    **_numbered(126080, ("<|startoftext|>", "<|endoftext|>", "[CLS]", "[gMASK]")),
    "<|mdm_mask|>": 126336,
    **_numbered(126340, ("<role>", "</role>", "<|arithmetic_start|>", "<|arithmetic_end|>")),
    **_numbered(126344, ("<|number_start|>", "<|number_end|>")),
    **_numbered(126346, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
}
_LLADA_RESERVED = {f"<|reserved_token_{i}|>": 126084 + i for i in range(256) if 126084 + i not in _LLADA_NAMED.values()}
LLADA = Vocabulary(
    official=_LLADA_NAMED | _LLADA_RESERVED,
    roles={"bos": "<|startoftext|>", "eos": "<|endoftext|>", "pad": "<|endoftext|>", "mask": "<|mdm_mask|>"},
    turn="<|eot_id|>",
    template="{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n",
    # The first two reserved tokens are those of infilling: its end, and a place that stays empty.
    tiny=(*_LLADA_NAMED, "<|reserved_token_0|>", "<|reserved_token_1|>", "<|reserved_token_2|>"),
)
_QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>")
_QWEN += ("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>")
_QWEN += ("<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>")
_QWEN += ("<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|beginoftext|>", "<|mask|>")
DREAM = Vocabulary(
    official=_numbered(151643, _QWEN),
    roles={"bos": "<|beginoftext|>", "eos": "<|endoftext|>", "pad": "<|endoftext|>", "mask": "<|mask|>"},
    turn="<|im_end|>",
    template="{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    tiny=("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>"),
)


def special_ids(vocabulary: Vocabulary, *, official: bool) -> dict[str, int]:
    """The special tokens with their ids: the official ones, or those that follow the bytes at once."""
    return vocabulary.official if official else _numbered(len(BYTES), vocabulary.tiny)


def write_tokenizer(folder: Path, vocabulary: Vocabulary, *, official: bool, max_length: int) -> None:
    """`tokenizer.json` and `tokenizer_config.json`; between bytes and special tokens lie words that nothing becomes."""
    special = special_ids(vocabulary, official=official)
    ids = {token: i for i, token in enumerate(BYTES)}
    taken = set(special.values())
    ids |= {f"\u0120w{i}": i for i in range(len(BYTES), max(taken)) if i not in taken}
    ids |= special
    backend = Tokenizer(models.BPE(vocab=ids, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(sorted(special, key=special.get))
    backend.save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{role}_token": token for role, token in vocabulary.roles.items()},
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_length,
        "chat_template": vocabulary.template,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")
