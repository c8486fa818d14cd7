"""The claims as their papers state them, with their figures, and the functions that measure them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mini.claims import dialogue, languages, masking, passes, poems, prefix, reasoning, recall, twin
from mini.claims.result import Result
from mini.claims.setting import Setting

LAVIDA = "LaViDa, arXiv 2505.16839"
LLADA = "LLaDA, arXiv 2502.09992"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Hold one claim."""

    title: str
    says: str
    source: str
    published: str
    measure: Callable[[Setting], Result] | None
    why: str = ""  # it is not measured, where it is not
    needs_data: bool = True


CLAIMS: dict[str, Claim] = {
    "C1": Claim(
        title="Captions against an autoregressive model",
        says="Better captions than an autoregressive model of its size, in less time.",
        source=f"{LAVIDA}, abstract and Table 3a (COCO, 500 pictures, L = 32, one A5000)",
        published="abstract: +4.1 CIDEr at 1.92 times the speed; Table 3a: 117.3 in 1.93 s (K = L), 114.8 in 1.23 s "
        "(K = L/2), Open-LLaVA-NeXT 111.8 in 1.71 s",
        measure=twin.measure,
    ),
    "C2": Claim(
        title="Constrained poems",
        says="Poems with given beginnings of lines are always kept, where autoregressive models asked in words fail.",
        source=f"{LAVIDA}, table of constrained poems (100 pictures)",
        published="poems kept: LaViDa 1.00, LaViDa-FIM 1.00, LLaVA-1.6-7B 0.37, Qwen2.5-VL-7B 0.16",
        measure=poems.measure,
    ),
    "C3": Claim(
        title="Quality against the number of passes",
        says="Half or a quarter of the passes cost little quality.",
        source=f"{LAVIDA}, Table 3a and table of schedules (COCO, L = 32, schedule shift 1/3)",
        published="CIDEr at 100, 75, 50, 25 % of the passes: 117.3, 117.3, 114.8, 101.1",
        measure=passes.measure_passes,
    ),
    "C4": Claim(
        title="Prefix cache",
        says="Up to 3.9 times as fast with the prefix cache at a small loss.",
        source=f"{LAVIDA}, Table 3a (COCO, L = 32, 100 % of the passes)",
        published="7.65 s and CIDEr 121.0 without, 1.93 s and 117.3 with",
        measure=prefix.measure,
    ),
    "C5": Claim(
        title="Complementary masking",
        says="Two complementary masks of each answer teach more than two independent ones.",
        source=f"{LAVIDA}, ablation on a subset of 200 k",
        published="without / with: MME 260 / 297, MathVista 28.4 / 33.4, ScienceQA 48.74 / 81.49, MMMU 38.56 / 41.78",
        measure=masking.measure,
        why="not run for this table; these objectives after 300 steps are in training-log.md, under Ablations",
    ),
    "C6": Claim(
        title="Schedules",
        says="The schedule shift 1/3, which commits many tokens early, loses least where passes are few.",
        source=f"{LAVIDA}, table of schedules (COCO, L = 32)",
        published="CIDEr at 25 %: shift 1/3 101.1, cosine 87.7, linear 84.9, shift 3 48.7; all 117.3 at 100 %",
        measure=passes.measure_schedules,
    ),
    "C7": Claim(
        title="Reason stage",
        says="A stage that learns chains of reasoning answers held-out reasoning better.",
        source=f"{LAVIDA}, LaViDa-Reason",
        published="MathVista 44.8 to 45.2, MathVerse 27.2 to 29.3, MathVision 20.4 to 24.0",
        measure=reasoning.measure,
    ),
    "C8": Claim(
        title="Low-confidence against random remasking",
        says="Committing the surest tokens first keeps quality with fewer passes than a random order.",
        source=f"{LLADA}, remasking strategies",
        published="no figure at hand",
        measure=passes.measure_orders,
    ),
    "C9": Claim(
        title="Forward and reverse recall",
        says="What was learnt in one direction is recalled in the other, where autoregressive models lose it.",
        source=f"{LLADA}, completion of poems (figures recalled, not looked up here)",
        published="forward / reverse: LLaDA-8B-Instruct 51.8 / 45.6, GPT-4o 82.7 / 34.3, Qwen2.5-7B-Instruct "
        "75.9 / 38.0",
        measure=recall.measure,
        needs_data=False,
    ),
    "C10": Claim(
        title="Asked in Chinese as in English",
        says="lavida-mini answers in Chinese as well as in English.",
        source="this project's own",
        published="none",
        measure=languages.measure,
    ),
    "C11": Claim(
        title="Dialogues up to the window",
        says="A dialogue is read whole up to the window, in bounded memory, and beyond it is refused; nothing is cut "
        "silently.",
        source="this project's own",
        published="none",
        measure=dialogue.measure,
    ),
}
