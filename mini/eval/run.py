"""Evaluation of lavida-mini on all splits beside its baselines; writes results.json and MODEL_CARD.md.

python -m mini eval scenes --model FOLDER --data FOLDER --out FOLDER
python -m mini eval scenes --model FOLDER --data FOLDER --out FOLDER --language zh
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from lavida.text.words import exact
from mini.data.atlas import Atlas
from mini.data.features import Features
from mini.data.languages import find_language
from mini.data.questions import prompt_of
from mini.eval import baselines
from mini.eval.answers import AnsweringModel, Decoding, accuracy, answer_pictures, answer_set, caption_figures
from mini.eval.card import write_card
from mini.eval.photos import evaluate_photos, open_photos, photo_features, read_photos
from mini.eval.sets import PictureQuestion, constants, question_set
from mini.eval.splits import SPLITS, TRAIN, drawn_pictures, split_features

PER_KIND = 300  # questions of each kind and split, at most
EXAMPLES = 40
PHOTOS = Path(__file__).parent / "photos.json"
Log = Callable[[str], None]


def main(
    model_folder: str | Path | None,
    data_folder: str | Path,
    out: str | Path,
    *,
    features: str | Path | None = None,
    seed: int = 0,
    decoding: Decoding | None = None,
    language: str = "en",
    natural: str | None = None,
    log: Log = print,
) -> dict:
    """Evaluate the model of a folder (None = the one that comes with the package) and write the card into `out`.

    `data_folder` is what `python -m mini build` made; maps of the tower's trunk are kept in `features` (default: below
    it); the card begins with the section `natural`. Folders named train* there serve the baselines as training scenes.
    Every language is asked the same questions. Returns what results.json holds.
    """
    from lavida.api import load  # the interface sits beside this layer and is needed for loading only

    find_language(language)
    model = load(model_folder)
    atlas = Atlas.load(data_folder)
    folder = Path(features or Path(data_folder) / "features")
    held_out = {key: split_features(atlas, folder / key, s, model.net.tower, log) for key, s in SPLITS.items()}
    ready = [Features(f) for f in sorted(folder.glob("train*")) if (f / "truth.jsonl").exists()]
    training = ready or [split_features(atlas, folder / "train", TRAIN, model.net.tower, log)]
    shown = {key: partial(drawn_pictures, atlas, split) for key, split in SPLITS.items()}
    results = evaluate(
        model,
        training,
        held_out,
        shown=shown if model.net.evidence is not None else {},
        seed=seed,
        decoding=decoding,
        language=language,
        log=log,
    )
    photos = read_photos(PHOTOS, language)
    log(f"(iv) {len(photos)} photographs")
    maps, records = photo_features(model.net, Path(data_folder) / "photos-test", photos)
    opened = open_photos(Path(data_folder) / "photos-test", photos) if model.net.evidence is not None else ()
    results["photos"] = evaluate_photos(model, photos, maps, records, language, seed, opened)
    results["examples"] = pick_examples(results, seed)
    write_results(results, Path(out), natural)
    return results


def evaluate(
    model: AnsweringModel,
    training: Sequence[Features],
    held_out: dict[str, Features],
    *,
    shown: Mapping[str, Callable[[], Iterable[Image.Image]]] | None = None,
    seed: int = 0,
    decoding: Decoding | None = None,
    language: str = "en",
    log: Log = print,
) -> dict:
    """Compute figures of the model and of every baseline on splits of scenes.

    `shown` draws the pictures of a split for a model that finds evidence in them; others read the kept maps.
    """
    decoding = decoding or Decoding()
    train = baselines.TrainingScenes.from_features(training, model.net.tower)
    fixed = constants(train.scenes, seed, language=language)
    log(f"baselines: {len(train.scenes)} training scenes")
    probes = baselines.fit_probes(train, seed=seed)
    results: dict = {
        "seed": seed,
        "language": language,
        "left_to_right": model.net.config.denoiser.autoregressive,
        "parameters": sum(p.numel() for n, p in model.net.named_parameters() if not n.startswith("tower.")),
        "training_scenes": len(train.scenes),
        "single_object_scenes": sum(len(s.objects) == 1 for s in train.scenes),
        "constants": fixed,
        "decoding": {"short": decoding.short, "caption": decoding.caption, "steps": decoding.steps or "one per token"},
        "splits": {},
    }
    for key, features in held_out.items():
        start = time.perf_counter()
        draw = (shown or {}).get(key)
        results["splits"][key] = _split(model, features, train, fixed, probes, seed, decoding, language, draw)
        log(f"{SPLITS[key].title if key in SPLITS else key}: {time.perf_counter() - start:.0f} s")
    return results


def _split(
    model: AnsweringModel,
    features: Features,
    train: baselines.TrainingScenes,
    fixed: dict[str, str],
    probes: dict[str, baselines.Probe],
    seed: int,
    decoding: Decoding,
    language: str,
    draw: Callable[[], Iterable[Image.Image]] | None = None,
) -> dict:
    scenes = [t.scene for t in features.records]
    sets = question_set(scenes, PER_KIND, seed, language=language)
    flat = [a for asked in sets.values() for a in asked]
    if draw is None:
        said = answer_set(model, features.maps, features.records, flat, decoding)
    else:
        said = answer_pictures(model, draw(), flat, decoding)
    answers = dict(zip(map(id, flat), said, strict=True))
    pooled = baselines.pool_features(features, model.net.tower)
    kinds: dict[str, dict] = {}
    rows: list[dict] = []
    for kind, asked in sets.items():
        if not asked:
            continue
        own = [answers[id(a)] for a in asked]
        others = {
            "constant": baselines.constant(asked, fixed),
            "neighbour": baselines.nearest(asked, pooled, train, fixed),
        }
        if kind == "caption":
            captions = {"model": own, **others}
            kinds[kind] = {"n": len(asked)} | {name: caption_figures(scenes, asked, t) for name, t in captions.items()}
        else:
            kinds[kind] = {"n": len(asked), "model": accuracy(asked, own)}
            kinds[kind] |= {name: accuracy(asked, texts) for name, texts in others.items()}
        if kind == "name":
            kinds[kind] |= _naming(model, features, asked, pooled, probes)
        rows += [
            {"kind": kind, "prompt": a.question.prompt, "truth": a.question.answer, "answer": text}
            for a, text in zip(asked, own, strict=True)
        ]
    return {"scenes": len(scenes), "kinds": kinds, "answers": rows}


def _naming(
    model: AnsweringModel,
    features: Features,
    asked: Sequence[PictureQuestion],
    pooled: baselines.Pooled,
    probes: dict[str, baselines.Probe],
) -> dict[str, float]:
    figures = {
        f"probe_{view}": accuracy(asked, baselines.probe_names(asked, pooled[view], probe))
        for view, probe in probes.items()
    }
    if model.labels:
        right = baselines.tower_right(features.records, asked, [label.name for label in model.labels])
        figures["tower"] = sum(right) / len(right)
    return figures


def pick_examples(results: dict, seed: int, n: int = EXAMPLES) -> list[dict]:
    """Draw n held-out answers blindly, an equal share from each split and the photographs; mark them right or wrong."""
    rng = random.Random(seed)
    sources = list(results["splits"]) + (["iv"] if "photos" in results else [])
    chosen = []
    for i, key in enumerate(sources):
        share = n // len(sources) + (i < n % len(sources))
        if key == "iv":
            rows = results["photos"]["with_hints"]["rows"]
            drawn = [
                {
                    "split": key,
                    "prompt": f"{prompt_of('caption', results['language'])} ({r['file']})",
                    "answer": r["caption"],
                    "truth": "see photos.json",
                    "right": r["caption_right"],
                }
                for r in rng.sample(rows, min(share, len(rows)))
            ]
        else:
            rows = results["splits"][key]["answers"]
            drawn = [
                {k: r[k] for k in ("prompt", "answer", "truth")}
                | {"split": key, "right": exact(r["answer"], r["truth"])}
                for r in rng.sample(rows, min(share, len(rows)))
            ]
        chosen += drawn
    return chosen


def write_results(results: dict, out: Path, natural: str | None = None) -> None:
    """Write results.json (without single answers) and MODEL_CARD.md; results.zh.json and so on for another language."""
    out.mkdir(parents=True, exist_ok=True)
    splits = {k: {f: v for f, v in s.items() if f != "answers"} for k, s in results["splits"].items()}
    mark = "" if results["language"] == "en" else f".{results['language']}"
    (out / f"results{mark}.json").write_text(json.dumps(results | {"splits": splits}, indent=1) + "\n")
    (out / f"MODEL_CARD{mark}.md").write_text(write_card(results | {"natural": natural}), encoding="utf-8")
