"""Slots: what each engine of a worker can do, how it is, and when it is taken out of service.

A slot that fails several different jobs in a row is most likely broken itself, so it is quarantined until it has proven
itself by a picture of its own, or the operator resumes its worker. It is on probation then: what it has failed is only
forgotten when it completes a job, and the next failure before that quarantines it again. The last live slot of a lane
is only warned about, since a bad slot is better than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from control_plane.database import Database, Query, columns

QUARANTINE_AFTER = 3
"""Different jobs failed in a row by one slot."""
PROOF_AFTER_SECONDS = 20.0
"""A proof is not believed sooner after the quarantine has begun, however good the agent's word: it bounds how many jobs
a slot can eat that draws test pictures and nothing else."""
LIVE_SECONDS = 60.0
"""A slot heard within this time counts as live."""

log = structlog.get_logger()


class SlotFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot that asks for work can do."""

    worker_id: UUID
    slot: int
    lane_ids: tuple[int, ...]
    loaded_lane_id: int | None
    vram_gib: int


class SlotHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a slot is, as its agent sees it."""

    worker_id: UUID
    slot: int
    healthy: bool
    gpu: dict[str, float]
    loaded_lane_id: int | None


SEEN: Query[None] = Query("slots.seen")
REPORT: Query[None] = Query("slots.report")
QUARANTINE = Query("slots.quarantine", bool)
TRUST: Query[None] = Query("slots.trust")


async def seen(database: Database, slots: Sequence[SlotFacts]) -> None:
    """Writes down what slots can do; each slot at most once in a batch."""
    lanes = "{" + ",".join('"{' + ",".join(map(str, slot.lane_ids)) + '}"' for slot in slots) + "}"
    await database.run(SEEN, {**columns(slots), "lane_ids": lanes})


async def report(database: Database, health: SlotHealth) -> None:
    await database.run(REPORT, {**msgspec.structs.asdict(health), "gpu": msgspec.json.encode(health.gpu).decode()})


async def quarantine(database: Database, worker_id: UUID, slot: int) -> None:
    """Takes a slot out of service if it has failed too many jobs in a row and others can do its work."""
    taken = await database.one(
        QUARANTINE,
        {"worker_id": worker_id, "slot": slot, "quarantine_after": QUARANTINE_AFTER, "live_seconds": LIVE_SECONDS},
    )
    if taken is not None:
        log.warning("slot.quarantined" if taken else "slot.kept_failing", worker_id=str(worker_id), slot=slot)


async def trust(database: Database, worker_id: UUID, slot: int) -> None:
    """The agent says that the slot has proven itself since it was quarantined."""
    await database.run(TRUST, {"worker_id": worker_id, "slot": slot, "proof_after": PROOF_AFTER_SECONDS})
    log.info("slot.proven", worker_id=str(worker_id), slot=slot)
