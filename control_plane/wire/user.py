"""Users and plans as the public sees them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from control_plane.wire import Message


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
    """`active` or `suspended`; a suspended user can read but not order."""
    created_at: datetime
    identities: list[IdentityView]


class PlanView(Message, frozen=True, kw_only=True):
    name: str
    queued_max: int
    """How many jobs may wait at once."""
    retention_days: int
    """How long results are kept."""


class PlanList(Message, frozen=True, kw_only=True):
    data: list[PlanView]
