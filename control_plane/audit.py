"""The audit log: who did what to whom, for everything that only an operator or an administrator may do.

    await audit.record(connection, audit.OPERATOR, "suspend", ("user", user_id), {"reason": "spam"})

Give it the connection of the transaction that does the deed, and neither happens without the other. The application's
role can add lines and read them; it can change or remove none. Nothing that a customer typed goes in; a short reason of
the operator's does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from control_plane.database import Database, Query
from control_plane.errors import Invalid

REASON_LENGTH_MAX = 300
"""Characters; also of any other text in a detail."""
PAGE_MAX = 1_000

Object = tuple[str, object]
"""What was acted upon: its kind and its id, such as `("user", user_id)`."""


class Actor(msgspec.Struct, frozen=True):
    """Who acts: the operator at the command line, a user (an administrator, mostly), a worker, a service by its key."""

    kind: Literal["operator", "user", "service", "worker"]
    id: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}" if self.id else self.kind


OPERATOR = Actor("operator")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log."""

    id: int
    actor_kind: str
    actor_id: str | None
    actor_name: str | None
    """Of a user, as it is now."""
    verb: str
    object_kind: str
    object_id: str
    detail: dict[str, Any]
    at: datetime


ADD: Query[None] = Query("audit.add")
PAGE = Query("audit.page", Entry)

_encode = msgspec.json.Encoder().encode


def user(user_id: UUID) -> Actor:
    """An administrator."""
    return Actor("user", str(user_id))


def service(key_id: str) -> Actor:
    """A program that acts for many people, such as a bot."""
    return Actor("service", key_id)


def worker(worker_id: UUID) -> Actor:
    """An agent, for what it does by itself: enrolling."""
    return Actor("worker", str(worker_id))


async def record(
    where: Database | AsyncConnection[Any],
    actor: Actor,
    verb: str,
    object: Object,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Writes one line; on a connection it is part of that transaction.

    `verb` is in the imperative and lower case (`suspend`, `set`, `grant`); `detail` holds ids, numbers and short texts.
    Raises `Invalid` for a text of more than `REASON_LENGTH_MAX` characters.
    """
    kind, identifier = object
    parameters = {
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "verb": verb,
        "object_kind": kind,
        "object_id": str(identifier),
        "detail": _encode(_checked(detail or {})).decode(),
    }
    if isinstance(where, Database):
        await where.run(ADD, parameters)
    else:
        await ADD.run(where, parameters)


def _checked(detail: Mapping[str, object]) -> Mapping[str, object]:
    for name, value in detail.items():
        if isinstance(value, str) and (len(value) > REASON_LENGTH_MAX or "\x00" in value):
            raise Invalid.at(f"/{name}", f"At most {REASON_LENGTH_MAX} characters, and no null character.", "too_long")
    return detail


async def entries(
    database: Database, *, object: Object | None = None, kind: str | None = None, before: int | None = None, limit: int
) -> list[Entry]:
    """The newest lines first: of everything, about all things of a kind, or about one thing."""
    about, identifier = object if object is not None else (kind, None)
    return await database.many(
        PAGE,
        {
            "object_kind": about,
            "object_id": None if identifier is None else str(identifier),
            "before": before,
            "most": min(limit, PAGE_MAX),
        },
    )
