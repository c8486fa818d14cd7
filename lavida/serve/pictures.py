"""Pictures of a request: a data URI becomes an image."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from PIL import Image

from lavida.errors import ImageError
from lavida.image.load import open_image
from lavida.serve.settings import Settings


class PictureDecoder:
    """Decode the pictures that requests hold."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def decode_all(self, addresses: Sequence[str], **options: Any) -> list[Image.Image]:
        """Return the pictures of data URIs. Raises ImageError."""
        return [await self.decode(address, **options) for address in addresses]

    async def decode(self, address: str, **options: Any) -> Image.Image:
        """Return the picture of a data URI. Raises ImageError."""
        if address[:5].lower() != "data:":
            raise ImageError("the picture is no data: address; send it as data:image/png;base64,...")
        return await asyncio.to_thread(open_image, address, **options)

    def close(self) -> None:
        """Let go of what decoding takes."""
