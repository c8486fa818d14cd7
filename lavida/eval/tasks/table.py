"""The benchmarks by name."""

from __future__ import annotations

import difflib

from lavida.errors import RequestError
from lavida.eval.items import Task
from lavida.eval.tasks import captions, choice, maths, own, poem, regions, vqa, yesno

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        captions.COCO, captions.FLICKR, vqa.VQAV2, vqa.GQA, vqa.TEXTVQA, vqa.DOCVQA, vqa.CHARTQA, vqa.INFOVQA,
        choice.AI2D, choice.SCIENCEQA, choice.MMMU, yesno.MME, choice.MMBENCH, maths.MATHVISTA, maths.MATHVERSE,
        maths.MATHVISION, yesno.POPE, regions.REFCOCO, regions.REFCOCO_BOX, poem.POEM,
        own.OWN,
    )
}  # fmt: skip


def find_task(name: str) -> Task:
    """Return a benchmark. Raises RequestError, with a suggestion, for one that is unknown."""
    if name in TASKS:
        return TASKS[name]
    close = difflib.get_close_matches(name.lower(), TASKS, n=1)
    mend = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(TASKS)}"
    raise RequestError(f"unknown task {name!r}; {mend}")
