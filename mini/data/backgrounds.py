"""Backgrounds of scenes: crops of wallpapers and photographs that show nothing of the concept list."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from mini.data.atlas import Row
from mini.data.clips import GCOMPRIS, read_rcc
from mini.data.patterns import SIDE

# Wallpapers that show something of the concept list, a logo or nothing at all: never a background.
_BUSY = """
pixels- GreenTraditional MATE-Stripes Arc-Colors Gulp Silk Spring Waves LadyBird Elementarish goldfish
firstgeneration the-mouse Wine_by free_by friends_by greentock Kleiber Picture_ Dragonfly picosdeeuropa
aitzgorri sunset seeding calla focal- Elephants EveningGlow ColdRipple Kite Canopee BytheWater Autumn summer_1am
Cluster Volna FallenLeaf Grey Elarun FreshFlower Garden TwoWings vnc- Infinite-Sea Bridge_by YellowFlower
ColorfulCups OneStandsOut Next Patak IceCold Nexus FlyingKonqui SafeLanding
""".split()

_OPENCV = "aero1.jpg aero3.jpg board.jpg building.jpg graf1.png".split()
_GCOMPRIS = {"clickgame": ("sea1", "sea2", "sea3", "sea4"), "categorization": ("renewable/dam", "renewable/solar")}


def wallpapers(folder: Path) -> list[Path]:
    """List one file of each wallpaper of an unpacked package: of several sizes the one nearest to 1920 wide."""
    best: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp") or path.is_symlink():
            continue
        if "screenshot" in path.name or "/pixmaps/" in path.as_posix():
            continue
        key = path.as_posix().split("/contents/")[0]
        with Image.open(path) as picture:
            if min(picture.size) < 400:
                continue
            distance = abs(picture.width - 1920)
        if key not in best or distance < best[key][0]:
            best[key] = (distance, path)
    return [path for _, path in best.values()]


def wall_name(path: Path) -> str:
    """Return a wallpaper's name: its file, or its folder where files are named by size."""
    return path.parts[path.parts.index("contents") - 1] if "contents" in path.parts else path.name


def _usable(path: Path) -> bool:
    return not any(word in path.as_posix() for word in _BUSY)


def _crop(picture: Image.Image, rng: random.Random) -> Image.Image:
    share = rng.uniform(0.4, 1.0)
    side = min(picture.size) * share
    x, y = rng.uniform(0, picture.width - side), rng.uniform(0, picture.height - side)
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=(x, y, x + side, y + side))


def jpeg(picture: Image.Image, quality: int = 85) -> bytes:
    """Encode a picture as an RGB JPEG."""
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def find_backgrounds(
    walls: dict[str, Path], opencv: Path, gcompris: Path, seed: int = 0
) -> Iterator[tuple[Row, bytes]]:
    """Yield about 300 crops with their source; `walls` maps a package to its unpacked folder."""
    rng = random.Random(seed)
    for package, folder in walls.items():
        for path in filter(_usable, wallpapers(folder)):
            with Image.open(path) as picture:
                picture.draft("RGB", (1600, 1600))
                whole = picture.convert("RGB")
            for _ in range(7):
                yield {"package": package, "source": wall_name(path)}, jpeg(_crop(whole, rng))
    for name in _OPENCV:
        for path in opencv.rglob(f"examples/data/{name}"):
            whole = Image.open(path).convert("RGB")
            for _ in range(3):
                yield {"package": "opencv-doc", "source": name}, jpeg(_crop(whole, rng))
    for resource, starts in _GCOMPRIS.items():
        for name, raw in read_rcc(gcompris / GCOMPRIS / f"{resource}.rcc"):
            if name.endswith(".webp") and any(s in name for s in starts):
                whole = Image.open(io.BytesIO(raw)).convert("RGB")
                for _ in range(2):
                    yield {"package": "gcompris-qt-data", "source": name.rsplit("/", 1)[-1]}, jpeg(_crop(whole, rng))
