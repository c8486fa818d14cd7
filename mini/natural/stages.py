"""LaViDa's third stages for lavida-mini: chains of reasoning, answers with gaps (arXiv 2505.16839), and documents.

    python -m mini.natural.train START OUT --seen FOLDER --stage reason --steps 100
    python -m mini.natural.train START OUT --seen FOLDER --stage fim --steps 150
    python -m mini.natural.train START OUT --seen FOLDER --stage copy --steps 1000 --rows 10
    python -m mini.natural.train START OUT --seen FOLDER --stage documents --steps 1000

"reason" learns the chains of an exact program, "direct" the answers to the same questions without them; "fim" learns
answers with gaps, in which the model marks the places that it does not need; "documents" learns to copy the fields of a
form out of the text that was read, "copy" the same before it from the text alone, without tokens of a picture, which
takes half the time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from lavida.data.infill import FEWEST_WORDS, with_gaps
from lavida.errors import DataError
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.text.chat import find_template, piece_ids, split
from lavida.text.forms import form_question
from lavida.text.labels import Label
from lavida.text.reading import DOCUMENTS, read_ids
from lavida.text.tokenizer import FIM, SPAN, Tokenizer
from mini.data.documents.values import answer_of
from mini.data.questions import Question, ask
from mini.data.reasoning import held_out, reason
from mini.data.scenes import Scene
from mini.natural.copying import CopyFinder
from mini.natural.documents import SeenDocuments
from mini.natural.feed import IMAGE_TOKENS, MentionPacker, NaturalFeed, NaturalRows, truth_of
from mini.natural.invented_documents import invent_document
from mini.natural.photographs import Seen
from mini.natural.phrases import CANNOT_TELL
from mini.natural.simulate import Simulator
from mini.natural.truth import Truth

STAGES = ("natural", "reason", "direct", "fim", "copy", "documents")
CANVAS = {"reason": 24, "direct": 4}  # tokens of every answer
_ROW = {"reason": 448, "direct": 256}
_QUESTIONS = 5  # about a picture, in one row
_GAPS, _READ, _INVENTED = 0.8, 0.7, 0.25  # shares of answers with gaps, of rows with a reader, of invented pictures
_NATURAL, _DRAWN, _TITLED, _SHUFFLED = 0.25, 0.25, 0.9, 0.5  # shares of rows; of forms
_FORMS = 5  # about a document, in one row
_FORM_LENGTHS = (16, 24, 32, 48, 64, 96)  # of canvases
_WHOLE = ("caption", "caption", "detailed", "detailed")


class StageFeed(NaturalFeed):
    """Draw the rows of a stage; a step takes one number of `rng`, so that other answers leave the pictures the same."""

    natural = False

    def rows(self, n: int, rng: random.Random, g: torch.Generator) -> NaturalRows:
        """Rows of n pictures."""
        return super().rows(n, random.Random(rng.getrandbits(64)), g)

    def _scene(self, i: int) -> tuple[Scene, Tensor, EvidenceInputs]:
        assert self.scenes is not None
        scene = self.scenes.scenes[i]
        assert scene is not None
        return scene, self.scenes.cells[i].float(), self.scenes.inputs_of(i)

    def _looked(self, rng: random.Random) -> list[int]:
        return read_ids(self.tokenizer, ()) if rng.random() < _READ else []


class ReasonFeed(StageFeed):
    """Draw questions that take two pieces of evidence, answered by a chain or directly."""

    def __init__(
        self, tokenizer: Tokenizer, labels: Sequence[Label], simulator: Simulator, scenes: Seen, stage: str
    ) -> None:
        super().__init__(tokenizer, labels, simulator, scenes=scenes, photographs=None)
        self.chains = stage == "reason"
        self.packer = _FixedPacker(tokenizer, image_tokens=IMAGE_TOKENS, row=_ROW[stage])
        self.packer.canvas = CANVAS[stage]
        self.usable = [i for i, scene in enumerate(scenes.scenes) if scene is not None and has_pair(scene)]
        if not self.usable:
            raise DataError("no scene shows a pair of names that may be asked about; take more scenes")

    def _row(self, rng: random.Random) -> tuple[Tensor, EvidenceInputs, list[Question], list[int], Truth]:
        scene, cells, evidence = self._scene(rng.choice(self.usable))
        truth = truth_of(scene)
        asked = [
            Question(kind=one.kind, prompt=one.prompt, answer=one.chain if self.chains else one.answer)
            for one in reason(scene, _QUESTIONS, rng)
        ]
        return cells, evidence, [self._grounded(q, truth) for q in asked], self._looked(rng), truth


def has_pair(scene: Scene) -> bool:
    """Report whether a scene shows a pair of names that is not held out."""
    return any(not held_out(pair) for pair in combinations(scene.counts, 2))


class _FixedPacker(MentionPacker):
    """Pack answers on canvases of one length."""

    canvas = 0

    def canvas_length(self, tokens: int, rng: random.Random) -> int | None:
        return self.canvas if tokens <= self.canvas else None


class FimFeed(StageFeed):
    """Draw sentences about drawn scenes and invented pictures, most of them with gaps."""

    def __init__(self, tokenizer: Tokenizer, labels: Sequence[Label], simulator: Simulator, scenes: Seen) -> None:
        super().__init__(tokenizer, labels, simulator, scenes=scenes, photographs=None)
        self.packer = _GapPacker(tokenizer, image_tokens=IMAGE_TOKENS, row=512)

    def _row(self, rng: random.Random) -> tuple[Tensor, EvidenceInputs, list[Question], list[int], Truth]:
        if rng.random() < _INVENTED:
            made = self.simulator(rng)
            cells, evidence, truth, asked = self._any_cells(rng), made.inputs, made.truth, []
        else:
            assert self.scenes is not None
            scene, cells, evidence = self._scene(rng.randrange(len(self.scenes)))
            truth, asked = truth_of(scene), [q for kind in _WHOLE if (q := ask(scene, kind, rng))]
        asked += self._natural(truth, rng, 16 if not asked else 6)
        asked = [self._cut(q, rng) for q in asked if self._teaches(q)]
        rng.shuffle(asked)
        return cells, evidence, asked, self._looked(rng), truth

    def _teaches(self, q: Question) -> bool:
        return q.language == "en" and len(q.answer.split()) > FEWEST_WORDS and q.answer != CANNOT_TELL["en"]

    def _cut(self, q: Question, rng: random.Random) -> Question:
        if rng.random() >= _GAPS:
            return q
        return replace(q, answer="".join(with_gaps(q.answer, (SPAN, FIM), rng, spaced=False)))


class _GapPacker(MentionPacker):
    """Pack answers in which `<|span|>` and `<|fim|>` are tokens."""

    def _encode(self, text: str, *, prompt: bool) -> list[int]:
        if prompt or FIM not in text:
            return super()._encode(text, prompt=prompt)
        return piece_ids(split(text), find_template("lavida-mini"), self.tokenizer)


class DocumentFeed(StageFeed):
    """Draw documents with forms to fill in, and natural questions about invented pictures beside them."""

    def __init__(
        self, tokenizer: Tokenizer, labels: Sequence[Label], simulator: Simulator, documents: SeenDocuments
    ) -> None:
        super().__init__(tokenizer, labels, simulator, scenes=None, photographs=None, reading=DOCUMENTS)
        self.documents, self.copies = documents, CopyFinder(tokenizer)
        self.packer = _FormPacker(tokenizer, image_tokens=IMAGE_TOKENS, row=512)

    def rows(self, n: int, rng: random.Random, g: torch.Generator) -> NaturalRows:
        """Rows of n pictures, with the places of what is copied."""
        rows = super().rows(n, rng, g)
        return replace(rows, copies=self.copies(rows.batch))

    def _row(self, rng: random.Random) -> tuple[Tensor, EvidenceInputs, list[Question], list[int], Truth]:
        u = rng.random()
        if u < _NATURAL:
            return super()._row(rng)
        documents, i = self.documents, rng.randrange(len(self.documents))
        kind, values, texts = documents.kinds[i], documents.values[i], documents.texts[i]
        if u >= _NATURAL + _DRAWN:  # on the paper of a drawn one
            made = invent_document(rng)
            kind, values, texts = made.kind, made.values, made.texts
        asked = [form(kind, values, rng) for _ in range(_FORMS)]
        tail = read_ids(self.tokenizer, texts, self.reading)
        return documents.seen.cells[i].float(), documents.seen.inputs_of(i), asked, tail, Truth(things=())


class CopyFeed(DocumentFeed):
    """Draw invented documents alone: no picture stands before the text, no other question beside the forms."""

    def __init__(
        self, tokenizer: Tokenizer, labels: Sequence[Label], simulator: Simulator, documents: SeenDocuments
    ) -> None:
        super().__init__(tokenizer, labels, simulator, documents)
        self.packer = _FormPacker(tokenizer, image_tokens=0, row=320)

    def rows(self, n: int, rng: random.Random, g: torch.Generator) -> NaturalRows:
        """Rows of n documents."""
        made = [invent_document(rng) for _ in range(n)]
        read = [read_ids(self.tokenizer, one.texts, self.reading) for one in made]
        asked = [[form(one.kind, one.values, rng) for _ in range(_FORMS)] for one in made]
        batch = self.packer.pack(list(zip(read, asked, strict=True)), rng, g)
        return NaturalRows(
            batch=batch,
            copies=self.copies(batch),
            cells=self.documents.seen.cells.new_zeros(n, 0, self.documents.seen.cells.shape[-1]),
            inputs=EvidenceInputs.stack([self.documents.seen.inputs_of(0)] * n),
            shown=torch.zeros(0, 80),
            numbers=torch.zeros(0, dtype=torch.long),
            mentions=torch.zeros(0, 3, dtype=torch.long),
        )


def form(kind: str, values: Mapping[str, str], rng: random.Random) -> Question:
    """Ask for some of a document's fields in some order, as `lavida extract` does."""
    names = rng.sample(sorted(values), rng.randint(1, len(values)))
    if rng.random() >= _SHUFFLED:
        names = [name for name in values if name in names]
    schema = {"properties": dict.fromkeys(names, {})} | ({"title": kind} if rng.random() < _TITLED else {})
    answer = answer_of({name: values[name] for name in names})
    return Question(kind="document", prompt=form_question(schema), answer=answer)


class _FormPacker(MentionPacker):
    """Pack answers on canvases as long as those of forms."""

    def canvas_length(self, tokens: int, rng: random.Random) -> int | None:
        fits = [n for n in _FORM_LENGTHS if n >= tokens]
        return next((n for n in fits if rng.random() < 0.6), fits[0]) if fits else None


def make_feed(
    stage: str, tokenizer: Tokenizer, labels: Sequence[Label], simulator: Simulator, seen: Seen | SeenDocuments
) -> StageFeed:
    """Return the feed of one of STAGES but the first, about drawn scenes or documents."""
    if isinstance(seen, SeenDocuments):
        return (CopyFeed if stage == "copy" else DocumentFeed)(tokenizer, labels, simulator, seen)
    if stage == "fim":
        return FimFeed(tokenizer, labels, simulator, seen)
    return ReasonFeed(tokenizer, labels, simulator, seen, stage)
