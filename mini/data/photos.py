"""Photographs without labels, which the tower's own classifier names; the test photographs are not among them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from mini.data.atlas import Row
from mini.data.backgrounds import jpeg, wall_name, wallpapers
from mini.data.clips import GCOMPRIS, STAMPS, read_rcc

SIDE = 640

_WALLS = """
Aqua Blinds Dune FreshFlower Garden GreenMeadow LadyBird RainDrops Storm TwoWings Wood.jpg YellowFlower _by_
Bridge_ Picture_ Canopee Grey Kite EveningGlow ColorfulCups BytheWater OneStandsOut DarkestHour FallenLeaf
summer_1am
""".split()
_DRAWN = "analogpattern umang Fossa Infinite-Sea Painting-Colors".split()
_OPENCV = """
aero1.jpg aero3.jpg aloeL.jpg apple.jpg baboon.jpg basketball1.png board.jpg building.jpg butterfly.jpg
cards.png ela_original.jpg fruits.jpg graf1.png home.jpg leuvenA.jpg messi5.jpg orange.jpg plant.jpg
rubberwhale1.png squirrel_cls.jpg stuff.jpg smarties.png scenetext01.jpg scenetext03.jpg scenetext04.jpg
scenetext05.jpg scenetext06.jpg 000.jpg 001.jpg 002.jpg
""".split()
_GCOMPRIS = (
    "categorization explore_farm_animals explore_world_animals explore_monuments explore_world_music erase clickgame"
).split()


def _shrink(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture


def _on_gray(stamp: Image.Image) -> Image.Image:
    """Put a photo stamp with a margin on light gray."""
    margin = max(stamp.size) // 10
    canvas = Image.new("RGBA", (stamp.width + 2 * margin, stamp.height + 2 * margin), (226, 226, 224, 255))
    canvas.alpha_composite(stamp, (margin, margin))
    return canvas


def _photographic(stamp: Image.Image) -> bool:
    """Report whether a stamp is a photograph, which has many colours, and not a drawing, which has few."""
    pixels = np.asarray(stamp.resize((96, 96)))
    solid = pixels[pixels[..., 3] > 200][:, :3] >> 3
    return len(solid) > 500 and len(np.unique(solid, axis=0)) / len(solid) > 0.12


def _candidates(
    walls: dict[str, Path], opencv: Path, gcompris: Path, tuxpaint: Path
) -> Iterator[tuple[Row, Image.Image]]:
    for package, folder in walls.items():
        for path in wallpapers(folder):
            name = path.as_posix()
            if any(w in name for w in _WALLS) and not any(w in name for w in _DRAWN):
                with Image.open(path) as picture:
                    picture.draft("RGB", (SIDE * 2, SIDE * 2))
                    yield {"package": package, "source": wall_name(path)}, picture.convert("RGB")
    for name in _OPENCV:
        for path in sorted(opencv.rglob(name))[:1]:
            yield {"package": "opencv-doc", "source": name}, Image.open(path)
    for resource in _GCOMPRIS:
        for name, raw in read_rcc(gcompris / GCOMPRIS / f"{resource}.rcc"):
            if name.endswith((".webp", ".jpg", ".png")):
                picture = Image.open(io.BytesIO(raw)).convert("RGBA")
                if np.asarray(picture.getchannel("A")).mean() > 250 and min(picture.size) >= 160:
                    yield {"package": "gcompris-qt-data", "source": f"{resource}/{name.rsplit('/', 1)[-1]}"}, picture
    for path in sorted((tuxpaint / STAMPS).rglob("*.png")):
        if "/symbols/" in path.as_posix() or "/cartoon/" in path.as_posix():
            continue
        stamp = Image.open(path).convert("RGBA")
        stamp.thumbnail((560, 560))
        if max(stamp.size) >= 150 and _photographic(stamp):
            yield {"package": "tuxpaint-stamps-default", "source": path.name}, _on_gray(stamp)


def find_photos(walls: dict[str, Path], opencv: Path, gcompris: Path, tuxpaint: Path) -> Iterator[tuple[Row, bytes]]:
    """Yield each distinct photograph with its source, JPEG, long side at most 640."""
    seen: list[np.ndarray] = []
    for row, picture in _candidates(walls, opencv, gcompris, tuxpaint):
        small = _shrink(picture)
        thumb = np.asarray(small.resize((16, 16)), dtype=np.float32)
        if any(np.abs(thumb - s).mean() < 4 for s in seen):
            continue
        seen.extend((thumb, thumb[:, ::-1]))
        yield row | {"width": small.width, "height": small.height}, jpeg(small, 82)
