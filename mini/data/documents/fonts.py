"""The fonts that documents are set in: free ones from Debian's packages, some of them held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import ImageFont

from lavida.errors import DataError
from mini.data.fetch import Log, fetch


@dataclass(frozen=True, kw_only=True)
class Font:
    """Name two files of one family, as paths in a package."""

    package: str
    regular: str
    bold: str
    held_out: bool = False


FONTS = {
    name: Font(
        package=f"deb:fonts-{package}",
        regular=f"usr/share/fonts/{folder}/{regular}",
        bold=f"usr/share/fonts/{folder}/{bold}",
        held_out=held_out,
    )
    for name, package, folder, regular, bold, held_out in (
        ("DejaVu Sans", "dejavu-core", "truetype/dejavu", "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", False),
        ("DejaVu Serif", "dejavu-core", "truetype/dejavu", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", False),
        ("DejaVu Mono", "dejavu-core", "truetype/dejavu", "DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf", False),
        (
            "Liberation Sans", "liberation2", "truetype/liberation2",
            "LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf", False,
        ),
        (
            "Liberation Serif", "liberation2", "truetype/liberation2",
            "LiberationSerif-Regular.ttf", "LiberationSerif-Bold.ttf", False,
        ),
        (
            "Liberation Mono", "liberation2", "truetype/liberation2",
            "LiberationMono-Regular.ttf", "LiberationMono-Bold.ttf", False,
        ),
        ("Open Sans", "open-sans", "truetype/open-sans", "OpenSans-Regular.ttf", "OpenSans-Bold.ttf", False),
        ("Carlito", "crosextra-carlito", "truetype/crosextra", "Carlito-Regular.ttf", "Carlito-Bold.ttf", False),
        ("Lato", "lato", "truetype/lato", "Lato-Regular.ttf", "Lato-Bold.ttf", True),
        (
            "Courier Prime", "courier-prime", "opentype/courier-prime",
            "Courier Prime.otf", "Courier Prime Bold.otf", True,
        ),
        (
            "Roboto", "roboto-unhinted", "truetype/roboto/unhinted/RobotoTTF",
            "Roboto-Regular.ttf", "Roboto-Bold.ttf", True,
        ),
    )
}  # fmt: skip


class FontLibrary:
    """Read fonts of unpacked packages. Raises DataError for a missing file."""

    def __init__(self, folders: dict[str, Path], names: Sequence[str] | None = None) -> None:
        self._files: dict[tuple[str, bool], bytes] = {}
        for name in names or FONTS:
            font = FONTS[name]
            for bold, member in ((False, font.regular), (True, font.bold)):
                path = folders[font.package] / member
                if not path.is_file():
                    raise DataError(f"{font.package} has no {member}: delete its folder {folders[font.package]}")
                self._files[name, bold] = path.read_bytes()

    @classmethod
    def fetch(cls, cache: Path, log: Log = print) -> FontLibrary:
        """Read all fonts, fetching their packages into `cache` if they are not there."""
        return cls(fetch(sorted({font.package for font in FONTS.values()}), cache, log))

    def names(self, *, held_out: bool) -> list[str]:
        """Return the families of one side of the split, in a fixed order."""
        return sorted({name for name, _ in self._files if FONTS[name].held_out is held_out})

    def font(self, name: str, size: int, *, bold: bool) -> ImageFont.FreeTypeFont:
        """Return a font at a size in pixels."""
        return ImageFont.truetype(BytesIO(self._files[name, bold]), size)
