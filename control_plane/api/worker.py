"""The worker protocol: what agents call. They enrol once, then claim, keep, upload and report; nothing calls them.

Who calls is taken from the credential, never from the body, and every write names its lease: job and attempt in the
path, the token in a header. Claims and heartbeats are held open; when their client hangs up, the dispatcher is told.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import UUID

import msgspec
import structlog
from litestar.types import ASGIApp

from control_plane import tracing
from control_plane.api import answers, decoding, guards
from control_plane.api.artifacts import IF_NONE_MATCH, is_known
from control_plane.api.operation import Call, Header, Nothing, operation
from control_plane.api.presence import watched
from control_plane.errors import (
    ArtifactMismatch,
    ArtifactsMissing,
    DiskLow,
    LeaseLost,
    TesseraError,
    TooLarge,
    TooManyWaiting,
    Unauthorized,
    Unmarked,
    UnsupportedMediaType,
    VersionTooOld,
)
from control_plane.files.artifacts import UPLOAD_SECONDS, Upload
from control_plane.people.credentials import WorkerIdentity
from control_plane.queue.heartbeats import intervals
from control_plane.queue.statements import Fence
from control_plane.release.handout import PROTOCOL_MIN
from control_plane.settings import Settings
from control_plane.wire import PROTOCOL_VERSION
from control_plane.wire.worker import (
    ARTIFACT_SHA256_HEADER,
    HOLD_SECONDS_MAX,
    LEASE_TOKEN_HEADER,
    POLL_SECONDS_MAX,
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
    ReleaseRequest,
    Reported,
    Uploaded,
)
from control_plane.wire.workflow import WorkflowSet
from control_plane.workers import roster

ATTEMPT_MAX = 2**31 - 1
INDEX_MAX = 63
LENGTH_DIGITS_MAX = 15

ATTEMPT = "/api/v1/worker/jobs/{job_id:uuid}/attempts/{attempt:int}"

LEASE_TOKEN = Header(
    name=LEASE_TOKEN_HEADER,
    description="The token of the lease.",
    schema={"type": "string", "format": "uuid"},
    required=True,
)
CONTENT_SHA256 = Header(
    name=ARTIFACT_SHA256_HEADER,
    description="The SHA-256 of the file.",
    schema={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    required=True,
)

log = structlog.get_logger()

_AGENT = re.compile(r"tessera-agent/([A-Za-z0-9.+-]{1,100}) ")
"""How an agent introduces itself."""


@operation(
    "POST",
    "/api/v1/worker/enroll",
    guard=guards.PUBLIC,
    answers={200: Enrolled},
    problems=(Unauthorized,),
    tag="Worker",
)
async def enroll(call: Call[None, EnrollRequest, Nothing]) -> ASGIApp:
    """Trade a one-time token for a worker whose secret the agent made itself.

    The same token with the same hash is answered again while the token lives; any other second use is refused.
    """
    worker = await roster.enroll(call.context.database, call.body)
    return answers.json(_enrolled(worker.id, worker.name, call.context.settings))


@operation("GET", "/api/v1/worker/config", guard=guards.WORKER, answers={200: Enrolled}, tag="Worker")
async def get_worker_config(call: Call[WorkerIdentity, Nothing, Nothing]) -> ASGIApp:
    """Who this worker is, and every interval of the protocol. An agent asks when it starts.

    One that starts holds nothing: leases of its former life are left the grace and no more.
    """
    await call.context.dispatcher.greet(call.who.id)
    if said := _AGENT.match((guards.header(call.request.scope, b"user-agent") or b"").decode("latin-1")):
        await roster.note_version(call.context.database, call.who.id, said[1])
    return answers.json(_enrolled(call.who.id, call.who.name, call.context.settings))


@operation(
    "GET",
    "/api/v1/worker/workflows",
    guard=guards.WORKER,
    answers={200: WorkflowSet, 304: None},
    headers=(IF_NONE_MATCH,),
    tag="Worker",
)
async def get_worker_workflows(call: Call[WorkerIdentity, Nothing, Nothing]) -> ASGIApp:
    """Every workflow that may be ordered, for agents that drive a ComfyUI.

    The answer to a heartbeat says by `workflows` when they are worth fetching again. An agent judges each graph itself.
    """
    shelf = call.context.shelf
    etag = f'"{shelf.revision}"'.encode()
    if is_known(guards.header(call.request.scope, b"if-none-match"), etag):
        known = answers.nothing(304)
        known.headers = [(b"etag", etag)]
        return known
    return answers.Answer(shelf.encoded, headers={"ETag": etag.decode()})


@operation(
    "POST",
    "/api/v1/worker/claim",
    guard=guards.WORKER,
    answers={200: Claimed},
    problems=(VersionTooOld,),
    tag="Worker",
    wait_seconds=POLL_SECONDS_MAX,
    hot=True,
    express=True,
)
async def claim(call: Call[WorkerIdentity, ClaimRequest, Nothing]) -> ASGIApp:
    """Ask for work, and wait for it up to `wait` seconds.

    The same `claim_id` is answered with the same live leases. No lease means that there was nothing to do.
    """
    _check_protocol(call.body)
    if not call.body.wait:
        return answers.json(await _claim_now(call, call.body))
    with watched(call.context.tasks, call.request.receive) as gone:
        return answers.json(await call.context.dispatcher.claim(call.who.id, call.body, gone))


@operation(
    "POST",
    "/api/v1/worker/heartbeat",
    guard=guards.WORKER,
    answers={200: HeartbeatAnswer},
    tag="Worker",
    wait_seconds=HOLD_SECONDS_MAX,
    hot=True,
    express=True,
)
async def heartbeat(call: Call[WorkerIdentity, HeartbeatRequest, Nothing]) -> ASGIApp:
    """Renew every lease at once; held open up to `hold` seconds so that news arrive at once.

    When the connection of a held heartbeat breaks, its leases are shortened to the grace.
    """
    with watched(call.context.tasks, call.request.receive) as gone:
        answer = await call.context.dispatcher.heartbeat(call.who.id, call.body, gone)
    return answers.json(msgspec.structs.replace(answer, workflows=call.context.shelf.revision))


@operation(
    "PUT",
    ATTEMPT + "/artifacts/{index:int}",
    guard=guards.WORKER,
    answers={200: Uploaded},
    problems=(LeaseLost, ArtifactMismatch, Unmarked, UnsupportedMediaType, TooManyWaiting, DiskLow),
    headers=(LEASE_TOKEN, CONTENT_SHA256),
    uploads=("application/octet-stream",),
    tag="Worker",
    wait_seconds=UPLOAD_SECONDS,
)
async def upload_artifact(call: Call[WorkerIdentity, Nothing, Nothing]) -> ASGIApp:
    """Upload a file of an attempt: PNG, JPEG, WebP, MP4 or WebM, told apart by content.

    It needs a `Content-Length`. The same file again gets the same answer, another one under the same index is refused.
    """
    upload = _upload(call, fence(call), _length(call), _sha256(call))
    return answers.json(await call.context.uploads.receive(upload, decoding.chunks(call.request.receive)))


@operation(
    "POST",
    ATTEMPT + "/artifacts/{index:int}/direct",
    guard=guards.WORKER,
    answers={200: DirectAnswer},
    problems=(LeaseLost, TooLarge, DiskLow),
    headers=(LEASE_TOKEN,),
    tag="Worker",
)
async def direct_artifact(call: Call[WorkerIdentity, DirectRequest, Nothing]) -> ASGIApp:
    """Ask where a large file may be put without passing through the control plane.

    `url` is null when it may not; then upload it. What was put there must be collected before the job may succeed.
    """
    address = await call.context.uploads.direct(_announced(call))
    if address is None:
        return answers.json(DirectAnswer(url=None))
    return answers.json(DirectAnswer(url=address.url, headers=address.headers))


@operation(
    "POST",
    ATTEMPT + "/artifacts/{index:int}/collect",
    guard=guards.WORKER,
    answers={200: Uploaded},
    problems=(LeaseLost, ArtifactMismatch, Unmarked, UnsupportedMediaType, TooLarge, TooManyWaiting, DiskLow),
    headers=(LEASE_TOKEN,),
    tag="Worker",
    wait_seconds=UPLOAD_SECONDS,
)
async def collect_artifact(call: Call[WorkerIdentity, DirectRequest, Nothing]) -> ASGIApp:
    """Have a file verified and taken in that was put where `direct` said. Repeating it changes nothing."""
    return answers.json(await call.context.uploads.collect(_announced(call)))


@operation(
    "POST",
    ATTEMPT + "/complete",
    guard=guards.WORKER,
    answers={200: Reported},
    problems=(LeaseLost, ArtifactsMissing, VersionTooOld),
    headers=(LEASE_TOKEN,),
    tag="Worker",
    hot=True,
    express=True,
)
async def complete_attempt(call: Call[WorkerIdentity, CompleteRequest, Nothing]) -> ASGIApp:
    """The job is done and every file is there. Repeating it changes nothing.

    With `claim`, the next lease comes in the same answer; should claiming fail, the completion stands all the same.
    """
    spoken_for, wanted = fence(call), call.body.claim
    if wanted is not None:
        _check_protocol(wanted)
    await call.context.provenance.note(spoken_for, call.body.provenance, call.body.joules)
    state = await call.context.dispatcher.complete(spoken_for, call.body.artifacts)
    tracing.attempt_ended(spoken_for.job_id, spoken_for.attempt)
    claimed = await _claim_next(call, wanted) if wanted is not None else None
    return answers.json(Reported(state=state, claimed=claimed))


@operation(
    "POST",
    ATTEMPT + "/fail",
    guard=guards.WORKER,
    answers={200: Reported},
    problems=(LeaseLost,),
    headers=(LEASE_TOKEN,),
    tag="Worker",
)
async def fail_attempt(call: Call[WorkerIdentity, FailRequest, Nothing]) -> ASGIApp:
    """The run failed; the cause decides whether the job is tried again. Repeating it changes nothing."""
    spoken_for = fence(call)
    await call.context.provenance.note(spoken_for, None, call.body.joules)
    state = await call.context.dispatcher.fail(spoken_for, call.body.cause, call.body.message)
    tracing.attempt_ended(spoken_for.job_id, spoken_for.attempt)
    return answers.json(Reported(state=state))


@operation(
    "POST",
    ATTEMPT + "/release",
    guard=guards.WORKER,
    answers={200: Reported},
    problems=(LeaseLost,),
    headers=(LEASE_TOKEN,),
    tag="Worker",
)
async def release_attempt(call: Call[WorkerIdentity, ReleaseRequest, Nothing]) -> ASGIApp:
    """Give a lease back unharmed: it counts in no budget. Repeating it changes nothing."""
    spoken_for = fence(call)
    await call.context.provenance.note(spoken_for, None, call.body.joules)
    state = await call.context.dispatcher.release(spoken_for, call.body.reason)
    tracing.attempt_ended(spoken_for.job_id, spoken_for.attempt)
    return answers.json(Reported(state=state))


@operation("POST", "/api/v1/worker/drain", guard=guards.WORKER, answers={204: None}, tag="Worker")
async def drain_worker(call: Call[WorkerIdentity, Nothing, Nothing]) -> ASGIApp:
    """Finish what is held, claim no more, until the operator resumes this worker."""
    await call.context.dispatcher.drain(call.who.id)
    return answers.nothing()


def _enrolled(worker_id: UUID, name: str, settings: Settings) -> Enrolled:
    return Enrolled(
        worker_id=worker_id,
        name=name,
        protocol_min=PROTOCOL_MIN,
        protocol_max=PROTOCOL_VERSION,
        intervals=intervals(settings),
    )


def _check_protocol(request: ClaimRequest) -> None:
    served = f"{PROTOCOL_MIN} to {PROTOCOL_VERSION} are served"
    if request.protocol < PROTOCOL_MIN:
        raise VersionTooOld(
            f"Protocol {request.protocol} is not served any more; {served}. Run there: tessera-agent update",
            protocol_min=PROTOCOL_MIN,
            protocol_max=PROTOCOL_VERSION,
        )
    if request.protocol > PROTOCOL_VERSION:
        raise decoding.parameter(
            "/protocol",
            "out_of_range",
            f"Protocol {request.protocol} is newer than this service; {served}.",
        )


async def _claim_now(call: Call[WorkerIdentity, Any, Nothing], request: ClaimRequest) -> Claimed:
    return await call.context.dispatcher.claim(call.who.id, request, asyncio.Event())


async def _claim_next(call: Call[WorkerIdentity, Any, Nothing], request: ClaimRequest) -> Claimed | None:
    """The next lease at once or none; the agent asks again by the ordinary way."""
    try:
        return await _claim_now(call, msgspec.structs.replace(request, wait=0.0))
    except TesseraError as error:
        log.warning("claim.failed", worker_id=call.who.id, problem=error.slug)
        return None


def fence(call: Call[WorkerIdentity, Any, Nothing]) -> Fence:
    """Whose lease this call speaks for. Raises `Invalid` when there is no such fence at all."""
    raw = guards.header(call.request.scope, LEASE_TOKEN_HEADER.lower().encode())
    try:
        token = UUID((raw or b"").decode("ascii"))
    except ValueError as error:
        raise decoding.parameter(LEASE_TOKEN_HEADER, "bad_format", "Send the token of the lease, a UUID.") from error
    attempt: int = call.path("attempt")
    if not 1 <= attempt <= ATTEMPT_MAX:
        raise decoding.parameter("attempt", "out_of_range", f"Attempts are counted from 1 to {ATTEMPT_MAX}.")
    return Fence(job_id=call.path("job_id"), attempt=attempt, token=token, worker_id=call.who.id)


def _announced(call: Call[WorkerIdentity, DirectRequest, Nothing]) -> Upload:
    return _upload(call, fence(call), call.body.bytes, bytes.fromhex(call.body.sha256))


def _upload(call: Call[WorkerIdentity, Any, Nothing], spoken_for: Fence, length: int, sha256: bytes) -> Upload:
    """What the fence, the path and the announcement make together. Raises `Invalid`."""
    index: int = call.path("index")
    if not 0 <= index <= INDEX_MAX:
        raise decoding.parameter("index", "out_of_range", f"An index is from 0 to {INDEX_MAX}.")
    return Upload(
        job_id=spoken_for.job_id,
        attempt=spoken_for.attempt,
        token=spoken_for.token,
        worker_id=spoken_for.worker_id,
        index=index,
        bytes=length,
        sha256=sha256,
    )


def _length(call: Call[WorkerIdentity, Any, Nothing]) -> int:
    raw = guards.header(call.request.scope, b"content-length") or b""
    if not raw.isdigit() or len(raw) > LENGTH_DIGITS_MAX or not int(raw):
        raise decoding.parameter("Content-Length", "missing", "Say how many bytes the file has; at least 1.")
    return int(raw)


def _sha256(call: Call[WorkerIdentity, Any, Nothing]) -> bytes:
    raw = guards.header(call.request.scope, ARTIFACT_SHA256_HEADER.lower().encode()) or b""
    try:
        found = bytes.fromhex(raw.decode("ascii"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise decoding.parameter(
            ARTIFACT_SHA256_HEADER, "bad_format", "Send the SHA-256 of the file, 64 hexadecimal digits."
        )
    return found
