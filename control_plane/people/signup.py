"""Sign-up: whether an identity that a service names for the first time becomes a user.

`TESSERA_SIGNUP` says: `open`, and at most `TESSERA_SIGNUPS_PER_DAY` new users come by each provider and UTC day,
counted exactly, in the transaction that makes the user; `invite`, and a code is needed (`invites.py`), which counts for
no limit, since the operator gave it out; `closed`, and nobody new comes. Open is the default because a service that
turns its first visitor away explains itself to nobody, and because strangers are bounded anyway: by this limit, by the
small allowance of a newcomer, and by what all free users together may take. An identity that was unlinked opens no
account for `UNLINKED_DAYS`: else taking one off and putting it on again would be an allowance of tokens each time.
"""

from __future__ import annotations

from typing import Any, Literal

import psycopg
import structlog
from psycopg import AsyncConnection

from control_plane.database import Database, Query
from control_plane.errors import Internal, InviteNeeded, SignupClosed, SignupLimit, Unlinked
from control_plane.people import users
from control_plane.people.users import ADD_SEEN, Acting, Identity

FIRST_SIGHT_TRIES = 3
"""Two requests may see somebody first at the same moment; the loser looks again."""
UNLINKED_DAYS = 30
DAY_SECONDS = 86_400

Signup = Literal["closed", "invite", "open"]

COUNT = Query("signup.count", int)
REOPENS_IN = Query("signup.reopens_in", float)
UNLINKED_FOR = Query("signup.unlinked_for", float)

log = structlog.get_logger()


async def acting(database: Database, identity: Identity, signup: Signup, per_day: int) -> Acting:
    """The user behind an identity; made, with the default plan, when it is seen for the first time and sign-up is open.

    Raises `SignupClosed`, `InviteNeeded`, `SignupLimit`, `Unlinked`.
    """
    for _ in range(FIRST_SIGHT_TRIES):
        if known := await users.known(database, identity):
            return known
        if signup == "closed":
            raise SignupClosed("Nobody new is taken in here. If you have an account, link this identity to it.")
        if signup == "invite":
            raise InviteNeeded("You need an invite: ask the operator for a code and enter it.")
        if born := await _counted(database, identity, per_day):
            return born
    raise Internal("An identity could not be recorded.")


async def born(connection: AsyncConnection[Any], identity: Identity) -> Acting | None:
    """A new user with this identity; None when another request was faster. Raises `Unlinked`."""
    named = {"provider": identity.provider, "subject": identity.subject}
    wait = await UNLINKED_FOR.one(connection, {**named, "days": UNLINKED_DAYS})
    if wait is not None:
        raise Unlinked(
            f"This identity was taken from its account. Link it to an account, or wait {wait / DAY_SECONDS:.0f} days.",
            retry_after=wait,
        )
    made = await ADD_SEEN.one(connection, {**named, "name": str(identity)})
    if made is not None:
        log.info("user.signed_up", user_id=made.id, provider=identity.provider)
    return made


async def _counted(database: Database, identity: Identity, per_day: int) -> Acting | None:
    """A new user, counted; both or neither."""
    made = None
    async with database.transaction() as connection:
        if await COUNT.one(connection, {"provider": identity.provider, "most": per_day}) is None:
            raise SignupLimit(
                f"Enough new people have come by {identity.provider} today. Try again after midnight UTC.",
                retry_after=await REOPENS_IN.one(connection),
            )
        made = await born(connection, identity)
        if made is None:
            raise psycopg.Rollback
    return made
