"""Slots: what each engine of a worker can do, how it is, and when it is taken out of service.

A slot that fails several different jobs in a row is most likely broken itself, so it is quarantined until the operator
resumes its worker; but the last live slot of a lane is only warned about, since a bad slot is better than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from control_plane.database import Database, Query, columns

QUARANTINE_AFTER = 3
"""Different jobs failed in a row by one slot."""
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
