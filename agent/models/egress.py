"""How a source is asked: https only, few redirects, and a token that no other host ever sees.

Redirects are followed by hand, because each of them is a new decision: may this address be asked at all, and is it
still the one that the token is for? Plain http is for this machine's own addresses, and for those who insist.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from agent.client import agent_version

REDIRECTS_MAX = 5
CONNECT_SECONDS = 30.0
HEADERS_SECONDS = 60.0
REDIRECTS = {301, 302, 303, 307, 308}


class Unsafe(Exception):
    """This address is not asked; the message says why and what to do."""


def authority(url: URL) -> str:
    """`host` or, with a port of its own, `host:port`: what a token belongs to."""
    host = url.host or ""
    return host if url.is_default_port() else f"{host}:{url.port}"


def is_loopback(url: URL) -> bool:
    try:
        return url.host == "localhost" or ipaddress.ip_address(url.host or "").is_loopback
    except ValueError:
        return False


def check(url: URL, first: URL, *, plain: bool) -> None:
    """May this address be asked? `first` is the one that the list of weights names."""
    if url.scheme == "https" and not (is_loopback(url) and not is_loopback(first)):
        return
    if url.scheme == "http" and (plain or (is_loopback(url) and is_loopback(first))):
        return
    if url.scheme == "http" and not is_loopback(url):
        raise Unsafe(f"{authority(url)} is only reached over http, which anybody on the way can change. (--plain-http)")
    raise Unsafe(f"{authority(first)} sends on to {url.scheme}://{authority(url)}, which is not asked.")


def session() -> aiohttp.ClientSession:
    """Without cookies, without anything from the environment, and nothing unpacked behind our back."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=HEADERS_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": f"tessera-agent/{agent_version()}", "Accept-Encoding": "identity"},
    )


@asynccontextmanager
async def opened(
    client: aiohttp.ClientSession, source: str, headers: Mapping[str, str], token: str | None, *, plain: bool
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The first answer that sends nowhere else, whatever its status. Over plain http no token leaves this machine.
    Raises `Unsafe` and what aiohttp raises."""
    first = url = URL(source)
    if first.scheme != "https" and not is_loopback(first):
        token = None
    for _ in range(REDIRECTS_MAX + 1):
        check(url, first, plain=plain)
        own = {"Authorization": f"Bearer {token}"} if token is not None and _same(url, first) else {}
        async with asyncio.timeout(HEADERS_SECONDS):
            response = await client.get(url, headers={**headers, **own}, allow_redirects=False)
        async with response:
            if response.status not in REDIRECTS:
                yield response
                return
            url = _next(url, response.headers.get("Location", ""))
    raise Unsafe(f"{authority(first)} sends from one address to the next, more than {REDIRECTS_MAX} times.")


def _same(url: URL, first: URL) -> bool:
    return (url.scheme, authority(url)) == (first.scheme, authority(first))


def _next(url: URL, location: str) -> URL:
    """Signed addresses stay as they are, character by character."""
    try:
        following = url.join(URL(location, encoded=True))
    except ValueError as error:
        raise Unsafe(f"{authority(url)} sends on to what is no address.") from error
    if not location or not following.host or following.user is not None:
        raise Unsafe(f"{authority(url)} sends on to what is no address.")
    return following
