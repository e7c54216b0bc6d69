"""`tessera job why`: what holds an order up, in words and with the numbers behind them.

The reason, the place and the ETA are those that its customer is told; to them come who is ahead, which slots could run
it and what they do now, and by when it starts at the latest (`bound`). Users are named: this is for the operator.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import msgspec

from control_plane.database import Query
from control_plane.queue import bound, eta
from control_plane.queue.bound import Rivals
from control_plane.queue.waiting import Lines, Queued, explain
from control_plane.wire.job import Waiting

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.operator.tables import JobDetail


NAMED_MAX = 5
"""So many of those who are ahead are named."""
SLOW_TENTH = 0.9


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    turn: float | None
    running: int
    running_max: int
    capped: bool
    due_in: float | None
    expires_in: float | None
    run_tokens: list[float]
    run_seconds: list[float]


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    plan: str
    jobs: int
    tokens: int


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    worker: str
    slot: int
    loaded: str | None
    runs: str | None
    tokens: int | None
    seconds: float | None
    """Since when it runs; None while it is being started."""
    live: bool
    healthy: bool
    quarantined: bool
    draining: bool
    lane_ids: list[int]

    @property
    def takes(self) -> bool:
        return self.live and self.healthy and not self.quarantined and not self.draining


class LaneRivals(Rivals, frozen=True, kw_only=True):
    lane_id: int


FACTS = Query("why.facts", Facts)
AHEAD = Query("why.ahead", Ahead)
SLOTS = Query("why.slots", Slot)
RIVALS = Query("why.rivals", LaneRivals)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    waiting: Waiting
    ahead: list[Ahead]
    slots: list[Slot]
    facts: Facts
    bound_seconds: float | None


async def answer(database: Database, job: JobDetail, live_seconds: float) -> Answer:
    facts = await database.one(FACTS, {"job_id": job.id})
    assert facts is not None, "jobs are not deleted while they wait"
    line = await Lines(database, live_seconds).line(job.lane_id, -inf)
    queued = Queued(id=job.id, tag=job.tag, cost=job.cost, phase=job.phase, capped=facts.capped and job.phase is None)
    slots = await database.many(SLOTS, {"lane_id": job.lane_id, "live_seconds": live_seconds})
    serving = [slot for slot in slots if slot.takes]
    lanes = sorted({job.lane_id} | {lane_id for slot in serving for lane_id in slot.lane_ids})
    rivals = await database.many(RIVALS, {"lane_id": lanes})
    return Answer(
        waiting=explain(line, queued),
        ahead=await database.many(AHEAD, {"job_id": job.id}),
        slots=slots,
        facts=facts,
        bound_seconds=latest(facts, job.lane_id, serving, rivals),
    )


def latest(facts: Facts, lane_id: int, serving: list[Slot], rivals: list[LaneRivals]) -> float | None:
    """The wait bound from now on, at the slow tenth of recent runs; None where there is none or nothing is known."""
    runs = eta.Runs(tokens=facts.run_tokens, seconds=facts.run_seconds)
    if not serving or not runs.tokens or facts.turn is None or facts.capped:
        return None
    slow = eta.quantile(runs.of_size(sum(runs.tokens) / len(runs.tokens)), SLOW_TENTH)
    mine = [found for found in rivals if found.lane_id == lane_id] or [_nobody(lane_id)]
    others = [found for found in rivals if found.lane_id != lane_id]
    weights = sum(found.weights for found in rivals)
    pace = len(serving) / weights if weights else 1.0
    before = bound.tokens_before(max(0.0, facts.turn), mine[0], others, pace=pace)
    rest = max((max(0.0, (slot.tokens or 0) * slow - (slot.seconds or 0.0)) for slot in serving), default=0.0)
    return bound.wait_seconds(before, seconds_per_token=slow, slots=len(serving), rest_seconds=rest)


def _nobody(lane_id: int) -> LaneRivals:
    return LaneRivals(lane_id=lane_id, weights=0.0, dearest=0.0)


# ------------------------------------------------------------------------------------------ in words


def sentences(found: Answer, said: str) -> list[str]:
    """The answer as an operator reads it; `said` is what the customer is told."""
    facts = found.facts
    lines = [f"It waits: {said}."]
    if facts.due_in is not None:
        lines.append(f"It failed before and is tried again in {_seconds(max(0.0, facts.due_in))}.")
    if found.waiting.reason == "plan_limit_running":
        lines.append(f"Its user has {facts.running} running, and the plan allows {facts.running_max}.")
    if facts.expires_in is not None:
        lines.append(f"It expires unless it starts within {_seconds(max(0.0, facts.expires_in))} (max_wait).")
    lines.append(_ahead(found.ahead))
    lines += _slots(found.slots)
    if found.bound_seconds is not None:
        lines.append(f"By the wait bound it starts within {_seconds(found.bound_seconds)}, whatever others order.")
    return lines


def _ahead(ahead: list[Ahead]) -> str:
    if not ahead:
        return "Nobody is ahead of it in line."
    named = ", ".join(f"{one.user} ({one.plan}) {one.tokens}" for one in ahead[:NAMED_MAX])
    more = f" and {len(ahead) - NAMED_MAX} others" if len(ahead) > NAMED_MAX else ""
    jobs, tokens = sum(one.jobs for one in ahead), sum(one.tokens for one in ahead)
    return f"Ahead of it in line: {_many(jobs, 'job')}, {_many(tokens, 'token')}: {named}{more}."


def _slots(slots: list[Slot]) -> list[str]:
    if not slots:
        return ["No slot of any worker serves its lane."]
    return ["Slots that serve its lane:", *(f"  {slot.worker}/{slot.slot}: {_slot(slot)}" for slot in slots)]


def _slot(slot: Slot) -> str:
    troubles = {
        "not heard of lately": not slot.live,
        "in quarantine": slot.quarantined,
        "drained": slot.draining,
        "not healthy": not slot.healthy,
    }
    words = [words for words, is_so in troubles.items() if is_so]
    if slot.runs is not None:
        since = f"for {_seconds(slot.seconds)}" if slot.seconds is not None else "starting"
        words.append(f"runs {_many(slot.tokens or 0, 'token')} of {slot.runs}, {since}")
    elif slot.takes:
        words.append("idle")
    if slot.loaded is not None and slot.loaded != slot.runs:
        words.append(f"has {slot.loaded} loaded")
    return "; ".join(words)


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _seconds(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
