"""Asking for work: one loop per slot, which has a claim in flight whenever the slot has a place for a lease.

A claim has an id that is repeated until it is answered, so a lost answer loses no lease. When the agent begins to
drain while a claim is held open, the claim is asked once more with the same id and without waiting: the control
plane then says for certain what it had decided, and leases that are no longer wanted are given back at once.
Each lease becomes a task of its own in `labour`, which ends when its report is acknowledged.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from agent import attempt, clock
from agent.capabilities import machine
from agent.client import NoAnswer, Problem
from agent.duty import Duty
from agent.engine import EngineError
from agent.interrupt import Interrupted
from agent.retry import Verdict, pause, persist, verdict
from agent.slot import Slot
from agent.work import Work
from control_plane.wire.worker import Claimed, ClaimRequest

QUICK_SECONDS = 1.0
"""An empty answer that comes faster than this was not held: the next claim is put off a little."""
LAST_ASK_SECONDS = 5.0
"""For the question what became of a claim that is no longer wanted; an unacknowledged lease goes back by itself."""
RECHECK_SECONDS = 30.0
"""After the disk was low or the engine did not start."""
NOTHING = Claimed(leases=[])

log = structlog.get_logger()


class Revoked(Exception):
    """The operator has revoked this worker."""


async def supply(slot: Slot, duty: Duty, labour: asyncio.TaskGroup) -> None:
    """Keeps one slot in work until the agent leaves."""
    empty = 0
    while not duty.leaving:
        if not await _place(slot, duty):
            continue
        begun = clock.now()
        claimed, was_held = await _claim(slot, duty)
        receive(claimed, slot, duty, labour)
        understood = slot.answered(claimed.skipped)
        if claimed.leases or was_held or not understood or clock.now() - begun > QUICK_SECONDS:
            empty = 0
        else:
            empty += 1
            await _rest(slot, duty, pause(empty + 1))


def receive(claimed: Claimed, slot: Slot, duty: Duty, labour: asyncio.TaskGroup) -> None:
    """Starts an attempt for every lease that is not in hand already (an answer may come twice)."""
    if "revoked" in claimed.skipped:
        raise Revoked
    if claimed.messages != duty.messages:
        duty.messages = claimed.messages
        if claimed.messages:
            log.warning("operator.said", messages=claimed.messages)
    if "quarantined" in claimed.skipped:
        slot.distrust.begin(clock.now())
    if "draining" in claimed.skipped and duty.accepting:
        duty.tell()  # the answer to a heartbeat says whether this means us
    for lease in claimed.leases:
        if not duty.holds(lease):
            labour.create_task(_pursue(duty.take(slot, lease), slot, duty, labour))


def resume(duty: Duty, labour: asyncio.TaskGroup) -> None:
    """Goes on with what a killed predecessor had in hand. Heartbeats say whether it is still ours."""
    for slot, work in duty.inherit():
        labour.create_task(_pursue(work, slot, duty, labour))


async def _pursue(work: Work, slot: Slot, duty: Duty, labour: asyncio.TaskGroup) -> None:
    claimed = await attempt.pursue(work, slot, duty)
    if claimed is not None:
        receive(claimed, slot, duty, labour)


async def _place(slot: Slot, duty: Duty) -> bool:
    """True when a lease is wanted now; else waits until that may have changed."""
    slot.changed.clear()
    seconds = slot.ask_in(duty.intervals.prefetch) if duty.takes(slot) else None
    if seconds == 0.0:
        return await _disk_free(slot, duty) and await _engine_ready(slot, duty)
    await _rest(slot, duty, seconds)
    return False


async def _rest(slot: Slot, duty: Duty, seconds: float | None) -> None:
    """Until something about the slot has changed or the time is over."""
    slot.changed.clear()
    if duty.leaving:
        return
    try:
        async with asyncio.timeout(seconds):
            await slot.changed.wait()
    except TimeoutError:
        return


async def _engine_ready(slot: Slot, duty: Duty) -> bool:
    if slot.ready and slot.engine.worn() is None and not slot.distrust.is_on:
        return True
    if (seconds := slot.distrust.wait_seconds(clock.now())) > 0:
        await _rest(slot, duty, seconds)
        return False
    if slot.turn.locked():  # it is being started for a lease that is here already
        await _rest(slot, duty, QUICK_SECONDS)
        return False
    try:
        async with slot.turn:
            await (slot.prove_engine() if slot.distrust.is_on else slot.ready_engine())
        duty.tell()
    except EngineError as error:
        log.error("engine.not_ready", slot=slot.number, problem=error.message)
        slot.distrust.failed(clock.now())
        duty.tell()
        await _rest(slot, duty, RECHECK_SECONDS)
    return slot.ready


async def _disk_free(slot: Slot, duty: Duty) -> bool:
    free_gib = min(machine(disk).disk_free_gib for disk in (duty.settings.dir, *slot.offer.disks))
    if free_gib >= duty.settings.disk_free_gib_min:
        return True
    log.error("disk.low", free_gib=round(free_gib, 2), needed_gib=duty.settings.disk_free_gib_min)
    await _rest(slot, duty, RECHECK_SECONDS)
    return False


async def _claim(slot: Slot, duty: Duty) -> tuple[Claimed, bool]:
    """The control plane's answer, and whether we cut the waiting short ourselves."""
    request = duty.new_claim(slot, duty.intervals.poll)
    try:
        with slot.ask() as scope:
            try:
                async with scope:
                    return await persist(lambda: duty.client.claim(request), "claim"), False
            except Interrupted:
                return await _last_word(duty, request), True
    except Problem as problem:
        if verdict(problem) is Verdict.FATAL:
            raise
        log.error("claim.rejected", problem=str(problem))
        return NOTHING, False


async def _last_word(duty: Duty, request: ClaimRequest) -> Claimed:
    """What became of a claim that is not wanted in this form any more."""
    try:
        async with asyncio.timeout(LAST_ASK_SECONDS):
            return await duty.client.claim(msgspec.structs.replace(request, wait=0.0))
    except (NoAnswer, TimeoutError):
        return NOTHING
