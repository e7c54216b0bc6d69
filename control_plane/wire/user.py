"""Users and plans as the public sees them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from control_plane.wire import Message, Request
from control_plane.wire.job import Count, Name, Side


class IdentityView(Message, frozen=True):
    """One way in which a user is recognised."""

    provider: str
    subject: str


class UserView(Message, frozen=True, kw_only=True):
    """Whom this credential speaks for."""

    id: UUID
    name: str
    plan: str
    status: str
    """`active` or `suspended`; to a suspended user everything but this view is refused."""
    created_at: datetime
    identities: list[IdentityView]


class Limits(Message, frozen=True, kw_only=True):
    """What a plan allows."""

    running_max: int
    """How many jobs may run at once."""
    queued_max: int
    """How many jobs may wait at once."""
    submits_per_minute: int
    reads_per_minute: int
    """All other requests."""
    images: bool
    """Whether pictures may be ordered."""
    pixels_max: int
    """Width times height of a picture or of a frame."""
    video_seconds_max: float
    """Length of a video; 0: none may be ordered."""
    retention_days: int
    """How long results are kept."""


class Tokens(Message, frozen=True, kw_only=True):
    """What a user has to spend. Today's tokens are taken first and do not add up; purchased ones do not expire."""

    daily_left: int
    """Of today's tokens."""
    daily_per_day: int
    purchased: int
    """Below zero after a reversed payment; nothing can be ordered until it is made up for."""
    held: int
    """Put aside for jobs that are not over."""
    available: int
    """What an order may cost at this moment."""
    resets_at: datetime
    """When the next day's tokens come: midnight UTC."""


class AccountView(UserView, frozen=True, kw_only=True):
    """Whom this credential speaks for, and what they have."""

    paid_until: datetime | None
    """Three days after this the plan lapses to `free`; absent: it does not lapse."""
    tokens: Tokens
    limits: Limits
    queued: int
    """Jobs that wait."""
    running: int
    """Jobs that a worker has."""


class Choices(Request, frozen=True, kw_only=True, omit_defaults=True):
    """What programs that order for a person fill in where the order says nothing, and how they speak to them."""

    language: Annotated[str, Meta(pattern=r"^[a-z]{2,3}\Z")] | None = None
    """To be spoken to; absent: as their client says."""
    image_model: Name | None = None
    video_model: Name | None = None
    width: Side | None = None
    height: Side | None = None
    count: Count | None = None


class Preferences(Request, frozen=True, kw_only=True):
    """What holds for every order that does not say otherwise."""

    embed_metadata: bool
    """Whether files say how they were made (prompt, seed, model, workflow). That they were made by AI they say in any
    case."""
    choices: Choices | UnsetType = UNSET
    """Absent: they stay as they are."""


class UsageDay(Message, frozen=True, kw_only=True):
    """What was taken of one day (UTC); what was returned is not counted."""

    day: date
    jobs: int
    """Orders placed."""
    daily: int
    """Of that day's tokens."""
    purchased: int


class UsageView(Message, frozen=True, kw_only=True):
    data: list[UsageDay]
    """The newest day first; days without an order are left out."""
    jobs: int
    """In all these days together."""
    tokens: int
    """Daily and purchased, in all these days together."""


class LedgerLine(Message, frozen=True, kw_only=True):
    """Tokens that moved, and what was there after it."""

    id: int
    at: datetime
    kind: str
    """`grant`, `adjust`, `hold`, `charge` or `return`."""
    amount: int
    """Above zero comes to hand, below zero leaves it. A charge takes what was held before."""
    words: str
    """What happened, as a sentence."""
    job_id: UUID | None
    purchased: int
    held: int


class LedgerList(Message, frozen=True, kw_only=True):
    data: list[LedgerLine]
    """The newest first."""
    has_more: bool
    next_cursor: str | None


class PlanView(Message, frozen=True, kw_only=True):
    """What a plan gives, allows and costs."""

    name: str
    queued_max: int
    """How many jobs may wait at once."""
    retention_days: int
    """How long results are kept."""
    tokens_per_day: int
    newcomer_days: int
    """For so many days the tokens of a new user's day rise step by step to the whole."""
    weight: float
    """Share of the queue beside users of other plans."""
    running_max: int
    """How many jobs may run at once."""
    submits_per_minute: int
    reads_per_minute: int
    """All other requests."""
    images: bool
    """Whether pictures may be ordered."""
    pixels_max: int
    """Width times height of a picture or of a frame."""
    video_seconds_max: float
    """Length of a video; 0: none may be ordered."""
    price_cents: int
    """For a month, in hundredths of `currency`."""
    currency: str


class PlanList(Message, frozen=True, kw_only=True):
    data: list[PlanView]
