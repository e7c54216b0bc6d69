"""Linking identities and entering invites, as the public does it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from control_plane.wire import Message, Request

KNOWN_MAX = 500

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


class KnownRequest(Request, frozen=True, kw_only=True):
    """People that a service remembers."""

    identities: Annotated[list[Annotated[str, Meta(min_length=3, max_length=200)]], Meta(max_length=KNOWN_MAX)]
    """Each as `provider:id`, of a provider that the service may act for."""


class KnownIdentities(Message, frozen=True, kw_only=True):
    known: list[str]
    """Those that belong to an account. What a service remembers of the others it should forget."""
