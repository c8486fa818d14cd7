"""The object that each feature cell shows: targets of the dense loss, and cells of a symbolic scene."""

from __future__ import annotations

import torch
from torch import Tensor

from lavida.text.tokenizer import NOTHING, Tokenizer
from mini.data.scenes import Scene

GLOBAL, TILES = 4, 8  # cells along a side: the global view, the map of 2 x 2 tiles
IMAGE_TOKENS = GLOBAL * GLOBAL + TILES * (TILES + 1)


def cell_objects(scene: Scene, side: int) -> list[int]:
    """Return for each cell of a side x side grid, row by row, the index of the object that it shows, or -1.

    The topmost object over the cell's centre counts; an object that covers no centre takes the nearest cell.
    """
    cells = [-1] * (side * side)
    for i, o in enumerate(scene.objects):
        hit = False
        x0, x1 = (o.x - o.w / 2) * side - 0.5, (o.x + o.w / 2) * side - 0.5
        y0, y1 = (o.y - o.h / 2) * side - 0.5, (o.y + o.h / 2) * side - 0.5
        for r in range(max(0, -int(-y0 // 1)), min(side - 1, int(y1 // 1)) + 1):
            for c in range(max(0, -int(-x0 // 1)), min(side - 1, int(x1 // 1)) + 1):
                cells[r * side + c] = i
                hit = True
        if not hit:
            cells[min(side - 1, int(o.y * side)) * side + min(side - 1, int(o.x * side))] = i
    return cells


def centre_cells(scene: Scene, side: int) -> list[bool]:
    """Return for each cell of a side x side grid, row by row, whether it holds the centre of an object."""
    centres = {min(side - 1, int(o.y * side)) * side + min(side - 1, int(o.x * side)) for o in scene.objects}
    return [i in centres for i in range(side * side)]


class CellWords:
    """Convert scenes to token ids of what each cell shows: global cells first, then the map of tiles."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: dict[str, int] = {}
        self.nothing = tokenizer.id_of(NOTHING)

    def id_of(self, word: str) -> int:
        """Return the first token of a word."""
        if word not in self._ids:
            self._ids[word] = self._tokenizer.encode(word)[0]
        return self._ids[word]

    def __call__(self, scene: Scene) -> Tensor:
        """Return [80, 3]: first token of the name (or "nothing") and of the colour (or -1), 1 where a centre is."""
        words = [(self.id_of(o.name), self.id_of(o.colour) if o.colour else -1) for o in scene.objects]
        words.append((self.nothing, -1))
        cells = cell_objects(scene, GLOBAL) + cell_objects(scene, TILES)
        centres = centre_cells(scene, GLOBAL) + centre_cells(scene, TILES)
        return torch.tensor([(*words[i], c) for i, c in zip(cells, centres, strict=True)], dtype=torch.long)


def centre_offsets(scene: Scene) -> Tensor:
    """Return [80, 2]: how far right and down of each cell the centre of its object lies, in cells; 0 without object.

    Cells are ordered as by `CellWords`.
    """
    ways = []
    for side in (GLOBAL, TILES):
        for at, i in enumerate(cell_objects(scene, side)):
            row, column = divmod(at, side)
            o = scene.objects[i] if i >= 0 else None
            ways.append((o.x * side - column - 0.5, o.y * side - row - 0.5) if o else (0.0, 0.0))
    return torch.tensor(ways)
