"""The loop of the watch: takes the turn, looks, decides, tells, pings. One per process, and one of them at a time."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import psycopg
import structlog

from control_plane import metrics
from control_plane.database import Database
from control_plane.errors import TesseraError
from control_plane.settings import Settings
from control_plane.store.disk import Disk
from control_plane.watch import book, bots, certificate, channels, words
from control_plane.watch.channels import Channel
from control_plane.watch.decision import decide
from control_plane.watch.facts import HOUSE, LINE_MAX, LINES, Certificate, Facts, Overdue, Room
from control_plane.watch.posting import NotTold, call
from control_plane.watch.promises import Promises
from control_plane.watch.telling import tell
from control_plane.watch.troubles import blind, troubles
from control_plane.workers.slots import LIVE_SECONDS

BEAT_SECONDS = 5.0
"""How often a process asks for the turn."""
PAUSE_SECONDS = 25.0
"""From one look to the next, whoever makes it."""
LOOK_SECONDS = 20.0
TELL_SECONDS = 25.0
"""For all that one channel is told at a look."""
LEASE_SECONDS = 90.0
"""A turn whose process has died ends then; longer than a look with everything."""
CERTIFICATE_SECONDS = 3_600.0
PING_SECONDS = 60.0
TOLD_MAX = 20
"""Incidents that one channel is told at a look."""

log = structlog.get_logger()


class Watcher:
    """Raises `ConfigurationError` when TESSERA_NOTIFY cannot be used."""

    def __init__(self, database: Database, settings: Settings, disk: Disk) -> None:
        self._database = database
        self._settings = settings
        self._disk = disk
        self._channels = channels.parse(settings.notify)
        self._promises = Promises()
        self._certificate: Certificate | None = None
        self._certificate_due = 0.0
        self._ping_due = 0.0

    async def run(self) -> None:
        """For ever; belongs to the task group of the process."""
        while True:
            try:
                await self.turn()
            except (TesseraError, psycopg.Error, OSError) as error:  # a TimeoutError is an OSError
                log.warning("watch.failed", error=type(error.__cause__ or error).__name__)
            await asyncio.sleep(BEAT_SECONDS)

    async def turn(self) -> bool:
        """One look, if nobody else has the turn."""
        now = await self._database.one(book.TAKE_TURN, {"lease_seconds": LEASE_SECONDS})
        if now is None:
            return False
        await self._look(now)
        async with asyncio.TaskGroup() as tasks:
            for channel in self._channels:
                tasks.create_task(self._tell(channel, now))
            tasks.create_task(self._ping())
        await self._database.run(book.END_TURN, {"pause_seconds": PAUSE_SECONDS})
        return True

    async def _look(self, now: datetime) -> None:
        facts = await self.facts()
        decision = decide(await book.known(self._database), troubles(facts), blind(facts), now)
        await book.write(self._database, decision)
        for incident in decision.changed:
            if incident.edition_at == now and incident.edition:
                event = "incident.closed" if incident.closed_at else "incident.changed"
                log.warning(event, kind=incident.kind, subject=incident.subject, edition=incident.edition)

    async def facts(self) -> Facts:
        """Everything that can be looked at; what takes too long is left out."""
        house = await self._database.one(HOUSE)
        assert house is not None, "it always has a row"
        lines = await self._database.many(LINES, {"most": LINE_MAX, "live_seconds": LIVE_SECONDS})
        overdue: list[Overdue] | None = None
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                overdue = await self._promises.look(self._database, lines, house.now, LIVE_SECONDS)
        except (TimeoutError, psycopg.Error):
            log.warning("watch.blind", kind="job_overdue")
        return Facts(
            house=house,
            lines=lines,
            overdue=overdue,
            room=self._room(),
            bots=await bots.look(bots.address(self._settings)),
            certificate=await self._looked_certificate(house.now),
        )

    def _room(self) -> Room:
        disk = self._disk
        return Room(free_bytes=disk.free_bytes(), bytes=disk.bytes(), reserve_bytes=disk.reserve_bytes)

    async def _looked_certificate(self, now: datetime) -> Certificate | None:
        """Once an hour, and at every look while it is bad."""
        found = self._certificate
        if time.monotonic() >= self._certificate_due or (found is not None and found.days is None):
            self._certificate = found = await certificate.look(self._settings, now)
            if found is not None:
                metrics.certificate_ends.labels(found.host).set(certificate.ends(found, now))
            self._certificate_due = time.monotonic() + CERTIFICATE_SECONDS
        return self._certificate

    async def _tell(self, channel: Channel, now: datetime) -> None:
        """What this channel has not heard; what it does not take now, it is told at the next look."""
        place = self._settings.base_url
        try:
            async with asyncio.timeout(TELL_SECONDS):
                untold = await self._database.many(
                    book.UNTOLD, {"channel": channel.name, "reach_seconds": book.REACH_SECONDS}
                )
                for row in untold[:TOLD_MAX]:
                    handle = await tell(channel, words.message(row, row.told, place, now), row.handle)
                    written = {"incident_id": row.id, "handle": handle, "edition": row.edition}
                    await self._database.run(book.TOLD, written | {"channel": channel.name})
                    log.info("incident.told", incident_id=row.id, channel=channel.name)
        except (NotTold, TimeoutError, TesseraError, psycopg.Error) as error:
            why = str(error) if isinstance(error, NotTold) else type(error).__name__
            log.warning("incident.untold", channel=channel.name, error=why)

    async def _ping(self) -> None:
        """Somebody outside waits for this, and raises alarm when it does not come."""
        url = self._settings.deadman_url
        if url is None or time.monotonic() < self._ping_due:
            return
        try:
            await call("GET", url, b"", {})
        except NotTold as error:
            log.warning("deadman.failed", error=str(error))
        else:
            self._ping_due = time.monotonic() + PING_SECONDS - PAUSE_SECONDS
