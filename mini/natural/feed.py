"""Draw rows of natural questions: about invented photographs, real photographs and drawn scenes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from lavida.config import ReadingConfig
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.text.labels import Label
from lavida.text.names import NameFinder, mentions
from lavida.text.prompt import hint_ids
from lavida.text.reading import SIGNS, read_ids
from lavida.text.tokenizer import USER, Tokenizer
from mini.data.questions import Question, ask
from mini.data.scenes import Scene
from mini.natural.ask import questions
from mini.natural.labelled import Labelled
from mini.natural.lexicon import model_names
from mini.natural.mentions import Mentions, shown_cells, word_of
from mini.natural.photographs import Seen
from mini.natural.phrases import CANNOT_TELL
from mini.natural.simulate import BOXES, Simulator, drop_sources
from mini.natural.texts import invent_texts, misread
from mini.natural.truth import Box, Thing, Truth
from mini.train.batches import COUNTS, SCENE_KINDS
from mini.train.packing import PackedRows, Packer

IMAGE_TOKENS = 16 + 8 * 9 + 2 + BOXES  # cells and newlines, and the tokens of evidence before them


@dataclass(frozen=True, kw_only=True)
class NaturalRows:
    """Hold packed rows and what their N pictures show."""

    batch: PackedRows
    cells: Tensor  # [N, 80, D] projected cells
    inputs: EvidenceInputs
    shown: Tensor  # [G, 80] which cells show the names that the prompts speak of
    numbers: Tensor  # [G] how many there are
    mentions: Tensor  # [M, 3] places of names in prompts: flat position, picture, number of the name (or MAIN)
    copies: Tensor = field(default_factory=lambda: torch.zeros(0, 3, dtype=torch.long))  # [C, 3], see `CopyFinder`

    def to(self, device: str) -> NaturalRows:
        """Move everything to a device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return NaturalRows(**moved)


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Hold how often a row shows each sort of picture; drawn scenes take the rest."""

    invented: float = 0.5
    photographs: float = 0.2
    chinese: float = 0.35  # of the questions


class MentionPacker(Packer):
    """Pack questions whose names are mentions ("key|word")."""

    def _find_name(self, prompt: list[int], name: str, language: str) -> int | None:
        token = self._encode(word_of(name), prompt=False)[0]
        return prompt.index(token) if token in prompt else None


def truth_of(scene: Scene) -> Truth:
    """Return what is known of a drawn scene."""
    things = [
        Thing(name=o.name, colour=o.colour, box=(o.x - o.w / 2, o.y - o.h / 2, o.x + o.w / 2, o.y + o.h / 2))
        for o in scene.objects
    ]
    return Truth(things=tuple(things))


class NaturalFeed:
    """Draw rows; everything random comes from the two generators."""

    natural = True  # the questions are those that `held_out` draws in other wordings

    def __init__(
        self,
        tokenizer: Tokenizer,
        labels: Sequence[Label],
        simulator: Simulator,
        *,
        scenes: Seen | None,
        photographs: Labelled | None,
        row: int = 448,
        shares: Shares | None = None,
        reading: ReadingConfig = SIGNS,
    ) -> None:
        self.tokenizer, self.labels, self.simulator = tokenizer, labels, simulator
        self.scenes, self.photographs, self.shares = scenes, photographs, shares or Shares()
        self.mentions, self.reading = Mentions(), reading
        self.finder, self._user = NameFinder(model_names(), tokenizer), tokenizer.id_of(USER)
        self.packer = MentionPacker(tokenizer, image_tokens=IMAGE_TOKENS, row=row)

    def rows(self, n: int, rng: random.Random, g: torch.Generator) -> NaturalRows:
        """Rows of n pictures."""
        packed, cells, inputs, truths = [], [], [], []
        for _ in range(n):
            own, evidence, asked, tail, truth = self._row(rng)
            truths.append(truth)
            evidence, dropped = drop_sources(evidence, rng)
            hint = self._hint(evidence) if "whole" not in dropped and rng.random() < 0.9 else []
            packed.append((hint + tail, asked))
            cells.append(own)
            inputs.append(evidence)
        return self._packed(packed, cells, inputs, truths, rng, g)

    def _packed(
        self,
        packed: list[tuple[list[int], list[Question]]],
        cells: list[Tensor],
        inputs: list[EvidenceInputs],
        truths: list[Truth],
        rng: random.Random,
        g: torch.Generator,
    ) -> NaturalRows:
        batch = self.packer.pack(packed, rng, g)
        told = [shown_cells(truths[picture], mention) for picture, mention in batch.names]
        return NaturalRows(
            batch=batch,
            cells=torch.stack(cells),
            inputs=EvidenceInputs.stack(inputs),
            shown=torch.stack([shown for shown, _ in told]) if told else torch.zeros(0, 80),
            numbers=torch.tensor([number for _, number in told], dtype=torch.long),
            mentions=self._mentions(batch),
        )

    def _mentions(self, batch: PackedRows) -> Tensor:
        """Find the names in the prompts of rows, as a model that answers does."""
        found = []
        prompts = batch.segment % 3 == 2
        for b, (ids, asked) in enumerate(zip(batch.ids, prompts, strict=True)):
            text = torch.where(asked, ids, -1).tolist()
            found += [
                (b * len(text) + place, int(batch.picture[b]), name)
                for places, name in mentions(self.finder, text, self._user)
                for place in range(places.start, places.stop)
            ]
        return torch.tensor(found, dtype=torch.long).view(-1, 3)

    def held_out(self, n: int, rng: random.Random, g: torch.Generator) -> tuple[NaturalRows, list[Question]]:
        """Rows of n invented pictures asked in wordings that are never trained on, all sources there."""
        packed, cells, inputs, truths, everything = [], [], [], [], []
        for _ in range(n):
            made = self.simulator(rng)
            asked = self._natural(made.truth, rng, 16, held_out=True)
            asked, tail = self._read(made.truth.texts, asked, rng, 1.0)
            packed.append((self._hint(made.inputs) + tail, asked))
            cells.append(self._any_cells(rng))
            inputs.append(made.inputs)
            truths.append(made.truth)
            everything += asked
        return self._packed(packed, cells, inputs, truths, rng, g), everything

    def _row(self, rng: random.Random) -> tuple[Tensor, EvidenceInputs, list[Question], list[int], Truth]:
        """Draw cells, evidence and questions of one picture, the ids of what was read in it and its truth."""
        u, shares = rng.random(), self.shares
        if u < shares.invented or self.scenes is None:
            made = self.simulator(rng)
            asked, tail = self._read(made.truth.texts, self._natural(made.truth, rng, 22), rng, 0.7)
            return self._any_cells(rng), made.inputs, asked, tail, made.truth
        if u < shares.invented + shares.photographs and self.photographs is not None:
            cells, evidence, truth = self.photographs.draw(rng)
            false = invent_texts(rng) if rng.random() < 0.1 else ()
            asked, tail = self._read(false, self._natural(truth, rng, 22), rng, 0.4)
            return cells.float(), evidence, asked, tail, truth
        i = rng.randrange(len(self.scenes))
        scene = self.scenes.scenes[i]
        assert scene is not None
        truth = truth_of(scene)
        natural = self._natural(truth, rng, 8) if rng.random() < 0.6 else []
        weights = SCENE_KINDS | {"count": COUNTS[max(scene.counts.values())]}
        kinds = rng.choices(list(weights), list(weights.values()), k=16)
        taught = [self._grounded(q, truth) for kind in kinds if (q := ask(scene, kind, rng, self._language(rng)))]
        asked, tail = self._read((), natural + taught, rng, 0.3)
        rng.shuffle(asked)
        return self.scenes.cells[i].float(), self.scenes.inputs_of(i), asked, tail, truth

    def _read(
        self, texts: tuple[tuple[str, Box], ...], asked: list[Question], rng: random.Random, odds: float
    ) -> tuple[list[Question], list[int]]:
        """Let a reader read the texts, by chance; without one, questions about text cannot be answered."""
        if rng.random() < odds:
            return asked, read_ids(self.tokenizer, misread(texts, rng), self.reading)
        unread = [replace(q, answer=CANNOT_TELL[q.language]) if q.kind in ("text", "text_check") else q for q in asked]
        return unread, []

    def _natural(self, truth: Truth, rng: random.Random, count: int, *, held_out: bool = False) -> list[Question]:
        """Natural questions in both languages."""
        chinese = sum(rng.random() < self.shares.chinese for _ in range(count))
        asked = []
        for language, number in (("en", count - chinese), ("zh", chinese)):
            if number:
                asked += questions(truth, rng, count=number, language=language, held_out=held_out)
        rng.shuffle(asked)
        written = [Question(kind=q.kind, prompt=q.question, answer=q.answer, language=q.language) for q in asked]
        return [self._grounded(q, truth) for q in written]

    def _grounded(self, q: Question, truth: Truth) -> Question:
        return replace(q, names=self.mentions(q.prompt, q.language, truth))

    def _any_cells(self, rng: random.Random) -> Tensor:
        """Image tokens for an invented picture: those of another photograph, or none."""
        seen = self.photographs.seen if self.photographs is not None else None
        if seen is not None and rng.random() < 0.7:
            return seen.cells[rng.randrange(len(seen))].float()
        return torch.zeros(80, 384)

    def _hint(self, evidence: EvidenceInputs) -> list[int]:
        return hint_ids(self.tokenizer, self.labels[int(evidence.top[0, 0])], float(evidence.top_shares[0, 0]))

    def _language(self, rng: random.Random) -> str:
        return "zh" if rng.random() < self.shares.chinese else "en"
