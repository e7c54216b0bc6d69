"""The control plane as seen from here: one method per endpoint, typed in and typed out, and never a second try.

Whoever calls decides about trying again (`retry.py`), because only they know what a second try would mean. There
are two ways to fail: the control plane refused (`Problem`), or its answer is not known (`NoAnswer`): no connection,
a timeout, or a body that does not decode, even under a 200, because then the real answer is lost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, TypeVar

import aiohttp
import msgspec

from agent.authority import trusting
from control_plane.wire import PROTOCOL_VERSION
from control_plane.wire.worker import (
    ARTIFACT_SHA256_HEADER,
    LEASE_TOKEN_HEADER,
    Claimed,
    ClaimRequest,
    CompleteRequest,
    DirectAnswer,
    DirectRequest,
    Enrolled,
    EnrollRequest,
    FailRequest,
    HeartbeatAnswer,
    HeartbeatRequest,
    Lease,
    ReleaseRequest,
    Reported,
    Uploaded,
)
from control_plane.wire.workflow import WorkflowSet

PATH = "/api/v1/worker"
CONNECT_SECONDS = 10.0
CALL_SECONDS = 10.0
"""An ordinary call; a held one gets what it asked for on top."""
UPLOAD_BYTES_PER_SECOND_MIN = 50_000
"""An upload slower than this is given up and tried again."""
COLLECT_BYTES_PER_SECOND_MIN = 1_000_000
"""The control plane reads and writes a file that it collects, near the store."""
ANSWER_BYTES_MAX = 4 * 1024 * 1024
CONNECTIONS_MAX = 64
INPUT_CHUNK_BYTES = 256 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)

T = TypeVar("T")


class Problem(Exception):
    """The control plane refused. `code` is empty when the body was no problem document of ours."""

    def __init__(self, status: int, code: str = "", detail: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{code or 'HTTP'} ({status}){': ' if detail else ''}{detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


class NoAnswer(Exception):
    """Whether the control plane did it is not known."""


class _ProblemDocument(msgspec.Struct):
    code: str = ""
    title: str = ""
    detail: str = ""


def agent_version() -> str:
    try:
        return version("tessera")
    except PackageNotFoundError:
        return "unknown"


class Client:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url
        self._base = url.rstrip("/") + PATH
        self.server_time: float | None = None
        """Unix time of the last answer by the server's own clock, for diagnosis only."""

    async def enroll(self, request: EnrollRequest) -> Enrolled:
        return await self._call("POST", "/enroll", Enrolled, body=request)

    async def config(self) -> Enrolled:
        return await self._call("GET", "/config", Enrolled)

    async def workflows(self) -> WorkflowSet:
        return await self._call("GET", "/workflows", WorkflowSet)

    async def claim(self, request: ClaimRequest) -> Claimed:
        return await self._call("POST", "/claim", Claimed, body=request, held_seconds=request.wait)

    async def heartbeat(self, request: HeartbeatRequest) -> HeartbeatAnswer:
        return await self._call("POST", "/heartbeat", HeartbeatAnswer, body=request, held_seconds=request.hold)

    async def upload(
        self, lease: Lease, index: int, chunks: AsyncIterable[bytes], *, length: int, sha256: str, mime_type: str
    ) -> Uploaded:
        headers = {
            ARTIFACT_SHA256_HEADER: sha256,
            "Content-Length": str(length),
            "Content-Type": mime_type,
            **_fence(lease),
        }
        seconds = length / UPLOAD_BYTES_PER_SECOND_MIN
        path = f"{_attempt(lease)}/artifacts/{index}"
        return await self._call("PUT", path, Uploaded, data=chunks, headers=headers, held_seconds=seconds)

    async def direct(self, lease: Lease, index: int, request: DirectRequest) -> DirectAnswer:
        path = f"{_attempt(lease)}/artifacts/{index}/direct"
        return await self._call("POST", path, DirectAnswer, body=request, headers=_fence(lease))

    async def put(self, url: str, headers: Mapping[str, str], chunks: AsyncIterable[bytes], length: int) -> None:
        """A file to a place outside of the control plane, which must not see the secret of this worker.

        Raises `NoAnswer` whatever goes wrong: a refusal there says nothing about the lease or this agent.
        """
        sent = {**headers, "Content-Length": str(length)}
        try:
            async with (
                asyncio.timeout(CALL_SECONDS + length / UPLOAD_BYTES_PER_SECOND_MIN),
                aiohttp.ClientSession(timeout=TIMEOUT) as stranger,
                stranger.put(url, data=chunks, headers=sent, allow_redirects=False) as response,
            ):
                if response.status >= 300:
                    raise NoAnswer(f"the store answered with {response.status}")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            # its own words may hold the address, which is a key
            raise NoAnswer(f"the store: {type(error).__name__}") from None

    async def collect(self, lease: Lease, index: int, request: DirectRequest) -> Uploaded:
        path = f"{_attempt(lease)}/artifacts/{index}/collect"
        seconds = request.bytes / COLLECT_BYTES_PER_SECOND_MIN
        return await self._call("POST", path, Uploaded, body=request, headers=_fence(lease), held_seconds=seconds)

    @asynccontextmanager
    async def input(self, lease: Lease, index: int, have: int) -> AsyncIterator[tuple[bool, AsyncIterator[bytes]]]:
        """An input of a job as it arrives: from byte `have` on if the first of the two says so, else from the first."""
        headers = {**_fence(lease), **({"Range": f"bytes={have}-"} if have else {})}
        address = f"{self._base}{_attempt(lease)}/inputs/{index}"
        try:
            async with self._session.request("GET", address, headers=headers, allow_redirects=False) as response:
                async with asyncio.timeout(CALL_SECONDS):
                    if response.status >= 300:
                        raise _problem(response, await _read(response))
                yield response.status == 206, _arriving(response)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise NoAnswer(_cause(error)) from error

    async def complete(self, lease: Lease, request: CompleteRequest) -> Reported:
        return await self._report(lease, "complete", request)

    async def fail(self, lease: Lease, request: FailRequest) -> Reported:
        return await self._report(lease, "fail", request)

    async def release(self, lease: Lease, request: ReleaseRequest) -> Reported:
        return await self._report(lease, "release", request)

    async def _report(self, lease: Lease, verb: str, request: msgspec.Struct) -> Reported:
        return await self._call("POST", f"{_attempt(lease)}/{verb}", Reported, body=request, headers=_fence(lease))

    async def _call(
        self,
        method: Literal["GET", "POST", "PUT"],
        path: str,
        wanted: type[T],
        *,
        body: msgspec.Struct | None = None,
        data: AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] = {},
        held_seconds: float = 0.0,
    ) -> T:
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        payload = data if body is None else msgspec.json.encode(body)
        try:
            async with (
                asyncio.timeout(CALL_SECONDS + held_seconds),
                self._session.request(
                    method, self._base + path, data=payload, headers=headers, allow_redirects=False
                ) as response,
            ):
                self._note_time(response)
                answer = await _read(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NoAnswer(_cause(error)) from error
        if response.status >= 300:
            raise _problem(response, answer)
        try:
            return msgspec.json.decode(answer, type=wanted)
        except msgspec.DecodeError as error:
            raise NoAnswer(f"an answer that is none: {error}") from error

    def _note_time(self, response: aiohttp.ClientResponse) -> None:
        try:
            self.server_time = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
        except (TypeError, ValueError):
            return


@asynccontextmanager
async def connect(url: str, secret: str | None = None, authority: str = "") -> AsyncIterator[Client]:
    """A client for the control plane at `url`, as the worker whose secret this is; with an `authority`, only if that
    vouches for it."""
    headers = {"User-Agent": f"tessera-agent/{agent_version()} protocol/{PROTOCOL_VERSION}"}
    if secret is not None:
        headers["Authorization"] = f"Bearer {secret}"
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=trusting(authority))
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Client(session, url)


def _attempt(lease: Lease) -> str:
    return f"/jobs/{lease.job_id}/attempts/{lease.attempt}"


def _fence(lease: Lease) -> dict[str, str]:
    traced = {"traceparent": lease.traceparent} if lease.traceparent is not None else {}
    return {LEASE_TOKEN_HEADER: str(lease.token), **traced}


async def _arriving(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body piece by piece, none of which may let us wait for too long."""
    while True:
        async with asyncio.timeout(CALL_SECONDS):
            data = await response.content.read(INPUT_CHUNK_BYTES)
        if not data:
            return
        yield data


async def _read(response: aiohttp.ClientResponse) -> bytes:
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError("the answer is too large")
    return bytes(answer)


def _cause(error: BaseException) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorDNSError():
            return "no such host"
        case aiohttp.ClientSSLError():
            return "no secure connection is possible: this is not https, or its certificate is wrong"
        case aiohttp.ClientConnectorError(os_error=OSError(errno=int(number))):
            return os.strerror(number).lower()
        case _:
            return str(error) or type(error).__name__


def _problem(response: aiohttp.ClientResponse, answer: bytes) -> Problem:
    try:
        document = msgspec.json.decode(answer, type=_ProblemDocument)
    except msgspec.DecodeError:
        document = _ProblemDocument(detail=str(response.reason or ""))
    detail = document.detail or document.title
    return Problem(response.status, document.code, detail, _retry_after(response.headers.get("Retry-After")))


def _retry_after(header: str | None) -> float | None:
    """Seconds. The date form is not used by us and would need this machine's clock, which may be wrong."""
    return float(header) if header is not None and header.strip().isdigit() else None
