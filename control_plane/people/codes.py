"""Codes that people type: short, easy to read out, and hard to come by through guessing.

The alphabet is Crockford's base32, which has no I, L, O or U; what somebody types instead is understood. A code is
stored as SHA-256 and shown once. Where one can be guessed, tries are counted in the database, so all processes count
together: per guesser and for everybody, in periods of `PERIOD_SECONDS` that begin at full ten minutes (around such a
border somebody may try twice as often). Every try counts, also one that succeeds.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

import msgspec

from control_plane.database import Database, Query
from control_plane.errors import TooManyTries

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUP_LENGTH = 4
"""Characters between hyphens, when a code is shown."""
PERIOD_SECONDS = 600.0

_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})

Kind = Literal["link_code", "link", "invite", "login_code", "login_link", "sign_in"]

LIMITS: dict[Kind, tuple[int, int]] = {
    "link_code": (10, 10_000),
    "link": (5, 1_000),
    "invite": (10, 10_000),
    "login_code": (10, 1_000),
    "login_link": (60, 50_000),
    "sign_in": (60, 50_000),
}
"""Tries in a period, of one guesser and of everybody. A thousand tries at a hundred live codes of 40 bits find one in
eleven million periods; an invite has 80 bits. What the last two try has 256, and is counted for the work that it makes.
Whoever signs in is known by their address only."""


class Guessed(msgspec.Struct, frozen=True, kw_only=True):
    allowed: bool
    wait_seconds: float


GUESS = Query("codes.guess", Guessed)


def make(length: int) -> str:
    """A new code of so many characters (5 bits each), as it is shown: `K7QM-2XWD`."""
    drawn = "".join(secrets.choice(ALPHABET) for _ in range(length))
    return "-".join(drawn[start : start + GROUP_LENGTH] for start in range(0, length, GROUP_LENGTH))


def digest(typed: str) -> bytes:
    """What is stored of a code, however somebody typed it: without hyphens, in any case, with look-alikes."""
    return hashlib.sha256(typed.upper().translate(_LOOKALIKES).encode()).digest()


async def count_try(database: Database, kind: Kind, guesser: str) -> None:
    """Counts one try. Raises `TooManyTries`."""
    most, most_of_all = LIMITS[kind]
    guessed = await database.one(
        GUESS,
        {
            "kind": kind,
            "guesser": guesser,
            "period_seconds": PERIOD_SECONDS,
            "most": most,
            "most_of_all": most_of_all,
        },
    )
    if guessed is not None and not guessed.allowed:
        raise TooManyTries(
            "Too many codes have been tried or made. Wait, then try again.", retry_after=guessed.wait_seconds
        )
