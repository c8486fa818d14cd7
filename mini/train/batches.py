"""What a step is fed: packed rows from three sources, and views for the dense loss.

A row's picture is a scene told in words (no pixels), a drawn scene, or a photograph that only the tower's own
classifier has named.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields

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
from mini.train.packing import PREFIX_DLM, Batch, Packer

# How often each kind of question is drawn.
SCENE_KINDS = {
    "name": 3, "name_at": 1.8, "where": 0.4, "count": 6, "total": 0.7, "colour": 5, "presence": 0.6, "side": 0.8,
    "side_yes_no": 0.8, "next_to": 2, "kind": 0.8, "caption": 3, "detailed": 0.6, "list": 0.2, "json": 0.2,
}  # fmt: skip
# Counts are asked for the more often the more there are of a thing: most scenes have one of each, and a model that has
# been told "one" twice as often as "three" answers with numbers that are too small.
COUNTS = {1: 0.4, 2: 4, 3: 7, 4: 24, 5: 24}
MOST = 5  # the largest number that is told
IGNORED = -100  # in the place of a number that cannot be seen
PHOTO_KINDS = {"caption": 4, "name": 4, "kind": 1, "presence": 3}


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a cell can log."""

    candidates: Tensor  # ids
    index_of: Tensor  # [V] place of an id among them
    nothing: int

    def to(self, device: str) -> Targets:
        return Targets(candidates=self.candidates.to(device), index_of=self.index_of.to(device), nothing=self.nothing)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Packed rows and the N pictures that they show."""

    batch: Batch
    words: Tensor  # [N, 80, 3] name, colour and centre of each cell (`data.cells.CellWords`)
    ways: Tensor  # [N, 80, 2] how far the centre of what a cell shows lies from it
    heard: Tensor  # [N, 80, 3] the words with some cells lost
    noise: Tensor  # [N, 80, D]
    maps: Tensor | None  # [S, 5, 196, 80] maps of the tower's trunk of those that have pixels
    pictured: Tensor  # [S] which ones
    scenes: Tensor  # those of them that are drawn scenes, not photographs
    shown: Tensor  # [G, 80] where the names asked about are
    centred: Tensor  # [G, 80] which of these cells hold a centre of one
    numbers: Tensor  # [G] how many of each there are, at most MOST; IGNORED where the cells do not tell
    targets: Targets

    def to(self, device: str) -> Rows:
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Rows(**{k: v if v is None else v.to(device) for k, v in moved.items()})


@dataclass(frozen=True, kw_only=True)
class Views:
    """Single views for the dense loss: maps [N, 196, 80], words [N, 16, 3], ways [N, 16, 2]."""

    maps: Tensor
    words: Tensor
    ways: Tensor

    def to(self, device: str) -> Views:
        return Views(maps=self.maps.to(device), words=self.words.to(device), ways=self.ways.to(device))


class Feed:
    """Draws rows and views; everything random comes from the two generators.

    What is asked of which picture is the same under every objective.
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
        self.world = SceneSampler.symbolic()
        self.empty = torch.tensor([self.words.nothing, -1, 0])
        self.long = [lab for lab in labels if len(tokenizer.encode(with_article(lab.name))) > 2] or list(labels)
        self.objective = objective
        self.packer = Packer(tokenizer, image_tokens=IMAGE_TOKENS, row=row, objective=objective)
        said = sorted({self.words.id_of(w) for w in (*CONCEPTS, *COLOURS)} | {self.words.nothing})
        index_of = torch.full((tokenizer.size,), -1)
        index_of[said] = torch.arange(len(said))
        self.targets = Targets(candidates=torch.tensor(said), index_of=index_of, nothing=self.words.nothing)

    def rows(self, n: int, rng: random.Random, g: torch.Generator, *, symbolic: float, photos: float) -> Rows:
        """Rows of n pictures: a share told in words, a share of photographs, the rest drawn scenes."""
        packed, words, ways, maps, pictured, scenes = [], [], [], [], [], []
        counts: list[dict[str, int]] = []
        for b in range(n):
            u = rng.random()
            if u < symbolic or not self.drawn:
                scene = self.world.scene(rng, (1, 2, 2, 2))
                hint = self._hint(rng.choice(self.labels), rng.random()) if rng.random() < 0.6 else []
                packed.append((hint, self._questions(scene, rng)))
                words.append(self.words(scene))
                ways.append(centre_offsets(scene))
                counts.append({})  # two things that touch look like one
            elif u < symbolic + photos and self.photos is not None:
                i = rng.randrange(len(self.photos))
                hint, questions, own = self._photo_row(i, rng)
                packed.append((hint, questions))
                words.append(self.empty.expand(80, 3))
                ways.append(torch.zeros(80, 2))
                counts.append({})
                maps.append(self.photos.maps[i] if own else self._mixed(i, rng))
                pictured.append(b)
            else:
                features, i = rng.choice(self.drawn)
                truth = features.records[i]
                hint = self._hint(self.labels[truth.label], truth.probability) if rng.random() < 0.7 else []
                packed.append((hint, self._questions(truth.scene, rng)))
                words.append(self.words(truth.scene))
                ways.append(centre_offsets(truth.scene))
                counts.append(truth.scene.counts)
                maps.append(features.maps[i])
                pictured.append(b)
                scenes.append(b)
        batch, table = self.packer.pack(packed, rng, g), torch.stack(words)
        lost = torch.rand(table.shape[:2], generator=g) < 0.08
        shown = [(table[b, :, 0] == self.words.id_of(name)).float() for b, name in batch.asked]
        centred = [cells * table[b, :, 2] for cells, (b, _) in zip(shown, batch.asked, strict=True)]
        numbers = [min(counts[b].get(name, 0), MOST) if b in scenes else IGNORED for b, name in batch.asked]
        return Rows(
            batch=batch,
            words=table,
            ways=torch.stack(ways),
            heard=torch.where(lost[..., None], self.empty, table),
            noise=torch.randn((*table.shape[:2], self.d_model), generator=g),
            maps=torch.stack(maps) if maps else None,
            pictured=torch.tensor(pictured, dtype=torch.long),
            scenes=torch.tensor(scenes, dtype=torch.long),
            shown=torch.stack(shown) if shown else torch.zeros(0, 80),
            centred=torch.stack(centred) if centred else torch.zeros(0, 80),
            numbers=torch.tensor(numbers, dtype=torch.long),
            targets=self.targets,
        )

    def views(self, n: int, rng: random.Random) -> Views | None:
        """n single views of drawn scenes."""
        if not n or not self.drawn:
            return None
        maps, words, ways = [], [], []
        for _ in range(n):
            features, i = rng.choice(self.drawn)
            v = rng.randrange(5)
            scene = features.records[i].scene
            maps.append(features.maps[i, v])
            words.append(_view(self.words(scene), v))
            ways.append(_view(centre_offsets(scene), v))
        return Views(maps=torch.stack(maps), words=torch.stack(words), ways=torch.stack(ways))

    def _hint(self, label: Label, probability: float) -> list[int]:
        return hint_ids(self.tokenizer, label, probability)

    def _questions(self, scene: Scene, rng: random.Random) -> list[Question]:
        asked = SCENE_KINDS | {"count": COUNTS[max(scene.counts.values())]}
        kinds = rng.choices(list(asked), list(asked.values()), k=16)
        return [q for kind in kinds if (q := ask(scene, kind, rng, self._language(rng)))]

    def _photo_row(self, i: int, rng: random.Random) -> tuple[list[int], list[Question], bool]:
        """The tower's own name as the truth; in two rows of three another name, so that hints are read, not learned.

        There are names that no photograph of the data shows: only here does the model learn to write them. Returns the
        hint, the questions, and whether the name is the tower's own.
        """
        truth, u = self.photos.records[i], rng.random()
        label, probability = self.labels[truth.label], truth.probability
        own = u < 0.25 or (u >= 0.9 and probability >= 0.4)
        if not own:
            label, probability = rng.choice(self.long if rng.random() < 0.3 else self.labels), rng.random()
        hint = self._hint(label, probability) if u < 0.9 or truth.probability < 0.4 else []
        kinds = rng.choices(list(PHOTO_KINDS), list(PHOTO_KINDS.values()), k=8)
        return hint, [q for kind in kinds if (q := ask_photo(label, kind, rng, self._language(rng)))], own

    def _mixed(self, i: int, rng: random.Random) -> Tensor:
        """Maps of photograph i, in half of the cases with views of others: copying must not rest on a picture."""
        maps = self.photos.maps[i]
        if rng.random() < 0.5:
            return maps
        others = [self.photos.maps[rng.randrange(len(self.photos)), v] for v in range(1, len(maps))]
        return torch.stack((maps[0], *others))

    def _language(self, rng: random.Random) -> str:
        if len(self.languages) == 1:
            return self.languages[0]
        return rng.choices(self.languages, [2] + [1] * (len(self.languages) - 1))[0]


def _view(cells: Tensor, v: int) -> Tensor:
    """Those [16, C] of the cells [80, C] that one of the five views shows; 0 is the global view."""
    if v == 0:
        return cells[:16]
    return cells[16:].unflatten(0, (2, 4, 2, 4)).transpose(1, 2).reshape(4, 16, -1)[v - 1]
