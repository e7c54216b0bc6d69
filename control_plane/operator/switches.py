"""Off and on: all submits, a model, or a lane. What runs is not touched; every change is audited and announced."""

from __future__ import annotations

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database
from control_plane.errors import NotFound
from control_plane.operator.tables import PAUSE_LANE, PAUSE_MODEL, PAUSE_SUBMITS, RESUME_SUBMITS


async def set_submits(database: Database, actor: Actor, *, paused: bool, reason: str = "") -> None:
    """Take no new orders, or take them again. What is queued still runs."""
    async with database.transaction() as connection:
        if paused:
            await PAUSE_SUBMITS.one(connection, {"reason": reason})
        else:
            await RESUME_SUBMITS.one(connection)
        detail = {"reason": reason} if paused else {}
        await audit.record(connection, actor, _verb(paused), ("switch", "submits"), detail)


async def set_model(database: Database, actor: Actor, model: str, *, paused: bool) -> None:
    """Neither take nor start orders for a model; the caller announces `models`. Raises `NotFound`."""
    async with database.transaction() as connection:
        if not await PAUSE_MODEL.many(connection, {"model": model, "paused": paused}):
            raise NotFound(f"There is no model {model!r}.")
        await audit.record(connection, actor, _verb(paused), ("model", model))


async def set_lane(database: Database, actor: Actor, lane_id: int, *, paused: bool) -> None:
    """Neither take nor start orders in a lane. Raises `NotFound`."""
    async with database.transaction() as connection:
        if not await PAUSE_LANE.many(connection, {"lane_id": lane_id, "paused": paused}):
            raise NotFound(f"There is no lane {lane_id}.")
        await audit.record(connection, actor, _verb(paused), ("lane", lane_id))


def _verb(paused: bool) -> str:
    return "pause" if paused else "resume"
