"""The relay of webhooks: reads the log of events behind a cursor and makes deliveries of what users want to be told.

One statement reads a stretch of the log, writes the deliveries and moves the cursor, so nothing is made twice and
nothing is forgotten, whatever is killed when. Every process runs it; the one that is at it locks the cursor's row, and
the others skip it. Submits, claims and completions know nothing of all this. While nobody has a webhook the log
is not read at all: a process remembers up to where it was settled when it last saw that, which is where it begins once
somebody has one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psycopg
import structlog

from control_plane.database import Database
from control_plane.errors import Unavailable
from control_plane.webhooks import deliveries

BEAT_SECONDS = 0.05
"""While things happen: few at a time, so that what is sent then is no burst that orders wait behind."""
QUIET_SECONDS = 0.25
"""While nothing happens."""
IDLE_SECONDS = 0.5
"""While nobody has a webhook."""
RETRY_SECONDS = 1.0
"""After a failure of the database."""
REST_SECONDS = 60.0
"""How often the cursor follows while nobody has a webhook."""
READ_MAX = 1_000
"""Events read by one statement."""

log = structlog.get_logger()


class Relay:
    """One per process; `wake` is called when there is something to send."""

    def __init__(self, database: Database, wake: Callable[[], None]) -> None:
        self._database = database
        self._wake = wake
        self._idle_xid = 0
        self._timeline = ""
        self._rested_at = float("-inf")

    async def run(self) -> None:
        """For ever; belongs to the task group of the process."""
        while True:
            try:
                wait_seconds = await self.round()
            except (Unavailable, psycopg.Error) as error:
                log.warning("relay.failed", error=type(error.__cause__ or error).__name__)
                wait_seconds = RETRY_SECONDS
            await asyncio.sleep(wait_seconds)

    async def round(self) -> float:
        """One look; seconds until the next."""
        state = await self._database.one(deliveries.WANTED)
        assert state is not None, "it is a select without a table"
        if state.timeline != self._timeline:  # another server has taken over, and counts on from where it was
            self._timeline, self._idle_xid = state.timeline, 0
        if not state.wanted:
            await self._rest(state)
            return IDLE_SECONDS
        relayed = await self._database.one(
            deliveries.RELAY,
            {"idle_xid": str(self._idle_xid), "most": READ_MAX, "reach_seconds": deliveries.REACH_SECONDS},
        )
        assert relayed is not None, "it is a select without a table"
        if relayed.told:
            log.debug("webhooks.relayed", events=relayed.read, deliveries=relayed.told)
            self._wake()
        if relayed.read == READ_MAX:
            return 0.0
        return BEAT_SECONDS if relayed.read else QUIET_SECONDS

    async def _rest(self, state: deliveries.Wanted) -> None:
        """Nobody wanted anything that is settled by now."""
        self._idle_xid = state.xid
        if time.monotonic() - self._rested_at >= REST_SECONDS:
            self._rested_at = time.monotonic()
            place = {"xid": str(state.xid), "timeline": state.timeline}
            await self._database.run(deliveries.REST, {**place, "rest_seconds": REST_SECONDS})
