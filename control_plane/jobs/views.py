"""Jobs as they are told: from a row, or from an order that was just placed, to what the public sees."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from control_plane import signing, states
from control_plane.context import Context
from control_plane.errors import NotFound
from control_plane.media.thumbnails import POSSIBLE
from control_plane.orders.specs import Ordered
from control_plane.queue import waiting
from control_plane.queue.looks import JobRow
from control_plane.queue.waiting import Queued
from control_plane.states import ERROR_MESSAGES, TERMINAL, State
from control_plane.wire.job import (
    ArtifactView,
    Cost,
    JobError,
    JobSpec,
    JobStatus,
    JobUrls,
    JobView,
    Progress,
    Typed,
    Waiting,
)
from control_plane.wire.provenance import Provenance


class ArtifactRow(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: str


_ordered = msgspec.json.Decoder(Ordered).decode
_metadata = msgspec.json.Decoder(dict[str, str]).decode
_artifacts = msgspec.json.Decoder(list[ArtifactRow]).decode
_provenance = msgspec.json.Decoder(Provenance).decode


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What changes in the life of a job, as it is told."""

    id: UUID
    test: bool = False
    cost: int
    charged: int = 0
    created_at: datetime
    status: JobStatus = "queued"
    state: State = "queued"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error_code: str | None = None
    waiting: Waiting | None = None
    progress: Progress | None = None
    artifacts: list[ArtifactRow] = []
    provenance: Provenance | None = None
    batch_id: UUID | None = None
    repeat_of: UUID | None = None
    adult: bool = False
    typed: Typed | None = None


async def row(context: Context, user_id: UUID, job_id: UUID) -> JobRow:
    """A job of the user. Raises `NotFound`."""
    found = await context.looks.one(user_id, job_id)
    if found is None:
        raise NotFound("You have no such job.")
    return found


async def viewed(context: Context, row: JobRow) -> JobView:
    status, ordered = states.status(row.state, row.phase, row.cancel_requested), _ordered(row.spec)
    facts = JobFacts(
        id=row.id,
        test=row.test,
        cost=row.cost,
        charged=row.charged or 0,
        created_at=row.created_at,
        status=status,
        state=row.state,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error_code=row.error_code,
        waiting=await waits(context, row),
        progress=_progress(row) if status in ("running", "canceling") else None,
        artifacts=_artifacts(row.artifacts) if row.artifacts is not None else [],
        provenance=_provenance(row.provenance) if row.provenance is not None else None,
        batch_id=ordered.batch_id,
        repeat_of=ordered.repeat_of,
        adult=ordered.adult,
        typed=ordered.typed,
    )
    return view(context, facts, ordered, _metadata(row.metadata))


def ordered(context: Context, row: JobRow, told: Waiting | None) -> JobView:
    """The job as it was told when it was ordered, with what was said of the wait then."""
    spec = _ordered(row.spec)
    facts = JobFacts(
        id=row.id,
        test=row.test,
        cost=row.cost,
        created_at=row.created_at,
        waiting=told,
        batch_id=spec.batch_id,
        repeat_of=spec.repeat_of,
        adult=spec.adult,
        typed=spec.typed,
    )
    return view(context, facts, spec, _metadata(row.metadata))


async def waits(context: Context, row: JobRow) -> Waiting | None:
    """Why the job is still waiting, if it is."""
    if states.status(row.state, row.phase, row.cancel_requested) != "queued":
        return None
    found = await line(context, row.lane_id)
    queued = Queued(id=row.id, tag=row.tag, cost=row.cost, phase=row.phase, capped=row.capped)
    return waiting.explain(found, queued)


async def line(context: Context, lane_id: int) -> waiting.Line:
    return await context.lines.line(lane_id, bound(context, lane_id))


def bound(context: Context, lane_id: int) -> float:
    lane = context.dispatcher.board.lanes.get(lane_id)
    return lane.bound if lane else float("-inf")


def _progress(row: JobRow) -> Progress | None:
    if row.progress is None:
        return None
    return Progress(value=row.progress, step=row.progress_step or 0, steps=row.progress_steps or 0)


def view(context: Context, facts: JobFacts, spec: JobSpec, metadata: dict[str, str]) -> JobView:
    address = f"{context.settings.base_url}/api/v1/jobs/{facts.id}"
    return JobView(
        id=facts.id,
        status=facts.status,
        kind=spec.kind,
        model=spec.model,
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        width=spec.width,
        height=spec.height,
        steps=spec.steps,
        guidance=spec.guidance,
        seed=spec.seed,
        count=spec.count,
        frames=spec.frames,
        fps=spec.fps,
        created_at=facts.created_at,
        started_at=facts.started_at,
        finished_at=facts.finished_at,
        waiting=facts.waiting,
        progress=facts.progress,
        artifacts=[_artifact_view(context, facts.id, row) for row in facts.artifacts],
        cost=Cost(held=0 if facts.state in TERMINAL else facts.cost, charged=facts.charged),
        error=_error(facts.error_code),
        metadata=metadata,
        urls=JobUrls(self=address, cancel=address, events=f"{address}/events"),
        input_image=spec.input_image.id if spec.input_image is not None else None,
        strength=spec.strength,
        upscale=spec.upscale,
        sampler=spec.sampler,
        embed_metadata=spec.embed_metadata,
        loras=spec.loras,
        batch_id=facts.batch_id,
        repeat_of=facts.repeat_of,
        provenance=facts.provenance,
        test=facts.test,
        adult=facts.adult,
        typed=facts.typed,
    )


def _error(code: str | None) -> JobError | None:
    if code is None:
        return None
    return JobError(code=code, message=ERROR_MESSAGES.get(code, "The job could not be done."))


def _artifact_view(context: Context, job_id: UUID, row: ArtifactRow) -> ArtifactView:
    return ArtifactView(
        index=row.index,
        url=_address(context, job_id, row.index, "artifact"),
        thumbnail_url=_address(context, job_id, row.index, "thumbnail") if row.mime_type in POSSIBLE else None,
        mime_type=row.mime_type,
        width=row.width,
        height=row.height,
        bytes=row.bytes,
        sha256=row.sha256,
    )


def _address(context: Context, job_id: UUID, index: int, what: signing.What) -> str:
    keys, settings = context.signing_keys, context.settings
    return signing.artifact_url(keys, settings.base_url, job_id, index, settings.artifact_url_seconds, keys.now(), what)
