"""Training batches of lavida-mini: packed rows from three sources, and views for the dense loss.

A row's picture is a symbolic scene (word embeddings, no pixels), a drawn scene, or a photograph that only the tower's
own classifier has named.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from lavida.diffusion.objective import Objective
from lavida.text.labels import Label
from lavida.text.prompt import hint_ids, with_article
from lavida.text.tokenizer import Tokenizer
from mini.data.cells import IMAGE_TOKENS, CellWords, centre_offsets
from mini.data.concepts import COLOURS, CONCEPTS
from mini.data.features import Features
from mini.data.questions import Question, ask, ask_photo
from mini.data.scenes import Scene
from mini.data.worlds import SceneSampler
from mini.train.packing import PREFIX_DLM, PackedRows, Packer

# How often each kind of question is drawn.
SCENE_KINDS = {
    "name": 3, "name_at": 1.8, "where": 0.4, "count": 6, "total": 0.7, "colour": 5, "presence": 0.6, "side": 0.8,
    "side_yes_no": 0.8, "next_to": 2, "kind": 0.8, "caption": 3, "detailed": 0.6, "list": 0.2, "json": 0.2,
}  # fmt: skip
# Counts are asked for the more often the more there are of a thing: most scenes have one of each, and a model that has
# been figures "one" twice as often as "three" answers with counts that are too small.
COUNTS = {1: 0.4, 2: 4, 3: 7, 4: 24, 5: 24}
MOST = 5  # the largest number that is figures
IGNORED = -100  # in the place of a number that cannot be seen
PHOTO_KINDS = {"caption": 4, "name": 4, "kind": 1, "presence": 3}


@dataclass(frozen=True, kw_only=True)
class CellVocabulary:
    """Hold the words that a cell can show: names, colours and "nothing"."""

    candidates: Tensor  # ids
    index_of: Tensor  # [V] place of an id among them
    nothing: int

    def to(self, device: str) -> CellVocabulary:
        """Return the same vocabulary on another device."""
        return replace(self, candidates=self.candidates.to(device), index_of=self.index_of.to(device))


@dataclass(frozen=True, kw_only=True)
class SceneBatch:
    """Hold packed rows and the N pictures that they show; G names stand in their prompts."""

    packed: PackedRows
    words: Tensor  # [N, 80, 3] name, colour and centre of each cell (`data.cells.CellWords`)
    offsets: Tensor  # [N, 80, 2] from each cell to the centre of what it shows
    noisy_words: Tensor  # [N, 80, 3] the words with some cells lost
    noise: Tensor  # [N, 80, D]
    maps: Tensor | None  # [S, 5, 196, 80] trunk maps of the pictures that have pixels
    with_pixels: Tensor  # [S] the numbers of these pictures
    scenes: Tensor  # the numbers of the drawn scenes, which are no photographs
    name_cells: Tensor  # [G, 80] the cells that show a name
    name_centres: Tensor  # [G, 80] those of them that hold a centre
    counts: Tensor  # [G] how many of each name there are, at most MOST; IGNORED where the cells do not show it
    vocabulary: CellVocabulary

    def to(self, device: str) -> SceneBatch:
        """Return the same batch on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return SceneBatch(**{k: v if v is None else v.to(device) for k, v in moved.items()})


@dataclass(frozen=True, kw_only=True)
class Views:
    """Hold single views for the dense loss: maps [N, 196, 80], words [N, 16, 3], offsets [N, 16, 2]."""

    maps: Tensor
    words: Tensor
    offsets: Tensor

    def to(self, device: str) -> Views:
        """Return the same views on another device."""
        return Views(maps=self.maps.to(device), words=self.words.to(device), offsets=self.offsets.to(device))


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """Hold one picture of a batch with its questions."""

    hint: list[int]
    questions: list[Question]
    words: Tensor  # [80, 3]
    offsets: Tensor  # [80, 2]
    maps: Tensor | None = None  # [5, 196, 80]; None = symbolic
    counts: dict[str, int] | None = None  # of a drawn scene


class BatchBuilder:
    """Draw batches and views; everything random comes from the two generators.

    The questions about each picture are the same under every objective.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        labels: Sequence[Label],
        *,
        scenes: Sequence[Features] = (),
        photos: Features | None = None,
        d_model: int,
        row: int = 352,
        objective: Objective = PREFIX_DLM,
    ) -> None:
        self.tokenizer, self.labels, self.photos, self.d_model = tokenizer, labels, photos, d_model
        # a mixture of the languages that the classes are named in, English twice as often; one row may hold several
        self.languages = ("en", *(labels[0].others if labels else ()))
        self.drawn = [(f, i) for f in scenes for i in range(len(f))]
        self.words = CellWords(tokenizer)
        self.sampler = SceneSampler.symbolic()
        self.empty = torch.tensor([self.words.nothing, -1, 0])
        self.long = [lab for lab in labels if len(tokenizer.encode(with_article(lab.name))) > 2] or list(labels)
        self.objective = objective
        self.packer = Packer(tokenizer, image_tokens=IMAGE_TOKENS, row=row, objective=objective)
        ids = sorted({self.words.id_of(w) for w in (*CONCEPTS, *COLOURS)} | {self.words.nothing})
        index_of = torch.full((tokenizer.size,), -1)
        index_of[ids] = torch.arange(len(ids))
        self.vocabulary = CellVocabulary(candidates=torch.tensor(ids), index_of=index_of, nothing=self.words.nothing)

    def batch(self, n: int, rng: random.Random, g: torch.Generator, *, symbolic: float, photos: float) -> SceneBatch:
        """Draw the rows of n pictures.

        Args:
            n: Pictures.
            rng: Draws pictures, questions and canvas lengths.
            g: Draws masks and noise.
            symbolic: Share of symbolic scenes.
            photos: Share of photographs; the rest are drawn scenes.
        """
        pictures = [self._picture(rng, symbolic, photos) for _ in range(n)]
        packed = self.packer.pack([(p.hint, p.questions) for p in pictures], rng, g)
        words = torch.stack([p.words for p in pictures])
        lost = torch.rand(words.shape[:2], generator=g) < 0.08
        maps = [p.maps for p in pictures if p.maps is not None]
        name_cells = [(words[b, :, 0] == self.words.id_of(name)).float() for b, name in packed.names]
        name_centres = [cells * words[b, :, 2] for cells, (b, _) in zip(name_cells, packed.names, strict=True)]
        return SceneBatch(
            packed=packed,
            words=words,
            offsets=torch.stack([p.offsets for p in pictures]),
            noisy_words=torch.where(lost[..., None], self.empty, words),
            noise=torch.randn((*words.shape[:2], self.d_model), generator=g),
            maps=torch.stack(maps) if maps else None,
            with_pixels=torch.tensor([b for b, p in enumerate(pictures) if p.maps is not None], dtype=torch.long),
            scenes=torch.tensor([b for b, p in enumerate(pictures) if p.counts is not None], dtype=torch.long),
            name_cells=torch.stack(name_cells) if name_cells else torch.zeros(0, 80),
            name_centres=torch.stack(name_centres) if name_centres else torch.zeros(0, 80),
            counts=torch.tensor([_count(pictures[b], name) for b, name in packed.names], dtype=torch.long),
            vocabulary=self.vocabulary,
        )

    def views(self, n: int, rng: random.Random) -> Views | None:
        """Draw n single views of drawn scenes; return None if there are none."""
        if not n or not self.drawn:
            return None
        maps, words, offsets = [], [], []
        for _ in range(n):
            features, i = rng.choice(self.drawn)
            v = rng.randrange(5)
            scene = features.records[i].scene
            maps.append(features.maps[i, v])
            words.append(_view(self.words(scene), v))
            offsets.append(_view(centre_offsets(scene), v))
        return Views(maps=torch.stack(maps), words=torch.stack(words), offsets=torch.stack(offsets))

    def _picture(self, rng: random.Random, symbolic: float, photos: float) -> _Picture:
        """Draw one picture with its questions."""
        source = rng.random()
        if source < symbolic or not self.drawn:
            scene = self.sampler.scene(rng, (1, 2, 2, 2))
            hint = self._hint(rng.choice(self.labels), rng.random()) if rng.random() < 0.6 else []
            # without counts: two things that touch look like one
            return _Picture(
                hint=hint, questions=self._questions(scene, rng), words=self.words(scene), offsets=centre_offsets(scene)
            )
        if source < symbolic + photos and self.photos is not None:
            i = rng.randrange(len(self.photos))
            hint, questions, own = self._photo_row(i, rng)
            maps = self.photos.maps[i] if own else self._mixed(i, rng)
            return _Picture(
                hint=hint, questions=questions, words=self.empty.expand(80, 3), offsets=torch.zeros(80, 2), maps=maps
            )
        features, i = rng.choice(self.drawn)
        record = features.records[i]
        hint = self._hint(self.labels[record.label], record.probability) if rng.random() < 0.7 else []
        return _Picture(
            hint=hint,
            questions=self._questions(record.scene, rng),
            words=self.words(record.scene),
            offsets=centre_offsets(record.scene),
            maps=features.maps[i],
            counts=record.scene.counts,
        )

    def _hint(self, label: Label, probability: float) -> list[int]:
        return hint_ids(self.tokenizer, label, probability)

    def _questions(self, scene: Scene, rng: random.Random) -> list[Question]:
        odds = SCENE_KINDS | {"count": COUNTS[max(scene.counts.values())]}
        kinds = rng.choices(list(odds), list(odds.values()), k=16)
        return [q for kind in kinds if (q := ask(scene, kind, rng, self._language(rng)))]

    def _photo_row(self, i: int, rng: random.Random) -> tuple[list[int], list[Question], bool]:
        """Draw hint and questions of photograph i; return them and whether the name is the tower's own.

        In two rows of three it is another name, so that hints are read, not learned. There are names that no photograph
        of the data shows: only here does the model learn to write them.
        """
        record, u = self.photos.records[i], rng.random()
        label, probability = self.labels[record.label], record.probability
        own = u < 0.25 or (u >= 0.9 and probability >= 0.4)
        if not own:
            label, probability = rng.choice(self.long if rng.random() < 0.3 else self.labels), rng.random()
        hint = self._hint(label, probability) if u < 0.9 or record.probability < 0.4 else []
        kinds = rng.choices(list(PHOTO_KINDS), list(PHOTO_KINDS.values()), k=8)
        return hint, [q for kind in kinds if (q := ask_photo(label, kind, rng, self._language(rng)))], own

    def _mixed(self, i: int, rng: random.Random) -> Tensor:
        """Return maps of photograph i, half of the time with views of others: copying must not rest on a picture."""
        maps = self.photos.maps[i]
        if rng.random() < 0.5:
            return maps
        others = [self.photos.maps[rng.randrange(len(self.photos)), v] for v in range(1, len(maps))]
        return torch.stack((maps[0], *others))

    def _language(self, rng: random.Random) -> str:
        if len(self.languages) == 1:
            return self.languages[0]
        return rng.choices(self.languages, [2] + [1] * (len(self.languages) - 1))[0]


def _count(picture: _Picture, name: str) -> int:
    """Return how often a drawn scene shows a name, at most MOST; IGNORED for other pictures."""
    return IGNORED if picture.counts is None else min(picture.counts.get(name, 0), MOST)


def _view(cells: Tensor, v: int) -> Tensor:
    """Return the cells [16, C] of [80, C] that one of the five views shows; 0 is the global view."""
    if v == 0:
        return cells[:16]
    return cells[16:].unflatten(0, (2, 4, 2, 4)).transpose(1, 2).reshape(4, 16, -1)[v - 1]
