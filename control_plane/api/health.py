"""Whether the process is up, whether it can work, and what it has counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from litestar import Request
from litestar.types import ASGIApp

from control_plane import metrics
from control_plane.api import answers, guards, readiness
from control_plane.api.operation import Call, Nothing, operation
from control_plane.errors import Forbidden, Unauthorized, Unavailable

RETRY_SECONDS = 5.0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    status: str = "ok"


class Readiness(Health, frozen=True, kw_only=True):
    disk: Literal["ok", "low"]
    """`low`: less than the reserve is free, so nothing new is accepted; results of what was ordered still are."""
    dependencies: Sequence[readiness.Dependency]
    """What this process stands on; what is wrong with it and what to do is told to the operator only."""


@operation("GET", "/healthz", guard=guards.PUBLIC, answers={200: Health}, tag="Service")
async def get_health(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Whether the process is up. It asks nothing else, so it says nothing about the database."""
    return answers.json(Health())


@operation("GET", "/readyz", guard=guards.PUBLIC, answers={200: Readiness}, problems=(Unavailable,), tag="Service")
async def get_readiness(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Whether requests can be served: the database answers and has the tables that this code needs. Disk, store,
    policy and hints are told, but take no process out of service: what does not need them goes on. What is wrong and
    what to do is told to this machine, and to keys with the scope `metrics`; to others only which of them it is, also
    in the problem (`dependencies`)."""
    found = await readiness.look(call.context)
    told = found if await _is_operator(call.request) else readiness.for_strangers(found)
    if (sentence := readiness.trouble(found)) is not None:
        raise Unavailable(sentence, retry_after=RETRY_SECONDS, dependencies=told)
    is_well = all(one.result == "ok" for one in found)
    disk: Literal["ok", "low"] = "low" if call.context.disk.is_low else "ok"
    return answers.json(Readiness(status="ok" if is_well else "degraded", disk=disk, dependencies=told))


async def _is_operator(request: Request[Any, Any, Any]) -> bool:
    """Whoever may read the metrics may know what is wrong."""
    try:
        await guards.METRICS.check(request)
    except (Unauthorized, Forbidden, Unavailable):
        return False
    return True


@operation("GET", "/metrics", guard=guards.METRICS, answers={200: "text/plain"}, tag="Service")
async def get_metrics(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Counters for Prometheus. Needs a key with the scope `metrics`, or a sender on this machine."""
    gauges = call.context.gauges
    gauges.read_here()
    try:
        await gauges.read()
    except Unavailable:
        metrics.database_up.set(0)
    else:
        metrics.database_up.set(1)
    return answers.Answer(metrics.exposition(), media_type=metrics.MEDIA_TYPE)
