"""Linking identities and entering invites, as the public does it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from control_plane.wire import Message, Request

TypedCode = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\x20-\x7e]*\Z")]


class LinkCode(Message, frozen=True, kw_only=True):
    """A code that makes whoever enters it the same user. It works once."""

    code: str
    """To be shown to a person: `K7QM-2XWD`."""
    expires_at: datetime


class LinkRequest(Request, frozen=True, kw_only=True):
    """The code that the other identity was shown."""

    code: TypedCode
    """Case, spaces and hyphens do not matter."""


class InviteRequest(Request, frozen=True, kw_only=True):
    """The code of an invite."""

    code: TypedCode
    """Case, spaces and hyphens do not matter."""
