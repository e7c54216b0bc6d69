"""A job ordered once more, with changes if wanted."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from msgspec import UNSET, UnsetType

from control_plane.wire import Request
from control_plane.wire.input import InputReference
from control_plane.wire.job import (
    Count,
    Frames,
    FramesPerSecond,
    Guidance,
    JobKind,
    LoraName,
    LoraStrength,
    MaxWait,
    MetadataKey,
    MetadataValue,
    Name,
    NegativePrompt,
    Prompt,
    Seed,
    Side,
    Steps,
    Strength,
    Typed,
    Upscale,
)
from control_plane.wire.webhook import WebhookUrl


class RepeatRequest(Request, frozen=True, kw_only=True):
    """A JSON merge patch (RFC 7396) over the order of a job: what is absent stays, null is as if it had never been
    ordered, anything else takes its place. `{"seed": null}` draws a new seed."""

    prompt: Prompt | UnsetType | None = UNSET
    kind: JobKind | UnsetType | None = UNSET
    model: Name | UnsetType | None = UNSET
    negative_prompt: NegativePrompt | UnsetType | None = UNSET
    width: Side | UnsetType | None = UNSET
    height: Side | UnsetType | None = UNSET
    steps: Steps | UnsetType | None = UNSET
    guidance: Guidance | UnsetType | None = UNSET
    sampler: Name | UnsetType | None = UNSET
    seed: Seed | UnsetType | None = UNSET
    count: Count | UnsetType | None = UNSET
    input_image: UUID | InputReference | UnsetType | None = UNSET
    strength: Strength | UnsetType | None = UNSET
    frames: Frames | UnsetType | None = UNSET
    fps: FramesPerSecond | UnsetType | None = UNSET
    metadata: dict[MetadataKey, MetadataValue | None] | UnsetType | None = UNSET
    max_wait: MaxWait | UnsetType | None = UNSET
    """Not taken over from the job: say it again."""
    priority: Literal["normal", "urgent"] | UnsetType | None = UNSET
    """Not taken over from the job: say it again."""
    webhook_url: WebhookUrl | UnsetType | None = UNSET
    """Not taken over from the job: say it again."""
    upscale: Upscale | UnsetType | None = UNSET
    embed_metadata: bool | UnsetType | None = UNSET
    loras: dict[LoraName, LoraStrength | None] | UnsetType | None = UNSET
    typed: Typed | UnsetType | None = UNSET
    """Not taken over when the words change: say it again."""
    adult: bool | UnsetType | None = UNSET
