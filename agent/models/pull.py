"""One file from its first source that gives it, with patience for all that happens on the way.

A part that is here already is gone on with: by Range and If-Range where the source has not changed, and from another
source by Range alone when the hash is known, since that tells in the end whether the pieces belong together. What the
source says is believed only as far as it fits: a 206 must begin where we are, a length must be the one listed, and of
more bytes than that none is written. A hash that does not fit costs the part; when other sources had a share in it,
the same one is asked once more for all of it.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import msgspec
import structlog
from yarl import URL

from agent import clock
from agent.hashes import Hashes
from agent.models import safetensors
from agent.models.egress import Unsafe, authority, opened
from agent.models.part import Part
from agent.retry import pause

CHUNK_BYTES = 1024 * 1024
RETRY_AFTER = re.compile(r"[0-9]{1,5}")
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
AGAIN = {408, 425, 429}
"""And everything from 500 up."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

log = structlog.get_logger()


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


class _Useless(Exception):
    """This source cannot give the file; `again`: not now."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


class _Bad(_Useless):
    """The file that came is not the one that is wanted."""


class _Cut(Exception):
    """The same request may go on later."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


Report = Callable[[int], None]
"""Is told how many bytes of the file are here."""


async def pull(wanted: Wanted, client: aiohttp.ClientSession, report: Report, patience: Patience | None = None) -> str:
    """The hash of the file, which then lies in its place. Raises `PullFailed`, and `Busy` when somebody else loads it;
    when it is stopped, what came so far stays."""
    with _disk(wanted):
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
        part = Part(wanted.target, wanted.bytes, wanted.sha256)
        await asyncio.to_thread(part.open, report)
    try:
        if wanted.target.exists() and not wanted.replace:
            return await asyncio.to_thread(_of_that_name, wanted)
        return await _from_any(wanted, part, client, report, patience or Patience())
    finally:
        with _disk(wanted):
            _leave(part)


def _of_that_name(wanted: Wanted) -> str:
    """It came while we waited, or it is somebody's own."""
    with _disk(wanted):
        sha256 = Hashes().read(wanted.target)
    if sha256 is None or sha256 != wanted.sha256:
        raise PullFailed(f"{wanted.target} is another file of that name. To load it anew over it, add --replace.")
    return sha256


def _leave(part: Part) -> None:
    try:
        part.mark()
    except OSError as error:
        log.warning("part.unmarked", file=part.target.name, problem=str(error))
    part.close()


async def _from_any(
    wanted: Wanted, part: Part, client: aiohttp.ClientSession, report: Report, patience: Patience
) -> str:
    reasons: list[_Useless] = []
    for source in wanted.sources:
        try:
            await _from(source, wanted, part, client, report, patience)
            with _disk(wanted):
                sha256 = part.sha256
                await asyncio.to_thread(part.finish)
                return sha256
        except _Useless as useless:
            log.warning("source.given_up", file=wanted.path, host=authority(URL(source)), problem=str(useless))
            reasons.append(useless)
    told = "; ".join(
        f"{authority(URL(source))}: {reason}" for source, reason in zip(wanted.sources, reasons, strict=True)
    )
    raise PullFailed(f"{wanted.path} could not be loaded. {told}.", again=any(reason.again for reason in reasons))


async def _from(
    source: str, wanted: Wanted, part: Part, client: aiohttp.ClientSession, report: Report, patience: Patience
) -> None:
    """A part in which others had a share gets a second chance from nothing."""
    shared = part.bytes > 0
    try:
        return await _whole(source, wanted, part, client, report, patience)
    except _Bad:
        if not shared:
            raise
    log.warning("part.discarded", file=wanted.path, problem="the pieces do not belong together")
    await _whole(source, wanted, part, client, report, patience)


async def _whole(
    source: str, wanted: Wanted, part: Part, client: aiohttp.ClientSession, report: Report, patience: Patience
) -> None:
    """To the end, and it is what it should be. Raises `_Bad`, and then nothing of it is left."""
    await _to_the_end(source, wanted, part, client, report, patience)
    if wanted.sha256 is not None and part.sha256 != wanted.sha256:
        with _disk(wanted):
            part.clear()
        raise _Bad("what it gives is not what the list of weights says (another hash)")


async def _to_the_end(
    source: str, wanted: Wanted, part: Part, client: aiohttp.ClientSession, report: Report, patience: Patience
) -> None:
    tries = 0
    while part.bytes < wanted.bytes:
        before = part.bytes
        try:
            await _receive(source, wanted, part, client, report, patience)
            continue
        except _Cut as cut:
            reason, retry_after = str(cut), cut.retry_after
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason, retry_after = str(error) or type(error).__name__, None
        tries = 1 if part.bytes - before >= patience.stall_bytes else tries + 1
        if tries >= patience.tries_max:
            raise _Useless(f"it does not answer as it should ({reason})", again=True)
        log.info("pull.interrupted", file=wanted.path, bytes=part.bytes, problem=reason, tries=tries)
        await asyncio.sleep(pause(tries, retry_after))
    _look_at(part, wanted)


async def _receive(
    source: str, wanted: Wanted, part: Part, client: aiohttp.ClientSession, report: Report, patience: Patience
) -> None:
    """One request. Raises `_Cut`, `_Useless`, `DiskFull` and what aiohttp raises."""
    headers = _range(source, wanted, part)
    token = wanted.tokens.get(authority(URL(source)))
    try:
        async with opened(client, source, headers, token, plain=wanted.plain) as response:
            with _disk(wanted):
                _accept(source, wanted, part, response)
            async for chunk in _chunks(response, patience):
                with _disk(wanted):
                    _take(chunk, wanted, part)
                report(part.bytes)
    except Unsafe as unsafe:
        raise _Useless(str(unsafe)) from unsafe
    if part.bytes < wanted.bytes:
        raise _Cut("the connection ended early")


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
        raise _Useless("it sends the file packed")
    match response.status:
        case 200:
            if response.content_length not in (None, wanted.bytes):
                raise _Useless(f"it has {response.content_length} bytes instead of {wanted.bytes}")
            part.begin(source, _validator(response))
        case 206:
            _accept_piece(wanted, part, response)
        case 416:
            part.clear()
            raise _Cut("it has no such piece")
        case status if status in AGAIN or status >= 500:
            wait = response.headers.get("Retry-After", "")
            raise _Cut(f"status {status}", float(wait) if RETRY_AFTER.fullmatch(wait) else None)
        case 401 | 403:
            raise _Useless(f"it wants a token of somebody who accepted the licence there (status {response.status})")
        case status:
            raise _Useless(f"status {status}")


def _accept_piece(wanted: Wanted, part: Part, response: aiohttp.ClientResponse) -> None:
    found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != part.bytes:
        part.clear()
        raise _Cut("it sent another piece than was asked for")
    if int(found[3]) != wanted.bytes:
        raise _Useless(f"it has {found[3]} bytes instead of {wanted.bytes}")


def _validator(response: aiohttp.ClientResponse) -> str | None:
    """What If-Range may be (RFC 9110, 13.1.5): a strong ETag, else a date."""
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return None if etag else response.headers.get("Last-Modified")


async def _chunks(response: aiohttp.ClientResponse, patience: Patience) -> AsyncIterator[bytes]:
    """What comes; a source that has all but stopped is `_Cut`."""
    since, got = clock.now(), 0
    while True:
        left = since + patience.stall_seconds - clock.now()
        try:
            async with asyncio.timeout(max(left, 0)):
                chunk = await response.content.readany()
        except TimeoutError:
            if got < patience.stall_bytes:
                raise _Cut(f"{got} bytes in {patience.stall_seconds:g} s") from None
            since, got = clock.now(), 0
            continue
        if not chunk:
            return
        got += len(chunk)
        yield chunk


def _take(chunk: bytes, wanted: Wanted, part: Part) -> None:
    if part.bytes + len(chunk) > wanted.bytes:
        part.clear()
        raise _Useless(f"it sends more than {wanted.bytes} bytes")
    looked = part.bytes >= CHUNK_BYTES
    part.write(chunk)
    if not looked and part.bytes >= CHUNK_BYTES:
        _look_at(part, wanted)


def _look_at(part: Part, wanted: Wanted) -> None:
    """Refuse what is no safetensors file: by the length of its header early, by all of the header in the end."""
    try:
        length = safetensors.header_bytes(part.head(safetensors.LENGTH_BYTES), wanted.bytes)
        if part.bytes >= safetensors.LENGTH_BYTES + length:
            header = part.head(safetensors.LENGTH_BYTES + length)[safetensors.LENGTH_BYTES :]
            safetensors.check(header, wanted.bytes)
    except safetensors.NotSafetensors as error:
        part.clear()
        raise _Bad(f"what it gives is no safetensors file: {error}") from error


@contextmanager
def _disk(wanted: Wanted) -> Iterator[None]:
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
