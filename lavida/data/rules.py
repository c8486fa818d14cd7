"""Rules for the part of a dialogue that is learnt: those of the published trainers, and ours, as data."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lavida.errors import ConfigError
from lavida.text.messages import Turn, pictures_of, without_history


@dataclass(frozen=True, kw_only=True)
class SampleRule:
    """Describe how a dialogue becomes one training sample."""

    answers: str = "all"  # of the dialogue are learnt, or "one" drawn at random at each visit
    history: bool = True  # earlier turns stay in the prompt of an answer; without them only "one" can be learnt
    structure: bool = False  # the template's own tokens are targets, and the headers of answers too (LLaDA-V)
    plain: bool = False  # the first answer follows the picture, without question and template (first stages)
    gaps: float = 0.0  # probability that an answer is cut by gaps for infilling (`lavida.data.infill`)
    end_padding: int | None = 127  # a batch's padding and up to so many ids are learnt (`collate`); None: no padding
    cut: bool = False  # samples are cut to the longest length; otherwise longer ones are skipped
    keep_newline: bool = False  # that behind a picture stays where inference drops it, as in the published training

    def __post_init__(self) -> None:
        if self.answers not in ("all", "one"):
            raise ConfigError(f"unknown answers {self.answers!r} in a sample rule; choose all or one")
        if self.answers == "all" and not self.history:
            raise ConfigError('a sample rule without history learns one answer at a time; set answers to "one"')
        if not 0.0 <= self.gaps <= 1.0:
            raise ConfigError(f"gaps of a sample rule is a probability, 0 to 1, got {self.gaps}")
        if self.end_padding is not None and self.end_padding < 0:
            raise ConfigError(f"end_padding of a sample rule must be 0 or more, or None, got {self.end_padding}")


RULES: dict[str, SampleRule] = {
    "dialogue": SampleRule(),
    # LaViDa's trainer: one pair a visit without what came before (section 3.1 of arXiv 2505.16839 keeps the history).
    "lavida": SampleRule(answers="one", history=False, cut=True, keep_newline=True),
    "lavida-fim": SampleRule(answers="one", history=False, cut=True, keep_newline=True, gaps=0.8),
    # Its first stage fills up like the others, with ids that are learnt.
    "lavida-plain": SampleRule(plain=True, cut=True),
    # LLaDA-V's second and third stages run one sample at a time, so there is no filling to be learnt.
    "llada-v": SampleRule(structure=True, end_padding=None, cut=True, keep_newline=True),
    "llada-v-plain": SampleRule(plain=True, end_padding=0, cut=True),
}


def find_rule(name: str) -> SampleRule:
    """Return a rule by name. Raises ConfigError for an unknown one."""
    if name not in RULES:
        raise ConfigError(f"unknown sample rule {name!r}; choose one of {', '.join(RULES)}")
    return RULES[name]


def choose_turns(turns: Sequence[Turn], rule: SampleRule, rng: random.Random) -> tuple[list[Turn], int]:
    """Return the turns of one visit to a dialogue, and how many of their answers, the last ones, are learnt."""
    answers = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
    if rule.plain:
        return [Turn(role="user", parts=tuple(pictures_of(turns))), turns[answers[0]]], 1
    if rule.answers == "all":
        return list(turns), len(answers)
    place = rng.choice(answers)
    asked = list(turns[:place])
    return [*(asked if rule.history else without_history(asked)), turns[place]], 1
