"""Links by which owners show their results: unguessable, and nothing any more once they are taken back.

A link shows what its owner sees at this moment, so what was erased, quarantined or withdrawn since is not there either.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from uuid import UUID

import msgspec

from control_plane.context import Context
from control_plane.database import Query
from control_plane.errors import NotFinished, NotFound
from control_plane.jobs import desk
from control_plane.wire.share import SharedView, ShareView, Sharing

TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class Share(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    created_at: datetime


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    user_id: UUID


ADD = Query("shares.add", Share)
OWN = Query("shares.own", Share)
REMOVE: Query[None] = Query("shares.remove")
OPENED = Query("shares.opened", Opened)


async def make(context: Context, user_id: UUID, job_id: UUID) -> ShareView:
    """The link of a job that has files; the one that it has, or a new one. Raises `NotFound`, `NotFinished`."""
    job = await desk.view(context, user_id, job_id)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    made = await context.database.one(ADD, {"job_id": job.id, "user_id": user_id, "token": token})
    if made is None:
        raise NotFinished("Only a job that has succeeded and still has its files can be shown.")
    return _view(context, made)


async def own(context: Context, user_id: UUID, job_id: UUID) -> Sharing:
    """The link of a job, if it has one. Raises `NotFound`."""
    job = await desk.view(context, user_id, job_id)
    found = await context.database.one(OWN, {"job_id": job.id, "user_id": user_id})
    return Sharing(link=_view(context, found) if found is not None else None)


async def remove(context: Context, user_id: UUID, job_id: UUID) -> None:
    """Takes the link back; nothing is wrong when there is none. Raises `NotFound`."""
    job = await desk.view(context, user_id, job_id)
    await context.database.run(REMOVE, {"job_id": job.id, "user_id": user_id})


async def opened(context: Context, token: str) -> SharedView:
    """What a link shows. Raises `NotFound`."""
    if not _TOKEN.fullmatch(token):
        raise _nothing()
    found = await context.database.one(OPENED, {"token": token})
    if found is None:
        raise _nothing()
    job = await desk.view(context, found.user_id, found.job_id)
    if not job.artifacts:
        raise _nothing()
    fields = {name: getattr(job, name) for name in SharedView.__struct_fields__}
    return SharedView(**fields)


def _nothing() -> NotFound:
    return NotFound("This link shows nothing (any more).")


def _view(context: Context, share: Share) -> ShareView:
    url = f"{context.settings.base_url}/shared#{share.token}"
    return ShareView(url=url, token=share.token, created_at=share.created_at)
