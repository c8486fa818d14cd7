"""`lavida fill`, `lavida revise`, `lavida audit`, `lavida choose`: texts that exist are completed and judged.

lavida fill photo.jpg "a photo of [M], a kind of [M:1]."
lavida revise photo.jpg "a dog on a mat."
lavida audit photo.jpg "a cat on a mat."
lavida choose photo.jpg "What is this?" "A cat." "A dog."
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lavida.cli import options as o
from lavida.cli.output import print_facts, write_text
from lavida.cli.picture import open_one, split_picture
from lavida.errors import RequestError

if TYPE_CHECKING:
    from rich.text import Text

    from lavida.edit.revise import Revision

HoledText = Annotated[
    list[str],
    o.argument(
        'IMAGE "TEXT"',
        "One picture (- for standard input) and the text; no picture for a model that reads text only. [M:4] is a "
        "hole of four tokens, [M:2-5] of two to five, [M] of one or more.",
    ),
]
How = Annotated[str, o.option("search compares lengths; fim asks a model that was taught [S] and [FIM].")]
FILL_DECODING = ("steps", "schedule", "shift", "remasking", "threshold", "temperature", "seed")


@o.command({name: o.decoding()[name] for name in FILL_DECODING}, o.LOADING)
def fill(
    words: HoledText,
    question: o.Question = None,
    how: How = "search",
    most: Annotated[int, o.option("Tokens that a hole [M] may take.")] = 6,
    alternatives: Annotated[int, o.option("Other fillings of each hole to name.")] = 3,
    length: Annotated[int, o.option("Tokens of the canvas, at least; a longer text takes a longer one.")] = 16,
    cache: o.Cache = None,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Fill the holes of a text with what fits the picture and both sides of them; each with its alternatives."""
    from lavida import api

    image, rest = split_picture(words, options["model"])
    if len(rest) != 1:
        one, usage = ("one text behind one picture", "photo.jpg ") if image is not None else ("one text", "")
        raise RequestError(f'give {one}; say lavida fill {usage}"a [M]."')
    picture = None if image is None else open_one(image)
    given = {name: value for name, value in o.decode_arguments(options).items() if value is not None}
    found = o.load_model(options).infill(
        picture, rest[0], question=question or api.DESCRIBE, cache=cache, how=how, most=most,
        alternatives=alternatives, length=length, **given,
    )  # fmt: skip
    lines = [found.text]
    for number, hole in enumerate(found.holes, start=1):
        others = "".join(f", {other.text or 'nothing'} {other.probability:.3f}" for other in hole.alternatives)
        lines.append(f"  {number}. {hole.text or 'nothing'} {hole.probability:.3f}{others}")
    print_facts({"image": image or "", "template": rest[0], **asdict(found)}, "\n".join(lines), as_json=json)
    return 0


Doubt = Annotated[float, o.option("Mask a word if another one is e^DOUBT times likelier at its place.")]


@o.command(o.LOADING)
def revise(
    image: o.Picture,
    text: o.Text,
    question: o.Question = None,
    doubt: Doubt = 2.0,
    changes: Annotated[int, o.option("Rewrite so many words at most.")] = 8,
    cache: o.Cache = None,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Rewrite what the picture makes unlikely in a text and show the difference; a likely text stays as it is."""
    from rich.console import Console

    from lavida import api

    picture, asked = open_one(image), question or api.DESCRIBE
    found = o.load_model(options).revise(picture, text, question=asked, cache=cache, doubt=doubt, changes=changes)
    console = Console(highlight=False)
    if not json:
        console.print(difference(found, marks=not console.is_terminal), soft_wrap=True)
    print_facts({"image": image, **asdict(found)}, found.new, as_json=json)
    return 0


def difference(found: Revision, *, marks: bool) -> Text:
    """Return the old text with removed and added words, in colour or between [-marks-] {+like these+}."""
    from rich.text import Text

    words, at, text = found.old.split(), 0, Text()
    for change in found.changes:
        text.append("".join(f"{word} " for word in words[at : change.start]))
        if change.old:
            text.append(f"[-{change.old}-]" if marks else change.old, style="red strike").append(" ")
        if change.new:
            text.append(f"{{+{change.new}+}}" if marks else change.new, style="bold green").append(" ")
        at = change.start + len(change.old.split())
    text.append(" ".join(words[at:]))
    text.rstrip()
    return text


@o.command(o.LOADING)
def audit(
    image: o.Picture,
    text: o.Text,
    question: o.Question = None,
    html: Annotated[Path | None, o.option("Write the heat map as an HTML page, too.")] = None,
    cache: o.Cache = None,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Show for each word how likely it is with the picture and without it; green: supported, red: contradicted."""
    from lavida import api
    from lavida.cli.heat import page, show
    from lavida.decode.request import open_picture
    from lavida.edit.audit import facts_of

    picture, asked = open_one(image), question or api.DESCRIBE
    loaded = o.load_model(options)
    found = loaded.audit(picture, text, question=asked, cache=cache)
    if html is not None:
        write_text(html, page(found, picture=open_picture(loaded.net.config, picture), title=asked))
    if json:
        print_facts({"image": image, "question": asked, **facts_of(found)}, "", as_json=True)
    else:
        show(found)
    return 0


Answers = Annotated[
    list[str],
    o.argument(
        'IMAGE "QUESTION" "ANSWER"...',
        "One picture (- for standard input), the question, two answers or more; no picture for a model that reads "
        "text only.",
    ),
]


@o.command(o.LOADING)
def choose(
    words: Answers,
    by_token: Annotated[bool, o.option("Divide by the answers' lengths: a long one may win.", "--by-token")] = False,
    estimator: Annotated[str, o.option("pairs of complementary masks, or single ones as LLaDA draws them.")] = "pairs",
    rounds: Annotated[int, o.option("More of them make the standard error smaller, as its square root.")] = 8,
    cache: o.Cache = None,
    seed: Annotated[int, o.option("Of the masks.")] = 0,
    json: o.Json = False,
    **options: Any,
) -> int:
    """Compare answers by their likelihoods: probability among them and its standard error, the likeliest first."""
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
