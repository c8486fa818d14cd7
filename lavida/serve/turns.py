"""Messages of a request as the turns of a dialogue, their pictures decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from lavida.errors import RequestError
from lavida.serve.errors import FieldError
from lavida.serve.pictures import PictureDecoder
from lavida.serve.protocol import ImagePart, Message
from lavida.serve.service import Held
from lavida.text.messages import Turn, read_messages


async def read_turns(
    messages: Sequence[Message], held: Held, decoder: PictureDecoder, *, letters: int, official: bool = False
) -> list[Turn]:
    """Return the turns of a dialogue.

    Args:
        messages: Of a request.
        held: The model that is asked.
        decoder: Decodes the pictures.
        letters: That the words may have, all together.
        official: Read pictures as published code does.

    Raises:
        FieldError: The form of a dialogue is not kept, or its words are too long.
        ImageError: A picture is refused.
    """
    words, addresses = _words(messages), _addresses(messages)
    if words > letters:
        raise FieldError(f"the dialogue has {words:,} letters and {letters:,} are read; shorten it", param="messages")
    plain = _plain(messages, [Image.new("RGB", (8, 8))] * len(addresses))
    try:
        read_messages(plain)  # before pictures are decoded for nothing
    except RequestError as error:
        raise FieldError(str(error), param="messages") from None
    if not addresses:
        return read_messages(plain)
    held.model.reader.images.require()
    any_shape = held.model.net.config.traits.any_shape
    return read_messages(_plain(messages, await decoder.decode_all(addresses, any_shape=any_shape, official=official)))


def _words(messages: Sequence[Message]) -> int:
    return sum(
        len(message.content)
        if isinstance(message.content, str)
        else sum(len(part.text) for part in message.content or () if not isinstance(part, ImagePart))
        for message in messages
    )


def _addresses(messages: Sequence[Message]) -> list[str]:
    return [
        part.image_url.url
        for message in messages
        if isinstance(message.content, list)
        for part in message.content
        if isinstance(part, ImagePart)
    ]


def _plain(messages: Sequence[Message], pictures: Sequence[Image.Image]) -> list[dict[str, Any]]:
    """Return the messages as `read_messages` takes them, a picture at each of its places."""
    rest = iter(pictures)
    return [
        {
            "role": message.role,
            "content": [
                {"type": "image", "image": next(rest)}
                if isinstance(part, ImagePart)
                else {"type": "text", "text": part.text}
                for part in message.content
            ]
            if isinstance(message.content, list)
            else message.content,
        }
        for message in messages
    ]
