"""Agents that wait for work in this process, and who of them is woken.

A claim enters before it looks, so that a job submitted while it looks wakes it too. A wake-up that does not lead to
a lease in its lane, because the claim got other work, may not work or went away, is passed on. Idle slots are woken
before slots that ask ahead, and among them those that have the lane's model loaded, then those that have waited
longest. A newer poll for a slot ends the older one; the slots of a worker wait side by side.

Instead of being woken, one that rests may be handed what a look on its behalf has found. It rests on meanwhile, and
does not leave before it knows the outcome.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence, Set
from uuid import UUID

from control_plane.queue.statements import ClaimRow, Place


class Waiter:
    """One claim that may wait."""

    def __init__(self, worker_id: UUID, places: Sequence[Place], *, idle: bool) -> None:
        self.worker_id = worker_id
        self.slots = frozenset(place.slot for place in places)
        self.lane_ids = frozenset(lane_id for place in places for lane_id in place.lane_ids)
        self.loaded = frozenset(place.loaded_lane_id for place in places)
        self.idle = idle
        self.able = True
        """Whether any of its slots may work; one that may not (quarantined, full) is not worth waking."""
        self.closed = False
        self.woken_for: list[int] = []
        """Lanes for whose jobs this claim was woken and has not looked yet."""
        self.woken_at = 0.0
        """When the first of these wake-ups came."""
        self.place = places[0] if len(places) == 1 else None
        """The only one, if it is."""
        self._event = asyncio.Event()
        self._resting = False
        self._handing: asyncio.Future[ClaimRow | None] | None = None

    @property
    def free(self) -> bool:
        return self.able and not self.closed and not self.woken_for

    @property
    def rests(self) -> bool:
        """Waits for nothing but news, of which there are none."""
        return self._resting and self._handing is None and not self._event.is_set()

    def wake(self, lane_id: int) -> None:
        if not self.woken_for:
            self.woken_at = time.monotonic()
        self.woken_for.append(lane_id)
        self._event.set()

    def nudge(self) -> None:
        self._event.set()

    def close(self) -> None:
        self.closed = True
        self._event.set()

    def take(self) -> list[int]:
        """The wake-ups that the next look answers."""
        woken, self.woken_for = self.woken_for, []
        self._event.clear()
        return woken

    def begin_handing(self) -> None:
        """Somebody looks on behalf of this claim, which rests, and will `hand` it what was found."""
        self._handing = asyncio.get_running_loop().create_future()

    def hand(self, found: ClaimRow | None) -> None:
        """The outcome of `begin_handing`."""
        assert self._handing is not None
        if not self._handing.done():  # by a claim that was cancelled
            self._handing.set_result(found)
        if found is not None:
            self._event.set()
        elif self._resting:
            self._handing = None

    async def wait(self, seconds: float, gone: asyncio.Event) -> ClaimRow | None:
        """Until woken, nudged, closed or handed something, or `seconds` have passed, or the client has gone."""
        self._resting = True
        try:
            await until_news(self._event, gone, seconds)
        finally:
            self._resting = False
        if self._handing is None:
            return None
        handed, self._handing = await self._handing, None
        return handed


class Waiters:
    """All claims that wait in this process, in the order of their arrival."""

    def __init__(self) -> None:
        self._by_worker: dict[UUID, dict[Waiter, None]] = {}
        self._by_lane: dict[int, dict[Waiter, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_worker.values()))

    def all(self) -> list[Waiter]:
        return [waiter for mine in self._by_worker.values() for waiter in mine]

    def supersede(self, worker_id: UUID, slots: Set[int]) -> None:
        """A newer claim for a slot ends the older one."""
        for older in self._by_worker.get(worker_id, ()):
            if older.slots & slots:
                older.close()

    def enter(self, waiter: Waiter) -> None:
        self.supersede(waiter.worker_id, waiter.slots)
        self._by_worker.setdefault(waiter.worker_id, {})[waiter] = None
        for lane_id in waiter.lane_ids:
            self._by_lane.setdefault(lane_id, {})[waiter] = None

    def leave(self, waiter: Waiter) -> list[int]:
        """Forget a claim; returns the wake-ups that it did not answer."""
        mine = self._by_worker[waiter.worker_id]
        del mine[waiter]
        if not mine:
            del self._by_worker[waiter.worker_id]
        for lane_id in waiter.lane_ids:
            self._by_lane[lane_id].pop(waiter, None)
        return waiter.take()

    def nudge(self, worker_id: UUID) -> None:
        """Let this worker's claims look again."""
        for waiter in self._by_worker.get(worker_id, ()):
            waiter.nudge()

    def renew(self, lane_ids: Iterable[int]) -> None:
        """End the claims for these lanes: the next ones of their slots are for the lanes that there are now."""
        for lane_id in lane_ids:
            for waiter in self._by_lane.get(lane_id, ()):
                waiter.close()

    def serving(self, lane_id: int) -> bool:
        return any(waiter.free for waiter in self._by_lane.get(lane_id, ()))

    def wake(self, lane_id: int, jobs: int) -> int:
        """Wake as many waiting claims as there are jobs in the lane; returns how many."""
        woken = 0
        while woken < jobs and (waiter := self._next(lane_id)):
            waiter.wake(lane_id)
            woken += 1
        return woken

    def resting(self, lane_id: int) -> Waiter | None:
        """Who would be woken for a job of this lane, if it may be handed one instead."""
        best = self._next(lane_id)
        return best if best is not None and best.rests and best.place is not None else None

    def _next(self, lane_id: int) -> Waiter | None:
        """The best waiter for a job of this lane: idle before asking ahead, loaded before not, first come."""
        best: Waiter | None = None
        for waiter in self._by_lane.get(lane_id, ()):
            if waiter.free:
                if waiter.idle and lane_id in waiter.loaded:
                    return waiter
                if best is None or (waiter.idle and not best.idle):
                    best = waiter
        return best

    def close(self) -> None:
        for waiter in self.all():
            waiter.close()


async def until_news(news: asyncio.Event, gone: asyncio.Event, seconds: float) -> None:
    """Wait until there is news or the client has gone (which is news too), for at most so long.

    News are waited for by the caller itself and not by a task on its behalf: they are what a job waits for.
    """
    if news.is_set() or gone.is_set():
        return
    left = asyncio.ensure_future(gone.wait())
    left.add_done_callback(lambda ended: None if ended.cancelled() else news.set())
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        pass
    finally:
        left.cancel()
