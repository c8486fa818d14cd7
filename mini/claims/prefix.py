"""C4: the prefix cache, on half a billion random weights at the paper's prompt, and on lavida-mini."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from benchmarks.nets import HALF_BILLION, parameters, random_net, random_prompt
from benchmarks.prefix import added_up
from benchmarks.report import Report, Row
from lavida.model.vlm import VLM
from mini.claims.captions import Captions, draw, write
from mini.claims.result import BY_SEED, Result, Table, check, mean_of, paired, seed_means
from mini.claims.setting import Setting
from mini.data.questions import prompt_of

POSITIONS = 980  # picture tokens of LaViDa
LENGTH = 32
CACHES = ("none", "prefix")


def measure(setting: Setting) -> Result:
    """Compare seconds with and without the cache, and captions."""
    net = random_net(HALF_BILLION, torch.bfloat16)
    large, weights = dict(zip(CACHES, zip(*random_seconds(net, setting)))), parameters(net)
    del net
    count = setting.some(8, 3)
    drawn = draw(setting.data, count, setting.seeds)
    model, options = setting.ours, {"length": LENGTH, "steps": LENGTH}
    captions = Captions(model, drawn, "detailed")
    cached = captions.write(options)
    plain = [
        write(model, [model.read(picture, prompt_of("detailed"), cache="none") for picture in own.pictures],
              {**options, "cache": "none"})
        for own in drawn
    ]  # fmt: skip
    scores = {"none": captions.scores(plain), "prefix": captions.scores(cached)}
    same = [[float(a.text == b.text) for a, b in zip(*own)] for own in zip(cached, plain, strict=True)]
    small = [
        [mini_ratio(setting, picture) for picture in own.pictures[: setting.some(2, 1)]] for own in drawn
    ]  # fmt: skip
    return report(large, scores, same, small, weights)


def random_seconds(net: VLM, setting: Setting) -> Iterator[tuple[list[float], list[float]]]:
    """Yield seconds without and with the cache, a prompt of each seed; the order changes from round to round."""
    for seed in range(setting.seeds):
        prompt, found = random_prompt(net, POSITIONS, seed), {cache: [] for cache in CACHES}
        for turn in range(setting.some(2, 1)):
            for cache in CACHES[:: 1 if turn % 2 else -1]:
                found[cache].append(added_up(net, prompt, cache))
        yield found["none"], found["prefix"]


def mini_ratio(setting: Setting, picture: object) -> float:
    """Return how many times as fast an answer is with the cache, in processor seconds, its picture encoded before."""
    model, spent = setting.ours, {}
    question = prompt_of("detailed")
    for cache in CACHES:
        options = {"length": LENGTH, "steps": LENGTH, "cache": cache, "early_stop": False}
        model.forget()
        model.read(picture, question, cache="none")  # the picture, not the prompt
        start = time.process_time()
        model.ask(picture, question, **options)
        spent[cache] = time.process_time() - start
    return spent["none"] / spent["prefix"]


def report(
    large: dict[str, BY_SEED], scores: dict[str, BY_SEED], same: BY_SEED, small: BY_SEED, weights: int
) -> Result:
    """Return the ratios and what the cache does to the captions."""
    fold = [[a / b for a, b in zip(*own)] for own in zip(large["none"], large["prefix"], strict=True)]
    bound = -(1 - 117.3 / 121.0) * mean_of(scores["none"])
    name = f"half a billion random weights behind {POSITIONS} positions: times as fast"
    checks = (
        check(name, fold, paper="3.9 (7.65 s against 1.93 s)", bound=3.9, reached=True),
        check("lavida-mini: times as fast", small, paper="more than 1", bound=1.0),
        check(
            f"CIDEr-D with the cache less without: at least {bound:.3f}", paired(scores["prefix"], scores["none"]),
            paper="117.3 against 121.0", bound=bound, reached=True,
        ),
    )  # fmt: skip
    rows = (
        ("half a billion random weights, bfloat16", mean_of(large["none"]), mean_of(large["prefix"]), mean_of(fold)),
    )
    quality = (("CIDEr-D without", mean_of(scores["none"])), ("CIDEr-D with", mean_of(scores["prefix"])),
               ("captions that are the same", mean_of(same)))  # fmt: skip
    return Result(
        claim="C4",
        measured=f"{LENGTH} tokens in {LENGTH} passes: seconds of {sum(map(len, fold))} answers by {weights / 1e6:.0f} "
        f"M random weights, processor seconds of {sum(map(len, small))} by lavida-mini, and {sum(map(len, same))} "
        "detailed captions.",
        checks=checks,
        tables=(
            Table(head=("network", "without, s", "with, s", "times as fast"), rows=rows),
            Table(head=("lavida-mini", ""), rows=quality),
        ),
        charts=(
            Report(name="C4", title="Times as fast with the prefix cache", x="", y="times", rows=(
                Row(series="half a billion", x=f"{POSITIONS} positions", values=seed_means(fold)),
                Row(series="lavida-mini", x="one picture", values=seed_means(small)),
            )),
        ),
        notes=(
            "The seconds of the large network are wall seconds, added up from timed passes (benchmarks/prefix.py) on "
            "one thread beside other work: the ratio counts, not the seconds.",
            "lavida-mini's prompt does not see the answer with or without the cache: both ways compute the same "
            "but for rounding.",
        ),
    )  # fmt: skip
