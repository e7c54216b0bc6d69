"""A typed client of the public API for our own programs: wire types in, wire types out.

A call is repeated, with full jitter, for as long as that can help: no connection, 429, 5xx, or an answer that cannot
be read. `Retry-After` is honoured when it fits into the patience of the call. A submit keeps one Idempotency-Key across
its repetitions, so an order is placed once whatever the network does; a download goes on where it broke off and counts
only when length and SHA-256 are as announced. What cannot be helped is `Refused` (the service said no, and why),
`Unreachable` or `Damaged`: each is a sentence for the person who asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import aiohttp
import msgspec

from control_plane.wire.input import InputView
from control_plane.wire.job import ArtifactView, JobList, JobView, SubmitRequest
from control_plane.wire.model import ModelList
from frontends import following
from frontends.problems import ClientError, Damaged, ProblemDocument, Refused, Unreachable, cause, passing

ANSWER_SECONDS = 35.0
"""For one answer; a little more than the service allows itself."""
CONNECT_SECONDS = 5.0
CONNECTIONS_MAX = 100
BACKOFF_FIRST_SECONDS = 0.25
BACKOFF_MAX_SECONDS = 5.0
ANSWER_BYTES_MAX = 8 * 1024**2
CHUNK_BYTES = 256 * 1024
OWN_FILES = ("/artifacts/", "/inputs/")
"""Where every service has its signed files."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})

Answer = TypeVar("Answer")


class Client:
    """Speaks for one API key. `patience_seconds` is how long a call is repeated before it gives up. A service says for
    whom it speaks by `acting`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str, *, patience_seconds: float = 30.0) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._key = key
        self._identity: str | None = None
        self._keep_off = False
        """Files come through the service, because their store cannot be reached from here."""
        self.patience_seconds = patience_seconds

    def acting(self, identity: str) -> Client:
        """A service's client for one of its people: `telegram:123`."""
        client = Client(self._session, self._url, self._key, patience_seconds=self.patience_seconds)
        client._identity, client._keep_off = identity, self._keep_off
        return client

    async def submit(self, order: SubmitRequest, *, idempotency_key: str | None = None) -> JobView:
        """Place an order, once. Pass a key of your own when the caller itself may be started again."""
        headers = {
            "Idempotency-Key": idempotency_key or secrets.token_hex(16),
            "Content-Type": "application/json",
        }
        body = msgspec.json.encode(order)
        return await self.call("POST", "/api/v1/jobs", JobView, body=body, headers=headers)

    async def job(self, job_id: UUID) -> JobView:
        return await self.call("GET", f"/api/v1/jobs/{job_id}", JobView)

    async def follow(self, job: JobView) -> AsyncIterator[JobView]:
        """The job at each news, until it is over: by its stream, or by looking where there is none. Raises
        `Unreachable` when nobody answers; follow it again then."""
        async for fresh in following.follow(job, self._stream, self.job):
            yield fresh

    @asynccontextmanager
    async def _stream(self, job_id: UUID, last: str) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {**self._credentials(), "Accept": "text/event-stream"}
        if last:
            headers["Last-Event-ID"] = last
        url, query = f"{self._url}/api/v1/jobs/{job_id}/events", {"previews": "false"}
        async with self._answered("GET", url, headers=headers, params=query) as response:
            yield response

    async def jobs(self, *, limit: int = 20, cursor: str | None = None) -> JobList:
        """The newest first."""
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        return await self.call("GET", "/api/v1/jobs", JobList, query=query)

    async def models(self) -> ModelList:
        """What can be ordered, and what it costs."""
        return await self.call("GET", "/api/v1/models", ModelList)

    async def cancel(self, job_id: UUID) -> JobView:
        """The job as it is now: a finished one stays what it is."""
        return await self.call("DELETE", f"/api/v1/jobs/{job_id}", JobView)

    async def upload(self, file: Path, sent: Callable[[int, int], None] = lambda count, size: None) -> InputView:
        """A picture to start from; the same file again is the same input. `sent` is told how many
        bytes have gone, of how many."""
        size = _size(file)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}

        async def once() -> InputView:
            sent(0, size)
            return await self._ask(
                "POST", "/api/v1/inputs", InputView, _pieces(file, lambda count: sent(count, size)), headers
            )

        return await self._repeated(once)

    async def download(self, artifact: ArtifactView, target: Path) -> None:
        """Fetch a file. `target` appears when it is whole and right; until then it is `target` + `.part`."""
        part = target.with_name(target.name + ".part")
        part.unlink(missing_ok=True)
        try:
            while (have := _size(part)) < artifact.bytes:
                try:
                    await self._repeated(lambda: self._fetch(artifact, part))
                except Unreachable:
                    if _size(part) == have:  # not a byte came within the patience of this go
                        raise
            _verify(artifact, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    async def thumbnail(self, artifact: ArtifactView) -> bytes | None:
        """A small WebP of a file; None when there is none."""
        if artifact.thumbnail_url is None:
            return None
        url = self._reachable(artifact.thumbnail_url)

        async def once() -> bytes:
            async with self._answered("GET", url) as response, asyncio.timeout(ANSWER_SECONDS):
                return await _whole(response)

        return await self._repeated(once)

    async def preview(self, job_id: UUID) -> bytes:
        """The last preview of a running job, a small picture. Refused while there is none."""
        url = f"{self._url}/api/v1/jobs/{job_id}/preview"
        async with self._answered("GET", url, headers=self._credentials()) as response:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await _whole(response)

    async def call(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any operation of the API, repeated while that can help. With `answer` NoneType nothing is expected."""
        return await self._repeated(lambda: self._ask(method, path, answer, body, headers or {}, query))

    async def _ask(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        body: bytes | AsyncIterator[bytes] | None,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Once."""
        sent = {**self._credentials(), "Accept": "application/json", **headers}
        async with self._answered(method, self._url + path, data=body, headers=sent, params=query) as response:
            async with asyncio.timeout(ANSWER_SECONDS):
                return _decoded(await _whole(response), answer)

    def _credentials(self) -> dict[str, str]:
        spoken_for = {} if self._identity is None else {"Tessera-On-Behalf-Of": self._identity}
        return {"Authorization": f"Bearer {self._key}", **spoken_for}

    async def _repeated(self, once: Callable[[], Awaitable[Answer]]) -> Answer:
        give_up_at = time.monotonic() + self.patience_seconds
        attempt = 0
        while True:
            try:
                return await once()
            except ClientError as error:
                pause = error.retry_after if error.retry_after is not None else full_jitter(attempt)
                if not error.repeatable or time.monotonic() + pause > give_up_at:
                    raise
            attempt += 1
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def _answered(
        self, method: str, url: str, *, sent_on: bool = False, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response that is no problem, or (`sent_on`) a redirect; faults of the network become `Unreachable`."""
        try:
            async with self._session.request(method, url, allow_redirects=False, **options) as response:
                if response.status >= 300 and not (sent_on and response.status == 302):
                    raise await _refusal(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{self._url} does not answer ({cause(error)}).", repeatable=passing(error)) from error
        except ValueError as error:
            raise Unreachable(f"{self._url} is not an address that can be called.") from error

    async def _fetch(self, artifact: ArtifactView, part: Path) -> None:
        """One go at what is still missing of a file: from where the service sends us, a part of it from the service."""
        have = _size(part)
        headers = {"Range": f"bytes={have}-"} if have or self._keep_off else {}
        async with self._answered("GET", self._reachable(artifact.url), sent_on=True, headers=headers) as response:
            if response.status != 302:
                return await _receive(response, artifact, part)
            elsewhere = response.headers.get("Location", "")
        try:
            async with self._answered("GET", elsewhere) as response:
                await _receive(response, artifact, part)
        except ClientError as error:
            self._keep_off = True
            raise Unreachable("The store of this service cannot be reached from here.", repeatable=True) from error

    def _reachable(self, url: str) -> str:
        """A service that was not told its public address announces loopback; we know the way that we came. The service
        of this machine is asked for its files here, whatever others call it."""
        target, ours = urlsplit(url), urlsplit(self._url)
        own_file = ours.hostname in LOOPBACK_HOSTS and target.path.startswith(OWN_FILES)
        if (
            target.netloc
            and not own_file
            and (target.hostname not in LOOPBACK_HOSTS or ours.hostname in LOOPBACK_HOSTS)
        ):
            return url
        return urlunsplit((ours.scheme, ours.netloc, ours.path + target.path, target.query, ""))


@asynccontextmanager
async def connect(
    url: str, key: str, *, patience_seconds: float = 30.0, connections: int = CONNECTIONS_MAX
) -> AsyncIterator[Client]:
    """A client with a connection pool of its own; `connections`: so many at once, 0 for as many as there are calls."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True, connector=connector) as session:
        yield Client(session, url, key, patience_seconds=patience_seconds)


def full_jitter(attempt: int) -> float:
    """Seconds to wait before repetition number `attempt` (AWS Architecture Blog, "Exponential Backoff And Jitter")."""
    return random.uniform(0, min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2**attempt))


async def _receive(response: aiohttp.ClientResponse, artifact: ArtifactView, part: Path) -> None:
    with part.open("ab" if response.status == 206 else "wb") as file:
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            file.write(chunk)
            if file.tell() > artifact.bytes:
                break
    if _size(part) < artifact.bytes:
        raise Unreachable("The download broke off.", repeatable=True)


async def _refusal(response: aiohttp.ClientResponse) -> Refused:
    document = ProblemDocument()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            document = msgspec.json.decode(await response.content.read(ANSWER_BYTES_MAX), type=ProblemDocument)
    except (msgspec.MsgspecError, aiohttp.ClientError, TimeoutError):
        pass  # not our service, or its answer was cut off: the status alone has to tell
    after = response.headers.get("Retry-After", "")
    return Refused(
        response.status,
        document,
        repeatable=response.status == 429 or response.status >= 500,
        retry_after=float(after) if after.isdigit() else None,
    )


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body, as long as it is no longer than an answer may be; `read` alone gives what has come so far."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise Unreachable("The answer is longer than any of a Tessera service.")
    return bytes(body)


def _decoded(body: bytes, answer: type[Answer]) -> Answer:
    try:
        if answer is NoneType:
            return answer()
        return msgspec.json.decode(body, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreachable(
            "The answer cannot be read; is this address a Tessera service of the same age?", repeatable=True
        ) from error


async def _pieces(file: Path, sent: Callable[[int], None]) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while data := opened.read(CHUNK_BYTES):
            yield data
            sent(opened.tell())


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _verify(artifact: ArtifactView, part: Path) -> None:
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != artifact.sha256:
        raise Damaged("A file arrived damaged: its SHA-256 is not the announced one. Order again, or try later.")
