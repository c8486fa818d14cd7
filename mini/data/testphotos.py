"""The photographs of split (iv): files of packages, never trained on and not in the repository."""

from __future__ import annotations

import bz2
import io
from pathlib import Path

from PIL import Image

from lavida.errors import DataError
from mini.data.backgrounds import jpeg

# package -> the photographs in it, as paths inside the wheel
MEMBERS = {
    "pypi:scikit-learn==1.9.1": ["sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg"],
    "pypi:scikit-image==0.26.0": [
        f"skimage/data/{name}"
        for name in "astronaut.png chelsea.png coffee.png rocket.jpg camera.png coins.png motorcycle_left.png".split()
    ],
    "pypi:ultralytics==8.4.190": ["ultralytics/assets/bus.jpg", "ultralytics/assets/zidane.jpg"],
    "pypi:imgaug==0.4.0": ["imgaug/quokka.jpg"],
    "pypi:gradio==6.31.0": [
        f"gradio/{name}"
        for name in (
            "media_assets/images/cheetah.jpg",
            "media_assets/images/cheetah1.jpg",
            "media_assets/images/lion.jpg",
            "media_assets/images/tower.jpg",
            "test_data/cheetah2.jpg",
        )
    ],
    "pypi:matplotlib==3.11.2": ["matplotlib/mpl-data/sample_data/grace_hopper.jpg"],
    "pypi:sporco==0.2.2.post1": [f"sporco/data/{name}.png" for name in "kodim23 monarch sail tulips".split()],
    "pypi:scipy==1.11.4": ["scipy/misc/face.dat"],
}


def _open(path: Path) -> Image.Image:
    if path.suffix == ".dat":  # raw bytes of a 1024 x 768 RGB picture
        return Image.frombytes("RGB", (1024, 768), bz2.decompress(path.read_bytes()))
    return Image.open(path).convert("RGB")


def extract_test_photos(folders: dict[str, Path], out: Path) -> list[str]:
    """Write every test photograph into `out` as JPEG (of quality 95 unless it is one) and return the file names.

    Raises DataError if a package lacks one.
    """
    out.mkdir(parents=True, exist_ok=True)
    names = []
    for package, members in MEMBERS.items():
        for member in members:
            path = folders[package] / member
            if not path.exists():
                raise DataError(f"{package} has no {member}: delete {folders[package]} and fetch it again")
            name = Path(member).stem + ".jpg"
            data = path.read_bytes()
            if not data.startswith(b"\xff\xd8") or Image.open(io.BytesIO(data)).mode != "RGB":
                data = jpeg(_open(path), 95)
            (out / name).write_bytes(data)
            names.append(name)
    return names
