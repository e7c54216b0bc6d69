"""Who sent a request: its headers, and the address that it came from as far as that can be believed."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from litestar.types import Scope as Connection

FORWARDING_HEADERS = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip")

IPV6_PREFIX = 64

Address = IPv4Address | IPv6Address


def header(scope: Connection, name: bytes) -> bytes | None:
    """A request header by its lower-case name; of several, the first."""
    for key, value in scope["headers"]:
        if key == name:
            return value
    return None


def client_address(scope: Connection, trusted: list[IPv4Network | IPv6Network]) -> Address | None:
    """Where a request came from: its peer, or, told by a trusted proxy, the nearest sender that is not one."""
    sender = peer(scope)
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = [hop.strip() for hop in b",".join(values).decode("latin-1").split(",") if hop.strip()]
    while hops and sender is not None and within(sender, trusted):
        sender = _address(hops.pop())
    return sender


def guesser(scope: Connection, trusted: list[IPv4Network | IPv6Network]) -> str:
    """By what tries of somebody unknown are counted: the address, of IPv6 the network that one customer gets."""
    sender = client_address(scope, trusted)
    if isinstance(sender, IPv6Address):
        return str(ip_network((sender, IPV6_PREFIX), strict=False))
    return str(sender)


def peer(scope: Connection) -> Address | None:
    """Whoever opened the connection."""
    client = scope.get("client")
    return _address(client[0]) if client else None


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def within(address: Address, networks: Collection[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def is_forwarded(scope: Connection) -> bool:
    """Whether the sender speaks for somebody further away."""
    return any(header(scope, name) is not None for name in FORWARDING_HEADERS)
