"""A control plane for the agent's tests: the worker protocol over real HTTP, with faults on demand.

It keeps the rules that an agent can notice: a claim id is answered with the same leases, a stale fence gets
`lease-lost`, an upload must be what was announced, a report is answered the same way twice. `events` is its diary,
in the order of arrival, and what tests look at. Faults are queued per call with `hurt` and counted in `fired`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from aiohttp import web

from control_plane.wire.job import JobSpec
from control_plane.wire.worker import (
    ARTIFACT_SHA256_HEADER,
    LEASE_TOKEN_HEADER,
    Claimed,
    ClaimRequest,
    CompleteRequest,
    Enrolled,
    EnrollRequest,
    FailRequest,
    HeartbeatAnswer,
    HeartbeatRequest,
    Intervals,
    Lease,
    ReleaseRequest,
    Renewal,
    Reported,
    Uploaded,
)

PATIENCE_SECONDS = 10.0
"""A condition that has not come true by then never will."""
TOKEN = "tse_the-one-and-only-token"

Call = Literal["enroll", "config", "claim", "heartbeat", "upload", "complete", "fail", "release"]
Fault = Literal["lose_answer", "unavailable", "garble", "lease_lost", "refuse_file", "mismatch", "echo"]
STATES = {"complete": "succeeded", "fail": "failed", "release": "queued"}


class Event(msgspec.Struct, frozen=True):
    what: str
    job_id: UUID | None = None
    detail: Any = None


class ControlPlane:
    def __init__(self, **intervals: float) -> None:
        quick: dict[str, float] = {"heartbeat": 0.3, "hold": 0.3, "poll": 2.0, "progress": 0.02, "self_fence": 5.0}
        self.intervals = Intervals(**(quick | intervals))
        self.worker_id = uuid4()
        self.secret_sha256 = ""
        self.protocol = (1, 1)
        self.queue: deque[tuple[UUID, JobSpec]] = deque()
        self.leases: dict[UUID, Lease] = {}
        """Live ones, by job."""
        self.reports: dict[tuple[UUID, int], tuple[str, str]] = {}
        self.files: dict[tuple[UUID, int, int], bytes] = {}
        self.canceled: set[UUID] = set()
        self.revoked: set[UUID] = set()
        self.watched: set[UUID] = set()
        self.draining = False
        self.traceparent: str | None = None
        """Of what is ordered; whatever is reported about it has to bring it along."""
        self.events: list[Event] = []
        self.fired: Counter[str] = Counter()
        self.url = ""
        self._claims: dict[UUID, list[UUID]] = {}
        self._attempts: Counter[UUID] = Counter()
        self._faults: dict[Call, deque[Fault]] = {}
        self._news = asyncio.Condition()
        self._port = 0
        self._runner: web.AppRunner | None = None

    # ------------------------------------------------------------------------------------------ for the tests

    async def submit(self, spec: JobSpec) -> UUID:
        job_id = uuid4()
        self.queue.append((job_id, spec))
        await self._tell()
        return job_id

    async def cancel(self, job_id: UUID) -> None:
        self.canceled.add(job_id)
        await self._tell()

    async def revoke(self, job_id: UUID) -> None:
        """The lease is lost: as if it had expired and somebody else had the job."""
        self.revoked.add(job_id)
        self.leases.pop(job_id, None)
        await self._tell()

    async def drain(self) -> None:
        self.draining = True
        await self._tell()

    def hurt(self, call: Call, *faults: Fault, times: int = 1) -> None:
        """The next calls of this kind go wrong like that, one after the other."""
        self._faults.setdefault(call, deque()).extend(faults * times)

    def heal(self, call: Call) -> None:
        self._faults.pop(call, None)

    def seen(self, what: str, job_id: UUID | None = None) -> list[Event]:
        return [event for event in self.events if event.what == what and job_id in (None, event.job_id)]

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Waits until the condition holds after some event."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            diary = "\n".join(f"  {event.what} {event.job_id or ''} {event.detail or ''}" for event in self.events)
            raise AssertionError(f"It never came to it: {what or condition}. What happened:\n{diary}") from None

    async def note(self, what: str, job_id: UUID | None = None, detail: Any = None) -> None:
        self.events.append(Event(what, job_id, detail))
        await self._tell()

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        attempt = "/jobs/{job_id}/attempts/{attempt}"
        app.router.add_post("/api/v1/worker/enroll", self._entry("enroll", self._enroll))
        app.router.add_get("/api/v1/worker/config", self._entry("config", self._config))
        app.router.add_post("/api/v1/worker/claim", self._entry("claim", self._claim))
        app.router.add_post("/api/v1/worker/heartbeat", self._entry("heartbeat", self._heartbeat))
        app.router.add_put(f"/api/v1/worker{attempt}/artifacts/{{index}}", self._entry("upload", self._upload))
        for verb in ("complete", "fail", "release"):
            app.router.add_post(f"/api/v1/worker{attempt}/{verb}", self._entry(verb, self._report))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Gone: connections break, and new ones are refused until `start`."""
        if self._runner is not None:
            await self._runner.cleanup()

    # ------------------------------------------------------------------------------------------ the protocol

    def _entry(
        self, call: Call, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def entry(request: web.Request) -> web.StreamResponse:
            faults = self._faults.get(call)
            fault = faults.popleft() if faults else None
            if fault is not None:
                self.fired[f"{call}:{fault}"] += 1
            match fault:
                case "unavailable":
                    return _problem(503, "unavailable", {"Retry-After": "0"})
                case "lease_lost":
                    return _problem(409, "lease-lost")
                case "refuse_file":
                    return _problem(413, "too-large")
                case "echo":
                    return _json(Claimed(leases=list(self.leases.values())))
                case "mismatch":
                    return _problem(422, "artifact-mismatch")
            if call != "enroll" and not self._is_known(request):
                return _problem(401, "unauthorized")
            answer = await handler(request)
            if fault == "lose_answer" and request.transport is not None:
                request.transport.abort()
            return web.Response(body=b'{"leases": [') if fault == "garble" else answer

        return entry

    def _is_known(self, request: web.Request) -> bool:
        secret = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hashlib.sha256(secret.encode()).hexdigest() == self.secret_sha256

    async def _enroll(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=EnrollRequest)
        if asked.token != TOKEN or self.secret_sha256 not in ("", asked.secret_sha256):
            return _problem(401, "unauthorized")
        self.secret_sha256 = asked.secret_sha256
        await self.note("enrolled", detail=asked.name)
        return self._enrolled(asked.name)

    async def _config(self, request: web.Request) -> web.Response:
        await self.note("greeted")
        return self._enrolled("stand-in")

    def _enrolled(self, name: str) -> web.Response:
        least, most = self.protocol
        return _json(
            Enrolled(
                worker_id=self.worker_id, name=name, protocol_min=least, protocol_max=most, intervals=self.intervals
            )
        )

    async def _claim(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=ClaimRequest)
        await self.note("asked", detail=asked)
        await self._held(asked.wait, lambda: self.queue or asked.claim_id in self._claims or self.draining)
        return _json(await self._claimed(asked))

    async def _claimed(self, asked: ClaimRequest) -> Claimed:
        if self.draining:
            return Claimed(leases=[], skipped={"draining": 1})
        if asked.claim_id not in self._claims and self.queue:
            job_id, spec = self.queue.popleft()
            self._attempts[job_id] += 1
            lease = Lease(
                job_id=job_id,
                attempt=self._attempts[job_id],
                token=uuid4(),
                slot=asked.slots[0].slot,
                expires_in=self.intervals.offer,
                spec=spec,
                traceparent=self.traceparent,
            )
            self.leases[job_id] = lease
            self._claims[asked.claim_id] = [job_id]
            await self.note("offered", job_id, lease)
        job_ids = self._claims.get(asked.claim_id, [])
        return Claimed(leases=[self.leases[job_id] for job_id in job_ids if job_id in self.leases])

    async def _heartbeat(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=HeartbeatRequest)
        for report in asked.leases:
            await self.note(report.phase, report.job_id, report)
        await self.note("heartbeat", detail=asked)
        named = {report.job_id for report in asked.leases}
        await self._held(asked.hold, lambda: named & (self.canceled | self.revoked) or self.draining)
        live = [report for report in asked.leases if report.job_id in self.leases]
        return _json(
            HeartbeatAnswer(
                renewed=[
                    Renewal(job_id=report.job_id, attempt=report.attempt, expires_in=self.intervals.lease)
                    for report in live
                ],
                cancel=sorted(named & self.canceled & self.leases.keys()),
                revoke=sorted(named - self.leases.keys()),
                watched=sorted(named & self.watched),
                drain=self.draining,
                intervals=self.intervals,
                server_time=datetime.now(UTC),
            )
        )

    async def _upload(self, request: web.Request) -> web.Response:
        job_id, attempt = UUID(request.match_info["job_id"]), int(request.match_info["attempt"])
        body = await request.read()
        if not self._is_live(request, job_id, attempt):
            return _problem(409, "lease-lost")
        sha256 = hashlib.sha256(body).hexdigest()
        if request.headers[ARTIFACT_SHA256_HEADER] != sha256 or request.content_length != len(body):
            return _problem(422, "artifact-mismatch")
        index = int(request.match_info["index"])
        self.files[job_id, attempt, index] = body
        await self.note("uploaded", job_id, index)
        mime_type = request.content_type
        return _json(Uploaded(index=index, mime_type=mime_type, width=1, height=1, bytes=len(body), sha256=sha256))

    async def _report(self, request: web.Request) -> web.Response:
        verb = request.path.rsplit("/", 1)[1]
        job_id, attempt = UUID(request.match_info["job_id"]), int(request.match_info["attempt"])
        kind = {"complete": CompleteRequest, "fail": FailRequest, "release": ReleaseRequest}[verb]
        asked: Any = msgspec.json.decode(await request.read(), type=kind)
        fence = (job_id, attempt)
        if fence in self.reports:
            if self.reports[fence] != (verb, request.headers[LEASE_TOKEN_HEADER]):
                return _problem(409, "lease-lost")
        elif not self._is_live(request, job_id, attempt):
            await self.note("stale", job_id, verb)
            return _problem(409, "lease-lost")
        elif verb == "complete" and len(self._uploaded(fence)) != asked.artifacts:
            return _problem(409, "artifacts-missing")
        else:
            self.reports[fence] = (verb, request.headers[LEASE_TOKEN_HEADER])
            del self.leases[job_id]
            await self.note(verb, job_id, asked)
        claimed = await self._claimed(asked.claim) if verb == "complete" and asked.claim else None
        return _json(Reported(state=STATES[verb], claimed=claimed))

    def _uploaded(self, fence: tuple[UUID, int]) -> list[bytes]:
        return [body for (job_id, attempt, _), body in self.files.items() if (job_id, attempt) == fence]

    def _is_live(self, request: web.Request, job_id: UUID, attempt: int) -> bool:
        lease = self.leases.get(job_id)
        token, trace = request.headers.get(LEASE_TOKEN_HEADER), request.headers.get("traceparent")
        if lease is None or lease.traceparent != trace:
            return False
        return lease.attempt == attempt and str(lease.token) == token

    async def _held(self, seconds: float, condition: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            return

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def control_plane(**intervals: float) -> AsyncIterator[ControlPlane]:
    """One that is up, with short intervals unless given (in seconds)."""
    plane = ControlPlane(**intervals)
    await plane.start()
    try:
        yield plane
    finally:
        await plane.stop()


def _json(answer: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def _problem(status: int, code: str, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode({"status": status, "code": code, "title": code, "detail": f"scripted: {code}"})
    return web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)
