"""The gallery: what owners propose, what the operator decides, and what everybody sees."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.conduct import REASON_LENGTH_MAX
from control_plane.wire.job import JobKind

PublicationState = Literal["proposed", "approved", "refused", "withdrawn"]


class PublishRequest(Request, frozen=True, kw_only=True):
    """How a file shall be shown."""

    show_prompt: bool = False
    """Whether everybody may read what it was made from."""


class PublicationView(Message, frozen=True, kw_only=True):
    """What its owner wants of a file, and what the operator said."""

    index: int
    state: PublicationState
    show_prompt: bool
    reason: str
    """Why it was refused; empty otherwise."""
    proposed_at: datetime
    decided_at: datetime | None


class PublicationList(Message, frozen=True, kw_only=True):
    data: list[PublicationView]
    """Files that were never proposed are not among them."""


class GalleryPiece(Message, frozen=True, kw_only=True):
    """A picture or film that everybody may see; nothing of whoever made it."""

    id: UUID
    kind: JobKind
    model: str
    prompt: str | None
    """Absent unless its owner shows it."""
    width: int
    height: int
    mime_type: str
    url: str
    thumbnail_url: str | None
    """Absent where no small picture can be made."""
    job_id: UUID
    index: int
    """By which it is reported, with `job_id`."""


class GalleryList(Message, frozen=True, kw_only=True):
    data: list[GalleryPiece]
    has_more: bool
    next_cursor: str | None


class ProposalView(Message, frozen=True, kw_only=True):
    """A publication as the operator sees it."""

    id: UUID
    job_id: UUID
    index: int
    state: PublicationState
    user_id: UUID
    user: str
    kind: JobKind
    model: str
    prompt: str | None
    """Absent unless it is to be shown."""
    width: int
    height: int
    mime_type: str
    url: str
    thumbnail_url: str | None
    reason: str
    proposed_at: datetime
    decided_at: datetime | None
    decided_by: str | None


class ProposalList(Message, frozen=True, kw_only=True):
    data: list[ProposalView]
    has_more: bool
    next_cursor: str | None


class RefuseRequest(Request, frozen=True, kw_only=True):
    """Why something is not shown. Its owner reads it."""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX, pattern=r"^[^\x00]*$")]
