"""Invites: codes of the operator's that let somebody sign up, or that give a plan or tokens.

A code has 80 bits, is stored as SHA-256 and shown once. Entering it is one transaction: a use is taken under the lock
of the invite's row, so its uses are counted exactly; somebody new becomes a user; a better plan is set; tokens are
granted in the ledger. A user takes an invite once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection

from control_plane import audit
from control_plane.database import Database, Query
from control_plane.errors import Internal, Invalid, Merged, NotFound, Suspended
from control_plane.money import ledger
from control_plane.people import codes, signup, users
from control_plane.people.users import Identity

CODE_LENGTH = 16
TOKENS_MAX = 1_000_000
USES_MAX = 1_000_000
DAY_SECONDS = 86_400.0
DAYS_MAX = 36_500
ID_MAX = 2**31 - 1

Connection = AsyncConnection[Any]

log = structlog.get_logger()


class Added(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    expires_at: datetime | None


class NewInvite(msgspec.Struct, frozen=True, kw_only=True):
    """An invite just made; the code is shown only now."""

    id: int
    code: str
    expires_at: datetime | None


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    plan: str | None
    tokens: int
    uses: int
    used: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    live: bool
    """Whether it can be used now."""


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What an invite gives."""

    id: int
    plan: str | None
    tokens: int


ADD = Query("invites.add", Added)
LIST = Query("invites.list", Invite)
REVOKE = Query("invites.revoke", int)
USE = Query("invites.use", Used)
LOCK_USER = Query("invites.lock_user", str)
NOTE_USE = Query("invites.note_use", UUID)
RAISE_PLAN = Query("invites.raise_plan", UUID)


async def create(
    database: Database, *, plan: str | None = None, tokens: int = 0, uses: int = 1, days: float | None = None
) -> NewInvite:
    """Makes an invite that may be used so often, for so many days (None: for ever). Raises `Invalid`."""
    _check(tokens, uses, days)
    code = codes.make(CODE_LENGTH)
    given = {"plan": plan, "tokens": tokens, "uses": uses}
    expires_seconds = None if days is None else days * DAY_SECONDS
    try:
        async with database.transaction() as connection:
            added = await ADD.one(
                connection, {**given, "code_sha256": codes.digest(code), "expires_seconds": expires_seconds}
            )
            assert added is not None, "an insert without a condition returns"
            await audit.record(connection, audit.OPERATOR, "create", ("invite", added.id), given)
    except psycopg.errors.ForeignKeyViolation as error:
        raise Invalid.at("/plan", f"There is no plan {plan!r}.") from error
    return NewInvite(id=added.id, code=code, expires_at=added.expires_at)


def _check(tokens: int, uses: int, days: float | None) -> None:
    if not 0 <= tokens <= TOKENS_MAX:
        raise Invalid.at("/tokens", f"An invite gives 0 to {TOKENS_MAX} tokens.", "out_of_range")
    if not 1 <= uses <= USES_MAX:
        raise Invalid.at("/uses", f"An invite can be used 1 to {USES_MAX} times.", "out_of_range")
    if days is not None and not 0 < days <= DAYS_MAX:
        raise Invalid.at("/days", f"An invite is good for more than 0 and at most {DAYS_MAX} days.", "out_of_range")


async def list_all(database: Database) -> list[Invite]:
    """The invites, the newest first."""
    return await database.many(LIST)


async def revoke(database: Database, invite_id: int) -> None:
    """Ends an invite; who has used it keeps what it gave. Raises `NotFound`."""
    async with database.transaction() as connection:
        if not 0 < invite_id <= ID_MAX or await REVOKE.one(connection, {"id": invite_id}) is None:
            raise NotFound(f"There is no invite {invite_id} that could be revoked. Try: tessera invite list")
        await audit.record(connection, audit.OPERATOR, "revoke", ("invite", invite_id))


async def redeem(database: Database, code: str, user_id: UUID) -> None:
    """Gives a user what the code gives. Raises `Invalid`, `Suspended`, `Merged`, `TooManyTries`."""
    await codes.count_try(database, "invite", str(user_id))
    async with database.transaction() as connection:
        await _take(connection, code, user_id)


async def sign_up(database: Database, code: str, identity: Identity) -> UUID:
    """Makes a user of an identity that is nobody's, with what the code gives; if it is somebody's by now, gives it
    them. Raises as `redeem`, and `Unlinked`."""
    await codes.count_try(database, "invite", str(identity))
    for _ in range(signup.FIRST_SIGHT_TRIES):
        if known := await users.known(database, identity):
            async with database.transaction() as connection:
                await _take(connection, code, known.id)
            return known.id
        async with database.transaction() as connection:
            made = await signup.born(connection, identity)
            if made is None:
                raise psycopg.Rollback
            await _take(connection, code, made.id)
            return made.id
    raise Internal("An identity could not be recorded.")


async def _take(connection: Connection, code: str, user_id: UUID) -> None:
    """One use of the invite, for this user."""
    status = await LOCK_USER.one(connection, {"user_id": user_id})
    if status == "merged":
        raise Merged("This account has become part of another one. Try again.", retry_after=1)
    if status != "active":
        raise Suspended("This account is suspended. Ask the operator.")
    used = await USE.one(connection, {"code_sha256": codes.digest(code)})
    if used is None:
        raise Invalid.at("/code", "This code is wrong, used up, or not good any more.", code="no_such_code")
    if await NOTE_USE.one(connection, {"invite_id": used.id, "user_id": user_id}) is None:
        raise Invalid.at("/code", "You have used this code before.", code="used")
    if used.plan is not None:
        await RAISE_PLAN.one(connection, {"user_id": user_id, "plan": used.plan})
    if used.tokens:
        given = {"user_id": user_id, "amount": used.tokens, "reason": f"invite {used.id}"}
        await ledger.GRANT.one(connection, given)
    log.info("invite.used", invite_id=used.id, user_id=user_id)
