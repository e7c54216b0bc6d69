"""What the agent is at right now: its slots and leases, the control plane's intervals, and whether it takes work.

Everything here is plain state that the loops share; each change wakes those who care. An agent that `leaving` has
begun takes no more work and ends when the last report is acknowledged; a `paused` one takes none for the time being,
and so does a slot whose GPU somebody else uses.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import structlog

from agent import clock
from agent.client import Client
from agent.inputs import Inputs
from agent.journal import Journal, outputs, work_name
from agent.metrics import Metrics
from agent.pauses import Pauses
from agent.settings import Settings
from agent.slot import Slot
from agent.transfer import Uploads
from agent.work import Work
from control_plane.wire import PROTOCOL_VERSION
from control_plane.wire.worker import ClaimRequest, Enrolled, Intervals, Lease

GIB = 1024**3

DrainReason = Literal["signal", "owner", "operator"]

log = structlog.get_logger()


class Duty:
    def __init__(self, client: Client, settings: Settings, slots: list[Slot], metrics: Metrics) -> None:
        self.client = client
        self.uploads = Uploads(client)
        self.settings = settings
        self.slots = slots
        self.metrics = metrics
        self.inputs = Inputs(settings.inputs_folder, int(settings.inputs_gib_max * GIB))
        self.journal = Journal(settings.leases_folder)
        self.intervals = Intervals()
        self.enrolled: Enrolled | None = None
        self.pauses = Pauses(settings)
        self.leaving = False
        self.hurried = False
        """Leases are given back instead of finished."""
        self.messages: list[str] = []
        """From the operator to the owner of this machine."""
        self.answered_at: float | None = None
        """When the control plane last answered a heartbeat."""
        self.urgent = asyncio.Event()
        """The control plane must hear of a change now."""
        self.stirred = asyncio.Event()
        """Urgent or not, there is something to tell."""
        self.leased = asyncio.Event()
        """There is at least one lease to keep."""
        self.watched: frozenset[UUID] = frozenset()
        self.revision = ""
        """Of the workflows that the engines know."""
        self.news = asyncio.Event()
        """The control plane has others in force."""

    @property
    def paused(self) -> bool:
        return self.pauses.current is not None

    @property
    def accepting(self) -> bool:
        """Some slot takes work."""
        return any(self.takes(slot) for slot in self.slots)

    def takes(self, slot: Slot) -> bool:
        return not (self.paused or self.leaving or slot.yielded)

    def works(self) -> list[Work]:
        return [work for slot in self.slots for work in slot.works]

    def holds(self, lease: Lease) -> bool:
        return any(work.lease.token == lease.token for work in self.works())

    def take(self, slot: Slot, lease: Lease) -> Work:
        """A lease has arrived; unless it is still wanted, its work ends before it has begun."""
        self.journal.take(lease)
        return self._begin(slot, Work(lease, self.settings.work_folder / work_name(lease)))

    def inherit(self) -> Iterator[tuple[Slot, Work]]:
        """What a killed agent of this credential had in hand."""
        for entry in self.journal.entries():
            folder = self.settings.work_folder / work_name(entry.lease)
            found = outputs(entry, folder)
            if entry.lease.slot >= len(self.slots):
                self.journal.drop(entry.lease)
                continue
            if not found:
                shutil.rmtree(folder, ignore_errors=True)
            slot = self.slots[entry.lease.slot]
            yield slot, self._begin(slot, Work(entry.lease, folder, found))

    def _begin(self, slot: Slot, work: Work) -> Work:
        lease = work.lease
        slot.add(work)
        if not self.takes(slot):
            work.stop("shutdown" if self.hurried else "drain")
        self.leased.set()
        self.tell()
        log.info("lease.taken", job_id=str(lease.job_id), attempt=lease.attempt, slot=slot.number)
        return work

    def drop(self, slot: Slot, work: Work) -> None:
        slot.drop(work)
        self.journal.drop(work.lease)
        work.tidy()
        if not self.works():
            self.leased.clear()

    def tell(self) -> None:
        """Have a heartbeat sent now."""
        self.urgent.set()
        self.stirred.set()

    def progressed(self, work: Work) -> None:
        if work.lease.job_id in self.watched:
            self.stirred.set()

    def new_claim(self, slot: Slot, wait: float) -> ClaimRequest:
        self.metrics.claims += 1
        return slot.claim(uuid4(), PROTOCOL_VERSION, wait)

    def next_claim(self, slot: Slot, completed: Work) -> ClaimRequest | None:
        """A claim to send along with the report of `completed`, if a place becomes free that way."""
        wanted = self.takes(slot) and slot.ready and slot.ask_in(self.intervals.prefetch, completed) == 0.0
        return self.new_claim(slot, 0.0) if wanted else None

    def drain(self, why: DrainReason) -> None:
        """Finish what runs, give back what has not started, claim no more, then end."""
        if not self.leaving:
            self.leaving = True
            log.info("agent.draining", reason=why, leases=len(self.works()))
            self._turn_away()

    def pause(self, until: datetime | None = None, lasts: timedelta | None = None) -> None:
        """Finish what runs, give back what has not started, claim no more until then or until resumed."""
        self.pauses.pause(until, lasts)
        self._pause_changed()

    def resume(self) -> None:
        """Ends a pause, and the quiet hours that are going on."""
        if self.paused:
            self.pauses.resume()
            self._pause_changed()

    def look_at_the_clock(self) -> None:
        """A pause may be over, or quiet hours may begin or end."""
        if self.pauses.look():
            self._pause_changed()

    def yield_slot(self, slot: Slot) -> None:
        """Somebody else uses its GPU: claim no more for it, give back what has not started, and now also what runs."""
        slot.yielded = True
        now = self.settings.yield_gpu == "now"
        log.info("slot.yielded", slot=slot.number, leases=len(slot.works))
        for work in slot.works:
            if work.stage == "waiting" or (now and work.stage == "running"):
                work.stop("yield")
        self._changed()

    def take_slot_back(self, slot: Slot) -> None:
        slot.yielded = False
        log.info("slot.taken_back", slot=slot.number)
        self._changed()

    def hurry(self) -> None:
        """Give every lease back now and end."""
        self.leaving = self.hurried = True
        log.info("agent.leaving", leases=len(self.works()))
        for work in self.works():
            work.stop("shutdown")
        self._changed()

    def silent_seconds(self) -> float | None:
        return None if self.answered_at is None else clock.now() - self.answered_at

    def _pause_changed(self) -> None:
        pause = self.pauses.current
        if pause is None:
            log.info("agent.resumed")
            self._changed()
            return
        until = pause.until and pause.until.isoformat()
        log.info("agent.paused", reason=pause.reason, until=until, leases=len(self.works()))
        self._turn_away()

    def _turn_away(self) -> None:
        for work in self.works():
            if work.stage == "waiting":
                work.stop("drain")
        self._changed()

    def _changed(self) -> None:
        self.tell()
        for slot in self.slots:
            if slot.asking is not None and not self.takes(slot):
                slot.asking.interrupt()
            slot.changed.set()
