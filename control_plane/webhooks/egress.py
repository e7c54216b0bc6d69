"""Egress: requests to addresses that somebody else chose, made so that they reach the public Internet and nothing else.

A name says nothing about where it leads, and may lead elsewhere the next moment. So for each request the name is
resolved once, every address that comes back is judged, and the connection is made to just those: there is no second
resolution that could differ, and the socket itself is refused for any other address. `Host` and TLS stay the name.
No redirect is followed, no proxy of the environment is used, no cookie kept; time and size are limited.

What is public is listed here, since `ipaddress.is_global` calls several addresses global that lead inside (NAT64, 6to4,
IPv4-compatible; it differs between Python versions): of IPv6 only 2000::/3, less what is carved out of it. An address
that carries an IPv4 address within (mapped, NAT64, 6to4, Teredo, …) is no better than that one, even in a network that
the operator allows.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

URL_LENGTH_MAX = 1_000
PORTS = frozenset({443, 8443})
"""Elsewhere only in networks that the operator allows."""
TOTAL_SECONDS = 15.0
"""For a request with everything: name, connection, TLS, answer."""
CONNECT_SECONDS = 5.0
RESOLVE_SECONDS = 5.0
RESOLVERS_MAX = 32
"""Names looked up at once. The system's resolver blocks, so slow name servers of some must leave room for others."""
ADDRESSES_MAX = 8
"""Of one name, tried one after the other."""
REQUEST_BYTES_MAX = 256 * 1024
ANSWER_BYTES_MAX = 4 * 1024
"""Of an answer that are read at all."""
ANSWER_SECONDS = 2.0
"""How long what comes after the status is waited for."""
EXCERPT_LENGTH = 200

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]
Lookup = Callable[[str, int], Awaitable[list[str]]]
"""A name and a port to all addresses, as text. Raises `OSError` when there is none."""

INSIDE_IPV4 = {
    IPv4Network(network): kind
    for network, kind in {
        "0.0.0.0/8": "unspecified",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "shared by a carrier",
        "127.0.0.0/8": "loopback",
        "168.63.129.16/32": "of a cloud's own",
        "169.254.0.0/16": "link-local",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved",
        "192.0.2.0/24": "for documentation",
        "192.88.99.0/24": "6to4",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "for benchmarks",
        "198.51.100.0/24": "for documentation",
        "203.0.113.0/24": "for documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
    }.items()
}
"""Of the IANA registry of special-purpose addresses, and what clouds answer on."""
PUBLIC_IPV6 = IPv6Network("2000::/3")
INSIDE_IPV6 = {
    IPv6Network(network): kind
    for network, kind in {
        "2001::/32": "Teredo",
        "2001::/23": "reserved",
        "2001:db8::/32": "for documentation",
        "2002::/16": "6to4",
        "3fff::/20": "for documentation",
    }.items()
}
MAPPED, COMPATIBLE = IPv6Network("::ffff:0:0/96"), IPv6Network("::/96")
TRANSLATED = IPv6Network("::ffff:0:0:0/96")
NAT64, NAT64_LOCAL = IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")
SIX_TO_FOUR, TEREDO = IPv6Network("2002::/16"), IPv6Network("2001::/32")
ISATAP = 0x5EFE
"""The middle of an interface identifier that carries an IPv4 address (RFC 5214)."""

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffd]+")

_names = ThreadPoolExecutor(RESOLVERS_MAX, "resolver")


class Refused(Exception):
    """Nothing was sent; the message says why. `code` is one word for it."""

    def __init__(self, message: str, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: the status, and the beginning of the rest as one line of plain text."""

    status: int
    excerpt: str
    retry_after: str | None
    begun: bytes = b""
    """The beginning itself."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An address of the web with where it leads, judged and pinned."""

    url: URL
    addresses: tuple[str, ...]


# ---------------------------------------------------------------------------------------------- what is public; pure


def inside(address: Address, allowed: Networks = ()) -> str | None:
    """What kind of address this is, if nothing may be sent there; None for a public one and for allowed networks."""
    carried = [kind for inner in embedded(address) if (kind := inside(inner, allowed)) is not None]
    if carried:
        return carried[0]
    if any(address in network for network in allowed):
        return None
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in INSIDE_IPV4.items() if address in network), None)
    if address not in PUBLIC_IPV6:
        return "not of the public Internet"
    return next((kind for network, kind in INSIDE_IPV6.items() if address in network), None)


def embedded(address: Address) -> list[IPv4Address]:
    """Every IPv4 address that this one may stand for."""
    if isinstance(address, IPv4Address):
        return []
    number = int(address)
    found = []
    low = number & 0xFFFF_FFFF
    if any(address in network for network in (MAPPED, TRANSLATED, NAT64)) or (address in COMPATIBLE and number > 1):
        found.append(low)
    if address in NAT64_LOCAL:  # RFC 6052: around the byte at 64, or at the end
        found += [(number >> 48 & 0xFFFF_0000) | (number >> 40 & 0xFFFF), low]
    if address in SIX_TO_FOUR:
        found.append(number >> 80 & 0xFFFF_FFFF)
    if address in TEREDO:
        found += [number >> 64 & 0xFFFF_FFFF, low ^ 0xFFFF_FFFF]
    if number >> 32 & 0xFFFF == ISATAP:
        found.append(low)
    return [IPv4Address(number) for number in found]


def checked(url: str, allowed: Networks = ()) -> URL:
    """The address as it will be used, when it can be used at all. Raises `Refused` with a sentence for its author."""
    try:
        found = URL(url)
        host, port = found.raw_host, found.port
    except ValueError:
        raise Refused("This is no address of the web.") from None
    if len(url) > URL_LENGTH_MAX or len(str(found)) > URL_LENGTH_MAX:
        raise Refused(f"The address may have at most {URL_LENGTH_MAX} characters.")
    if found.scheme not in ("https", "http") or not host or not port:
        raise Refused("The address must begin with https://.")
    if found.scheme == "http" and not allowed:
        raise Refused("The address must begin with https://, so that nobody on the way can read along.")
    if found.raw_user is not None or found.raw_password is not None:
        raise Refused("The address must not contain a name or a password; messages are signed instead.")
    if port not in PORTS and not allowed:
        raise Refused(f"The port must be one of {', '.join(map(str, sorted(PORTS)))}.")
    if (kind := _literal(host, allowed)) is not None:
        raise Refused(f"Nothing is sent to this address: it is {kind}.")
    return found.with_fragment(None)


def _literal(host: str, allowed: Networks) -> str | None:
    """What kind of address stands in the place of a name, if nothing may be sent there."""
    try:
        return inside(ip_address(host), allowed)
    except ValueError:
        return None


def judged(url: URL, addresses: Sequence[str], allowed: Networks = ()) -> Route:
    """Where a request may go, given all that its name leads to. One bad address spoils the name: whoever controls it
    mixes them on purpose. Raises `Refused`."""
    found = [ip_address(address) for address in addresses]
    if not found:
        raise Refused("The name leads nowhere.", "unresolvable")
    if any(inside(address, allowed) is not None for address in found):
        raise Refused("The name leads to an address that is not of the public Internet.")
    at_home = all(any(address in network for network in allowed) for address in found)
    if not at_home and (url.scheme != "https" or url.port not in PORTS):
        raise Refused("Outside of the operator's own networks only https and its ports are used.")
    return Route(url=url, addresses=tuple(addresses[:ADDRESSES_MAX]))


# ---------------------------------------------------------------------------------------------- the request


async def lookup(host: str, port: int) -> list[str]:
    """By the system's resolver, on threads of its own."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_names, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def route(url: URL, allowed: Networks, look: Lookup = lookup) -> Route:
    """Resolves the name, once, and judges. Raises `Refused`."""
    assert url.raw_host is not None
    assert url.port is not None
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            return judged(url, await look(url.raw_host, url.port), allowed)
    except (OSError, UnicodeError):  # a TimeoutError is an OSError
        raise Refused("The name cannot be resolved.", "unresolvable") from None


async def post(route: Route, body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext) -> Answer:
    """One POST to where the route leads. Raises `aiohttp.ClientError`, `OSError`, `TimeoutError`, `Refused`."""
    return await send("POST", route, body, headers, tls)


async def send(method: str, route: Route, body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext) -> Answer:
    """The same with another method."""
    if len(body) > REQUEST_BYTES_MAX:
        raise Refused("The message is larger than allowed.", "too_large")
    connector = aiohttp.TCPConnector(
        resolver=_Pinned(route),
        use_dns_cache=False,
        ssl=tls,
        force_close=True,
        limit=1,
        socket_factory=_sockets(route),
    )
    async with (
        asyncio.timeout(TOTAL_SECONDS),
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS),
            trust_env=False,
            auto_decompress=False,
        ) as session,
        session.request(method, route.url, data=body, headers={**headers}, allow_redirects=False) as response,
    ):
        begun = await _beginning(response)
        after = response.headers.get("Retry-After")
        return Answer(status=response.status, excerpt=excerpt(begun), retry_after=after, begun=begun)


class _Pinned(AbstractResolver):
    """Knows one name, and of that what was judged."""

    def __init__(self, route: Route) -> None:
        self._route = route

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host != self._route.url.raw_host:
            raise OSError("another name than the one that was judged")
        return [_resolved(host, port, address) for address in self._route.addresses]

    async def close(self) -> None:
        """There is nothing to close."""


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


def _sockets(route: Route) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    """The last gate: whatever way an address has come, only those that were judged get a socket."""
    judged = {ip_address(address) for address in route.addresses}

    def make(wanted: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = wanted
        if ip_address(str(address[0])) not in judged:
            raise OSError("another address than those that were judged")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return make


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The first of what comes after the status, if it comes at all: the status is what counts."""
    begun = b""
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(ANSWER_SECONDS):
            while len(begun) < ANSWER_BYTES_MAX and (chunk := await response.content.read(ANSWER_BYTES_MAX)):
                begun += chunk
    return begun


def excerpt(begun: bytes) -> str:
    """One line of it that can be shown and stored anywhere."""
    return _UNPRINTABLE.sub(" ", begun[:ANSWER_BYTES_MAX].decode(errors="replace")).strip()[:EXCERPT_LENGTH]
