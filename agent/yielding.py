"""Stepping aside: for the owner's pauses and quiet hours, and for another program that uses the GPU.

`clock_watch` looks at the owner's clock. `make_way` is one loop for each slot: when its GPU is contended it takes no
more work, what runs is finished or given back unharmed as the owner has set, and then the engine frees the memory. That
waits for the engine's turn, so nothing is freed under a run. When the GPU has been quiet for long enough it goes on.
"""

from __future__ import annotations

import asyncio

import structlog

from agent.duty import Duty
from agent.engine import EngineError, Tenant
from agent.slot import Slot

CLOCK_SECONDS = 1.0
FREE_SECONDS = 20.0

log = structlog.get_logger()


async def clock_watch(duty: Duty) -> None:
    while True:
        await asyncio.sleep(CLOCK_SECONDS)
        duty.look_at_the_clock()


async def make_way(duty: Duty) -> None:
    async with asyncio.TaskGroup() as tasks:
        for slot in duty.slots:
            if isinstance(slot.engine, Tenant):
                tasks.create_task(_make_way(slot, slot.engine, duty))


async def _make_way(slot: Slot, engine: Tenant, duty: Duty) -> None:
    while True:
        await slot.contended.wait()
        duty.yield_slot(slot)
        await _free(slot, engine)
        await slot.uncontended.wait()
        duty.take_slot_back(slot)


async def _free(slot: Slot, engine: Tenant) -> None:
    """A failure is only logged: an engine that has crashed holds nothing, one that hangs is its supervisor's."""
    async with slot.turn:
        try:
            async with asyncio.timeout(FREE_SECONDS):
                await engine.free()
            log.info("gpu.freed", slot=slot.number)
        except (EngineError, TimeoutError) as error:
            log.warning("gpu.not_freed", slot=slot.number, problem=str(error) or "no answer")
