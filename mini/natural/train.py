"""Train lavida-mini to answer natural questions with evidence, from the weights of an earlier model.

    python -m mini.natural.train START OUT --seen FOLDER --steps 3000
    python -m mini.natural.train START OUT --seen FOLDER --stage fim --steps 150

START is a model folder; FOLDER holds what `mini.natural.photographs` wrote, for the stages "copy" and "documents"
what `mini.natural.documents` wrote. The tower and the projector stay as they
are; the denoiser, its embeddings and the entry of evidence are trained by the loss of complementary masks. The stages
besides "natural" are LaViDa's third ones (`mini/natural/stages.py`).
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.checkpoint.io import load_checkpoint
from lavida.config import EvidenceConfig
from lavida.errors import DataError
from lavida.model.evidence import CELLS, EvidenceEmbedding
from lavida.model.vlm import VLM
from lavida.text.labels import Label, load_labels
from lavida.text.names import save_names
from lavida.text.reading import DOCUMENTS
from lavida.text.things import COCO, evidence_words
from lavida.text.tokenizer import Tokenizer
from lavida.train import distributed as parallel
from lavida.train.launch import MEASURED
from lavida.train.task import Group, Micro, Outcome, Plan
from lavida.train.trainer import Habits, Trainer
from mini.natural.copying import Guide
from mini.natural.documents import SeenDocuments
from mini.natural.feed import NaturalFeed, NaturalRows, Shares
from mini.natural.growth import extended, grow, missing_words
from mini.natural.held import held_out_rows, image_prefix, right_answers, told_of_names
from mini.natural.labelled import Labelled
from mini.natural.lexicon import model_names
from mini.natural.mentions import MOST
from mini.natural.photographs import Seen
from mini.natural.simulate import BOXES, Simulator
from mini.natural.stages import STAGES, make_feed
from mini.train.losses import packed_loss
from mini.train.run import export


class Learner(nn.Module):
    """Hold the model whose denoiser and evidence are trained, and the heads of the grounding loss.

    The hidden state of each name in a prompt must tell which cells show it and how many there are.
    """

    def __init__(self, vlm: VLM) -> None:
        super().__init__()
        self.vlm, self.guide = vlm, Guide(vlm.denoiser)
        self.ground = nn.Linear(vlm.config.denoiser.d_model, CELLS)
        self.number = nn.Linear(vlm.config.denoiser.d_model, MOST + 1)

    def forward(self, rows: NaturalRows) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss of packed rows, the part of it on content tokens and that of grounding and guided heads."""
        with torch.autocast(rows.cells.device.type, dtype=torch.bfloat16):
            image = image_prefix(self.vlm, rows.cells, rows)
            with self.guide.watching() if len(rows.copies) else nullcontext():
                found = packed_loss(self.vlm.denoiser, rows.batch, image, told_of_names(self.vlm, rows))
                guided = 0.5 * self.guide.loss(rows.copies) if len(rows.copies) else 0.0
            ground = self._grounding(found.hidden.index_select(0, rows.batch.name_positions), rows) + guided
        return found.loss + ground, found.content, ground

    def _grounding(self, hidden: Tensor, rows: NaturalRows) -> Tensor:
        """Return the loss of what names [G, D] tell; only their numbers may be unknown."""
        if not len(hidden):
            return self.ground(hidden).sum() + self.number(hidden).sum()
        cells, number = self.ground(hidden).float(), self.number(hidden).float()
        found = F.binary_cross_entropy_with_logits(cells, rows.shown, pos_weight=cells.new_tensor(4.0))
        known = rows.numbers >= 0
        counted = F.cross_entropy(number, rows.numbers.clamp(min=0), reduction="none")
        return found + 0.5 * (counted * known).sum() / known.sum().clamp(min=1)


class NaturalTask:
    """A `Task` of one stage. Everything random comes from its two generators and PyTorch's own."""

    def __init__(
        self,
        vlm: VLM,
        feed: NaturalFeed,
        plan: Plan,
        out: Path,
        *,
        rows: int,
        rate: float,
        seed: int,
        words: float = 0.5,
        blocks: float = 2.5,
    ) -> None:
        self.out, self.blocks = out, blocks
        self.feed, self.plans, self.rows, self.rate, self.words = feed, [plan], rows, rate, words
        self.rng, self.g = random.Random(seed), torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.vlm, self.module = vlm, Learner(vlm)

    def begin(self, stage: int, *, fresh: bool) -> list[Group]:
        """Freeze the tower and the projector; matrices of the blocks by Muon, the rest by AdamW."""
        parts: dict[str, list[nn.Parameter]] = {"muon": [], "words": [], "evidence": [], "other": []}
        for name, p in self.vlm.named_parameters():
            p.requires_grad_(name.startswith(("denoiser", "evidence", "newline", "positions")))
            if not p.requires_grad:
                continue
            if name.startswith("denoiser.blocks") and p.dim() == 2:
                parts["muon"].append(p)
            elif "embedding" in name:
                parts["words"].append(p)
            else:
                parts["evidence" if name.startswith("evidence") else "other"].append(p)
        parts["heads"] = [*self.module.ground.parameters(), *self.module.number.parameters()]
        factors = {"heads": 1.5, "muon": self.blocks, "words": self.words, "evidence": 1.0, "other": 1.0}
        return [
            Group(name=name, parameters=held, rate=self.rate * factors[name], muon=name == "muon")
            for name, held in parts.items()
        ]

    def batch(self, step: int) -> Micro:
        """Packed rows of as many pictures."""
        rows = self.feed.rows(self.rows, self.rng, self.g)
        return Micro(data=rows, weight=1.0, samples=rows.batch.questions)

    def loss(self, data: NaturalRows) -> Outcome:
        """Return the loss and that of the content tokens."""
        loss, content, ground = self.module(data)
        return Outcome(loss=loss, figures={"content": float(content.detach()), "ground": float(ground.detach())})

    def evaluate(self) -> dict[str, Any]:
        """Write the model as it is and return the share of exact answers to held-out wordings by kind."""
        write(self.vlm, self.feed.tokenizer, self.feed.labels, self.out / "model")
        if not self.feed.natural:
            return {}
        rows, kinds = held_out_rows(self.feed, 16, 77)
        right, wrong = right_answers(self.vlm, self.feed.tokenizer, rows, kinds)
        with open(self.out / "wrong.txt", "w", encoding="utf-8") as file:
            file.writelines(f"{kind} | {asked} | {said} | {wanted}\n" for kind, asked, said, wanted in wrong)
        shares = {kind: round(hits / n, 3) for kind, (hits, n) in right.items()}
        total = sum(hits for hits, _ in right.values()) / max(1, sum(n for _, n in right.values()))
        self.vlm.train()
        return {"right": round(total, 4), **shares}

    def skipped(self) -> list[tuple[str, str]]:
        """Return nothing: no picture is left out."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the generators."""
        version, numbers, gauss = self.rng.getstate()
        return {"g": self.g.get_state(), "rng": [version, list(numbers), gauss]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        version, numbers, gauss = state["rng"]
        self.g.set_state(state["g"])
        self.rng.setstate((version, tuple(numbers), gauss))


def with_evidence(vlm: VLM, labels: list[Label], tokenizer: Tokenizer, g: torch.Generator) -> VLM:
    """Give a model that reads image tokens alone the place for evidence."""
    names = model_names()
    if vlm.evidence is None or not vlm.evidence.names:
        before = vlm.evidence
        config = EvidenceConfig(classes=len(labels), things=len(COCO), boxes=BOXES, names=len(names))
        vlm.config = replace(vlm.config, evidence=config)
        vlm.evidence = EvidenceEmbedding(vlm.config.denoiser.d_model, **asdict(config))
        vlm.evidence.reset(g)
        if before is not None:  # an older model, which looked up no names
            vlm.evidence.load_state_dict(before.state_dict(), strict=False)
    vlm.evidence.bind(evidence_words(tokenizer, labels), names)
    return vlm


def write(vlm: VLM, tokenizer: Tokenizer, labels: list[Label], out: Path) -> None:
    """Write a model folder; the parts that find evidence are copied to it by hand."""
    export(vlm, tokenizer, labels, out)
    save_names(model_names(), out)


def start(folder: Path, out: Path, simulator_seed: int = 1) -> tuple[VLM, Tokenizer, list[Label]]:
    """Load a model in float32, with the words of natural questions and the place for evidence."""
    vlm, _ = load_checkpoint(folder, dtype=torch.float32)
    labels = load_labels(folder)
    if labels is None:
        raise DataError(f"{folder} has no labels.json; start from lavida-mini")
    tokenizer, g = Tokenizer.load(folder), torch.Generator().manual_seed(simulator_seed)
    if (out / "tokenizer.json").exists():  # a run that goes on
        new = Tokenizer.load(out)
    elif vlm.evidence is None:
        new = extended(tokenizer, *missing_words(tokenizer))
    else:
        new = tokenizer
    if new.size > tokenizer.size:
        vlm = grow(vlm, tokenizer, new, g)
    out.mkdir(parents=True, exist_ok=True)
    new.save(out)
    return with_evidence(vlm, labels, new, g), new, labels


def train_stage(
    begin: Path,
    out: Path,
    stage: str,
    seen: Seen | SeenDocuments,
    *,
    steps: int,
    rows: int,
    rate: float,
    seed: int,
    minutes: float = float("inf"),
    say: Callable[[str], None] = print,
) -> None:
    """Train one of LaViDa's third stages from a model folder, or go on with it, and write `out / "model"`.

    The model gets the other files of `begin` too, without what was measured of it. The matrices of the blocks learn
    four times as fast as in "natural": a new form of answer takes long at that pace, and a higher rate of everything
    spoils what is known (training-log.md, run 12). After "copy" or "documents" the model reads texts by `DOCUMENTS`.
    """
    vlm, tokenizer, labels = start(begin, out)
    if isinstance(seen, SeenDocuments):
        vlm.config = replace(vlm.config, reading=DOCUMENTS)
    feed = make_feed(stage, tokenizer, labels, Simulator(vlm.tower.classifier.weight.detach()), seen)
    task = NaturalTask(vlm, feed, plan_of(stage, steps), out, rows=rows, rate=rate, seed=seed, blocks=10.0)
    trainer = Trainer(task, out, habits=Habits(log=20, save=200, evaluate=200), say=say)
    trainer.resume()
    if trainer.run(minutes=minutes):
        write(vlm, tokenizer, labels, out / "model")
        for path in begin.iterdir():
            if path.is_file() and path.name not in MEASURED and not (out / "model" / path.name).exists():
                shutil.copyfile(path, out / "model" / path.name)


def plan_of(name: str, steps: int) -> Plan:
    """Return the schedule of a training."""
    return Plan(
        name=name,
        steps=steps,
        schedule="cut cosine",
        warmup=min(20, max(1, steps // 10)),
        floor=0.05,
        betas=(0.9, 0.98),
        weight_decay=0.01,
    )


def main(arguments: list[str]) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("start", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seen", type=Path, required=True)
    parser.add_argument("--stage", choices=STAGES, default="natural")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--invented", type=float, default=0.5)
    parser.add_argument("--photographs", type=float, default=0.2)
    parser.add_argument("--evaluate", type=int, default=150)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    if args.stage != "natural":
        documents = args.stage in ("copy", "documents")
        seen = SeenDocuments.load(args.seen, "train") if documents else Seen.load(args.seen / "scenes.pt")
        train_stage(
            args.start, args.out, args.stage, seen, steps=args.steps, rows=args.rows,
            rate=args.rate, seed=args.seed, minutes=args.minutes,
        )  # fmt: skip
        return
    vlm, tokenizer, labels = start(args.start, args.out)
    scenes = Seen.load(args.seen / "scenes.pt") if (args.seen / "scenes.pt").exists() else None
    photos = Labelled(Seen.load(args.seen / "photos.pt")) if (args.seen / "photos.pt").exists() else None
    simulator = Simulator(vlm.tower.classifier.weight.detach())
    shares = Shares(invented=args.invented, photographs=args.photographs)
    feed = NaturalFeed(tokenizer, labels, simulator, scenes=scenes, photographs=photos, shares=shares)
    task = NaturalTask(
        vlm, feed, plan_of("natural", args.steps), args.out, rows=args.rows, rate=args.rate, seed=args.seed
    )
    parallel.prepare(task.module, compile=args.compile)
    trainer = Trainer(task, args.out, habits=Habits(log=20, save=300, evaluate=args.evaluate), say=print)
    trainer.resume()
    trainer.run(minutes=args.minutes)
    write(vlm, tokenizer, labels, args.out / "model")


if __name__ == "__main__":
    main(sys.argv[1:])
