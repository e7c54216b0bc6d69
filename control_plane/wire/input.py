"""Pictures that an order starts from: uploaded beforehand, or results of one's own."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from control_plane.wire import Message, Request

INPUT_BYTES_MAX = 32 * 1024**2
INPUT_PIXELS_MAX = 50_000_000
"""Of what is uploaded: the largest pictures that telephones take have 48 million."""
INPUT_SIDE_MAX = 4_096
"""Of what is kept: a larger picture is made smaller, since no job makes more than this of it."""
INPUT_TYPES = ("image/png", "image/jpeg", "image/webp")
"""What may be uploaded, told apart by content."""

SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg"}


class InputReference(Request, frozen=True, kw_only=True):
    """The picture that an order starts from: an upload by its `id`, or a file of a job of yours that has succeeded."""

    id: UUID | None = None
    job_id: UUID | None = None
    index: Annotated[int, Meta(ge=0, le=63)] = 0
    """Which file of that job."""


class Picture(Message, frozen=True, kw_only=True):
    """An input as an order carries it: what an agent fetches, and by what it knows that it is the right one."""

    id: UUID
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        """What the file is called where an engine looks for it."""
        return f"input{SUFFIXES.get(self.mime_type, '')}"


class InputView(Message, frozen=True, kw_only=True):
    """An uploaded picture as it is kept: upright, without metadata, PNG or JPEG."""

    id: UUID
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    received_sha256: str
    """Of the file as it was sent."""
    created_at: datetime
    expires_at: datetime
    """It is kept at least until then, and for as long as a job of yours needs it."""
    url: str
    """Signed and expiring; fetched without credentials."""


class InputList(Message, frozen=True, kw_only=True):
    data: list[InputView]
    has_more: bool
    next_cursor: str | None
