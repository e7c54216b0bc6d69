"""Departures: somebody leaves, and what is known of them goes.

`depart` is one transaction: from its commit on nobody is recognised as that person by any identity, key or session,
nothing of theirs is shown, and nothing can be ordered. Jobs in hand are canceled and settled as ever, so the books stay
right. What jobs hold goes when they are over (`proceed`): at once if nothing runs, else by the sweep of any process;
a legal hold or an open report keeps the job that it is about, and nothing else, until it ends. What stays is amounts
and dates under an id that says nothing, and for 30 days a digest of the identities, which keeps leaving and coming back
from being an allowance of tokens each time. Backups hold the person until they are rotated out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from control_plane import audit
from control_plane.audit import Actor
from control_plane.care import retention
from control_plane.conduct import suspension
from control_plane.database import Database, Query
from control_plane.errors import Forbidden, Invalid, Merged, NotFound
from control_plane.files import discards
from control_plane.people import users
from control_plane.store import Store
from control_plane.wire.user import UserView

BATCH = 50
"""Departures looked after by one sweep."""


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    finished: bool
    keys: list[str]


DEPART = Query("care.depart", str)
HOUSEHOLD = Query("care.household", UUID)
TOMORROW = Query("care.tomorrow", datetime)
OPEN = Query("care.departures", UUID)
FINISH = Query("care.finish_departure", Finish)

log = structlog.get_logger()


async def check(database: Database, user_id: UUID, typed: str) -> UserView:
    """That a person who is about to leave means it: they typed the name of the account. An operator leaves by the
    command line only, or nobody might be left who can let others in. Raises `Invalid`, `Forbidden`."""
    user = await users.view(database, user_id)
    if typed.strip() != user.name:
        raise Invalid.at("/name", f"Type the name of your account to delete it: {user.name}", code="other_name")
    if await users.is_operator(database, user_id):
        raise Forbidden("This account has a key of an operator. Delete it with `tessera user delete`.")
    return user


async def depart(database: Database, user_id: UUID, actor: Actor) -> list[UUID]:
    """Takes from somebody everything by which they were known; who they were, test users too, to be announced
    (`user <id>`). Then `stop` what is in hand and `proceed`. Idempotent. Raises `NotFound`, `Merged`."""
    async with database.transaction() as connection:
        refusal = await DEPART.one(connection, {"user_id": user_id})
        if refusal == "merged":
            raise Merged("This account has become part of another one. Try again.", retry_after=1)
        if refusal not in (None, "deleted"):
            raise NotFound("There is no such user.")
        if refusal is None:
            await audit.record(connection, actor, "delete", ("user", user_id))
            log.info("user.departed", user_id=user_id)
        return await HOUSEHOLD.many(connection, {"user_id": user_id})


async def stop(database: Database, household: list[UUID], nudge: Callable[[UUID], None] = lambda _: None) -> None:
    """Cancels what they have in hand; `nudge` is told of each worker that runs some of it."""
    for user_id in household:
        async for stopped in suspension.stop(database, user_id):
            if stopped.worker_id is not None:
                nudge(stopped.worker_id)


async def proceed(database: Database, store: Store, user_id: UUID) -> bool:
    """Erases what need not be kept of somebody who has left; whether nothing is left.

    Raises `Unavailable`, `OSError`."""
    household = await database.many(HOUSEHOLD, {"user_id": user_id})
    await stop(database, household)
    before = await database.one(TOMORROW)
    assert before is not None, "there is one"
    for each in household:
        await retention.walk(database, store, each, before)
    await retention.withheld(database, store)
    found = await database.one(FINISH, {"user_id": user_id})
    assert found is not None, "a function returns"
    await discards.carry_out(database, store, found.keys)
    if found.finished:
        log.info("user.erased", user_id=user_id)
    return found.finished


async def sweep(database: Database, store: Store) -> int:
    """Goes on with everybody who has left and still has something here; how many of them have nothing any more."""
    return sum([await proceed(database, store, each) for each in await database.many(OPEN, {"most": BATCH})])
