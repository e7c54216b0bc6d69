"""Keeping the leases: heartbeats for all of them at once, and the agent's own fence.

Three loops. `keep` sends a heartbeat that the control plane holds open while nothing happens, so a cancelled job,
a lost lease or a drain is heard of at once, and sends the next when it is answered. `tell` sends a short one
*beside* it whenever something changed here: a held request is never abandoned, because a broken connection is how
the control plane recognises a dead agent. `fence` stops work whose last confirmed heartbeat is too old: by then
the control plane may have given the job to somebody else.

What an answer says about a lease applies only to leases that were named in that very request.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog

from agent import clock
from agent.client import NoAnswer, Problem
from agent.duty import Duty
from agent.retry import Verdict, persist, verdict
from agent.work import Work
from control_plane.wire.worker import HOLD_SECONDS_MAX, HeartbeatAnswer, HeartbeatRequest

SPACING_SECONDS = 0.25
"""Least time between two heartbeats of one loop, so that an answer that comes at once cannot make it spin."""
FENCE_CHECK_SECONDS = 1.0
FAREWELL_SECONDS = 1.0

log = structlog.get_logger()


async def keep(duty: Duty) -> None:
    """One heartbeat after the other: held open while there are leases, else at the heartbeat's interval."""
    while True:
        begun = clock.now()
        await _beat(duty, min(duty.intervals.hold, HOLD_SECONDS_MAX) if duty.works() else 0.0)
        if not duty.works():
            await _wait(duty.leased, begun + duty.intervals.heartbeat - clock.now())
        rest = SPACING_SECONDS if duty.intervals.hold else duty.intervals.heartbeat
        await asyncio.sleep(begun + rest - clock.now())


async def tell(duty: Duty) -> None:
    """A short heartbeat when something changed here; for mere progress of a watched job not too often."""
    told_at = 0.0
    while True:
        await duty.stirred.wait()
        await _wait(duty.urgent, told_at + duty.intervals.progress - clock.now())
        duty.urgent.clear()
        duty.stirred.clear()
        told_at = clock.now()
        await _beat(duty, 0.0)


async def fence(duty: Duty) -> None:
    """Stops work that may no longer be ours. Looks every second, because a sleeping machine wakes up late."""
    while True:
        await duty.leased.wait()
        for work in duty.works():
            silent = clock.now() - work.confirmed_at
            if silent > duty.intervals.self_fence and work.ending != "lost":
                log.warning("lease.lost", job_id=str(work.lease.job_id), silent_seconds=round(silent, 1))
                work.stop("lost")
        await asyncio.sleep(min(FENCE_CHECK_SECONDS, duty.intervals.self_fence / 4))


async def farewell(duty: Duty) -> None:
    """The last heartbeat of an agent that ends: its slots take no more work. Nothing depends on its arrival."""
    with suppress(Problem, NoAnswer, TimeoutError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await _heartbeat(duty, 0.0)


async def _beat(duty: Duty, hold: float) -> None:
    try:
        works, sent_at, answer = await persist(lambda: _heartbeat(duty, hold), "heartbeat")
    except Problem as problem:
        if verdict(problem) is Verdict.FATAL:
            raise
        log.error("heartbeat.rejected", problem=str(problem))
        await asyncio.sleep(duty.intervals.heartbeat)
        return
    _apply(duty, works, sent_at, answer)


async def _heartbeat(duty: Duty, hold: float) -> tuple[list[Work], float, HeartbeatAnswer]:
    """Sends the state of this very moment, also when it is a second try."""
    works, sent_at = duty.works(), clock.now()
    request = HeartbeatRequest(
        leases=[work.report() for work in works],
        slots=[slot.report() for slot in duty.slots],
        hold=hold if works else 0.0,
        draining=not duty.accepting,
    )
    duty.metrics.heartbeats += 1
    proofs = [slot.distrust for slot in duty.slots if slot.distrust.is_proven]
    answer = await duty.client.heartbeat(request)
    for proof in proofs:
        proof.told()
    return works, sent_at, answer


def _apply(duty: Duty, works: list[Work], sent_at: float, answer: HeartbeatAnswer) -> None:
    duty.answered_at = clock.now()
    duty.intervals = answer.intervals
    duty.watched = frozenset(answer.watched)
    if answer.workflows and answer.workflows != duty.revision:
        duty.news.set()
    named: dict[UUID, Work] = {work.lease.job_id: work for work in works}
    for renewal in answer.renewed:
        work = named.get(renewal.job_id)
        if work is not None and work.lease.attempt == renewal.attempt:
            work.confirmed_at = max(work.confirmed_at, sent_at)
    for job_id in answer.cancel:
        if job_id in named:
            named[job_id].stop("canceled")
    for job_id in answer.revoke:
        if job_id in named and named[job_id].stage != "reporting":
            named[job_id].stop("lost")
    if answer.drain and not duty.paused:
        duty.drain("operator")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return
