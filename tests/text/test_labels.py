"""Names of the tower's classes on disk, and the hint made of them."""

import pytest

from lavida.errors import CheckpointError
from lavida.text.labels import Label, load_labels, save_labels
from lavida.text.prompt import HINT_TOKENS, hint_ids
from lavida.text.tokenizer import NOTHING, Tokenizer
from tests.tiny import WORDS, tiny_tokenizer

LABELS = [Label(name="Egyptian cat", kinds=("cat", "animal")), Label(name="paper towel", kinds=("thing",))]


def test_what_is_written_is_read(tmp_path):
    assert load_labels(tmp_path) is None
    save_labels(LABELS, tmp_path)
    assert load_labels(tmp_path) == LABELS
    (tmp_path / "labels.json").write_text('["tench"]')
    with pytest.raises(CheckpointError, match="labels.json"):
        load_labels(tmp_path)


def test_a_hint_holds_certainty_kind_and_name_with_its_article():
    tokenizer = tiny_tokenizer()
    nothing = tokenizer.id_of(NOTHING)
    for label, kind, words in zip(LABELS, ("cat", None), ("an Egyptian cat", "a paper towel"), strict=True):
        sure, unsure = hint_ids(tokenizer, label, 0.9), hint_ids(tokenizer, label, 0.1)
        assert sure[0] != unsure[0] and sure[1:] == unsure[1:] and len(sure) == HINT_TOKENS
        assert sure[1] == (tokenizer.encode(kind)[0] if kind else nothing)
        name = tokenizer.encode(words)
        assert [i for i in sure[2:] if i != nothing] == name[: HINT_TOKENS - 2]


def test_a_hint_in_two_languages(tmp_path):
    tokenizer = Tokenizer.train(WORDS, 320, ["\u732b", "\u57c3\u53ca\u732b"])
    chinese = Label(name="\u57c3\u53ca\u732b", kinds=("\u732b", "\u7269\u54c1"))
    both = Label(name="Egyptian cat", kinds=("cat", "animal"), others={"zh": chinese})
    save_labels([both], tmp_path)
    assert load_labels(tmp_path) == [both]
    plain, ids = hint_ids(tokenizer, LABELS[0], 0.9), hint_ids(tokenizer, both, 0.9)
    name, nothing = tokenizer.encode(chinese.name), tokenizer.id_of(NOTHING)
    assert ids == [*plain, *tokenizer.encode("\u732b"), *name, nothing] and len(name) == 1
    assert both.said_in("zh") is chinese and both.said_in("fr") is both and chinese.kind == "\u732b"
