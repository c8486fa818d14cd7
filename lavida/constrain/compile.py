"""The automaton of a term over a vocabulary, made once."""

from __future__ import annotations

from collections import OrderedDict

from lavida.constrain.dfa import compile_term
from lavida.constrain.grammar import Term, seq, text
from lavida.constrain.store import fetch, keep, key_of
from lavida.constrain.tokens import TokenAutomaton, lift
from lavida.errors import RequestError
from lavida.text.spelling import spell
from lavida.text.tokenizer import Vocabulary

_MOST_KNOWN = 32
_known: OrderedDict[str, TokenAutomaton] = OrderedDict()


def term_automaton(term: Term, vocabulary: Vocabulary) -> TokenAutomaton:
    """The token sequences that spell the texts of a term: from memory, from the disk, or made now.

    What a tokenizer writes before every text (a space) is part of them. Raises RequestError.
    """
    spelling = spell(vocabulary)
    spelled = seq(text(" "), term) if vocabulary.adds_space else term
    try:
        key = key_of(spelled, spelling)
    except RecursionError:
        raise RequestError("the constraint is nested too deeply; write it flatter") from None
    automaton = _known.pop(key, None) or fetch(key)
    if automaton is None:
        automaton = lift(compile_term(spelled), spelling)
        keep(key, automaton)
    _known[key] = automaton
    if len(_known) > _MOST_KNOWN:
        _known.popitem(last=False)
    return automaton
