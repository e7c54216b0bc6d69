"""Browsers on their way to a provider and back, each known by a state that works once and in that browser only.

The browser has a cookie of its own for this, so a state that somebody else was given is worth nothing in it (RFC 6749,
10.12; RFC 9700, 2.1). The verifier (RFC 7636) and the nonce (OpenID Connect) never leave us before the code comes back.
"""

from __future__ import annotations

import secrets
from typing import Literal
from uuid import UUID

import msgspec

from control_plane.database import Database, Query
from control_plane.errors import SignInFailed
from control_plane.people import codes
from control_plane.people.credentials import sha256

ATTEMPT_SECONDS = 600.0

ProviderId = Literal["discord", "google", "telegram"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What was remembered of a browser that has come back."""

    verifier: str
    nonce: str
    next: str
    """The page that it wanted to see."""
    for_user: UUID | None
    """To whose account the identity is to be added; none: they want to sign in."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    verifier: str
    nonce: str


ADD: Query[None] = Query("signin.add")
TAKE = Query("signin.take", Attempt)


async def begin(
    database: Database, provider: ProviderId, browser: str, sender: str, next: str, for_user: UUID | None
) -> Begun:
    """Remembers a browser that is about to leave. Raises `TooManyTries`."""
    await codes.count_try(database, "sign_in", sender)
    begun = Begun(state=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48), nonce=secrets.token_urlsafe(32))
    row = {"state_sha256": sha256(begun.state), "browser_sha256": sha256(browser), "provider": provider}
    told = {"verifier": begun.verifier, "nonce": begun.nonce, "next": next, "for_user": for_user}
    await database.run(ADD, {**row, **told, "seconds": ATTEMPT_SECONDS})
    return begun


async def take(database: Database, provider: ProviderId, browser: str | None, state: str) -> Attempt:
    """What is known of a browser that says it has come back; a second time nothing. Raises `SignInFailed`."""
    row = {"state_sha256": sha256(state), "browser_sha256": sha256(browser or ""), "provider": provider}
    found = await database.one(TAKE, row)
    if found is None:
        raise SignInFailed(
            "This sign-in was begun in another browser, longer than ten minutes ago, or has been used. Begin anew."
        )
    return found
