"""Leaving, as the public sees it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from control_plane.wire import Message, Request


class DeletionRequest(Request, frozen=True, kw_only=True):
    """That somebody means it."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    """The name of the account, as `GET /api/v1/user/me` tells it: typed, not just agreed to."""


class Deletion(Message, frozen=True, kw_only=True):
    """What became of it."""

    finished: bool
    """Whether nothing is left; false while a job is being stopped, or must be kept for a legal reason."""
    detail: str
    """The same for a person."""
