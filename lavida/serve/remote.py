"""Pictures by their address, from public hosts only (off unless the server is told otherwise).

A link in a request makes the server call where its sender cannot: its own network, the metadata service of a cloud. So
every address that a name stands for is checked, the connection goes to the address that was checked, a redirect is
checked like a first link, and bytes and seconds are limited over all of it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

import lavida
from lavida.errors import ImageError
from lavida.serve.errors import BusyError
from lavida.serve.settings import Settings

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Resolve = Callable[[str, int], Awaitable[list[str]]]  # host, port -> addresses
Connect = Callable[[str, int, str | None], Awaitable[Streams]]  # address, port, host of a TLS certificate or None

_PORTS = {"http": 80, "https": 443}
_MOVED = (301, 302, 303, 307, 308)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?", re.ASCII)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # the last 32 bits are an IPv4 address
_TUNNELS = tuple(map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "2001::/32", "2002::/16")))  # and so do these, hidden
# What `ipaddress` calls global in some versions of Python; the last one is public, and answers only inside Azure.
_CLOSED = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "100::/64", "3fff::/20", "5f00::/16", "fec0::/10", "168.63.129.16/32"),
    )
)
_CHUNK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class RemoteLimits:
    """Limit one fetch, redirects included."""

    size: int  # bytes of the picture
    seconds: float = 10.0
    redirects: int = 3
    together: int = 8  # fetches at a time; one more is refused
    ports: tuple[int, ...] = (80, 443)


class RemoteFetcher:
    """Fetch pictures from public hosts.

    Args:
        limits: Of each fetch.
        resolve: Returns all addresses of a host; the system's resolver by default.
        connect: Opens a connection to an address; for tests.
    """

    def __init__(self, limits: RemoteLimits, *, resolve: Resolve | None = None, connect: Connect | None = None) -> None:
        self._limits = limits
        self._resolve, self._connect = resolve or _resolve, connect or _connect
        self._running = 0

    async def __call__(self, address: str) -> bytes:
        """Return the bytes behind an http(s) address.

        Raises:
            ImageError: It is no public one, is too large or too slow, or gives no picture. What the network said is
                not told: who asks shall not learn of hosts that only the server reaches.
            BusyError: Too many pictures are being fetched.
        """
        if self._running >= self._limits.together:
            raise BusyError("too many pictures are being fetched; try again soon", after=2)
        self._running += 1
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._follow(address)
        except TimeoutError:
            raise ImageError(
                f"its address gives no picture within {self._limits.seconds:g} s; send the picture"
            ) from None
        except (OSError, ssl.SSLError, EOFError, h11.ProtocolError, UnicodeError):
            raise ImageError("its address cannot be fetched; check it, or send the picture") from None
        finally:
            self._running -= 1

    async def _follow(self, address: str) -> bytes:
        secure = False
        for _ in range(self._limits.redirects + 1):
            link = checked_link(address, self._limits.ports)
            if secure and link.scheme == "http":
                raise ImageError("its address leads from https to http; give the last address itself")
            secure = link.scheme == "https"
            found = await self._get(link)
            if isinstance(found, bytes):
                return found
            address = urljoin(address, found)
        raise ImageError(f"its address is redirected more than {self._limits.redirects} times; give the last one")

    async def _get(self, link: SplitResult) -> bytes | str:
        """Return the body of one answer, or where it sends us."""
        host, port = link.hostname or "", link.port or _PORTS[link.scheme]
        addresses = await self._resolve(host, port)
        if not addresses or not all(map(is_public, addresses)):
            raise ImageError("its address leads to no public host; send the picture itself")
        reader, writer = await self._open(addresses, port, host if link.scheme == "https" else None)
        try:
            return await self._exchange(link, reader, writer)
        finally:
            writer.close()

    async def _open(self, addresses: list[str], port: int, tls: str | None) -> Streams:
        failure: OSError = OSError("no address")
        for one in addresses[:4]:
            try:
                return await self._connect(one, port, tls)
            except OSError as error:
                failure = error
        raise failure

    async def _exchange(
        self, link: SplitResult, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | str:
        connection = h11.Connection(h11.CLIENT)
        path = (link.path or "/") + (f"?{link.query}" if link.query else "")
        headers = [
            ("Host", _host_header(link)),
            ("User-Agent", f"lavida/{lavida.__version__}"),
            ("Accept", "image/*"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
        ]
        writer.write(connection.send(h11.Request(method="GET", target=path, headers=headers)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_CHUNK))
            elif isinstance(event, h11.Response):
                if event.status_code in _MOVED:
                    return _header(event, b"location")
                self._check_head(event)
            elif isinstance(event, h11.Data):
                body += event.data
                self._check_size(len(body))
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError

    def _check_head(self, response: h11.Response) -> None:
        if response.status_code != 200:
            raise ImageError("its address gives no picture; check it, or send the picture")
        if _header(response, b"content-encoding") not in ("", "identity"):
            raise ImageError("its address gives compressed data; send the picture itself")
        length = _header(response, b"content-length")
        if length.isdigit():
            self._check_size(int(length))

    def _check_size(self, size: int) -> None:
        if size > self._limits.size:
            raise ImageError(f"more than {self._limits.size:,} bytes; scale it down or compress it more")


def fetcher(settings: Settings) -> RemoteFetcher | None:
    """Return what fetches pictures for a server; None where it must not."""
    limits = RemoteLimits(size=settings.image_bytes, seconds=settings.image_seconds)
    return RemoteFetcher(limits) if settings.remote_images else None


def checked_link(address: str, ports: tuple[int, ...] = (80, 443)) -> SplitResult:
    """Return the parts of an http(s) link.

    Raises:
        ImageError: It names another scheme or port, a user, or a host in a way that only some programs understand.
    """
    if len(address) > 4096 or not address.isascii() or any(ord(c) <= 32 or c == "\\" or ord(c) == 127 for c in address):
        raise ImageError("its address has blanks or letters that a link must not have; write them as %20 and so on")
    try:
        link = urlsplit(address)
        port = link.port
    except ValueError:
        raise ImageError("its address is no link; give https://host/picture.png") from None
    if link.scheme not in _PORTS:
        raise ImageError("its address is not http or https; send the picture itself")
    if link.username is not None or link.password is not None:
        raise ImageError("its address holds a user or a password; leave them out")
    if (_PORTS[link.scheme] if port is None else port) not in ports:
        raise ImageError(f"its address names a port other than {' and '.join(map(str, ports))}; leave it out")
    if not _is_plain_host(link.hostname or "", bracketed="[" in link.netloc):
        raise ImageError("its address names the host in a way that is not read; give its name")
    return link


def _is_plain_host(host: str, *, bracketed: bool) -> bool:
    """Return whether a host is a name, or an IP address in its usual form: no octal, no 2130706433, no zone."""
    if bracketed or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            return ("%" not in host) and isinstance(
                ipaddress.ip_address(host), ipaddress.IPv6Address if bracketed else ipaddress.IPv4Address
            )
        except ValueError:
            return False
    return len(host) <= 253 and _NAME.fullmatch(host) is not None


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet, an IPv4 address inside an IPv6 one included."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None or any(ip in net for net in _TUNNELS):
            return False
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    closed = (
        ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_reserved or ip.is_unspecified
    )
    return ip.is_global and not closed and not any(ip in net for net in _CLOSED)


def _host_header(link: SplitResult) -> str:
    host = link.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if link.port in (None, _PORTS[link.scheme]) else f"{host}:{link.port}"


def _header(response: h11.Response, name: bytes) -> str:
    return next((value.decode("ascii") for key, value in response.headers if key == name), "")


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


async def _connect(address: str, port: int, tls: str | None) -> Streams:
    """Open a connection to the address itself: no proxy, no second look-up; a certificate must name the host."""
    if tls is None:
        return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(address, port, ssl=ssl.create_default_context(), server_hostname=tls)
