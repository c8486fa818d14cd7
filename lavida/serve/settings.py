"""Settings of a server, each declared once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hold what a server is told at its start. Times are seconds, sizes bytes."""

    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = ()  # one of them must come with each request; none = no key is asked for
    origins: tuple[str, ...] = ()  # pages of other sites that may call (CORS)
    hosts: tuple[str, ...] = ()  # names that the server is called by; on loopback and with none, loopback's own
    remote_images: bool = False  # whether the server fetches pictures by their address
    page: bool = True  # whether `/` is the page

    # The engine and its queue
    active: int = 32  # answers that are written side by side
    waiting: int = 64  # answers that may wait for a place; one more is refused with 429
    memory: int = 4 << 30  # of the keys and values of all that is being answered
    choices: int = 16  # answers of one request (n)
    timeout: float = 120.0  # an answer that takes longer is given up
    drain: float = 60.0  # from the signal to stop until what is not finished is given up
    keepalive: float = 10.0  # between two comment lines of a stream that has nothing to say

    # What one request may hold
    body: int = 32 << 20
    body_seconds: float = 20.0  # and a second more for each 50,000 bytes that have come
    bodies: int = 256 << 20  # of all requests that are being read or answered
    connections: int = 512
    depth: int = 64  # of nested JSON
    values: int = 100_000  # of one JSON text
    text: int = 200_000  # characters of a dialogue
    images: int = 16
    image_bytes: int = 16 << 20
    image_pixels: int = 50_000_000
    image_seconds: float = 10.0  # that a picture may take to decode, and to be fetched
    decoders: int = 1  # processes that decode pictures
    pixel_memory: int = 1 << 30  # of all pictures that are in use
