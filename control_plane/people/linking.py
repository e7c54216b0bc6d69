"""Linking: one person, reached by several identities, is one user.

Whoever is known here asks for a code and enters it where they are not known, or known as somebody else. An identity
that is nobody's is attached; two users are merged by `merge_users` (0004_people.sql), which says who survives and how
the books go over. Merging is one transaction and is tried again when others are in the way. Processes remember for a
few seconds who a credential speaks for (`credentials.CACHE_SECONDS`); they are told at once (`user <id>`), and an
operation that finds nothing or meets the refusal `merged` asks anew, so nobody places an order as a merged user.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection

from control_plane import audit
from control_plane.database import Database, Query
from control_plane.errors import Invalid, LastIdentity, Merged, NotFound, Suspended, TesseraError, Unavailable
from control_plane.people import codes

CODE_LENGTH = 8
CODE_SECONDS = 600.0
MERGE_TRIES = 12
PAUSE_SECONDS_MAX = 0.1
"""Between two tries, at most; drawn anew each time."""

IN_THE_WAY = frozenset({"40001", "40P01", "55P03"})
"""Serialisation failure, deadlock, lock timeout: somebody else was on these rows, nothing was done."""

Connection = AsyncConnection[Any]

log = structlog.get_logger()


class NewCode(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    expires_at: datetime


class Made(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    expires_at: datetime | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    survivor: UUID | None
    gone: UUID | None
    refusal: str | None


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is now; `gone`: the user that became part of this one."""

    user_id: UUID
    gone: UUID | None


class Named(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    subject: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.subject}"


ADD_CODE = Query("linking.add_code", Made)
ONE_AT_A_TIME: Query[None] = Query("linking.one_at_a_time")
TAKE_CODE = Query("linking.take_code", UUID)
MERGE = Query("linking.merge", Outcome)
ATTACH = Query("linking.attach", UUID)
LOCK_USER = Query("linking.lock_user", str)
IDENTITIES = Query("linking.identities", Named)
DETACH: Query[None] = Query("linking.detach")
FREE_NAME: Query[None] = Query("linking.free_name")


async def make_code(database: Database, user_id: UUID) -> NewCode:
    """A new code of this user; the one before ends. Raises `Suspended`, `Merged`, `TooManyTries`."""
    await codes.count_try(database, "link_code", str(user_id))
    code = codes.make(CODE_LENGTH)
    made = await database.one(
        ADD_CODE, {"user_id": user_id, "code_sha256": codes.digest(code), "seconds": CODE_SECONDS}
    )
    if made is None or made.expires_at is None:
        raise refused(made.status if made is not None else "unknown")
    return NewCode(code=code, expires_at=made.expires_at)


async def link(database: Database, code: str, user_id: UUID) -> Linked:
    """The user and the one who made the code become one. Raises `Invalid`, `Suspended`, `Merged`, `TooManyTries`."""
    await codes.count_try(database, "link", str(user_id))

    async def work(connection: Connection) -> Linked:
        owner = await owner_of(connection, code)
        return await merged(connection, owner, user_id, actor=user_id)

    return await patiently(database, work)


async def attach(database: Database, code: str, provider: str, subject: str) -> Linked:
    """An identity that is nobody's becomes one of the user's who made the code. Raises as `link`, and `Merged` when it
    has become somebody's meanwhile."""
    await codes.count_try(database, "link", f"{provider}:{subject}")

    async def work(connection: Connection) -> Linked:
        return await attached(connection, await owner_of(connection, code), provider, subject)

    return await patiently(database, work)


async def attached(connection: Connection, owner: UUID, provider: str, subject: str) -> Linked:
    """In a transaction: the identity is this user's. Raises `Suspended`, `Merged`."""
    status = await LOCK_USER.one(connection, {"user_id": owner})
    if status != "active":
        raise refused(status or "unknown")
    if await ATTACH.one(connection, {"provider": provider, "subject": subject, "user_id": owner}) is None:
        raise Merged("This identity belongs to an account by now. Try again.")
    whose = {"user": str(owner)}
    await audit.record(connection, audit.user(owner), "link", ("identity", f"{provider}:{subject}"), whose)
    log.info("identity.linked", user_id=owner, provider=provider)
    return Linked(user_id=owner, gone=None)


async def merge(database: Database, one: UUID, other: UUID, actor: UUID | None = None) -> Linked:
    """Two users become one; see `merge_users`. `actor`: which of them asked for it; none: the operator."""

    async def work(connection: Connection) -> Linked:
        await ONE_AT_A_TIME.run(connection)
        return await merged(connection, one, other, actor)

    return await patiently(database, work)


async def unlink(database: Database, user_id: UUID, provider: str, subject: str | None = None) -> Named:
    """Takes an identity from its user, but not the last; whoever comes by it later is somebody new.

    `subject` is needed when the user has several of this provider. Raises `NotFound`, `Invalid`, `LastIdentity`,
    `Suspended`, `Merged`.
    """
    async with database.transaction() as connection:
        status = await LOCK_USER.one(connection, {"user_id": user_id})
        if status != "active":
            raise refused(status or "unknown")
        known = await IDENTITIES.many(connection, {"user_id": user_id})
        identity = _chosen(known, provider, subject)
        named = msgspec.structs.asdict(identity)
        await DETACH.run(connection, {**named, "user_id": user_id})
        await FREE_NAME.run(connection, {"identity": str(identity)})
        await audit.record(connection, audit.user(user_id), "unlink", ("identity", identity), {"user": str(user_id)})
    log.info("identity.unlinked", user_id=user_id, provider=provider)
    return identity


def _chosen(known: list[Named], provider: str, subject: str | None) -> Named:
    fitting = [each for each in known if each.provider == provider and subject in (None, each.subject)]
    if not fitting:
        raise NotFound("You have no such identity.")
    if len(fitting) > 1:
        raise Invalid.at("subject", f"You have several identities of {provider}: say which.", code="missing")
    if len(known) == 1:
        raise LastIdentity("This is the last identity of your account. Link another one first.")
    return fitting[0]


async def owner_of(connection: Connection, code: str) -> UUID:
    """In a transaction: whose live code this is; it is used up, should the transaction succeed."""
    await ONE_AT_A_TIME.run(connection)
    owner = await TAKE_CODE.one(connection, {"code_sha256": codes.digest(code)})
    if owner is None:
        raise Invalid.at(
            "/code", "This code is wrong, used, or older than ten minutes. Make a new one.", code="no_such_code"
        )
    return owner


async def merged(connection: Connection, one: UUID, other: UUID, actor: UUID | None) -> Linked:
    """In a transaction, after `ONE_AT_A_TIME`: two users are one."""
    outcome = await MERGE.one(connection, {"one": one, "other": other})
    assert outcome is not None, "a function returns"
    if outcome.refusal is not None or outcome.survivor is None or outcome.gone is None:
        raise refused(outcome.refusal or "unknown")
    who = audit.OPERATOR if actor is None else audit.user(actor)
    await audit.record(connection, who, "merge", ("user", outcome.survivor), {"gone": str(outcome.gone)})
    log.info("user.merged", user_id=outcome.survivor, gone=outcome.gone)
    return Linked(user_id=outcome.survivor, gone=outcome.gone)


def refused(why: str) -> TesseraError:
    """What somebody is told who cannot be linked."""
    match why:
        case "same":
            return Invalid.at(
                "/code", "This code was made by this very account: enter it in the other one.", "own_code"
            )
        case "merged":
            return Merged("This account has become part of another one. Try again.", retry_after=1)
        case "suspended" | "deleted":
            return Suspended("A suspended account is not linked, nor is one that has been deleted. Ask the operator.")
        case _:
            return NotFound("There is no such user.")


async def patiently(database: Database, work: Callable[[Connection], Awaitable[Linked]]) -> Linked:
    """The work in one transaction, tried again when others were in the way. Raises `Unavailable` after the last try."""
    for _ in range(MERGE_TRIES):
        try:
            async with database.transaction() as connection:
                return await work(connection)
        except psycopg.OperationalError as error:
            if error.sqlstate not in IN_THE_WAY:
                raise
            log.info("merge.repeated", sqlstate=error.sqlstate)
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS_MAX))
    raise Unavailable("The accounts are too busy to be linked just now; nothing was changed. Try again.", retry_after=2)
