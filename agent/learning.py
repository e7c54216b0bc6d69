"""What there is to make: the operator's workflows, and the model files that lie here; both change while the agent runs.

The answer to a heartbeat says which revision of the workflows is in force. Another one is fetched, kept for the next
start, and taught to the engines, which judge every graph themselves and offer what fits. What is newer than this agent
is left out. An engine is also asked now and then whether other files lie here than before.
"""

from __future__ import annotations

import asyncio

import structlog

from agent.client import Problem
from agent.duty import Duty
from agent.engine import EngineError, Repertory
from agent.engine.repertory import keep, kept, understood
from agent.retry import Verdict, persist, verdict
from agent.slot import Slot
from control_plane.wire.workflow import WorkflowSet

LOOK_SECONDS = 30.0
"""How often an engine is asked what lies here."""
AGAIN_SECONDS = 60.0
"""After a control plane that tells a revision but gives no workflows."""

log = structlog.get_logger()


async def learn(duty: Duty) -> None:
    """For ever: fetches the workflows when there are others."""
    duty.revision = kept(duty.settings.workflows_file).revision
    while True:
        await duty.news.wait()
        duty.news.clear()
        if not any(isinstance(slot.engine, Repertory) for slot in duty.slots):
            continue
        try:
            found = await persist(duty.client.workflows, "workflows")
        except Problem as problem:
            if verdict(problem) is Verdict.FATAL:
                raise
            log.error("workflows.rejected", problem=str(problem))
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        await asyncio.to_thread(keep, duty.settings.workflows_file, found)
        await teach(duty, found)


async def teach(duty: Duty, found: WorkflowSet) -> None:
    workflows = understood(found)
    for slot in duty.slots:
        if isinstance(slot.engine, Repertory):
            slot.engine.learn(workflows)
            await look(slot)
    duty.revision = found.revision
    log.info("workflows.learnt", workflows=len(workflows), revision=found.revision)


async def watch(duty: Duty) -> None:
    """For ever: notices files that come and go."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for slot in duty.slots:
            await look(slot)


async def look(slot: Slot) -> None:
    """What the engine of a slot offers from now on; one that is not ready says so when it is."""
    if not slot.ready or not isinstance(slot.engine, Repertory):
        return
    try:
        if not await slot.engine.look():
            return
        offer = await slot.engine.offer()
    except EngineError as error:
        log.warning("engine.not_looked_at", slot=slot.number, problem=error.message)
        return
    if offer != slot.offer:
        slot.offer = offer
        log.info("offer.changed", slot=slot.number, capabilities=len(offer.capabilities))
        if slot.asking is not None:
            slot.asking.interrupt()
