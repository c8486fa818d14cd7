import numpy as np
import pytest

from lavida.constrain.poem import poem
from lavida.constrain.template import Choice, Hole, Template
from lavida.constrain.token_nfa import Net
from lavida.errors import RequestError
from lavida.text.syllables import count_syllables, syllable_table
from lavida.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def mini():
    from lavida.checkpoint.named import MODELS

    return Tokenizer.load(MODELS["lavida-mini"])


def sample(table, rng, most=80):
    """A random text of the language, as tokens."""
    ids, state = [], 0
    for _ in range(most):
        if table.accepting[state] and (rng.random() < 0.5 or not (table.moves[state] >= 0).any()):
            return ids
        choices = (table.moves[state][table.classes] >= 0).nonzero()[0]
        if not len(choices):
            break
        ids.append(int(rng.choice(choices)))
        state = int(table.moves[state, table.classes[ids[-1]]])
    assert table.accepting[state], "the automaton led nowhere"
    return ids


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_syllables_are_counted_by_the_dictionary():
    assert count_syllables("A beautiful cat, sleeping.") == 1 + 3 + 1 + 2
    assert count_syllables("xyzzyq") is None
    assert "tear" in syllable_table() and "every" not in syllable_table()  # ev-ry or ev-e-ry


def test_a_net_becomes_deterministic():
    net = Net(4)
    a, b, c = net.state(), net.state(), net.state()
    net.link(a, net.label([0, 1]), a)
    net.link(a, net.label([1]), b)
    net.skip(b, c)
    table = net.table(a, c)
    assert table.accepts([0, 1, 0, 1]) and not table.accepts([1, 0]) and not table.accepts([]) and table.walk([3]) == -1


def test_dead_ends_are_cut():
    net = Net(3)
    a, b, c = net.state(), net.state(), net.state()
    net.link(a, net.label([0]), b)  # b leads nowhere
    net.link(a, net.label([1]), c)
    table = net.table(a, c)
    assert table.walk([0]) == -1 and table.accepts([1])


def test_fixed_text_may_be_spelled_by_any_tokens(mini):
    table = Template(parts=("There is a", Choice(options=("cat", "big dog")), "here.")).table(mini)
    for text, right in [
        ("There is a cat here.", True),
        ("There is a big dog here.", True),
        ("There is a big cat here.", False),
        ("There is a cat here", False),
    ]:
        assert table.accepts(mini.encode(text)) is right, text
    letters = {mini.token(i): i for i in range(mini.size)}
    assert table.accepts([letters[letter] for letter in "There is a cat here."])


def test_a_hole_of_tokens_takes_between_its_least_and_most(mini):
    table = Template(parts=("A", Hole(least=2, most=3), "on the grass.")).table(mini)
    for words, right in [(" cat", False), (" black cat", True), (" big black cat", True), (" a big black cat", False)]:
        assert table.accepts(mini.encode(f"A{words} on the grass.")) is right, words
    newline = mini.encode("\n")[-1:]
    assert not table.accepts(mini.encode("A") + newline * 2 + mini.encode("on the grass."))


def test_lines_begin_as_told(mini, rng):
    starts = ("A", "Be", "Ca", "De")
    table = poem(starts, tokens=(3, 6)).table(mini)
    for _ in range(20):
        lines = [line.strip() for line in mini.decode(sample(table, rng)).split("\n")]
        assert len(lines) == 4 and all(line.startswith(start) for line, start in zip(lines, starts)), lines


def test_lines_have_their_syllables(mini, rng):
    table = poem(("Th", "Sm", "A"), syllables=(5, 7, 5)).table(mini)
    for _ in range(20):
        lines = mini.decode(sample(table, rng)).split("\n")
        assert [count_syllables(line) for line in lines] == [5, 7, 5], lines


def test_an_acrostic_spells_a_word(mini, rng):
    table = poem(acrostic="cat", words=(2, 4)).table(mini)
    for _ in range(20):
        lines = [line.strip() for line in mini.decode(sample(table, rng)).split("\n")]
        assert "".join(line[0] for line in lines) == "CAT" and all(2 <= len(line.split()) <= 4 for line in lines), lines


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Hole(least=3, most=2), "no fewer than its least"),
        (lambda: Hole(measure="letters"), "choose one of tokens, words, syllables"),
        (lambda: Hole(start="a\nb"), "on one line"),
        (lambda: Choice(options=()), "at least one text"),
        (lambda: Template(parts=(" ",)), "the template is empty"),
        (lambda: poem(("A", "B"), acrostic="ab"), "leave out the starts"),
        (lambda: poem(("A", "B"), syllables=(5, 7, 5)), "make them equal"),
        (lambda: poem(syllables=(5,), words=(1, 2)), "choose one"),
    ],
)
def test_what_cannot_be_is_told(make, says):
    with pytest.raises(RequestError, match=says):
        make()


def test_letters_that_no_word_begins_with_are_told(mini):
    with pytest.raises(RequestError, match="choose other letters"):
        poem(("Xqz",), syllables=(5,)).table(mini)
    with pytest.raises(RequestError, match="loosen a hole"):
        poem(("Beautiful",), syllables=(1,)).table(mini)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("A cat on grass.\n Between a cat", True),
        ("A cat on grass.\nBetween a cat", True),
        ("A cat on grass.\nA cat", False),
        ("A cat on grass.", False),
        ("A cat on grass.\nBetween a cat\nand more", False),
        ("A, cat, on grass\nBetween cats, cats!", True),
        ("A  cat on grass\nBetween cats here", False),
        ("A cat on gra5s\nBetween cats here", False),
    ],
)
def test_a_text_is_checked_without_its_tokens(text, right):
    template = poem(("A", "Be"), words=(3, 4))
    if right:
        template.verify(text)
    else:
        with pytest.raises(RuntimeError, match="a fault of lavida"):
            template.verify(text)


def test_random_texts_pass_their_check(mini, rng):
    parts = ("I see", Hole(most=3), "and", Hole(measure="syllables", least=3, most=3), Choice(options=(".", "here!")))
    template = Template(parts=parts)
    for _ in range(10):
        template.verify(mini.decode(sample(template.table(mini), rng)))
