"""Dialogues of any structure: they are read and written as ids, or refused in one line (seed: tests/fuzz.py)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lavida.text.chat import TEMPLATES, prompt_ids
from lavida.text.messages import IMAGE_ID, pictures_of, read_messages, without_history
from tests.fuzz import ANYTHING, cases, few_and_many, run
from tests.text.test_chat import bytes_tokenizer

WORDS = st.sampled_from(
    ["", " ", "a", "<image>", "<|eot_id|>", "<image>\n<image>", "猫", "\ud800", "image", "url", "<|im_end|>"]
) | st.text(max_size=6)
KEYS = st.sampled_from(
    ["type", "text", "image", "video", "image_url", "video_url", "url", "path", "base64", "detail", "name"]
) | st.text(max_size=4)
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "video", "image_url", "video_url", "text_url", "_url"]) | ANYTHING},
    optional=dict.fromkeys(("text", "image", "url", "image_url", "base64", "video"), WORDS | ANYTHING),
) | st.dictionaries(KEYS, WORDS | ANYTHING, max_size=4)
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "developer", "tool"]) | ANYTHING,
        "content": WORDS | st.lists(PARTS | WORDS, max_size=4) | ANYTHING,
    },
    optional={"name": ANYTHING, "tool_calls": ANYTHING, "audio": ANYTHING},
)
USER = st.fixed_dictionaries({"role": st.just("user"), "content": WORDS | st.lists(PARTS, min_size=1, max_size=3)})
DIALOGUES = st.lists(MESSAGES | ANYTHING, max_size=4) | st.lists(USER, min_size=1, max_size=3) | ANYTHING
TOKENIZERS = {family: bytes_tokenizer(family) for family in TEMPLATES}


def written(messages: Any, family: str) -> None:
    turns = read_messages(messages)
    template, tokenizer = TEMPLATES[family], TOKENIZERS[family]
    for dialogue in (turns, without_history(turns)):
        ids = prompt_ids(dialogue, template, tokenizer)
        assert ids.count(IMAGE_ID) == len(pictures_of(dialogue))
        known = tokenizer.special_ids
        control = sum(i in known for i in ids)
        plain = [turn for turn in dialogue if turn.parts]
        fixed = prompt_ids(plain, template, _Silent(tokenizer))
        assert control == sum(i in known for i in fixed)  # those of the template and no other


class _Silent:
    """A tokenizer to which every text is a single letter."""

    def __init__(self, tokenizer: Any) -> None:
        self.id_of, self.token = tokenizer.id_of, tokenizer.token

    def encode(self, text: str) -> list[int]:
        return [0]


@few_and_many
def test_any_dialogue_is_read_or_refused(count: int) -> None:
    read = 0

    @cases(count)
    @given(DIALOGUES, st.sampled_from(sorted(TEMPLATES)))
    def property_holds(messages: Any, family: str) -> None:
        nonlocal read
        read += run(lambda: written(messages, family))

    property_holds()
    assert read  # the cases are not all nonsense
