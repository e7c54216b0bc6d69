"""API keys as their owners make and see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.job import Name

KeyScope = Literal["read", "submit", "keys", "admin", "metrics", "payments", "operate"]

OVERLAP_SECONDS_MAX = 7 * 86_400
EXPIRES_SECONDS_MAX = 10 * 366 * 86_400
DAILY_CAP_MAX = 2**31 - 1
BOUNDS_MAX = 20
"""Models or networks that a key is bound to."""
ORIGINS_MAX = 10

KeyName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]*$")]
Network = Annotated[str, Meta(min_length=2, max_length=49)]
Origin = Annotated[str, Meta(min_length=8, max_length=100)]


class KeyRequest(Request, frozen=True, kw_only=True):
    """A new key. It can never give more than the key that makes it; what is absent is as of that key."""

    name: KeyName
    scopes: list[KeyScope] | None = None
    """Absent: `read` and `submit`, as far as you have them."""
    test: bool = False
    """A test key (`tsr_test_…`): its orders run in the sandbox for play tokens, apart from everything real."""
    expires_seconds: Annotated[int, Meta(ge=1, le=EXPIRES_SECONDS_MAX)] | None = None
    """After which it opens nothing."""
    daily_cap: Annotated[int, Meta(ge=1, le=DAILY_CAP_MAX)] | None = None
    """Tokens that it may order in a day (UTC), whether they come back or not."""
    models: Annotated[list[Name], Meta(min_length=1, max_length=BOUNDS_MAX)] | None = None
    """It may order of these only, by name."""
    networks: Annotated[list[Network], Meta(min_length=1, max_length=BOUNDS_MAX)] | None = None
    """It may be used from these only, such as `203.0.113.0/24`."""
    origins: Annotated[list[Origin], Meta(min_length=1, max_length=ORIGINS_MAX)] | None = None
    """Pages of these web sites may use it (CORS), such as `https://app.example`; absent: no page may."""


class KeyView(Message, frozen=True, kw_only=True):
    """A key; its secret is never shown again."""

    id: str
    name: str
    test: bool
    scopes: list[str]
    models: list[str] | None
    networks: list[str] | None
    origins: list[str] | None
    daily_cap: int | None
    ordered_today: int | None
    """Tokens, of a key with a daily cap."""
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    rotated_at: datetime | None
    old_expires_at: datetime | None
    """Until when the secret from before the rotation opens."""
    old_used_at: datetime | None
    """When that secret was last used since the rotation: nobody has it any more when this stands still."""


class KeyMade(KeyView, frozen=True, kw_only=True):
    """A key with its secret, which is shown only now."""

    key: str


class KeyList(Message, frozen=True, kw_only=True):
    data: list[KeyView]
    """The newest first; those that have ended are left out."""


class RotateRequest(Request, frozen=True, kw_only=True):
    overlap_seconds: Annotated[int, Meta(ge=0, le=OVERLAP_SECONDS_MAX)] = 86_400
    """For so long the old secret opens too."""
