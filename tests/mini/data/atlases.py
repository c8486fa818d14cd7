"""A tiny atlas drawn by the tests themselves."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from mini.data.atlas import Atlas, write_pack
from mini.data.backgrounds import jpeg
from mini.data.cutouts import make_cutouts, pack
from mini.data.icons import FoundPicture

PAINTS = {"red": (220, 20, 20), "green": (30, 160, 40), "blue": (20, 60, 220), "yellow": (250, 220, 30)}


def drawing(paint: tuple[int, int, int], shape: str = "ellipse", size: tuple[int, int] = (90, 60)) -> Image.Image:
    """A filled shape on a larger clear canvas."""
    picture = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    getattr(ImageDraw.Draw(picture), shape)((20, 30, 20 + size[0], 30 + size[1]), fill=(*paint, 255))
    return picture


def found(concept: str, style: str, picture: Image.Image, caption: str = "") -> FoundPicture:
    return FoundPicture(
        concept=concept, style=style, package="none", licence="CC0", caption=caption or concept, picture=picture
    )


def tiny_atlas(folder: Path) -> Atlas:
    """Four discs, one of each colour, one gray background and one photograph."""
    cutouts = make_cutouts(found("ball", f"style{k}", drawing(paint)) for k, paint in enumerate(PAINTS.values()))
    for c in cutouts:
        c.row["split"] = "train"
    write_pack(folder, "cutouts", pack(cutouts))
    gray = Image.new("RGB", (448, 448), (128, 128, 128))
    write_pack(folder, "backgrounds", [({"package": "none", "source": "gray"}, jpeg(gray))])
    write_pack(folder, "photos", [({"package": "none", "source": "gray"}, jpeg(gray.resize((64, 48))))])
    return Atlas.load(folder)
