"""New words in the tokenizer and the embeddings."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import lavida
from lavida.checkpoint.io import load_checkpoint
from lavida.text.tokenizer import Tokenizer
from mini.natural import growth
from mini.natural.growth import extended, grow, missing_words

MINI = Path(lavida.__file__).parent / "assets" / "mini"


@pytest.fixture(scope="module")
def both():
    old = Tokenizer.load(MINI)
    return old, extended(old, ["Quokka", "quokkas"], ["鸸鹋", "狮虎兽"])


def test_new_words_are_one_token_and_read_back(both, tmp_path):
    _, new = both
    new.save(tmp_path)
    new = Tokenizer.load(tmp_path)
    for text, count in (("two quokkas", 2), ("Quokka.", 2), ("狮虎兽鸸鹋", 2)):
        assert len(new.encode(text)) == count
        assert new.decode(new.encode(text)) == text


def test_old_ids_and_texts_stay(both):
    old, new = both
    for text in ("Is there a cat in the picture?", "一只猫", '{"cat": 1}', "a golden retriever"):
        assert new.encode(text) == old.encode(text)
    assert new.mask_id == old.mask_id and new.eos_id == old.eos_id


def test_a_chinese_name_begins_near_the_english_one(both, monkeypatch):
    old = both[0]
    light = SimpleNamespace(text="traffic light", chinese="亮亮灯", chinese_synonyms=())
    monkeypatch.setattr(growth, "NAMES", {"traffic light": light})
    new = extended(old, [], ["亮亮灯", "鸸鹋"])
    vlm, _ = load_checkpoint(MINI, dtype=torch.float32)
    before = vlm.denoiser.embedding.weight.detach().clone()
    vlm = grow(vlm, old, new, torch.Generator().manual_seed(0))
    after = vlm.denoiser.embedding.weight.detach()
    assert torch.equal(after[: old.size], before[: old.size]) and len(after) % 32 == 0 and len(after) >= new.size
    assert vlm.config.denoiser.vocab_size == len(after)
    english = before[old.encode("traffic light")].mean(0)
    near = torch.cosine_similarity(after[new.id_of("亮亮灯")], english, dim=0)
    assert near > 0.7 > torch.cosine_similarity(after[new.id_of("鸸鹋")], english, dim=0)


def test_all_words_of_the_questions_are_known_afterwards(both):
    old = both[0]
    assert not any(missing_words(extended(old, *missing_words(old))))
