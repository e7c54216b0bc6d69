"""The whole service at one moment, for `tessera status`, and what of it wants attention. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from control_plane.database import Database
from control_plane.operator.tables import LANES, SUBMITS, LaneRow
from control_plane.settings import Settings
from control_plane.store.disk import Disk
from control_plane.watch import book, bots
from control_plane.watch.facts import (
    FAILURES,
    HOUSE,
    LINE_MAX,
    LINES,
    RUNNING,
    RUNNING_MAX,
    Bot,
    Facts,
    Failures,
    House,
    Line,
    Room,
    Running,
)
from control_plane.watch.kinds import KINDS
from control_plane.watch.troubles import troubles
from control_plane.workers import roster
from control_plane.workers.roster import Listed, condition
from control_plane.workers.slots import LIVE_SECONDS

WEBHOOK_LATE_SECONDS = 600.0
INCIDENTS_MAX = 20


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot does now."""

    slot: int
    model: str
    seconds: float | None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    condition: str
    last_seen_at: datetime | None
    agent_version: str
    gpus: list[dict[str, Any]]
    """Of each slot."""
    work: list[Work]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    house: House
    submits_paused: bool
    reason: str
    lanes: list[LaneRow]
    lines: list[Line]
    machines: list[Machine]
    failures: list[Failures]
    """Of the last hour."""
    room: Room
    bots: list[Bot] | None
    """None: none are known of."""
    incidents: list[book.Known]


async def look(database: Database, settings: Settings) -> Overview:
    house, submits = await database.one(HOUSE), await database.one(SUBMITS)
    assert house is not None, "it always has a row"
    assert submits is not None, "likewise"
    disk = Disk(settings)
    listed = await roster.list_all(database, settings.lease_seconds)
    running = await database.many(RUNNING, {"most": RUNNING_MAX})
    return Overview(
        house=house,
        submits_paused=submits.paused_at is not None,
        reason=submits.reason,
        lanes=await database.many(LANES, {"live_seconds": settings.lease_seconds}),
        lines=await database.many(LINES, {"most": LINE_MAX, "live_seconds": LIVE_SECONDS}),
        machines=[_machine(one, running) for one in listed],
        failures=await database.many(FAILURES),
        room=Room(free_bytes=disk.free_bytes(), bytes=disk.bytes(), reserve_bytes=disk.reserve_bytes),
        bots=await bots.look(bots.address(settings)),
        incidents=list(await book.page(database, closed=False, most=INCIDENTS_MAX)),
    )


def _machine(listed: Listed, running: Sequence[Running]) -> Machine:
    worker = listed.worker
    return Machine(
        name=worker.name,
        condition=condition(listed),
        last_seen_at=worker.last_seen_at,
        agent_version=worker.agent_version,
        gpus=[slot.gpu for slot in listed.slots],
        work=[
            Work(slot=job.slot, model=job.model, seconds=job.seconds) for job in running if job.worker_id == worker.id
        ],
    )


def attention(found: Overview) -> list[str]:
    """What somebody should look at, a sentence each; nothing when all is well."""
    return list(dict.fromkeys(_attention(found)))


def _attention(found: Overview) -> Iterator[str]:
    facts = Facts(house=found.house, lines=found.lines, room=found.room, bots=found.bots)
    for trouble in troubles(facts):
        yield f"{trouble.summary} ({KINDS[trouble.kind].runbook})"
    for incident in found.incidents:
        if incident.kind in ("job_overdue", "certificate_ending"):  # not looked at here
            yield f"{incident.summary} ({KINDS[incident.kind].runbook})"
    if found.submits_paused:
        yield "New orders are paused. `tessera resume submits` takes them again."
    heard = [machine for machine in found.machines if machine.last_seen_at is not None]
    if heard and all(machine.condition == "away" for machine in heard):
        yield "No machine is there. On one of them: tessera-agent run"
    for machine in found.machines:
        if machine.condition == "quarantined":
            yield f"{machine.name} is in quarantine. `tessera worker resume {machine.name}` trusts it again."
    if (found.house.webhook_seconds or 0.0) > WEBHOOK_LATE_SECONDS:
        yield f"{found.house.webhooks_due} webhooks are late. `tessera webhook deliveries` says where they go."
