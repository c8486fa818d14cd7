"""Pictures by their address: public hosts alone, whatever names, redirects and resolvers say."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from lavida.errors import ImageError
from lavida.serve.errors import BusyError
from lavida.serve.pictures import PictureDecoder
from lavida.serve.remote import RemoteFetcher, RemoteLimits, checked_link, is_public
from lavida.serve.settings import Settings
from tests.pictures import gradient
from tests.serve.hostile import encoded

PICTURE = encoded(gradient())
LIMITS = RemoteLimits(size=100_000, seconds=5.0)
PUBLIC = "93.184.216.34"
Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class World:
    """A resolver and a network: names stand for addresses, and a public address is a server on loopback."""

    def __init__(self, handler: Handler, names: dict[str, list[str]] | None = None) -> None:
        self.handler, self.names = handler, names or {}
        self.heads: list[bytes] = []
        self.connected: list[tuple[str, int, str | None]] = []
        self.resolved: list[str] = []

    def fetch(self, address: str, limits: RemoteLimits = LIMITS) -> bytes:
        return asyncio.run(self._fetch(address, limits))

    async def _fetch(self, address: str, limits: RemoteLimits) -> bytes:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            return await RemoteFetcher(limits, resolve=self._resolve, connect=self._connect)(address)

    async def _resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        return self.names.get(host, [PUBLIC])

    async def _connect(self, address: str, port: int, tls: str | None) -> Any:
        self.connected.append((address, port, tls))
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        try:
            await self.handler(head, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()


def answer(body: bytes = PICTURE, status: str = "200 OK", *lines: str, length: bool = True) -> Handler:
    """Answer each request with these bytes."""

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        lines_ = [*lines, f"Content-Length: {len(body)}"] if length else lines
        writer.write(f"HTTP/1.1 {status}\r\n{''.join(line + chr(13) + chr(10) for line in lines_)}\r\n".encode() + body)
        await writer.drain()

    return handle


def moved(*places: str) -> Handler:
    """Send the first requests on, then answer."""
    left = list(places)

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        after = answer(b"", "302 Found", f"Location: {left.pop(0)}") if left else answer()
        await after(head, writer)

    return handle


def test_a_public_picture_is_fetched_from_the_address_that_was_checked() -> None:
    world = World(answer())
    assert world.fetch("http://pictures.example/a%20b.png?x=1#part") == PICTURE
    assert world.connected == [(PUBLIC, 80, None)] and world.resolved == ["pictures.example"]
    head = world.heads[0].decode().lower()
    assert head.startswith("get /a%20b.png?x=1 http/1.1\r\n") and "host: pictures.example\r\n" in head
    assert "authorization" not in head and "cookie" not in head and "connection: close" in head


def test_https_asks_for_a_certificate_of_the_host_and_not_of_the_address() -> None:
    world = World(answer())
    world.fetch("https://pictures.example/a.png")
    assert world.connected == [(PUBLIC, 443, "pictures.example")]


def test_a_body_may_come_in_chunks_or_to_the_end() -> None:
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (PICTURE[:50], PICTURE[50:])) + b"0\r\n\r\n"
    assert (
        World(answer(chunked, "200 OK", "Transfer-Encoding: chunked", length=False)).fetch("http://a.example/")
        == PICTURE
    )
    assert World(answer(length=False)).fetch("http://a.example/") == PICTURE


PRIVATE = (
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.192", "198.18.0.1",
    "192.0.2.1", "168.63.129.16", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "100::1", "", "localhost", "1.2.3",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_known(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", [one for one in PRIVATE if one])
def test_a_name_for_a_private_host_is_refused_before_a_connection(address: str) -> None:
    for answers in ([address], [PUBLIC, address], [address, PUBLIC]):
        world = World(answer(), {"rebound.example": answers})
        with pytest.raises(ImageError, match="leads to no public host") as caught:
            world.fetch("http://rebound.example/")
        assert world.connected == [] and address not in str(caught.value)


def test_a_name_is_resolved_once_for_a_connection() -> None:
    world = World(answer())
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> list[str]:
        world.resolved.append(host)
        return next(answers)

    world._resolve = rebinding  # type: ignore[method-assign]
    assert world.fetch("http://rebound.example/") == PICTURE
    assert world.resolved == ["rebound.example"] and world.connected == [(PUBLIC, 80, None)]


REFUSED = {
    "ftp://pictures.example/a.png": "not http or https",
    "file:///etc/passwd": "not http or https",
    "gopher://pictures.example/": "not http or https",
    "http://user:secret@pictures.example/": "a user or a password",
    "http://user@pictures.example/": "a user or a password",
    "http://@pictures.example/": "a user or a password",
    "http://pictures.example:22/": "a port other than 80 and 443",
    "http://pictures.example:0/": "a port other than 80 and 443",
    "http://pictures.example:99999/": "no link",
    "http://2130706433/": "in a way that is not read",
    "http://0x7f000001/": "in a way that is not read",
    "http://0x7f.1/": "in a way that is not read",
    "http://0177.0.0.1/": "in a way that is not read",
    "http://127.1/": "in a way that is not read",
    "http://127.0.0.1./": "in a way that is not read",
    "http://[::1%25eth0]/": "in a way that is not read",
    "http://[fe80::1%eth0]/": "in a way that is not read",
    "http://[v1.x]/": "no link|in a way",
    "http:///a.png": "in a way that is not read",
    "http://a..b/": "in a way that is not read",
    "http://-a.example/": "in a way that is not read",
    "http://b\u00fccher.example/": "letters that a link must not have",
    "http://\u2488\u2488.example/": "letters that a link must not have",
    "http://a.example\\@b.example/": "letters that a link must not have",
    "http://a.example/a b.png": "letters that a link must not have",
    "http://a.example/\r\nX: y": "letters that a link must not have",
    "http://a.example/" + "a" * 5000: "letters that a link must not have",
    "http://[": "no link",
}


@pytest.mark.parametrize("address", REFUSED)
def test_a_link_that_programs_read_differently_is_refused(address: str) -> None:
    with pytest.raises(ImageError, match=REFUSED[address]):
        checked_link(address)
    world = World(answer())
    with pytest.raises(ImageError):
        world.fetch(address)
    assert world.connected == [] and world.resolved == []


@pytest.mark.parametrize("address", ["http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest/meta-data/"])
def test_an_address_in_numbers_is_checked_too(address: str) -> None:
    world = World(answer())
    world.names = {"127.0.0.1": ["127.0.0.1"], "::1": ["::1"], "169.254.169.254": ["169.254.169.254"]}
    with pytest.raises(ImageError, match="no public host"):
        world.fetch(address)
    assert world.connected == []


def test_the_systems_resolver_is_asked_by_default() -> None:
    fetch = RemoteFetcher(LIMITS)
    for address in ("http://localhost/", "http://127.0.0.1/", "http://[::1]/"):
        with pytest.raises(ImageError, match="no public host"):
            asyncio.run(fetch(address))


def test_a_redirect_is_followed_and_checked_like_a_link() -> None:
    world = World(moved("/b.png", "https://other.example/c.png"))
    assert world.fetch("http://a.example/x/a.png") == PICTURE
    assert world.resolved == ["a.example", "a.example", "other.example"]
    assert world.connected[-1] == (PUBLIC, 443, "other.example")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("http://169.254.169.254/latest/", "no public host"),
        ("http://inner.example/", "no public host"),
        ("file:///etc/passwd", "not http or https"),
        ("//user:secret@a.example/", "a user or a password"),
        ("http://a.example:8080/", "a port other"),
        ("http://2130706433/", "in a way that is not read"),
        ("", "redirected more than 3 times"),
    ],
)
def test_a_redirect_to_a_place_of_ours_is_refused(place: str, words: str) -> None:
    world = World(moved(*[place] * 9), {"inner.example": ["10.0.0.7"], "169.254.169.254": ["169.254.169.254"]})
    with pytest.raises(ImageError, match=words):
        world.fetch("http://a.example/")
    assert {address for address, *_ in world.connected} == {PUBLIC}


def test_redirects_are_counted_and_never_leave_https() -> None:
    with pytest.raises(ImageError, match="redirected more than 3 times"):
        World(moved(*["/again"] * 9)).fetch("http://a.example/")
    with pytest.raises(ImageError, match="from https to http"):
        World(moved("http://a.example/")).fetch("https://a.example/")


def test_a_body_is_limited_by_what_it_says_and_by_what_it_is() -> None:
    large = b"x" * (LIMITS.size + 1)
    for handler in (answer(large), answer(large, length=False)):
        with pytest.raises(ImageError, match="more than 100,000 bytes"):
            World(handler).fetch("http://a.example/")

    async def only_a_head(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        await asyncio.sleep(60)

    with pytest.raises(ImageError, match="more than 100,000 bytes"):
        World(only_a_head).fetch("http://a.example/")


def test_the_whole_is_limited_in_time_however_it_drips() -> None:
    async def drip(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.05)

    with pytest.raises(ImageError, match="no picture within 0.5 s"):
        World(drip).fetch("http://a.example/", replace(LIMITS, seconds=0.5))


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (answer(b"", "404 Not Found"), "gives no picture"),
        (answer(b"", "500 Oops"), "gives no picture"),
        (answer(b"", "206 Partial Content"), "gives no picture"),
        (answer(b"", "200 OK", "Content-Encoding: gzip"), "compressed"),
        (answer(b"no http", "", length=False), "cannot be fetched"),
        (answer(b"", "200 OK", "Content-Length: 7", length=False), "cannot be fetched"),
        (answer(b"", "200 OK", *["X: " + "y" * 1000] * 99), "cannot be fetched"),
    ],
)
def test_what_is_no_plain_answer_is_refused(handler: Handler, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        World(handler).fetch("http://a.example/")


@pytest.mark.parametrize("error", [ConnectionRefusedError("10.1.2.3"), ssl.SSLError("secret"), OSError("no route")])
def test_what_the_network_says_is_not_told(error: OSError) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [PUBLIC]

    async def connect(address: str, port: int, tls: str | None) -> Any:
        raise error

    with pytest.raises(ImageError, match="^its address cannot be fetched; check it, or send the picture$"):
        asyncio.run(RemoteFetcher(LIMITS, resolve=resolve, connect=connect)("http://a.example/"))


def test_only_so_many_are_fetched_at_a_time() -> None:
    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(0.2)
        return []

    async def both() -> list[Any]:
        fetch = RemoteFetcher(replace(LIMITS, together=1), resolve=slow)
        return await asyncio.gather(fetch("http://a.example/"), fetch("http://a.example/"), return_exceptions=True)

    first, second = asyncio.run(both())
    assert isinstance(first, ImageError) and isinstance(second, BusyError)


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert World(answer()).fetch("http://a.example/") == PICTURE


def test_a_decoder_that_fetches_checks_what_it_gets() -> None:
    async def fetch(address: str) -> bytes:
        return {"http://a.example/a.png": PICTURE, "http://a.example/b.png": b"<html>"}[address]

    decoder = PictureDecoder(Settings(), fetch=fetch)
    try:
        assert asyncio.run(decoder.decode("http://a.example/a.png")).size == (64, 48)
        with pytest.raises(ImageError, match="a web page"):
            asyncio.run(decoder.decode("http://a.example/b.png"))
        with pytest.raises(ImageError, match="files of the server"):
            asyncio.run(decoder.decode("file:///etc/passwd"))
    finally:
        decoder.close()
