"""Cut-outs from found pictures: trimmed, sized, coloured, without near-duplicates, each in one split."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from mini.data.atlas import Row
from mini.data.colours import colour_of
from mini.data.concepts import UNSEEN
from mini.data.icons import FoundPicture

SIDE = 128
HELD_OUT_STYLE = "twemoji"
HELD_OUT_SHARE = 0.12
LOSSLESS_LIMIT = 9000  # bytes; above it the colours are coded with loss, the alpha never
NEAR = 9.0  # mean absolute difference of 24 x 24 thumbnails below which two drawings are one
FEWEST = 3

# Drawings that a look at contact sheets found wrong, by style: "concept" or "concept/caption". Their rows stay, in
# the split "dropped", so that no index moves when one is added.
_WRONG = {
    "fxemoji": "laptop, keyboard, sunglasses, tram/tram car",
    "emojione-v1": "laptop, keyboard, shield, horse/carousel horse",
    "emojione": "cricket",
    "noto-v1": "cricket, laptop",
    "openmoji": "scroll",
    "streamline-emojis": "turkey, horse/carousel horse",
}
_WRONG_CAPTIONS = ("locked with key", "locked with pen")  # they show two things of the list

# Sets that redraw each other: one is never held out while the other is trained on.
_GROUPS = {"fluent-emoji-flat": "fluent-emoji", "noto-v1": "noto", "emojione-v1": "emojione"}


@dataclass(kw_only=True)
class Cutout:
    """Hold one trimmed picture with its row."""

    row: Row
    picture: Image.Image
    thumb: np.ndarray


def trim(picture: Image.Image, side: int = SIDE) -> Image.Image | None:
    """Cut a picture to its alpha's bounding box, long side `side`; return None if empty, tiny or a full rectangle."""
    alpha = picture.getchannel("A")
    box = alpha.point(lambda a: 255 if a > 24 else 0).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 6 or max(box[2] - box[0], box[3] - box[1]) < 28:
        return None
    solid = np.asarray(alpha.crop(box)) > 200
    if solid.mean() < 0.04 or solid.mean() > 0.985:
        return None
    scale = side / max(box[2] - box[0], box[3] - box[1])
    size = (max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale)))
    # Premultiplied, so that the colour of clear pixels does not bleed into the edge.
    small = picture.crop(box).convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    return small


def thumbnail(picture: Image.Image) -> np.ndarray:
    """Return the picture on a gray square canvas at 24 x 24, float [24, 24, 3]."""
    side = max(picture.size)
    canvas = Image.new("RGBA", (side, side), (128, 128, 128, 255))
    canvas.alpha_composite(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return np.asarray(canvas.convert("RGB").resize((24, 24), Image.Resampling.BOX), dtype=np.float32)


def encode(picture: Image.Image) -> bytes:
    """Encode as lossless WebP, or with quality 90 where that would be large."""
    out = io.BytesIO()
    picture.save(out, "WEBP", lossless=True, quality=60, method=4)
    if out.tell() > LOSSLESS_LIMIT:
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=90, method=4)
    return out.getvalue()


def make_cutouts(found: Iterable[FoundPicture]) -> list[Cutout]:
    """Trim and colour every found picture; leave out what cannot be used."""
    cutouts = []
    for item in found:
        picture = trim(item.picture)
        if picture is None:
            continue
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        row = {
            "concept": item.concept,
            "style": item.style,
            "package": item.package,
            "licence": item.licence,
            "caption": item.caption,
            "colour": colour_of(pixels),
            "aspect": round(picture.width / picture.height, 4),
        }
        cutouts.append(Cutout(row=row, picture=picture, thumb=thumbnail(picture)))
    return cutouts


def group_of(style: str) -> str:
    """Return the group of sets that redraw each other."""
    return _GROUPS.get(style, style)


def known_wrong(row: Row) -> bool:
    """Report whether a drawing is on the list of wrong ones."""
    wrong = _WRONG.get(row["style"], "").split(", ")
    return row["concept"] in wrong or f"{row['concept']}/{row['caption']}" in wrong or row["caption"] in _WRONG_CAPTIONS


def _by_concept(cutouts: list[Cutout]) -> dict[str, list[Cutout]]:
    found = defaultdict(list)
    for c in cutouts:
        found[c.row["concept"]].append(c)
    return found


def _near(a: Cutout, b: Cutout) -> bool:
    return min(np.abs(a.thumb - b.thumb).mean(), np.abs(a.thumb - b.thumb[:, ::-1]).mean()) < NEAR


def drop_repeats(cutouts: list[Cutout]) -> list[Cutout]:
    """Keep one of each near-identical pair of a concept within the same style."""
    kept = []
    for same in _by_concept(cutouts).values():
        good: list[Cutout] = []
        for c in same:
            if not any(g.row["style"] == c.row["style"] and np.abs(g.thumb - c.thumb).mean() < 2.5 for g in good):
                good.append(c)
        kept.extend(good)
    return kept


def _draw(concept: str, group: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but its arguments, so that splits outlive new data."""
    digest = hashlib.sha256(f"{seed}/{concept}/{group}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def assign_splits(cutouts: list[Cutout], seed: int = 0) -> list[Cutout]:
    """Give each cut-out its split; drop held-out drawings that are nearly identical to a training one."""
    kept = []
    for concept, same in _by_concept(cutouts).items():
        if concept in UNSEEN:
            for c in same:
                c.row["split"] = "unseen_concept"
            kept.extend(same)
            continue
        groups = sorted({group_of(c.row["style"]) for c in same} - {HELD_OUT_STYLE})
        out = {g for g in groups if _draw(concept, g, seed) < HELD_OUT_SHARE}
        for g in sorted(out, key=lambda g: _draw(concept, g, seed), reverse=True):
            if sum(group_of(c.row["style"]) not in out | {HELD_OUT_STYLE} for c in same) < FEWEST:
                out.remove(g)
        for c in same:
            group = group_of(c.row["style"])
            held = "heldout_style" if group == HELD_OUT_STYLE else "heldout_image"
            c.row["split"] = held if group in out or group == HELD_OUT_STYLE else "train"
        train = [c for c in same if c.row["split"] == "train"]
        kept.extend(c for c in same if in_train(c) or not any(_near(c, t) for t in train))
    return kept


def in_train(cutout: Cutout) -> bool:
    """Report whether a cut-out is in the training split."""
    return cutout.row["split"] == "train"


def drop_wrong(cutouts: list[Cutout]) -> None:
    """Move the drawings known to be wrong to the split "dropped"."""
    for c in cutouts:
        if known_wrong(c.row):
            c.row["split"] = "dropped"


def pack(cutouts: list[Cutout]) -> Iterable[tuple[Row, bytes]]:
    """Yield rows and bytes for `write_pack`, ordered by concept."""
    for c in sorted(cutouts, key=lambda c: (c.row["concept"], c.row["style"], c.row["caption"])):
        yield c.row, encode(c.picture)
