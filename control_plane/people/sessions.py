"""Sessions: a person in a browser, and the links with which an operator lets somebody in.

A session begins when somebody has proved who they are, and its cookie is drawn anew each time; the cookie is stored as
SHA-256 only. It ends after `SESSION_SECONDS`, or after `IDLE_SECONDS` without use, or when it is ended here. What it
may do is found by `credentials.Credentials.session`, which remembers it like a key, so whoever ends one announces it
(`credential <id>`). A login link works once and for `LINK_SECONDS`; looking at its page does not use it up.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import structlog
from psycopg import AsyncConnection

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import Gone, NotFound
from control_plane.people import codes
from control_plane.people.credentials import IDLE_SECONDS, sha256
from control_plane.people.linking import LOCK_USER, owner_of, refused

SESSION_SECONDS = 30 * 86_400.0
SESSIONS_MAX = 20
"""Of one user; the one that was used least lately goes first."""
LINK_SECONDS = 900.0

Way = Literal["code", "discord", "google", "link", "telegram"]
"""How somebody has come in."""


class Added(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    expires_at: datetime


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A session just begun. `secret` is for its cookie: shown once, stored nowhere."""

    id: UUID
    secret: str
    expires_at: datetime


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    way: str
    device: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime


class NewLink(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    expires_at: datetime


ADD = Query("sessions.add", Added)
MAKE_ROOM: Query[None] = Query("sessions.make_room")
LIST = Query("sessions.list", Listed)
END = Query("sessions.end", UUID)
END_ALL = Query("sessions.end_all", UUID)
ADD_LINK = Query("sessions.add_link", datetime)
LOOK_AT_LINK = Query("sessions.look_at_link", str)
TAKE_LINK = Query("sessions.take_link", UUID)

Connection = AsyncConnection[Any]

log = structlog.get_logger()


async def begin(connection: Connection, user_id: UUID, way: Way, device: str) -> Begun:
    """A session of this user, in the transaction in which they proved who they are. Raises `Suspended`, `Merged`."""
    secret = f"tss_{secrets.token_hex(32)}"
    row = {"user_id": user_id, "secret_sha256": sha256(secret), "way": way, "device": device}
    added = await ADD.one(connection, {**row, "seconds": SESSION_SECONDS})
    if added is None:
        raise refused(await LOCK_USER.one(connection, {"user_id": user_id}) or "unknown")
    await MAKE_ROOM.run(connection, {"user_id": user_id, "most": SESSIONS_MAX})
    await audit.record(connection, audit.user(user_id), "sign_in", ("user", user_id), {"way": way})
    log.info("session.begun", user_id=user_id, session_id=added.id, way=way)
    return Begun(id=added.id, secret=secret, expires_at=added.expires_at)


async def listed(database: Database, user_id: UUID) -> list[Listed]:
    """A user's live sessions, the one that was used last first."""
    return await database.many(LIST, {"user_id": user_id, "idle_seconds": IDLE_SECONDS})


async def end(database: Database, user_id: UUID, session_id: UUID) -> None:
    """Ends one of a user's sessions; the caller announces it (`credential <id>`). Raises `NotFound`."""
    async with database.transaction() as connection:
        if await END.one(connection, {"user_id": user_id, "session_id": session_id}) is None:
            raise NotFound("You have no such session.")
        await audit.record(connection, audit.user(user_id), "sign_out", ("session", session_id))
    log.info("session.ended", user_id=user_id, session_id=session_id)


async def end_all(database: Database, user_id: UUID, actor: Actor) -> list[UUID]:
    """Ends every session of a user; the caller announces each (`credential <id>`)."""
    async with database.transaction() as connection:
        ended = await END_ALL.many(connection, {"user_id": user_id})
        await audit.record(connection, actor, "sign_out_everywhere", ("user", user_id), {"sessions": len(ended)})
    log.info("session.all_ended", user_id=user_id, sessions=len(ended))
    return ended


async def begin_by_code(database: Database, code: str, sender: str, device: str) -> Begun:
    """A session of whoever has made this code, which is used up. Raises `Invalid`, `Suspended`, `TooManyTries`."""
    await codes.count_try(database, "login_code", sender)
    async with database.transaction() as connection:
        return await begin(connection, await owner_of(connection, code), "code", device)


# ------------------------------------------------------------------------------------------ login links


async def make_link(database: Database, user_id: UUID, actor: Actor) -> NewLink:
    """A link that signs this user in once; the one before ends. Raises `Suspended`, `Merged`."""
    token = secrets.token_urlsafe(32)
    async with database.transaction() as connection:
        row = {"user_id": user_id, "token_sha256": sha256(token), "seconds": LINK_SECONDS}
        expires_at = await ADD_LINK.one(connection, row)
        if expires_at is None:
            raise refused(await LOCK_USER.one(connection, {"user_id": user_id}) or "unknown")
        await audit.record(connection, actor, "create", ("login_link", user_id))
    return NewLink(token=token, expires_at=expires_at)


async def whose_link(database: Database, token: str, sender: str) -> str | None:
    """The name of whom this link would sign in; None when it is used, too old, or no link. Raises `TooManyTries`."""
    await codes.count_try(database, "login_link", sender)
    return await database.one(LOOK_AT_LINK, {"token_sha256": sha256(token)})


async def follow_link(database: Database, token: str, sender: str, device: str) -> Begun:
    """Uses a link up for a session. Raises `Gone`, `Suspended`, `TooManyTries`."""
    await codes.count_try(database, "login_link", sender)
    async with database.transaction() as connection:
        user_id = await TAKE_LINK.one(connection, {"token_sha256": sha256(token)})
        if user_id is None:
            raise Gone("This link has been used, or is too old. Ask for a new one.")
        return await begin(connection, user_id, "link", device)
