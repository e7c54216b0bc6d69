"""Webhooks as the public sees them: endpoints, their secrets when they are made, and the log of deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from control_plane.wire import Message, Request

URL_LENGTH_MAX = 1_000
DESCRIPTION_LENGTH_MAX = 200

JobEvent = Literal["job.started", "job.succeeded", "job.failed", "job.canceled", "job.expired"]
"""What a webhook can be about."""
TERMINAL_EVENTS: tuple[JobEvent, ...] = ("job.succeeded", "job.failed", "job.canceled", "job.expired")

DeliveryState = Literal["pending", "delivered", "dead"]

WebhookUrl = Annotated[str, Meta(min_length=1, max_length=URL_LENGTH_MAX, pattern=r"^https?://[^\s\x00-\x1f\\]+\Z")]
Events = Annotated[list[JobEvent], Meta(min_length=1, max_length=5)]
Description = Annotated[str, Meta(max_length=DESCRIPTION_LENGTH_MAX, pattern=r"^[^\x00]*$")]


class WebhookRequest(Request, frozen=True, kw_only=True):
    """Where to send messages, and about what."""

    url: WebhookUrl | None = None
    """An https address. Absent: this one signs what goes to the `webhook_url` of your orders."""
    events: Events | None = None
    """Absent: the four ends of a job."""
    description: Description = ""


class WebhookChange(Request, frozen=True, kw_only=True):
    """What is to be different; what is absent stays."""

    url: WebhookUrl | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    """False also takes back what was done to an endpoint that kept failing or answered 410."""


class WebhookView(Message, frozen=True, kw_only=True):
    """An endpoint; never with its secret."""

    id: UUID
    url: str | None
    """Absent: this one signs what goes to the `webhook_url` of your orders."""
    events: list[JobEvent]
    description: str
    status: Literal["enabled", "disabled"]
    disabled_reason: Literal["owner", "gone", "failing"] | None
    """`owner`: you did it; `gone`: the receiver answered 410; `failing`: nothing got through for five days."""
    failing_since: datetime | None
    """The first failure since the last success."""
    secrets: int
    """How many sign at this moment: two for a day after a rotation."""
    created_at: datetime


class WebhookSecret(Message, frozen=True, kw_only=True):
    """An endpoint with a new secret, which is shown this once."""

    webhook: WebhookView
    secret: str
    """`whsec_…`, as libraries of Standard Webhooks take it."""


class WebhookList(Message, frozen=True, kw_only=True):
    data: list[WebhookView]


class DeliveryView(Message, frozen=True, kw_only=True):
    """A message to one address and what became of it."""

    id: UUID
    webhook_id: UUID
    message_id: str
    """The `webhook-id` that every attempt carries."""
    type: str
    job_id: UUID | None
    """Absent: a test."""
    url: str
    status: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    """What the receiver answered, if it did."""
    last_error: str | None
    """In a word why it failed: `status`, `timeout`, `connection`, `tls`, `unresolvable`, `refused`, …"""
    last_excerpt: str | None
    """The beginning of the receiver's answer, or a sentence about what went wrong."""
    last_seconds: float | None
    """How long the attempt took."""
    delivered_at: datetime | None
    created_at: datetime


class DeliveryList(Message, frozen=True, kw_only=True):
    data: list[DeliveryView]
    has_more: bool
    next_cursor: str | None


class WebhookMessage(Message, frozen=True, kw_only=True):
    """What is sent, in the body of a POST."""

    type: str
    """`job.succeeded` and so on; `webhook.test` for a test."""
    timestamp: datetime
    """When it happened."""
    data: Any
    """The job as in `GET /api/v1/jobs/{id}`, as it is at the time of the attempt."""
