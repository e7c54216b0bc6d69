"""The log of events: what has happened to all jobs, as one tail that can be followed without ever missing a thing.

Every statement that changes a job's state writes a row of `job_events` in the same transaction, so the log is also the
outbox. It is read in the order of (xid, seq), and only up to the oldest transaction that still runs: below it nothing
can appear any more, so a position that was passed stays passed (a sequence alone would not do, since numbers are given
out before their transactions commit). A `Position` is all that a reader must keep; it is the same in every process.
Its epoch says which cluster counted the transactions, and on which timeline: after a restore from a dump elsewhere, and
once a standby has taken over, old positions are foreign.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from control_plane.database import Database, Query
from control_plane.states import TERMINAL

LAST = frozenset(f"job.{state}" for state in TERMINAL)
"""How the story of a job ends."""

_TEXT = re.compile(r"([0-9a-f]{8})-([0-9]{1,19})-([0-9]{1,19})\Z")
_NUMBER_MAX = 2**63 - 1


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in the log, behind one event and before the next. Positions of one epoch can be compared."""

    epoch: str
    xid: int
    seq: int

    def __str__(self) -> str:
        """As clients keep it: the id of an event in a stream."""
        return f"{self.epoch}-{self.xid}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """What `str` made; None for anything else."""
        found = _TEXT.match(text)
        if found is None or max(int(found[2]), int(found[3])) > _NUMBER_MAX:
            return None
        return cls(found[1], int(found[2]), int(found[3]))


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log stands: what is settled lies before `position`, what is not comes behind it."""

    epoch: str
    xid: int
    seq: int
    next_xid: int
    """No transaction has got this number yet."""
    now: datetime

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.xid, self.seq)

    def knows(self, position: Position) -> bool:
        """Whether the log can be read on from there. Not from a foreign epoch, nor from what has not happened here, as
        when a backup from before was restored: then begin with a look at the jobs."""
        return position.epoch == self.epoch and position.xid <= self.next_xid

    def resume(self, position: Position) -> Position:
        """Where a reader that must miss nothing goes on: there, or at the beginning of the epoch."""
        return position if self.knows(position) else Position(self.epoch, 0, 0)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a job; committed, and known to be."""

    xid: int
    seq: int
    job_id: UUID
    user_id: UUID
    """Whose job it is by now."""
    name: str
    """`job.submitted`, `job.started`, `job.succeeded`, …"""
    attempt: int
    at: datetime
    settled: bool
    """Nothing can appear before it any more."""

    @property
    def is_last(self) -> bool:
        """Nothing happens to a job after that."""
        return self.name in LAST


class Page(msgspec.Struct, frozen=True, kw_only=True):
    events: list[Event]
    position: Position
    """Behind the last of them."""
    more: bool
    """The page was full: read on at once."""
    unsettled: bool
    """Something is committed already that waits for an older transaction: look again soon."""


BEGIN_EPOCH: Query[None] = Query("events.begin_epoch")
HEAD = Query("events.head", Head)
AFTER = Query("events.after", Event)
OF_JOB = Query("events.of_job", Event)


async def begin(database: Database) -> None:
    """Once in each process, before it changes any job: a restored database begins a new epoch."""
    await database.run(BEGIN_EPOCH)


async def head(connection: AsyncConnection[Any]) -> Head:
    """The end of the log; to read on from here is to hear of everything that is not settled now."""
    found = await HEAD.one(connection)
    assert found is not None
    return found


async def after(connection: AsyncConnection[Any], position: Position, most: int) -> Page:
    """At most so many events behind a position of this epoch, in order. In a transaction that has written something,
    what committed after that comes with a later look."""
    rows = await AFTER.many(connection, {"xid": str(position.xid), "seq": position.seq, "most": most})
    events = [row for row in rows if row.settled]
    return Page(
        events=events,
        position=Position(position.epoch, events[-1].xid, events[-1].seq) if events else position,
        more=len(events) == most,
        unsettled=len(events) < len(rows),
    )


async def of_job(connection: AsyncConnection[Any], job_id: UUID) -> list[Event]:
    """The story of one job so far, as far as it is settled."""
    return [event for event in await OF_JOB.many(connection, {"job_id": job_id}) if event.settled]
