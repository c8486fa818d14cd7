import numpy as np
import pytest

from lavida.constrain.template import Choice, Hole, Template, poem
from lavida.constrain.tokens import TokenNfa
from lavida.errors import RequestError
from lavida.text.syllables import count_syllables, syllable_table
from lavida.text.tokenizer import Tokenizer
from tests.constrain.walks import accepts, sample


@pytest.fixture(scope="module")
def mini():
    from lavida.checkpoint.named import MODELS

    return Tokenizer.load(MODELS["lavida-mini"])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_syllables_are_counted_by_the_dictionary():
    assert count_syllables("A beautiful cat, sleeping.") == 1 + 3 + 1 + 2
    assert count_syllables("xyzzyq") is None
    assert "tear" in syllable_table() and "every" not in syllable_table()  # ev-ry or ev-e-ry


def test_a_token_nfa_becomes_deterministic():
    nfa = TokenNfa(4)
    a, b, c = nfa.state(), nfa.state(), nfa.state()
    nfa.link(a, nfa.label([0, 1]), a)
    nfa.link(a, nfa.label([1]), b)
    nfa.skip(b, c)
    automaton = nfa.automaton(a, c)
    assert (
        accepts(automaton, [0, 1, 0, 1])
        and not accepts(automaton, [1, 0])
        and not accepts(automaton, [])
        and not accepts(automaton, [3])
    )


def test_dead_ends_are_cut():
    nfa = TokenNfa(3)
    a, b, c = nfa.state(), nfa.state(), nfa.state()
    nfa.link(a, nfa.label([0]), b)  # b leads nowhere
    nfa.link(a, nfa.label([1]), c)
    automaton = nfa.automaton(a, c)
    assert len(automaton.final) == 2 and not accepts(automaton, [0]) and accepts(automaton, [1])


def test_fixed_text_may_be_spelled_by_any_tokens(mini):
    automaton = Template(parts=("There is a", Choice(options=("cat", "big dog")), "here.")).automaton(mini)
    for text, right in [
        ("There is a cat here.", True),
        ("There is a big dog here.", True),
        ("There is a big cat here.", False),
        ("There is a cat here", False),
    ]:
        assert accepts(automaton, mini.encode(text)) is right, text
    letters = {mini.token(i): i for i in range(mini.size)}
    assert accepts(automaton, [letters[letter] for letter in "There is a cat here."])


def test_a_hole_of_tokens_takes_between_its_least_and_most(mini):
    automaton = Template(parts=("A", Hole(least=2, most=3), "on the grass.")).automaton(mini)
    for words, right in [(" cat", False), (" black cat", True), (" big black cat", True), (" a big black cat", False)]:
        assert accepts(automaton, mini.encode(f"A{words} on the grass.")) is right, words
    newline = mini.encode("\n")[-1:]
    assert not accepts(automaton, mini.encode("A") + newline * 2 + mini.encode("on the grass."))


def test_the_space_before_a_hole_does_not_fill_it(mini):
    automaton = Template(parts=("A", Hole(least=1, most=2))).automaton(mini)
    letters = {mini.token(i): i for i in range(mini.size)}
    assert not accepts(automaton, [letters["A"], letters[" "]])
    assert accepts(automaton, [letters["A"], letters[" "], letters["b"]])


def test_lines_begin_as_told(mini, rng):
    starts = ("A", "Be", "Ca", "De")
    automaton = poem(starts, tokens=(3, 6)).automaton(mini)
    for _ in range(20):
        lines = [line.strip() for line in mini.decode(sample(automaton, rng)).split("\n")]
        assert len(lines) == 4 and all(line.startswith(start) for line, start in zip(lines, starts)), lines


def test_lines_have_their_syllables(mini, rng):
    automaton = poem(("Th", "Sm", "A"), syllables=(5, 7, 5)).automaton(mini)
    for _ in range(20):
        lines = mini.decode(sample(automaton, rng)).split("\n")
        assert [count_syllables(line) for line in lines] == [5, 7, 5], lines


def test_an_acrostic_spells_a_word(mini, rng):
    automaton = poem(acrostic="cat", words=(2, 4)).automaton(mini)
    for _ in range(20):
        lines = [line.strip() for line in mini.decode(sample(automaton, rng)).split("\n")]
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
        (lambda: poem(lines=-1), "a poem of -1 lines fits no canvas; give 1 to 128"),
        (lambda: poem(lines=0), "a poem of 0 lines fits no canvas"),
        (lambda: poem(lines=2.0), "a poem of 2.0 lines fits no canvas"),
        (lambda: poem(words=3), "its least and its most"),
    ],
)
def test_what_cannot_be_is_told(make, says):
    with pytest.raises(RequestError, match=says):
        make()


def test_letters_that_no_word_begins_with_are_told(mini):
    with pytest.raises(RequestError, match="choose other letters"):
        poem(("Xqz",), syllables=(5,)).automaton(mini)
    with pytest.raises(RequestError, match="loosen a hole"):
        poem(("Beautiful",), syllables=(1,)).automaton(mini)


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
        template.verify(mini.decode(sample(template.automaton(mini), rng)))
