"""The worker protocol: how an agent enrols, claims, keeps and reports work. Agents always call us, never the reverse.

A *fence* is (job id, attempt number, lease token). It travels with every write; a stale one is answered with
the problem `lease-lost` (409) and changes nothing. In calls about one job the path names job and attempt and the
token travels in the header `Tessera-Lease-Token`, never in a URL; a heartbeat speaks for many leases in its body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from control_plane.wire import Message
from control_plane.wire.job import JobKind, JobSpec, Progress, Task
from control_plane.wire.provenance import Provenance

LEASE_TOKEN_HEADER = "Tessera-Lease-Token"
ARTIFACT_SHA256_HEADER = "Tessera-Content-SHA256"

SLOTS_MAX = 16
LANES_PER_SLOT_MAX = 64
LEASES_PER_SLOT_MAX = 2
"""One running, one prefetched."""
LEASES_PER_HEARTBEAT_MAX = SLOTS_MAX * LEASES_PER_SLOT_MAX
GAUGES_PER_SLOT_MAX = 64
PREVIEW_BYTES_MAX = 64 * 1024
ARTIFACT_BYTES_MAX = 2 * 1024**3
DIRECT_BYTES_MIN = 8 * 1024**2
"""A smaller file goes through the control plane, which costs one call instead of three."""
POLL_SECONDS_MAX = 25.0
HOLD_SECONDS_MAX = 10.0

Phase = Literal["offered", "held", "started"]
"""Of a lease: given but not yet acknowledged, acknowledged, running on the engine."""

FailCause = Literal["oom", "engine_crash", "invalid_input", "missing_model", "timeout", "upload", "moderation"]
ReleaseReason = Literal["canceled", "drain", "shutdown", "not_started", "yield"]
"""`yield`: somebody else uses the GPU."""

Text = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]
GaugeName = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")]
Message2k = Annotated[str, Meta(max_length=2_000, pattern=r"^[^\x00]*$")]
SlotNumber = Annotated[int, Meta(ge=0, lt=SLOTS_MAX)]
Joules = Annotated[float, Meta(ge=0, le=1e9)]
"""What the GPU took for the run of an attempt."""
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Intervals(Message, frozen=True, kw_only=True):
    """Every interval of the protocol, in seconds, decided by the server and told at enrolment and start."""

    lease: float = 60.0
    """A lease not renewed for this long is reaped."""
    offer: float = 10.0
    """An offered lease not acknowledged for this long goes back and counts in no budget."""
    grace: float = 15.0
    """What is left of a lease once the connection of a held heartbeat has broken."""
    heartbeat: float = 10.0
    hold: float = HOLD_SECONDS_MAX
    """How long a heartbeat may be held open while nothing happens."""
    self_fence: float = 45.0
    """An agent stops its own work when its last confirmed heartbeat is older than this."""
    poll: float = POLL_SECONDS_MAX
    progress: float = 0.5
    """Least time between two early heartbeats for the progress of a watched job."""
    prefetch: float = 15.0
    """An agent asks for the next lease when its running job has this long to go, or less."""


class EnrollRequest(Message, frozen=True, kw_only=True):
    """A one-time token for a credential of one's own: the agent makes the secret and tells us only its hash."""

    token: Annotated[str, Meta(min_length=8, max_length=200)]
    secret_sha256: Sha256
    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]*$")]
    agent_version: Text = ""


class Enrolled(Message, frozen=True, kw_only=True):
    worker_id: UUID
    name: str
    protocol_min: int
    protocol_max: int
    intervals: Intervals


class Capability(Message, frozen=True, kw_only=True):
    """One thing that a slot can do."""

    kind: JobKind
    model: Annotated[str, Meta(min_length=1, max_length=64)]
    tasks: Annotated[tuple[Task, ...], Meta(max_length=16)] = ()
    """What it can make of what with this model; empty: everything that the model is for."""


class SlotClaim(Message, frozen=True, kw_only=True):
    """One free place of a slot: what it can run, and what it has loaded."""

    slot: SlotNumber
    capabilities: Annotated[list[Capability], Meta(max_length=LANES_PER_SLOT_MAX)] = []
    vram_gib: Annotated[int, Meta(ge=0, le=4_096)] = 0
    loaded: Capability | None = None
    ahead: bool = False
    """A prefetch: the slot is still busy. Idle slots are served first."""
    capabilities_sha256: Sha256 | None = None
    """`capabilities_sha256` of what an earlier claim has named, instead of naming it again."""


def capabilities_sha256(capabilities: Sequence[Capability]) -> str:
    """What a list of capabilities is called by, so that it has to be sent only to those who do not know it."""
    return hashlib.sha256(msgspec.json.encode(capabilities)).hexdigest()


class ClaimRequest(Message, frozen=True, kw_only=True):
    """`claim_id` is made by the agent and repeated until answered: the same id returns the same live leases."""

    claim_id: UUID
    protocol: int
    slots: Annotated[list[SlotClaim], Meta(min_length=1, max_length=SLOTS_MAX)]
    wait: Annotated[float, Meta(ge=0, le=POLL_SECONDS_MAX)] = 0.0
    """Seconds to hold the poll open when there is nothing to do."""


class Lease(Message, frozen=True, kw_only=True):
    """The right to work on a job for a while."""

    job_id: UUID
    attempt: int
    token: UUID
    slot: int
    expires_in: float
    spec: JobSpec
    traceparent: str | None = None
    """The W3C trace context that the job was ordered in; to be sent along with what is reported about it."""


class Claimed(Message, frozen=True, kw_only=True):
    leases: list[Lease]
    skipped: dict[str, int] = {}
    """Why a slot got nothing: reason → number of slots."""
    messages: list[str] = []
    """From the operator, to be shown to the GPU owner."""


class LeaseReport(Message, frozen=True, kw_only=True):
    job_id: UUID
    attempt: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    token: UUID
    phase: Literal["held", "started"]
    progress: Progress | None = None
    preview: Annotated[bytes, Meta(max_length=PREVIEW_BYTES_MAX)] | None = None
    """The latest preview as a small WebP, JPEG or PNG; only the last one is kept."""


class SlotReport(Message, frozen=True, kw_only=True):
    slot: SlotNumber
    healthy: bool = True
    loaded: Capability | None = None
    gpu: Annotated[dict[GaugeName, float], Meta(max_length=GAUGES_PER_SLOT_MAX)] = {}
    """Gauges, only those that are known: `power_watts`, `temperature_celsius`, `utilisation_percent`, `vram_used_gib`,
    `vram_total_gib`, and `yielded` while somebody else uses the GPU. Others are kept and not looked at."""
    proven: bool = False
    """Since it was quarantined, its engine was started anew and has drawn a test picture: it may be trusted again."""


class HeartbeatRequest(Message, frozen=True, kw_only=True):
    leases: Annotated[list[LeaseReport], Meta(max_length=LEASES_PER_HEARTBEAT_MAX)]
    slots: Annotated[list[SlotReport], Meta(max_length=SLOTS_MAX)] = []
    hold: Annotated[float, Meta(ge=0, le=HOLD_SECONDS_MAX)] = 0.0
    """Seconds this heartbeat may be held open; leases are renewed on arrival all the same."""
    draining: bool = False
    """The agent takes no more work (drain, pause or shutdown on its side)."""


class Renewal(Message, frozen=True, kw_only=True):
    job_id: UUID
    attempt: int
    expires_in: float


class HeartbeatAnswer(Message, frozen=True, kw_only=True):
    renewed: list[Renewal]
    cancel: list[UUID]
    """Jobs whose customer wants them stopped: interrupt, then release with reason `canceled`."""
    revoke: list[UUID]
    """Jobs whose lease is lost: stop, delete, report nothing."""
    watched: list[UUID]
    """Jobs that somebody is looking at: report progress early."""
    drain: bool
    intervals: Intervals
    server_time: datetime
    workflows: str = ""
    """The revision of the workflows that may be ordered; when it changes, they are worth fetching."""


class CompleteRequest(Message, frozen=True, kw_only=True):
    artifacts: Annotated[int, Meta(ge=1, le=64)]
    """How many were uploaded under this attempt; all must be there."""
    claim: ClaimRequest | None = None
    """Asks for the next lease in the same round trip. Its `wait` is ignored."""
    provenance: Provenance | None = None
    """What the files were made with, for whoever wants to make them again."""
    joules: Joules | None = None
    """Null: not measured, or not enough of it."""


class FailRequest(Message, frozen=True, kw_only=True):
    cause: FailCause
    message: Message2k = ""
    joules: Joules | None = None


class ReleaseRequest(Message, frozen=True, kw_only=True):
    reason: ReleaseReason
    joules: Joules | None = None


class Reported(Message, frozen=True, kw_only=True):
    """The answer to complete, fail and release; the same report by the same fence gets the same answer."""

    state: str
    """Of the job now: `succeeded`, `failed`, `canceled` or `queued`."""
    claimed: Claimed | None = None


class Uploaded(Message, frozen=True, kw_only=True):
    index: int
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: str


class DirectRequest(Message, frozen=True, kw_only=True):
    """A file that an agent would put into the store itself, or has put there: what it announces about it."""

    bytes: Annotated[int, Meta(ge=1, le=ARTIFACT_BYTES_MAX)]
    sha256: Sha256


class DirectAnswer(Message, frozen=True, kw_only=True):
    url: str | None
    """Where to PUT the file within a minute, without any credential; null: send it through the control plane."""
    headers: dict[str, str] = {}
    """To be sent with it."""
