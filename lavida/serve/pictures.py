"""Pictures of a request: a data URI becomes an image."""

from __future__ import annotations

import asyncio

from PIL import Image

from lavida.image.load import open_image
from lavida.serve.settings import Settings


class PictureDecoder:
    """Decode the pictures that requests hold."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def decode(self, address: str) -> Image.Image:
        """Return the picture of a data URI. Raises ImageError."""
        return await asyncio.to_thread(open_image, address, any_shape=True)

    def close(self) -> None:
        """Let go of what decoding takes."""
