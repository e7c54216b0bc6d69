"""Newcomers: people who have proved who they are in a browser, and need an invite to stay.

The proof is kept here for ten minutes and never leaves us; the browser gets a cookie that was drawn for this alone, so
what somebody proved in one browser is worth nothing in another. A wrong code leaves the proof where it is, and tries
are counted by identity (`people.invites`), so asking the provider again gives no more of them. A right one makes the
user, begins the session and forgets the proof.
"""

from __future__ import annotations

import secrets

import msgspec
import structlog

from control_plane.database import Database, Query
from control_plane.errors import SignInFailed
from control_plane.people import invites, sessions
from control_plane.people.credentials import sha256
from control_plane.people.sessions import Begun
from control_plane.people.users import Identity
from control_plane.signin.attempts import ProviderId

KEEP_SECONDS = 600.0

log = structlog.get_logger()


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """Who was proved, and the page that they wanted to see."""

    provider: ProviderId
    subject: str
    next: str


ADD: Query[None] = Query("newcomers.add")
FIND = Query("newcomers.find", Newcomer)
REMOVE: Query[None] = Query("newcomers.remove")


async def keep(database: Database, identity: Identity, next: str) -> str:
    """Remembers a proof; returns the secret of the cookie, by which its browser is known."""
    secret = secrets.token_urlsafe(32)
    row = {"browser_sha256": sha256(secret), "provider": identity.provider, "subject": identity.subject, "next": next}
    await database.run(ADD, {**row, "seconds": KEEP_SECONDS})
    log.info("newcomer.kept", provider=identity.provider)
    return secret


async def find(database: Database, secret: str | None) -> Newcomer | None:
    """Who was proved in the browser that shows this; None when nobody was, or too long ago."""
    if not secret:
        return None
    return await database.one(FIND, {"browser_sha256": sha256(secret)})


async def admit(database: Database, secret: str | None, code: str, device: str) -> tuple[Newcomer, Begun]:
    """A session of somebody new, who has what the invite gives. Raises `SignInFailed` when nobody was proved here, and
    what `invites.sign_up` and `sessions.begin` raise; then the proof stays."""
    newcomer = await find(database, secret)
    if newcomer is None or secret is None:
        raise SignInFailed("You showed who you are too long ago, or in another browser. Sign in again, then enter it.")
    identity = Identity(newcomer.provider, newcomer.subject)
    user_id = await invites.sign_up(database, code, identity)
    async with database.transaction() as connection:
        begun = await sessions.begin(connection, user_id, newcomer.provider, device)
        await REMOVE.run(connection, {"browser_sha256": sha256(secret)})
    return newcomer, begun
