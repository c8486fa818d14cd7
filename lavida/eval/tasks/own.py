"""Questions of one's own, from the files that `lavida train` reads: folders named by a label, or entries."""

from __future__ import annotations

from lavida.data.samples import BrokenSample, Sample
from lavida.data.sources import open_source
from lavida.errors import DataError, RequestError
from lavida.eval.items import Item, Scores, Source, Task, score_each
from lavida.eval.vqa import same_but_for_marks


def load_own(source: Source) -> list[Item]:
    """Read a set of single questions with their answers.

    Raises:
        DataError: An entry is broken, or holds more than a question and its answer.
        RequestError: A split is asked for.
    """
    if source.split is not None:
        raise RequestError("a set of one's own has no splits; leave out --split")
    samples = open_source(source.data, images=source.images)
    items = []
    for number in range(len(samples)):
        where = f"{source.data}, entry {number}"
        try:
            items.append(_item(samples[number], number, where))
        except BrokenSample as error:
            raise DataError(f"{where}: {error}") from None
    return items


def _item(sample: Sample, number: int, where: str) -> Item:
    if [turn.role for turn in sample.turns] != ["user", "assistant"]:
        raise DataError(f"{where}: is a dialogue; give a question and its answer")
    asked, answered = sample.turns
    question, answer = (
        "".join(part.value for part in turn.parts if part.kind == "text").strip() for turn in (asked, answered)
    )
    if not question:
        raise DataError(f"{where}: has no question; give one")
    return Item(
        id=str(number),
        prompt=question,
        images=tuple(part.value for part in asked.parts if part.kind == "image"),
        truth={"answers": [answer]},
        where=where,
    )


def _right(item: Item, text: str) -> Scores:
    return {"accuracy": float(same_but_for_marks(text, item.truth["answers"][0]))}


OWN = Task(
    name="own", title="Questions of one's own", load=load_own, score=score_each(_right), length=16, main="accuracy",
    files="folders of pictures named by a label, or entries as for training",
)  # fmt: skip
