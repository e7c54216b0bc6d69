"""Results that their owners show to whoever has the link."""

from __future__ import annotations

from datetime import datetime

from control_plane.wire import Message
from control_plane.wire.job import ArtifactView, JobKind


class ShareView(Message, frozen=True, kw_only=True):
    """The link of a job, as its owner sees it."""

    url: str
    """Of a page of the website. Whoever has it sees the files and words of this job, until you take it back."""
    token: str
    created_at: datetime


class Sharing(Message, frozen=True, kw_only=True):
    """Whether a job has a link."""

    link: ShareView | None


class SharedView(Message, frozen=True, kw_only=True):
    """What a link shows; nothing of whoever made it."""

    kind: JobKind
    model: str
    prompt: str
    width: int
    height: int
    artifacts: list[ArtifactView]
    created_at: datetime
