"""Artifacts for customers: a redirect for whoever owns the job, the file for whoever holds a signed address.

The signed route is public: the address is the permission. It serves single ranges (RFC 9110), so that a phone can
seek in a video and a broken download goes on; the ETag is the file's SHA-256. What the file is was decided by its
content when it came in, and the browser is told neither to guess again nor to run anything.

From an object store whole files are fetched by redirect. Ranges are not: players ask for one after the other at the
place to which they were sent first, which by then has expired, and the ETag there is another one than ours.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import psycopg
import structlog
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Meta

from control_plane import signing
from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Header, Nothing, operation
from control_plane.api.presence import watched
from control_plane.errors import (
    Forbidden,
    Gone,
    LegalHold,
    NotFinished,
    NotFound,
    RangeNotSatisfiable,
    Suspended,
    TooManyWaiting,
    Unavailable,
)
from control_plane.files import artifacts
from control_plane.files.artifacts import Located
from control_plane.media import thumbnails
from control_plane.media.probe import MEDIA_TYPES
from control_plane.media.thumbnailing import SIDE_MAX
from control_plane.store import Opened
from control_plane.wire import Request

INDEX_MAX = 63
DOWNLOAD_SECONDS = 3_600.0
CACHE_SECONDS_MAX = 5
"""A file that is withdrawn leaves browsers as soon; asking again costs no bytes while it is the same (ETag)."""
LOOK_SECONDS = 4.0
"""How often a download that takes long makes sure that the file may still be seen."""

RANGE = Header(name="Range", description="One range of bytes (RFC 9110).", schema={"type": "string"})
IF_RANGE = Header(name="If-Range", description="An ETag: the range is of that file.", schema={"type": "string"})
IF_NONE_MATCH = Header(name="If-None-Match", description="An ETag that is known already.", schema={"type": "string"})

Look = Callable[[], Awaitable[object]]

_RANGE = re.compile(rb"bytes=(\d{0,15})-(\d{0,15})", re.ASCII | re.IGNORECASE)

log = structlog.get_logger()


class SignedQuery(Request, frozen=True, kw_only=True):
    expires: Annotated[int, Meta(ge=0, le=signing.EXPIRES_MAX)]
    """Seconds since 1970 at which the address ends."""
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


@operation(
    "GET",
    "/api/v1/jobs/{job_id:uuid}/artifacts/{index:int}",
    guard=guards.READ,
    answers={302: None},
    problems=(NotFound, Gone),
    tag="Artifacts",
)
async def get_own_artifact(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Go to the file: a redirect to a signed address that expires."""
    return await _to_address(call, "artifact")


@operation(
    "GET",
    "/api/v1/jobs/{job_id:uuid}/artifacts/{index:int}/thumbnail",
    guard=guards.READ,
    answers={302: None},
    problems=(NotFound, Gone),
    tag="Artifacts",
)
async def get_own_thumbnail(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Go to the small picture of the file: a redirect to a signed address that expires."""
    return await _to_address(call, "thumbnail")


@operation(
    "DELETE",
    "/api/v1/jobs/{job_id:uuid}/artifacts",
    guard=guards.SUBMIT,
    answers={204: None},
    problems=(NotFound, NotFinished, LegalHold),
    tag="Artifacts",
)
async def erase_artifacts(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Erase the files and the prompt of a job that has ended. What it cost stays. Repeating it changes nothing."""
    await artifacts.erase(call.context.database, call.context.store, call.who.user_id, call.path("job_id"))
    return answers.nothing()


@operation(
    "GET",
    "/artifacts/{job_id:uuid}/{index:int}",
    guard=guards.PUBLIC,
    answers={200: MEDIA_TYPES, 206: MEDIA_TYPES, 302: None, 304: None},
    problems=(Forbidden, Suspended, NotFound, Gone, RangeNotSatisfiable),
    headers=(RANGE, IF_RANGE, IF_NONE_MATCH),
    tag="Artifacts",
    wait_seconds=DOWNLOAD_SECONDS,
)
async def get_artifact(call: Call[None, Nothing, SignedQuery]) -> ASGIApp:
    """The file itself, by a signed address and without any other credential. Supports single ranges.

    Where files lie in an object store, the answer may be a redirect to an address there that is good for seconds;
    a request for a range is always answered from here.
    """
    found, headers = await _signed(call)
    job_id, index, database = call.path("job_id"), _index(call), call.context.database
    return await delivered(call, found.key or "", headers, lambda: artifacts.locate(database, job_id, index))


@operation(
    "HEAD",
    "/artifacts/{job_id:uuid}/{index:int}",
    guard=guards.PUBLIC,
    answers={200: None},
    problems=(Forbidden, Suspended, NotFound, Gone),
    tag="Artifacts",
)
async def head_artifact(call: Call[None, Nothing, SignedQuery]) -> ASGIApp:
    """What a download would say about the file, without the file."""
    found, headers = await _signed(call)
    return _empty(200, {**headers, "Accept-Ranges": "bytes", "Content-Length": str(found.bytes)})


@operation(
    "GET",
    "/artifacts/{job_id:uuid}/{index:int}/thumbnail",
    guard=guards.PUBLIC,
    answers={200: thumbnails.MIME_TYPE, 304: None},
    problems=(Forbidden, Suspended, NotFound, Gone, TooManyWaiting),
    headers=(IF_NONE_MATCH,),
    tag="Artifacts",
)
async def get_thumbnail(call: Call[None, Nothing, SignedQuery]) -> ASGIApp:
    """A small picture of the file, by a signed address: WebP, at most 512 pixels a side; of a film its first frame."""
    found, headers = await _signed(call, "thumbnail")
    job_id, index, database = call.path("job_id"), _index(call), call.context.database
    shown = artifacts.disposition(job_id, index, thumbnails.MIME_TYPE)
    headers["Content-Disposition"] = shown
    return await small(call, found.key or "", headers, lambda: artifacts.locate(database, job_id, index))


async def _to_address(call: Call[Person, Nothing, Nothing], what: signing.What) -> ASGIApp:
    context, job_id, index = call.context, call.path("job_id"), _index(call)
    await artifacts.locate(context.database, job_id, index, user_id=call.who.user_id)
    keys, settings = context.signing_keys, context.settings
    url = signing.artifact_url(keys, settings.base_url, job_id, index, settings.artifact_url_seconds, keys.now(), what)
    return _empty(302, {"Location": url, "Cache-Control": "no-store", "Content-Length": "0"})


async def _signed(
    call: Call[None, Nothing, SignedQuery], what: signing.What = "artifact"
) -> tuple[Located, dict[str, str]]:
    """The file of a signed address, and the headers that go with it."""
    job_id, index, keys = call.path("job_id"), _index(call), call.context.signing_keys
    now = keys.now()
    signing.check(keys, job_id, index, call.query.expires, call.query.signature, now, what)
    found = await artifacts.locate(call.context.database, job_id, index)
    assert found.mime_type is not None, "a file that is there has a type"
    assert found.sha256 is not None, "and a hash"
    cache = f"private, max-age={int(min(CACHE_SECONDS_MAX, call.query.expires - now))}"
    return found, described(artifacts.disposition(job_id, index, found.mime_type), found.mime_type, found.sha256, cache)


def described(disposition: str, mime_type: str, sha256: artifacts.Digest, cache: str) -> dict[str, str]:
    """What is told with a file: what it is, by its content; a browser neither guesses again nor runs anything."""
    return {
        "Content-Type": mime_type,
        "Content-Disposition": disposition,
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": cache,
        "ETag": f'"{sha256.hex()}"',
    }


def _index(call: Call[Any, Any, Any]) -> int:
    index: int = call.path("index")
    if not 0 <= index <= INDEX_MAX:
        raise NotFound("There is no such file.")
    return index


def is_known(header: bytes | None, etag: bytes) -> bool:
    """Whether an `If-None-Match` names this ETag (RFC 9110, 13.1.2: compared weakly, `*` is anything)."""
    known = [part.strip().removeprefix(b"W/") for part in (header or b"").split(b",")]
    return etag in known or known == [b"*"]


def byte_range(header: bytes | None, size: int) -> tuple[int, int] | None:
    """Start and end (not included) of the single range that is asked for; None = the whole file, also for anything
    that is no single range of bytes (RFC 9110, 14.2). Raises `RangeNotSatisfiable`."""
    found = _RANGE.fullmatch(header.strip()) if header is not None else None
    if found is None or found[0].endswith(b"=-"):
        return None
    first, last = found[1], found[2]
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < int(first):
        return None
    if start >= end:
        raise RangeNotSatisfiable(f"The file has {size} bytes.", bytes=size)
    return start, end


async def delivered(call: Call[None, Nothing, Any], key: str, headers: dict[str, str], look: Look) -> ASGIApp:
    """The file under a key, or the range of it that is asked for, or word that it is known already; `headers` are told
    with it, an ETag among them. `look` raises when it may be seen no more."""
    request, etag = call.request, headers["ETag"].encode()
    headers = {**headers, "Accept-Ranges": "bytes"}
    if is_known(guards.header(request.scope, b"if-none-match"), etag):
        return _empty(304, headers)
    asked = guards.header(request.scope, b"range")
    address = await call.context.store.address(key) if asked is None else None
    if address is not None:
        return _empty(302, {"Location": address.url, "Cache-Control": "no-store", "Content-Length": "0"})
    opened = await call.context.store.open(key)
    if opened is None:
        log.error("artifact.missing", key=key)
        raise artifacts.gone()
    try:
        if guards.header(request.scope, b"if-range") not in (None, etag):
            asked = None
        return _File(call.context.tasks, opened, byte_range(asked, opened.bytes), headers, look)
    except BaseException:
        opened.close()
        raise


async def small(call: Call[None, Nothing, Any], key: str, headers: dict[str, str], look: Look) -> ASGIApp:
    """The small picture of the file under a key, or word that it is known; `headers`, `look`: those of the file."""
    headers = {**headers, "ETag": headers["ETag"][:-1] + f'-{SIDE_MAX}"'}
    if is_known(guards.header(call.request.scope, b"if-none-match"), headers["ETag"].encode()):
        return _empty(304, headers)
    made = await call.context.thumbnails.get(key, headers["Content-Type"], look)
    answer = answers.Answer(made)
    told = {"Content-Type": thumbnails.MIME_TYPE, "Content-Length": str(len(made))}
    answer.headers = _lower({**headers, **told})
    return answer


class _File:
    """A file on its way to a client; it stops when the client hangs up, or the file may be seen no more."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        opened: Opened,
        part: tuple[int, int] | None,
        headers: dict[str, str],
        look: Look,
    ) -> None:
        self._tasks = tasks
        self._may_be_seen = look
        self._opened = opened
        self._partial = part is not None
        self._start, self._end = part or (0, opened.bytes)
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 206 if self._partial else 200, "headers": self._all()})
            looked_at = time.monotonic()
            with watched(self._tasks, receive) as gone:
                async for data in self._opened.read(self._start, self._end):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                    if time.monotonic() - looked_at > LOOK_SECONDS:
                        looked_at = time.monotonic()
                        await self._look(gone)
                    if gone.is_set():
                        return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._opened.close()

    async def _look(self, gone: asyncio.Event) -> None:
        try:
            await self._may_be_seen()
        except (NotFound, Gone, Suspended):
            gone.set()
        except (Unavailable, psycopg.Error):
            pass  # whoever withdraws a file needs the database, too

    def _all(self) -> list[tuple[bytes, bytes]]:
        headers = {**self._headers, "Content-Length": str(self._end - self._start)}
        if self._partial:
            headers["Content-Range"] = f"bytes {self._start}-{self._end - 1}/{self._opened.bytes}"
        return _lower(headers)


def _empty(status: int, headers: dict[str, str]) -> answers.Answer:
    answer = answers.nothing(status)
    answer.headers = _lower(headers)
    return answer


def _lower(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
