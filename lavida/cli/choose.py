"""`lavida choose photo.jpg "What is this?" "A cat." "A dog."`: the likeliest of given answers."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavida.cli import options as o
from lavida.errors import RequestError

if TYPE_CHECKING:
    from lavida.decode.likelihood import Choice

Words = Annotated[
    list[str],
    typer.Argument(
        metavar='IMAGE "QUESTION" "ANSWER"...',
        help="One picture (- for standard input), the question, two answers or more; no picture for a model that reads "
        "text only.",
    ),
]
ByToken = Annotated[bool, typer.Option("--by-token", help="Divide by the answers' lengths: a long one may win.")]
Estimator = Annotated[str, typer.Option(help="pairs of complementary masks, or single ones as LLaDA draws them.")]
Rounds = Annotated[int, typer.Option(help="More of them make the standard error smaller, as its square root.")]
Cache = Annotated[
    str | None, typer.Option(help="prefix computes the prompt once, none every time. Default: as the model is asked.")
]
Seed = Annotated[int, typer.Option(help="Of the masks.")]


def choose(
    words: Words,
    by_token: ByToken = False,
    estimator: Estimator = "pairs",
    rounds: Rounds = 8,
    cache: Cache = None,
    seed: Seed = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, answers in the order given.")] = False,
    **options: Any,
) -> int:
    """Compare answers by their likelihoods: probability among them and its standard error, the likeliest first."""
    from lavida.checkpoint.inventory import read_config, survey
    from lavida.checkpoint.named import find_model
    from lavida.cli.picture import open_one

    config = read_config(survey(find_model(options["model"])))
    image, question, answers = split(words, sees=config.vision is not None)
    picture = None if image is None else open_one(image)
    loaded = o.load_model(options)
    choice = loaded.choose(
        picture, question, answers, by_token=by_token, estimator=estimator, rounds=rounds, cache=cache, seed=seed
    )
    facts = as_facts(choice, image or "", question, answers)
    print(json_text.dumps(facts, ensure_ascii=False) if json else as_text(facts))
    return 0


def split(words: list[str], *, sees: bool) -> tuple[str | None, str, list[str]]:
    """(picture, question, answers). Raises RequestError if anything is missing."""
    if not sees and Path(words[0]).is_file():
        raise RequestError(f"the model reads text only; leave {words[0]} out, or load one with a vision tower")
    image, rest = (words[0], words[1:]) if sees else (None, words)
    if len(rest) < 3:
        usage = f'lavida choose {"photo.jpg " * sees}"What is it?" "A cat." "A dog."'
        raise RequestError(f"nothing to choose from; say {usage}")
    question, *answers = rest
    return image, question, answers


def as_facts(choice: Choice, image: str, question: str, answers: list[str]) -> dict[str, Any]:
    """Return a choice as plain values."""
    columns = zip(answers, choice.probabilities, choice.errors, choice.likelihoods, strict=True)
    return {
        "image": image,
        "question": question,
        "best": answers[choice.best],
        "answers": [
            {
                "text": text,
                "probability": probability,
                "error": error,
                "log_likelihood": likelihood.value,
                "log_likelihood_error": likelihood.error,
                "tokens": likelihood.tokens,
            }
            for text, probability, error, likelihood in columns
        ],
    }


def as_text(facts: dict[str, Any]) -> str:
    """One line for each answer, the likeliest first."""
    ranked = sorted(facts["answers"], key=lambda one: -one["probability"])
    return "\n".join(f"{one['probability']:.3f} ± {one['error']:.3f}  {one['text']}" for one in ranked)


app = o.application(choose, o.LOADING)
