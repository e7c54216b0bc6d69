"""Orders that are placed together: all of them, or none."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.job import Cost, JobStatus, JobView, SubmitRequest
from control_plane.wire.model import Quote, Refusal

BATCH_MAX = 100


class BatchRequest(Request, frozen=True, kw_only=True):
    """Orders that are placed together: all of them, or none."""

    jobs: Annotated[list[SubmitRequest], Meta(min_length=1, max_length=BATCH_MAX)]


class BatchUrls(Message, frozen=True, kw_only=True):
    self: str
    cancel: str
    """To be called with DELETE; cancels whatever is not over."""


class BatchView(Message, frozen=True, kw_only=True):
    """A batch as its jobs stand."""

    id: UUID
    created_at: datetime
    counts: dict[JobStatus, int]
    """How many jobs have which status; those that none has are left out."""
    cost: Cost
    """Of all jobs together."""
    jobs: list[JobView]
    """In the order in which they were ordered."""
    urls: BatchUrls


class BatchRefusal(Refusal, frozen=True, kw_only=True):
    """The problem that the whole batch would be answered with."""

    pointer: str
    """Which of the orders is to blame: `/jobs/3`."""


class BatchQuote(Message, frozen=True, kw_only=True):
    """What a batch would cost and how long it would take; nothing was ordered."""

    cost: int
    """Tokens, of all jobs together."""
    feasible_now: bool
    """Whether live workers serve all that it asks for."""
    available: int
    """Tokens that you have for it."""
    resets_at: datetime
    """When the next day's tokens come: midnight UTC."""
    refusal: BatchRefusal | None
    """What the batch would be refused with at this moment; absent: it would be accepted."""
    jobs: list[Quote]
    """Each order by itself, as if those before it had been placed."""
