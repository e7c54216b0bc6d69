"""Whether the process is up, whether it can work, and what it has counted."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
from litestar.types import ASGIApp

from control_plane import metrics, migrate
from control_plane.api import answers, guards
from control_plane.api.operation import Call, Nothing, operation
from control_plane.context import Context
from control_plane.database import Query
from control_plane.errors import Unavailable
from control_plane.workers.slots import LIVE_SECONDS


class Health(msgspec.Struct, frozen=True, kw_only=True):
    status: str = "ok"


class SlotGpu(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot says of its GPU; the worker by its name, which is the operator's or of enrolment."""

    worker: str
    slot: int
    gpu: dict[str, Any]


SLOTS_SHOWN_MAX = 256
APPLIED = Query("models.applied", int)
GPUS = Query("slots.gpus", SlotGpu)
KNOWN = len(migrate.migrations())
"""Migrations that this code was written for."""


@operation("GET", "/healthz", guard=guards.PUBLIC, answers={200: Health}, tag="Service")
async def get_health(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Whether the process is up. It asks nothing else, so it says nothing about the database."""
    return answers.json(Health())


@operation("GET", "/readyz", guard=guards.PUBLIC, answers={200: Health}, problems=(Unavailable,), tag="Service")
async def get_readiness(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Whether requests can be served: the database answers and has the tables that this code needs."""
    try:
        applied = await call.context.database.one(APPLIED)
    except psycopg.errors.UndefinedTable:
        applied = 0
    if applied != KNOWN:
        raise Unavailable("The database is not of this version. Run `tessera migrate`.", retry_after=5)
    return answers.json(Health())


@operation("GET", "/metrics", guard=guards.METRICS, answers={200: "text/plain"}, tag="Service")
async def get_metrics(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Counters for Prometheus. Needs a key with the scope `metrics`, or a sender on this machine."""
    await _gauge(call.context)
    return answers.Answer(metrics.exposition(), media_type=metrics.MEDIA_TYPE)


async def _gauge(context: Context) -> None:
    """What is measured when somebody asks: a look at each lane, the one that customers share."""
    metrics.claims_waiting.set(len(context.dispatcher.waiters))
    metrics.requests_held.set(len(context.dispatcher.feed))
    try:
        for lane in [lane for lane in context.dispatcher.board.lanes.values() if not lane.sandbox]:
            line = await context.lines.line(lane.id, lane.bound)
            labels = (*lane.capability, str(lane.vram_gib), lane.task)
            metrics.lane_jobs_waiting.labels(*labels).set(len(line.places))
            metrics.lane_tokens_running.labels(*labels).set(line.service.running_tokens)
            metrics.lane_slots.labels(*labels).set(line.service.slots)
            metrics.lane_slots_draining.labels(*labels).set(line.service.draining)
        await _gauge_slots(context)
    except Unavailable:
        metrics.database_up.set(0)
    else:
        metrics.database_up.set(1)


async def _gauge_slots(context: Context) -> None:
    """What live slots say of their GPUs; those that have gone are gone here, too."""
    rows = await context.database.many(GPUS, {"live_seconds": LIVE_SECONDS, "most": SLOTS_SHOWN_MAX})
    for name, gauge in metrics.slot_gauges.items():
        gauge.clear()
        for row in rows:
            if isinstance(value := row.gpu.get(name), int | float):
                gauge.labels(row.worker, str(row.slot)).set(value)
