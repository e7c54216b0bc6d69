"""Idempotency-Key: an order that is repeated is placed once, and answered as it was the first time.

The key is written by the statement that admits the order (`admission`), so it exists exactly when the job does: a
refusal leaves none, and a crash cannot come between. A first answer is told again from what was ordered; only the
wait that it foretold is kept beside the key, a moment later and many at a time. While an order is on its way, a
repetition in the same process waits for it a little and is then told to come again; elsewhere it waits for the lock.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
import psycopg
import structlog

from control_plane.database import Database, Query
from control_plane.errors import IdempotencyInFlight, Unavailable
from control_plane.wire.job import Waiting

IN_FLIGHT_SECONDS = 1.0
"""How long a repetition waits for the order that it repeats."""
KEEP_SECONDS = 0.1
"""How long first answers gather before they are written down."""

KEEP: Query[None] = Query("idempotency.keep")
KEPT = Query("idempotency.kept", str)

log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Waiting).decode


class Key(msgspec.Struct, frozen=True):
    """An Idempotency-Key, and what it is bound to."""

    name: str
    sha256: bytes
    """Of what was sent, whatever was made of it: a default or the job that is repeated may have changed since."""

    @classmethod
    def bound(cls, name: str, *sent: object) -> Key:
        return cls(name, hashlib.sha256(b"".join(map(_encode, sent))).digest())


Owned = tuple[UUID, str]
"""A user and what they call their order."""


class Repetitions:
    """One per process; `run` belongs to its task group."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._flying: dict[Owned, asyncio.Event] = {}
        self._unwritten: dict[Owned, str] = {}
        self._filled = asyncio.Event()

    @asynccontextmanager
    async def alone(self, user_id: UUID, key: Key | None) -> AsyncIterator[None]:
        """No other order with this key is on its way here meanwhile. Raises `IdempotencyInFlight`."""
        if key is None:
            yield
            return
        owned = (user_id, key.name)
        await self._landed(owned)
        self._flying[owned] = landed = asyncio.Event()
        try:
            yield
        finally:
            del self._flying[owned]
            landed.set()

    async def _landed(self, owned: Owned) -> None:
        try:
            async with asyncio.timeout(IN_FLIGHT_SECONDS):
                while owned in self._flying:
                    await self._flying[owned].wait()
        except TimeoutError:
            sentence = "The order with this Idempotency-Key is still on its way. Repeat it in a moment."
            raise IdempotencyInFlight(sentence, retry_after=IN_FLIGHT_SECONDS) from None

    def keep(self, user_id: UUID, key: Key, waiting: Waiting) -> None:
        """What the first answer says of the wait, for its repetitions."""
        self._unwritten[user_id, key.name] = _encode(waiting).decode()
        self._filled.set()

    async def kept(self, user_id: UUID, key: Key) -> Waiting | None:
        """What it said; None when that was lost, as when the process was killed in that moment."""
        told = self._unwritten.get((user_id, key.name))
        if told is None:
            told = await self._database.one(KEPT, {"user_id": user_id, "key": key.name})
        return _decode(told) if told is not None else None

    async def run(self) -> None:
        """For ever: writes first answers down."""
        while True:
            await self._filled.wait()
            await asyncio.sleep(KEEP_SECONDS)
            await self.write()

    async def write(self) -> None:
        """What cannot be written now is let go: a repetition is then told the wait of that moment."""
        self._filled.clear()
        answers = dict(self._unwritten)
        if not answers:
            return
        users, keys = zip(*answers, strict=True)
        row = {"user_id": list(users), "key": list(keys), "waiting": list(answers.values())}
        try:
            await self._database.run(KEEP, row)
        except (Unavailable, psycopg.Error) as error:
            log.warning("idempotency.not_kept", answers=len(answers), error=type(error.__cause__ or error).__name__)
        for owned in answers:
            del self._unwritten[owned]
