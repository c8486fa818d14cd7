"""MODEL_CARD.md from the figures: every sentence that judges the model is made from a figure."""

from __future__ import annotations

import math

from mini.data.languages import LANGUAGES
from mini.data.questions import prompt_of
from mini.eval.sets import SHORT

TITLES = {
    "i": "(i) new scenes of trained cut-outs",
    "ii_style": "(ii) unseen drawing style (twemoji)",
    "ii_image": "(ii) unseen cut-outs of known styles",
    "iii": "(iii) unseen concepts",
    "iv": "(iv) photographs",
}
SKILLS = {
    "name": "naming a single object",
    "name_at": "naming the object at a place",
    "where": "telling where an object stands",
    "count": "counting objects of one name, 1 to 4",
    "total": "counting all objects, 1 to 4",
    "colour": "naming a colour",
    "presence": "telling whether something is there",
    "side": "left or right",
    "above_below": "above or below",
    "side_yes_no": "confirming a side",
    "next_to": "naming the neighbour",
    "kind": "telling the kind of thing",
}
# What was set out to be reached on split (i).
GOALS = {"name": 0.90, "presence": 0.85, "count": 0.80, "side": 0.85, "colour": 0.70}
GOAL_RECALL, GOAL_STYLE, GOAL_MARGIN = 0.75, 0.60, 0.15
_OTHERS = ("constant", "neighbour", "probe_global", "probe_views", "tower")


def _number(x: float | None, digits: int = 2) -> str:
    return "-" if x is None or math.isnan(x) else f"{x:.{digits}f}"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(r) + " |" for r in (head, ["---"] * len(head), *rows)]


def write_card(results: dict) -> str:
    """Write the whole card as Markdown; `results` is what `mini.eval.run.evaluate` returns."""
    parts = [_opening(results), *([[results["natural"]]] if results.get("natural") else [])]
    parts += [_goals(results), _judgement(results)]
    parts += [_split(key, split) for key, split in results["splits"].items()]
    parts += [_captions(results)]
    if "photos" in results:
        parts.append(_photos(results["photos"], results["language"]))
    if "examples" in results:
        parts.append(_examples(results["examples"], results["seed"]))
    return "\n".join("\n".join(p) + "\n" for p in parts)


def _opening(results: dict) -> list[str]:
    d = results["decoding"]
    name, kind, manner = "lavida-mini", "of masked diffusion", "by unmasking a canvas, surest words first"
    if results["left_to_right"]:
        name, kind, manner = "the twin of lavida-mini", "that writes left to right", "one token after the other"
    return [
        f"# Model card: {name}",
        "",
        f"A vision-language model {kind}: {results['parameters'] / 1e6:.1f} M parameters besides an",
        "EfficientNet-Lite0 tower. It looks at a picture five times (the whole and four tiles), gets the tower's first",
        f"ImageNet class as a hint, and writes short answers {manner}. The figures",
        f"are those of questions and answers in {LANGUAGES[results['language']].TITLE}.",
        "",
        "- Trained on: scenes composed from free cut-outs, and photographs named by the tower's own classes; the",
        "  packages and their licences are listed in DATA.md.",
        "- Meant for: learning how such models work, and tests of the code around them, not for decisions.",
        "- The weights that ship come from several runs, each going on from the one before, and not from one command;",
        "  docs/training-log.md tells them, and which held-out figures were looked at on the way. To make a model",
        "  of the same kind: `python -m mini build`, then `python -m mini train`, then `python -m mini eval scenes`.",
        f"- All figures: seed {results['seed']}, temperature 0, canvas of {d['short']} tokens for short answers and",
        f"  {d['caption']} for captions, steps: {d['steps']}. Numbers, sides, yes and no are right equally often.",
        f"- Baselines: the answer most frequent in training (constant), the answer of the most similar of"
        f" {results['training_scenes']} training",
        "  scenes by pooled tower features (neighbour), softmax regression from pooled tower features on the"
        f" {results['single_object_scenes']} of them",
        "  with one object (of the global view, of all five views), and the tower's own first class (tower).",
    ]


def _figure(results: dict, split: str, kind: str, by: str = "model") -> float | None:
    return results["splits"].get(split, {}).get("kinds", {}).get(kind, {}).get(by)


def _goals(results: dict) -> list[str]:
    rows: list[list[str]] = []

    def add(title: str, value: float | None, goal: float, extra: bool = True) -> None:
        if value is not None:
            rows.append([title, f"{goal:.2f}", _number(value), "reached" if value >= goal and extra else "missed"])

    for kind, goal in GOALS.items():
        add(f"(i) {SKILLS[kind]}", _figure(results, "i", kind), goal)
    captions = _figure(results, "i", "caption")
    add("(i) nouns recalled in captions", captions["noun_recall"] if captions else None, GOAL_RECALL)
    probe = max(_figure(results, "ii_style", "name", f"probe_{v}") or 0.0 for v in ("global", "views"))
    style = _figure(results, "ii_style", "name")
    add(f"(ii) naming in an unseen style, and above the probe ({probe:.2f})", style, GOAL_STYLE, (style or 0) > probe)
    for kind in SHORT[1:]:
        value, constant = _figure(results, "ii_style", kind), _figure(results, "ii_style", kind, "constant")
        if value is not None and constant is not None:
            add(f"(ii) {SKILLS[kind]}: the constant answer and {GOAL_MARGIN:.2f}", value, constant + GOAL_MARGIN)
    photos = results.get("photos")
    if photos:
        own, tower, broken = photos["with_hints"]["right"], photos["tower"], photos["with_hints"]["broken"]
        mark = "reached" if own >= tower else "missed"
        rows.append(["(iv) photographs rightly named, tower head alone as goal", str(tower), str(own), mark])
        rows.append(["(iv) broken sentences", "0", str(broken), "reached" if broken == 0 else "missed"])
    return ["## Goals", "", *_table(["goal", "at least", "figure", ""], rows)]


def _judgement(results: dict) -> list[str]:
    """Sort what the model can and cannot do by the figures of split (i) and of the unseen style."""
    good, weak, failing = [], [], []
    for kind in SHORT:
        value, constant = _figure(results, "i", kind), _figure(results, "i", kind, "constant")
        if value is None or constant is None:
            continue
        style = _figure(results, "ii_style", kind)
        text = f"{SKILLS[kind]} ({_number(value)}; constant {_number(constant)}; unseen style {_number(style)})"
        if value < constant + GOAL_MARGIN:
            failing.append(text)
        else:
            (good if value >= 0.8 else weak).append(text)
    lines = ["## What it can and cannot do", ""]
    for head, found in (
        ("It can, in new scenes of drawings it was trained on (right at least four times in five)", good),
        ("It does better than guessing, but is often wrong at", weak),
        (f"It cannot (less than {GOAL_MARGIN:.2f} above a constant answer)", failing),
    ):
        lines += [f"{head}:", "", *(f"- {t}" for t in found or ["nothing"]), ""]
    return [*lines, *_limits(results)]


def _limits(results: dict) -> list[str]:
    lines = []
    unseen = _figure(results, "iii", "name")
    if unseen is not None:
        lines.append(f"- A concept without training pictures is named rightly in {unseen:.0%} of its pictures.")
    photos = results.get("photos")
    if photos:
        n, own, tower = photos["n"], photos["with_hints"], photos["tower"]
        lines.append(
            f"- Of {n} photographs it names {own['right']} rightly (the tower's class alone: {tower}); without the"
            f" tower's hint {photos['without_hints']['right']}. For {own['echoes']} of them it says the tower's class."
        )
        lines.append(
            f"- Of {own['sentences']} sentences about photographs {own['broken']} are broken"
            f" ({photos['without_hints']['broken']} without the hint)."
        )
        asked = photos["presence"]
        lines.append(
            f"- Asked whether something is in a photograph it is right {asked['right']} of {asked['n']} times, where it"
            f" is there {asked['yes']} of {asked['n'] // 2}, where not {asked['no']}."
        )
    lines += [
        "- It was taught one-word names and the forms of question listed below, nothing else: not to read text, not to",
        "  recognise people, not to say that it does not know.",
    ]
    return lines


def _split(key: str, split: dict) -> list[str]:
    rows = []
    for kind in SHORT:
        k = split["kinds"].get(kind)
        if k is not None:
            rows.append([kind, str(k["n"]), f"**{_number(k['model'])}**", *(_number(k.get(o)) for o in _OTHERS)])
    head = ["question", "n", "lavida-mini", "constant", "neighbour", "probe, global", "probe, five views", "tower"]
    return [f"## {TITLES.get(key, key)}: {split['scenes']} scenes", "", *_table(head, rows)]


def _captions(results: dict) -> list[str]:
    rows = []
    for key, split in results["splits"].items():
        for by, figures in split["kinds"].get("caption", {}).items():
            if by == "n":
                continue
            name = "**lavida-mini**" if by == "model" else by
            digits = (3, 2, 2, 2)
            values = [figures[f] for f in ("cider", "noun_recall", "noun_precision", "exact")]
            n = str(split["kinds"]["caption"]["n"])
            rows.append([TITLES.get(key, key), name, n, *map(_number, values, digits)])
    head = ["split", "captions by", "n", "CIDEr-D", "noun recall", "noun precision", "exact"]
    note = "Six references a scene; document frequencies from the references of the split; CIDEr-D runs from 0 to 10."
    return ["## Captions", "", *_table(head, rows), "", note]


def _photos(photos: dict, language: str) -> list[str]:
    name_prompt, caption_prompt = (prompt_of(kind, language) for kind in ("name", "caption"))
    rows = [
        [r["file"], r["tower"], r["what"], r["caption"], "right" if r["what_right"] or r["caption_right"] else "wrong"]
        for r in photos["with_hints"]["rows"]
    ]
    summary = _table(
        ["", "rightly named", f"by '{name_prompt}'", "by the caption", "broken sentences"],
        [
            ["**lavida-mini**", *_photo_row(photos["with_hints"], photos["n"])],
            ["lavida-mini without the hint", *_photo_row(photos["without_hints"], photos["n"])],
            ["tower head, first class", f"{photos['tower']} of {photos['n']}", "-", "-", "-"],
        ],
    )
    return [
        f"## {TITLES['iv']}",
        "",
        "Rightly named: an acceptable name, written down by hand beforehand, is a word of one of the two answers.",
        "",
        *summary,
        "",
        *_table(["photograph", "tower head", name_prompt, caption_prompt, ""], rows),
    ]


def _photo_row(figures: dict, n: int) -> list[str]:
    return [
        f"{figures['right']} of {n}",
        str(figures["what_right"]),
        str(figures["caption_right"]),
        f"{figures['broken']} of {figures['sentences']}",
    ]


def _examples(examples: list[dict], seed: int) -> list[str]:
    rows = [
        [TITLES.get(e["split"], e["split"]).split(" ")[0], e["prompt"], e["answer"] or "(nothing)", e["truth"]]
        + ["right" if e["right"] else "**wrong**"]
        for e in examples
    ]
    right = sum(e["right"] for e in examples)
    title = f"## {len(examples)} held-out answers, drawn blindly (seed {seed}): {right} right"
    return [title, "", *_table(["split", "question", "answer", "truth", ""], rows)]
