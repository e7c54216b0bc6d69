"""Sessions of browsers, as the website sees them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.linking import TypedCode

ProviderId = Literal["google", "discord", "telegram", "code"]


class SessionUser(Message, frozen=True, kw_only=True):
    """Who is signed in."""

    id: UUID
    name: str
    plan: str
    status: str
    """`active` or `suspended`; to a suspended user almost everything is refused."""


class ProviderView(Message, frozen=True, kw_only=True):
    """A way to sign in that is open here."""

    id: ProviderId
    title: str
    url: str
    """Where to send the browser; with `link=true` the identity is added to the account that is signed in. Of `code`:
    where to send the code."""


class SessionView(Message, frozen=True, kw_only=True):
    """Whether somebody is signed in, and how they could be."""

    signed_in: bool
    user: SessionUser | None
    is_operator: bool
    providers: list[ProviderView]
    """Empty where signing in is not possible."""
    refusal: str | None
    """Why signing in is not possible by this address."""
    newcomer: ProviderId | None
    """By which provider somebody new has just shown in this browser who they are; they are in as soon as they enter an
    invite (`POST /auth/invite`)."""
    session_id: UUID | None
    expires_at: datetime | None


class SessionEntry(Message, frozen=True, kw_only=True):
    """A browser that is signed in."""

    id: UUID
    current: bool
    """Whether it is the one that asks."""
    way: str
    """How they signed in: `google`, `discord`, `telegram`, `code` or `link`."""
    device: str
    """What the browser calls itself."""
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime
    """To the minute."""


class SessionList(Message, frozen=True, kw_only=True):
    data: list[SessionEntry]
    """The one that was used last first."""


class CodeSignIn(Request, frozen=True, kw_only=True):
    """A code that a bot gave."""

    code: TypedCode
    """Case, spaces and hyphens do not matter."""


class InviteSignIn(Request, frozen=True, kw_only=True):
    """The invite of somebody new, who has shown who they are."""

    code: TypedCode
    """Case, spaces and hyphens do not matter."""


class TelegramSignIn(Request, frozen=True, kw_only=True):
    """What Telegram says about whoever has just signed in there."""

    state: Annotated[str, Meta(min_length=1, max_length=128)]
    """As in the address to which Telegram sent the browser back."""
    data: Annotated[dict[str, str | int], Meta(max_length=32)]
    """The fields of `tgAuthResult`, all of them and as they are."""


class SignedIn(Message, frozen=True, kw_only=True):
    next: str
    """The page to go to: the one that the browser wanted to see, or the one where somebody new enters an invite."""
