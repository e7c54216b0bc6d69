"""Signed, expiring addresses of artifacts.

Whoever holds such an address may fetch that one file until it expires, with no other credential: it names the job,
the index and an absolute instant, and carries an HMAC-SHA256 over the three. The keys are 256 random bits each and
live in `signing_keys`; the first is made at first start, all of them verify, and a new one signs as soon as every
process must have seen it (`SETTLE_SECONDS` after it was made). The files of a stale attempt are out of reach,
because an address does not name an attempt: the job's successful one is looked up when the address is used.

The instant is one of the database's clock, the only wall clock there is: loading the keys also reads it and ties
it to this process's monotonic clock, so a machine whose own clock is wrong still signs and judges rightly.
"""

from __future__ import annotations

import hmac
import math
import secrets
import time
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from control_plane.database import Database, Query
from control_plane.errors import Forbidden

SETTLE_SECONDS = 180.0
"""Age at which a key begins to sign; three times the beat at which every process reads the keys again."""
ROUNDING = 10
"""Expiries are multiples of a tenth of the lifetime, so that an address asked for again is the same and caches hit."""
EXPIRES_MAX = 2**40

What = Literal["artifact", "thumbnail"]
"""What an address opens; one for the small picture does not open the file."""


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    key: bytes
    now: float


KEYS: Query[KeyRow] = Query("artifacts.signing_keys", KeyRow)
LOCK_KEYS: Query[None] = Query("artifacts.lock_signing_keys")
ADD_FIRST_KEY: Query[None] = Query("artifacts.add_first_signing_key")


class SigningKeys:
    """The keys of one process, the signing one first, and the database's clock as of the last `load`."""

    def __init__(self) -> None:
        self._keys: tuple[bytes, ...] = ()
        self._clock_offset = 0.0

    async def load(self, database: Database) -> None:
        """Read the keys and the clock; make the first key when there is none. Runs at start and each minute."""
        rows = await database.many(KEYS, {"settle_seconds": SETTLE_SECONDS})
        if not rows:
            await _add_first(database)
            rows = await database.many(KEYS, {"settle_seconds": SETTLE_SECONDS})
        self.replace([row.key for row in rows], rows[0].now)

    def replace(self, keys: Sequence[bytes], now: float) -> None:
        """These keys, the signing one first, as they were at `now` by the database's clock."""
        self._keys = tuple(keys)
        self._clock_offset = now - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        return time.monotonic() + self._clock_offset

    def digest(self, message: bytes) -> bytes:
        """What proves that a message is ours."""
        return hmac.digest(self._keys[0], message, "sha256")

    def proves(self, message: bytes, digest: bytes) -> bool:
        """Whether this is the beginning of a digest of ours of the message."""
        right = [hmac.compare_digest(hmac.digest(key, message, "sha256")[: len(digest)], digest) for key in self._keys]
        return any(right)

    def sign(self, job_id: UUID, index: int, expires: int, what: What = "artifact") -> str:
        return _signature(self._keys[0], job_id, index, expires, what)

    def verify(self, job_id: UUID, index: int, expires: int, signature: str, what: What = "artifact") -> bool:
        given, asked = signature.encode(errors="replace"), (job_id, index, expires, what)
        right = [hmac.compare_digest(_signature(key, *asked).encode(), given) for key in self._keys]
        return any(right)


def artifact_url(
    keys: SigningKeys,
    public_url: str,
    job_id: UUID,
    index: int,
    lifetime_seconds: float,
    now: float,
    what: What = "artifact",
) -> str:
    """An address of one artifact, or of its small picture alone, good from `now` (`keys.now()`) for `lifetime_seconds`
    or at most a tenth longer.

    `public_url` is `settings.base_url`: absolute, without a slash at its end.
    """
    step = max(1, int(lifetime_seconds) // ROUNDING)
    expires = math.ceil((now + lifetime_seconds) / step) * step
    signature, path = keys.sign(job_id, index, expires, what), "" if what == "artifact" else f"/{what}"
    return f"{public_url}/artifacts/{job_id}/{index}{path}?expires={expires}&signature={signature}"


def check(
    keys: SigningKeys, job_id: UUID, index: int, expires: int, signature: str, now: float, what: What = "artifact"
) -> None:
    """Raises `Forbidden` unless the address was signed by us, as it stands, and has not expired."""
    if not 0 < expires < EXPIRES_MAX or not keys.verify(job_id, index, expires, signature, what):
        raise Forbidden("This address was not made here or has been changed. Ask for the job again to get a new one.")
    if now >= expires:
        raise Forbidden("This address has expired. Ask for the job again to get a new one.")


async def _add_first(database: Database) -> None:
    async with database.transaction() as connection:
        await LOCK_KEYS.run(connection)
        await ADD_FIRST_KEY.run(connection, {"key": secrets.token_bytes(32)})


def _signature(key: bytes, job_id: UUID, index: int, expires: int, what: What) -> str:
    message = f"{what}/{job_id}/{index}/{expires}".encode()
    return hmac.digest(key, message, "sha256").hex()
