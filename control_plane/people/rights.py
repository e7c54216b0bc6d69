"""What a credential gives: which user it speaks for, and what may be done with it.

A session of a browser is taken for a key that is bound to nothing, so whatever asks a key for its rights need not know
that there are sessions.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

from control_plane.people.twins import is_test

Scope = Literal["read", "submit", "keys", "admin", "metrics", "payments", "operate"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
SESSION_SCOPES: tuple[Scope, ...] = ("read", "submit", "keys")
"""What every person may do."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it was found: of a user, or of a service (`user_id` is None)."""

    id: str
    secret_sha256: bytes
    old_secret_sha256: bytes | None
    """From before the last rotation."""
    old_expires_in: float | None
    user_id: UUID | None
    user_status: str | None
    """Of a test key: of whom it tests for."""
    reads_per_minute: int | None
    """Of the plan that the user has."""
    scopes: list[str]
    providers: list[str]
    networks: list[IPv4Network | IPv6Network] | None
    models: list[str] | None
    daily_cap: int | None
    """Tokens that it may order in a day (UTC)."""
    origins: list[str] | None
    """Web sites whose pages may use it."""
    expires_in: float | None
    """Seconds, by the database's clock; None = never."""
    embed_metadata: bool
    """What its user has chosen for orders that do not say."""

    @property
    def is_test(self) -> bool:
        return self.user_id is not None and is_test(self.user_id)


class FoundSession(msgspec.Struct, frozen=True, kw_only=True):
    """A live session."""

    id: str
    user_id: UUID
    user_status: str
    reads_per_minute: int
    embed_metadata: bool
    is_operator: bool
    expires_in: float


class SpokenFor(NamedTuple):
    """The user for whom a service speaks."""

    user_id: UUID
    reads_per_minute: int
    """Of the plan that the user has."""
    suspended: bool = False
    embed_metadata: bool = True
    """What the user has chosen for orders that do not say."""


class WorkerIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that has shown its own credential."""

    id: UUID
    name: str
    trust: str


def as_key(found: FoundSession, digest: bytes) -> ApiKey:
    """A key that is bound to nothing. It has no end, so that keys that are made by it may outlive the session."""
    return ApiKey(
        id=found.id,
        secret_sha256=digest,
        old_secret_sha256=None,
        old_expires_in=None,
        user_id=found.user_id,
        user_status=found.user_status,
        reads_per_minute=found.reads_per_minute,
        scopes=[*SESSION_SCOPES, "admin"] if found.is_operator else list(SESSION_SCOPES),
        providers=[],
        networks=None,
        models=None,
        daily_cap=None,
        origins=None,
        expires_in=None,
        embed_metadata=found.embed_metadata,
    )
