"""Templates: the prompts of each family to the character, pictures in their places, user text never a special token."""

from __future__ import annotations

import hashlib

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from lavida.config import FAMILIES
from lavida.errors import CheckpointError, RequestError
from lavida.text.chat import TEMPLATES, check_tokens, find_template, piece_ids, prompt_ids, render, split
from lavida.text.messages import IMAGE_ID, Part, Turn, question_turns, read_messages
from lavida.text.pretrained import PretrainedTokenizer
from tests.tiny import tiny_tokenizer

HELPFUL = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
PICTURE = Part(kind="image", value="a.jpg")
# One question about one picture (none for the text models), as the published templates write it.
LLADA_SEES = (
    f"<|startoftext|><|start_header_id|>system<|end_header_id|>\n\n{HELPFUL}<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n<image>\nWhat?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
RENDERED = {
    "lavida-mini": "<image><|user|>What?<|assistant|>",
    "lavida-llada": LLADA_SEES,
    "llada-v": LLADA_SEES,
    "lavida-dream": f"<|im_start|>system\n{HELPFUL}<|im_end|>\n<|im_start|>user\n<image>\nWhat?<|im_end|>\n"
    "<|im_start|>assistant\n",
    "llada": "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\nWhat?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mmada": "<image><|startoftext|><|start_header_id|>user<|end_header_id|>\nWhat?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n",
    "dream": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat?<|im_end|>\n"
    "<|im_start|>assistant\n",
}


def bytes_tokenizer(template: str) -> PretrainedTokenizer:
    """One id a byte, and the special tokens of a template."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(sorted(TEMPLATES[template].tokens()))
    return PretrainedTokenizer(backend)


def spelled(ids: list[int], tokenizer: PretrainedTokenizer) -> str:
    return "".join("<image>" if i == IMAGE_ID else tokenizer.token(i) for i in ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_writes_a_question_as_it_was_taught(family: str) -> None:
    shown = [PICTURE] if "<image>" in RENDERED[family] else []
    assert "".join(render(question_turns("What?", shown), TEMPLATES[family])) == RENDERED[family]


def test_a_model_can_be_asked_to_think_first() -> None:
    """The instruction of MMaDA's demo, of which the digest is known."""
    text = "".join(render(question_turns("What?"), TEMPLATES["mmada-think"]))
    before, after = "<|startoftext|><|start_header_id|>user<|end_header_id|>\n", "\nWhat?<|eot_id|>"
    assert text.startswith(before) and after in text
    asked = text[len(before) : text.index(after)].encode()
    digest = "bff6f2c7a3338fee21b48eba167cc60b96d6012c4062059901b3ea09f0f19dc6"
    assert len(asked) == 226 and hashlib.sha256(asked).hexdigest() == digest


@pytest.mark.parametrize("family", ["lavida-llada", "llada-v"])
def test_the_newline_behind_a_picture_is_dropped_where_the_published_code_drops_it(family: str) -> None:
    tokenizer, template = bytes_tokenizer(family), TEMPLATES[family]
    ids = prompt_ids(question_turns("What?", [PICTURE]), template, tokenizer)
    assert spelled(ids, tokenizer) == LLADA_SEES.replace("<image>\n", "<image>")
    assert ids.count(IMAGE_ID) == 1 and ids == prompt_ids(
        question_turns("What?", [PICTURE]), template, tokenizer, official=True
    )


def test_dream_keeps_the_newline() -> None:
    tokenizer = bytes_tokenizer("lavida-dream")
    ids = prompt_ids(question_turns("What?", [PICTURE]), TEMPLATES["lavida-dream"], tokenizer, official=True)
    assert spelled(ids, tokenizer) == RENDERED["lavida-dream"]


def test_only_the_published_code_drops_more_than_a_newline() -> None:
    tokenizer, template = bytes_tokenizer("llada-v"), TEMPLATES["llada-v"]
    last = [Turn(role="user", parts=(Part(kind="text", value="Compare"), PICTURE))]
    ours, official = (spelled(prompt_ids(last, template, tokenizer, official=o), tokenizer) for o in (False, True))
    assert "Compare<image><|eot_id|><|start_header_id|>" in ours
    assert "Compare<image><|start_header_id|>" in official


@pytest.mark.parametrize(("family", "between"), [("llada-v", ""), ("lavida-dream", " ")])
def test_several_pictures_stand_side_by_side(family: str, between: str) -> None:
    tokenizer = bytes_tokenizer(family)
    for official in (False, True):
        ids = prompt_ids(question_turns("What?", [PICTURE] * 3), TEMPLATES[family], tokenizer, official=official)
        pictures = between.join(["<image>"] * 3)
        assert pictures + ("\n" if between else "") + "What?" in spelled(ids, tokenizer)


def test_a_dialogue_keeps_its_history_and_its_own_system_line() -> None:
    turns = read_messages(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": " What? "},
            {"role": "assistant", "content": "A cat.\n"},
            {"role": "user", "content": "Where?"},
        ]
    )
    assert "".join(render(turns, TEMPLATES["llada"])) == (
        "<|startoftext|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nA cat.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhere?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert "".join(render(turns[1:], TEMPLATES["lavida-mini"])) == (
        "<|user|>What?<|assistant|>A cat.<|eos|><|user|>Where?<|assistant|>"
    )
    assert "".join(render(turns, TEMPLATES["lavida-mini"])) == (
        "<|user|>Be brief.\n What?<|assistant|>A cat.<|eos|><|user|>Where?<|assistant|>"
    )
    assert "".join(render(question_turns("Once upon a time"), TEMPLATES["plain"])) == "Once upon a time"


def test_chinese_is_asked_with_the_marks_it_was_taught_with() -> None:
    def written(text: str, family: str) -> str:
        return "".join(render(question_turns(text), TEMPLATES[family]))

    assert written("这是什么?", "lavida-mini") == "<|user|>这是什么？<|assistant|>"
    assert written("What is this?", "lavida-mini") == "<|user|>What is this?<|assistant|>"
    assert "这是什么?" in written("这是什么?", "llada")


def test_what_a_user_writes_is_never_a_special_token_or_a_picture() -> None:
    tokenizer, template = bytes_tokenizer("llada"), TEMPLATES["llada"]
    ids = prompt_ids(question_turns("<|eot_id|><image>"), template, tokenizer)
    assert ids.count(tokenizer.id_of("<|eot_id|>")) == 1 and IMAGE_ID not in ids
    assert "<|eot_id|><image><|eot_id|>" in spelled(ids, tokenizer)


def test_a_rendered_string_gives_the_same_ids_as_the_dialogue() -> None:
    for family in ("llada-v", "lavida-dream"):
        tokenizer, turns = bytes_tokenizer(family), question_turns("What?", [PICTURE, PICTURE])
        text = "".join(render(turns, TEMPLATES[family]))
        assert piece_ids(split(text), TEMPLATES[family], tokenizer) == prompt_ids(turns, TEMPLATES[family], tokenizer)


def test_a_tokenizer_of_another_family_is_refused() -> None:
    check_tokens(TEMPLATES["lavida-mini"], tiny_tokenizer())
    with pytest.raises(CheckpointError, match=r"has no token '<\|end_header_id\|>'.*choose another template"):
        check_tokens(TEMPLATES["llada"], tiny_tokenizer())
    with pytest.raises(RequestError, match="unknown template 'alpaca'; choose one of lavida-mini"):
        find_template("alpaca")
