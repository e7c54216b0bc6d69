"""Jobs as the public sees them: the order (`SubmitRequest`), its validated form (`JobSpec`), the view (`JobView`)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.input import InputReference, Picture
from control_plane.wire.provenance import Provenance
from control_plane.wire.webhook import WebhookUrl

JobKind = Literal["image", "video"]

Task = Literal["text-to-image", "image-to-image", "upscale", "text-to-video", "image-to-video", "inpaint"]
"""What is made of what. It follows from an order: its kind, `input_image` and `upscale`; and from its model."""

JobStatus = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled", "expired"]
"""What HTTP calls `status`; everything inside says `state` and knows no `canceling` (a wish is a timestamp)."""

WaitingReason = Literal[
    "no_worker_for_model",
    "all_workers_busy",
    "workers_draining",
    "workers_quarantined",
    "model_not_loaded",
    "plan_limit_running",
    "retry_backoff",
    "lane_paused",
    "starting",
]

PROMPT_LENGTH_MAX = 4_000
METADATA_BYTES_MAX = 1_024
SIDE_MIN, SIDE_MAX = 64, 4_096
"""Pixels. A plan or a model may allow less."""
SEED_MAX = 2**53 - 1
"""The largest integer that JavaScript reads exactly, so that a seed survives every client."""

_NO_NUL = r"^[^\x00]*$"
"""PostgreSQL text cannot hold U+0000; refused at the door, where the sender can still be told."""

Prompt = Annotated[str, Meta(min_length=1, max_length=PROMPT_LENGTH_MAX, pattern=_NO_NUL)]
NegativePrompt = Annotated[str, Meta(max_length=PROMPT_LENGTH_MAX, pattern=_NO_NUL)]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*\Z")]
Side = Annotated[int, Meta(ge=SIDE_MIN, le=SIDE_MAX, multiple_of=8)]
Steps = Annotated[int, Meta(ge=1, le=150)]
Guidance = Annotated[float, Meta(ge=0, le=30)]
Seed = Annotated[int, Meta(ge=0, le=SEED_MAX)]
Count = Annotated[int, Meta(ge=1, le=4)]
Strength = Annotated[float, Meta(ge=0, le=1)]
Frames = Annotated[int, Meta(ge=1, le=480)]
FramesPerSecond = Annotated[int, Meta(ge=1, le=60)]
Upscale = Literal[2, 4]
LoraName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*\Z")]
LoraStrength = Annotated[float, Meta(ge=-10, le=10)]
MaxWait = Annotated[int, Meta(ge=1, le=7 * 86_400)]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=64, pattern=_NO_NUL)]
MetadataValue = Annotated[str, Meta(max_length=512, pattern=_NO_NUL)]


class Typed(Request, frozen=True, kw_only=True, omit_defaults=True):
    """What a person has typed, where the order has a translation of it. Kept beside it and shown; never drawn from."""

    prompt: NegativePrompt = ""
    """Empty: the prompt of the order is what was typed."""
    negative_prompt: NegativePrompt = ""


class SubmitRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """An order for one job. What is absent takes the model's default."""

    prompt: Prompt = ""
    """What to make, in words. Only an upscale can do without."""
    kind: JobKind = "image"
    model: Name | None = None
    """Absent: the operator's first model of this kind."""
    negative_prompt: NegativePrompt = ""
    width: Side | None = None
    """Pixels. Absent, it follows from the input image where there is one, else from the model."""
    height: Side | None = None
    steps: Steps | None = None
    guidance: Guidance | None = None
    sampler: Name | None = None
    seed: Seed | None = None
    """Drawn at submit when absent, so that every result can be repeated."""
    count: Count = 1
    """How many artifacts: pictures, or videos."""
    input_image: UUID | InputReference | None = None
    """The picture to start from: the id of an upload (`POST /api/v1/inputs`), or one of your own results."""
    strength: Strength | None = None
    """Of a picture: how much of the input image is made anew; 0 leaves it, 1 forgets it. Of a video: how closely its
    first frame follows the input image."""
    frames: Frames | None = None
    fps: FramesPerSecond | None = None
    metadata: dict[MetadataKey, MetadataValue] = {}
    """Echoed, never interpreted; at most 1 KiB as JSON. With a test key, `simulate` forces an outcome."""
    max_wait: MaxWait | None = None
    """Seconds in the queue after which the job becomes `expired` instead of starting."""
    priority: Literal["normal", "urgent"] = "normal"
    """`urgent` is the operator's bounded head start; it needs the `admin` scope."""
    webhook_url: WebhookUrl | None = None
    """An https address that is told how this job ended; nobody else gets to see it. See `POST /api/v1/webhooks`."""
    upscale: Upscale | None = None
    """How many times longer the sides of the input image become; nothing else is made of it."""
    embed_metadata: bool | None = None
    """Whether the files say how they were made: prompt, seed, model, workflow. Absent: as you have chosen for yourself.
    That they were made by AI they say in any case."""
    loras: Annotated[dict[LoraName, LoraStrength], Meta(max_length=8)] = {}
    """How strongly each LoRA of the model counts; what is absent counts as the model has it, 0 leaves it out."""
    typed: Typed | None = None
    """What was typed, if the prompt is a translation."""
    adult: bool = False
    """Adult content whatever its words say. What starts from such a result of yours is so in any case."""


class JobSpec(Message, frozen=True, kw_only=True):
    """A validated order with every default filled in: what an engine turns into files."""

    kind: JobKind
    model: str
    prompt: str
    negative_prompt: str = ""
    width: int
    height: int
    steps: int
    guidance: float = 7.0
    sampler: str | None = None
    seed: int
    count: int = 1
    input_image: Picture | None = None
    strength: float | None = None
    frames: int | None = None
    """Video only: number of frames of each artifact."""
    fps: int | None = None
    upscale: int | None = None
    embed_metadata: bool = True
    loras: dict[str, float] = {}


class Eta(Message, frozen=True, kw_only=True):
    """Seconds until the job is expected to have finished, as the median and the pessimistic tenth."""

    p50_seconds: float
    p90_seconds: float


class Waiting(Message, frozen=True, kw_only=True):
    reason: WaitingReason
    position: str | None = None
    """Place in its lane: `"1"` is next; exact to 1,000, then `"1000+"`. Absent in backoff and while starting."""
    eta: Eta | None = None
    """Absent while nothing like this job has ever finished."""


StepCount = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Progress(Message, frozen=True, kw_only=True):
    value: Annotated[float, Meta(ge=0, le=1)]
    """The whole job as one number, 0 to 1."""
    step: StepCount = 0
    steps: StepCount = 0


class ArtifactView(Message, frozen=True, kw_only=True):
    index: int
    url: str
    """Signed and expiring; fetched without credentials, supports `Range`."""
    thumbnail_url: str | None = None
    """A WebP of at most 512 pixels a side, of a film its first frame; likewise signed. Null when there is none."""
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: str


class Cost(Message, frozen=True, kw_only=True):
    """Tokens. `held` while the job is open; `charged` at its end: all of it for a success, by its progress for a job
    canceled while it ran, else nothing."""

    held: int
    charged: int


class JobError(Message, frozen=True, kw_only=True):
    code: str
    message: str


class JobUrls(Message, frozen=True, kw_only=True):
    self: str
    cancel: str
    """To be called with DELETE."""
    events: str = ""
    """A stream of Server-Sent Events."""


class JobView(Message, frozen=True, kw_only=True):
    id: UUID
    status: JobStatus
    kind: JobKind
    model: str
    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    count: int
    frames: int | None
    fps: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    waiting: Waiting | None
    progress: Progress | None
    artifacts: list[ArtifactView]
    cost: Cost
    error: JobError | None
    metadata: dict[str, str]
    urls: JobUrls
    input_image: UUID | None = None
    """The input that it starts from."""
    strength: float | None = None
    upscale: int | None = None
    sampler: str | None = None
    embed_metadata: bool = True
    batch_id: UUID | None = None
    """The batch that it was ordered in."""
    repeat_of: UUID | None = None
    """The job that it repeats."""
    provenance: Provenance | None = None
    """What its files were made with, once it has succeeded: with the order, everything needed to make them again."""
    test: bool = False
    """Ordered by a test key: drawn by the sandbox, for play tokens."""
    adult: bool = False
    """Adult content, for what it was made from or as the rules in force said of its words when it was ordered: show it
    covered, if at all."""
    loras: dict[str, float] = {}
    typed: Typed | None = None
    """What was typed, if the prompt is a translation."""


class JobList(Message, frozen=True, kw_only=True):
    data: list[JobView]
    has_more: bool
    next_cursor: str | None
