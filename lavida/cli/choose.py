"""`lavida choose photo.jpg "What is this?" "A cat." "A dog."`: the likeliest of given answers."""

from __future__ import annotations

from typing import Annotated, Any

from lavida.cli import options as o
from lavida.errors import RequestError

Words = Annotated[
    list[str],
    o.argument(
        'IMAGE "QUESTION" "ANSWER"...',
        "One picture (- for standard input), the question, two answers or more; no picture for a model that reads "
        "text only.",
    ),
]


def choose(
    words: Words,
    by_token: Annotated[bool, o.option("Divide by the answers' lengths: a long one may win.", "--by-token")] = False,
    estimator: Annotated[str, o.option("pairs of complementary masks, or single ones as LLaDA draws them.")] = "pairs",
    rounds: Annotated[int, o.option("More of them make the standard error smaller, as its square root.")] = 8,
    cache: o.Cache = None,
    seed: Annotated[int, o.option("Of the masks.")] = 0,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Compare answers by their likelihoods: probability among them and its standard error, the likeliest first."""
    from lavida.cli.output import print_facts
    from lavida.cli.picture import open_one, split_picture

    image, rest = split_picture(words, options["model"])
    if len(rest) < 3:
        usage = f'lavida choose {"photo.jpg " * (image is not None)}"What is it?" "A cat." "A dog."'
        raise RequestError(f"nothing to choose from; say {usage}")
    question, *answers = rest
    picture = None if image is None else open_one(image)
    found = o.load_model(options).choose(
        picture, question, answers, by_token=by_token, estimator=estimator, rounds=rounds, cache=cache, seed=seed
    )
    rows = [
        {
            "text": text,
            "probability": probability,
            "error": error,
            "log_likelihood": likelihood.value,
            "log_likelihood_error": likelihood.error,
            "tokens": likelihood.tokens,
        }
        for text, probability, error, likelihood in zip(
            answers, found.probabilities, found.errors, found.likelihoods, strict=True
        )
    ]
    ranked = sorted(zip(found.probabilities, found.errors, answers, strict=True), key=lambda row: -row[0])
    text = "\n".join(f"{probability:.3f} ± {error:.3f}  {answer}" for probability, error, answer in ranked)
    facts = {"image": image or "", "question": question, "best": answers[found.best], "answers": rows}
    print_facts(facts, text, as_json=json)
    return 0


app = o.application(choose, o.LOADING)
