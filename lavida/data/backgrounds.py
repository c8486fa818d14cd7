"""What scenes stand on: crops of wallpapers and photographs without a known thing in them, or made from a seed."""

from __future__ import annotations

import functools
import io
import random
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lavida.data.atlas import Row
from lavida.data.clips import GCOMPRIS, read_rcc

SIDE = 448

# Wallpapers that show something of the concept list, a logo or nothing at all: never a background.
_BUSY = """
pixels- GreenTraditional MATE-Stripes Arc-Colors Gulp Silk Spring Waves LadyBird Elementarish goldfish firstgeneration the-mouse
Wine_by free_by friends_by greentock Kleiber Picture_ Dragonfly picosdeeuropa aitzgorri sunset seeding calla focal- Elephants
EveningGlow ColdRipple Kite Canopee BytheWater Autumn summer_1am Cluster Volna FallenLeaf Grey Elarun FreshFlower Garden TwoWings
vnc- Infinite-Sea Bridge_by YellowFlower ColorfulCups OneStandsOut Next Patak IceCold Nexus
FlyingKonqui SafeLanding
""".split()

_OPENCV = "aero1.jpg aero3.jpg board.jpg building.jpg graf1.png".split()
_GCOMPRIS = {"clickgame": ("sea1", "sea2", "sea3", "sea4"), "categorization": ("renewable/dam", "renewable/solar")}


def wallpapers(folder: Path) -> list[Path]:
    """One file for each wallpaper of an unpacked package: of several sizes, the one nearest to 1920 wide."""
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
    """A wallpaper's name: its file, or its folder where the files are named by size."""
    return path.parts[path.parts.index("contents") - 1] if "contents" in path.parts else path.name


def _usable(path: Path) -> bool:
    return not any(word in path.as_posix() for word in _BUSY)


def _crop(picture: Image.Image, rng: random.Random) -> Image.Image:
    share = rng.uniform(0.4, 1.0)
    side = min(picture.size) * share
    x, y = rng.uniform(0, picture.width - side), rng.uniform(0, picture.height - side)
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=(x, y, x + side, y + side))


def jpeg(picture: Image.Image, quality: int = 85) -> bytes:
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def find_backgrounds(walls: dict[str, Path], opencv: Path, gcompris: Path, seed: int = 0) -> Iterator[tuple[Row, bytes]]:
    """About 300 crops with their source; `walls` maps a package to its unpacked folder."""
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


def _colour(g: torch.Generator) -> Tensor:
    """A random colour [3, 1, 1] in 0..1, as often pale as strong."""
    rgb = torch.rand(3, generator=g)
    return (rgb + (1 - rgb) * torch.rand(1, generator=g) * 0.9).view(3, 1, 1)


@functools.lru_cache(maxsize=256)
def procedural(seed: int) -> Tensor:
    """A plain, graded, striped, checked or noisy background, uint8 [3, 448, 448]; the same for the same seed."""
    g = torch.Generator().manual_seed(seed)
    kind = int(torch.randint(6, (1,), generator=g))
    a, b = _colour(g), _colour(g)
    angle = float(torch.rand(1, generator=g)) * 6.2832
    line = torch.linspace(-1, 1, SIDE)
    ramp = line.view(1, 1, -1) * torch.tensor(angle).cos() + line.view(1, -1, 1) * torch.tensor(angle).sin()
    period = 4 + 20 * float(torch.rand(1, generator=g))
    if kind == 0:
        mix = torch.zeros(1, SIDE, SIDE)
    elif kind == 1:
        mix = (ramp + 1.42) / 2.84
    elif kind == 2:
        mix = ((ramp * period).sin() > 0).float()
    elif kind == 3:
        mix = (((line * period).sin() > 0).view(1, 1, -1) ^ ((line * period).sin() > 0).view(1, -1, 1)).float()
    else:
        cells = 2 + int(torch.randint(7 if kind == 4 else 80, (1,), generator=g))
        coarse = torch.rand(1, 1, cells, cells, generator=g)
        mix = F.interpolate(coarse, (SIDE, SIDE), mode="bicubic", align_corners=True)[0].clamp(0, 1)
    # Stripes and checks in full contrast would drown the things on them.
    mix = mix * (0.15 + 0.5 * torch.rand(1, generator=g)) if kind in (2, 3, 5) else mix
    noise = torch.randn(1, SIDE, SIDE, generator=g) * 0.03 * torch.rand(1, generator=g)
    return ((a + (b - a) * mix + noise).clamp(0, 1) * 255).to(torch.uint8)
