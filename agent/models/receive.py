"""One request for a file or the rest of it: what the source says is believed only as far as it fits.

A 206 must begin where we are, a length must be the one listed, of more bytes than that none is written, and what is no
safetensors file is refused by its first bytes. A source that has all but stopped is left, whatever it trickles.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import aiohttp
import msgspec
from yarl import URL

from agent import clock
from agent.models import safetensors
from agent.models.egress import Unsafe, authority, opened
from agent.models.part import Part

LOOK_BYTES = 1024 * 1024
"""The header is looked at when so much has come, and in the end."""
RETRY_AFTER = re.compile(r"[0-9]{1,5}")
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
AGAIN = {408, 425, 429}
"""And everything from 500 up."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    stall_seconds: float = 60.0
    stall_bytes: int = 64 * 1024
    """A source that gives less in that time has stopped, whatever it trickles."""
    tries_max: int = 6
    """In a row that brought less than that, of one source."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    """`folder/name`, for people."""
    target: Path
    bytes: int
    sha256: str | None
    """None: whatever comes is taken, and its hash told."""
    sources: list[str]
    tokens: dict[str, str] = {}
    """By authority; empty where none is needed."""
    plain: bool = False
    """Sources over http are asked too."""
    replace: bool = False
    """What lies in the place now is not worth keeping."""


class PullFailed(Exception):
    """The file is not here; the message says why and what to do. `again`: later it may work."""

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


class DiskFull(PullFailed):
    """No other file will fit either."""


class Useless(Exception):
    """This source cannot give the file; `again`: not now."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


class Bad(Useless):
    """The file that came is not the one that is wanted."""


class Cut(Exception):
    """The same request may go on later."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


Report = Callable[[int], None]
"""Is told how many bytes of the file are here."""


class Loading(msgspec.Struct, frozen=True, kw_only=True):
    """One file on its way."""

    wanted: Wanted
    part: Part
    client: aiohttp.ClientSession
    report: Report
    patience: Patience


async def receive(source: str, loading: Loading) -> None:
    """One request. Raises `Cut`, `Useless`, `DiskFull` and what aiohttp raises."""
    wanted, part = loading.wanted, loading.part
    headers = _range(source, wanted, part)
    token = wanted.tokens.get(authority(URL(source)))
    try:
        async with opened(loading.client, source, headers, token, plain=wanted.plain) as response:
            with disk(wanted):
                _accept(source, wanted, part, response)
            async with aclosing(_chunks(response, loading.patience)) as chunks:
                async for chunk in chunks:
                    with disk(wanted):
                        _take(chunk, wanted, part)
                    loading.report(part.bytes)
    except Unsafe as unsafe:
        raise Useless(str(unsafe)) from unsafe
    if part.bytes < wanted.bytes:
        raise Cut("the connection ended early")


def _range(source: str, wanted: Wanted, part: Part) -> dict[str, str]:
    """What to ask for, so that what comes can follow on what is here."""
    if part.bytes == 0:
        return {}
    if part.source == source and part.validator is not None:
        return {"Range": f"bytes={part.bytes}-", "If-Range": part.validator}
    return {"Range": f"bytes={part.bytes}-"} if wanted.sha256 is not None else {}


def _accept(source: str, wanted: Wanted, part: Part, response: aiohttp.ClientResponse) -> None:
    """Is this answer what was asked for? If it is all of the file, the part begins anew."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Useless("it sends the file packed")
    match response.status:
        case 200:
            if response.content_length not in (None, wanted.bytes):
                raise Useless(f"it has {response.content_length} bytes instead of {wanted.bytes}")
            part.begin(source, _validator(response))
        case 206:
            _accept_piece(wanted, part, response)
        case 416:
            part.clear()
            raise Cut("it has no such piece")
        case status if status in AGAIN or status >= 500:
            wait = response.headers.get("Retry-After", "")
            raise Cut(f"status {status}", float(wait) if RETRY_AFTER.fullmatch(wait) else None)
        case 401 | 403:
            raise Useless(f"it wants a token of somebody who accepted the licence there (status {response.status})")
        case status:
            raise Useless(f"status {status}")


def _accept_piece(wanted: Wanted, part: Part, response: aiohttp.ClientResponse) -> None:
    found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != part.bytes:
        part.clear()
        raise Cut("it sent another piece than was asked for")
    if int(found[3]) != wanted.bytes:
        raise Useless(f"it has {found[3]} bytes instead of {wanted.bytes}")


def _validator(response: aiohttp.ClientResponse) -> str | None:
    """What If-Range may be (RFC 9110, 13.1.5): a strong ETag, else a date."""
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return None if etag else response.headers.get("Last-Modified")


async def _chunks(response: aiohttp.ClientResponse, patience: Patience) -> AsyncGenerator[bytes, None]:
    """What comes; a source that has all but stopped is `Cut`."""
    since, got = clock.now(), 0
    while True:
        left = since + patience.stall_seconds - clock.now()
        try:
            async with asyncio.timeout(max(left, 0)):
                chunk = await response.content.readany()
        except TimeoutError:
            if got < patience.stall_bytes:
                raise Cut(f"{got} bytes in {patience.stall_seconds:g} s") from None
            since, got = clock.now(), 0
            continue
        if not chunk:
            return
        got += len(chunk)
        yield chunk


def _take(chunk: bytes, wanted: Wanted, part: Part) -> None:
    if part.bytes + len(chunk) > wanted.bytes:
        part.clear()
        raise Useless(f"it sends more than {wanted.bytes} bytes")
    looked = part.bytes >= LOOK_BYTES
    part.write(chunk)
    if not looked and part.bytes >= LOOK_BYTES:
        look_at(part, wanted)


def look_at(part: Part, wanted: Wanted) -> None:
    """Refuse what is no safetensors file: by the length of its header early, by all of the header in the end."""
    try:
        length = safetensors.header_bytes(part.head(safetensors.LENGTH_BYTES), wanted.bytes)
        if part.bytes >= safetensors.LENGTH_BYTES + length:
            header = part.head(safetensors.LENGTH_BYTES + length)[safetensors.LENGTH_BYTES :]
            safetensors.check(header, wanted.bytes)
    except safetensors.NotSafetensors as error:
        part.clear()
        raise Bad(f"what it gives is no safetensors file: {error}") from error


@contextmanager
def disk(wanted: Wanted) -> Iterator[None]:
    """What this machine's own disk refuses is not the source's fault."""
    try:
        yield
    except OSError as error:
        where = wanted.target.parent
        if error.errno in FULL:
            raise DiskFull(
                f"The disk of {where} is full ({error.strerror}). What came of {wanted.path} is kept: free some space"
                " and give the same command again."
            ) from error
        raise PullFailed(f"{wanted.path} cannot be written to {where}: {error.strerror}.") from error
