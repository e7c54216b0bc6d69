"""The first run: from an empty installation to a picture that came from a machine of one's own.

Its steps can be left at any time and taken up again, because what is done is seen from what is there: somebody is
signed in, the public address is an https one, the machine that enrolled with the token of the setup has drawn, a bot
was heard of. The table `setup` holds only what no fact tells: which steps were put off, and for which machine and
picture is waited.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.wire.operator import Condition
from control_plane.wire.setup import Light, StepName, StepState
from control_plane.workers import roster
from control_plane.workers.roster import Listed, condition

READY: frozenset[Condition] = frozenset({"idle", "busy"})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the table, with the facts beside it."""

    put_off: list[str]
    closed: bool
    token_expires_at: datetime | None
    token_live: bool
    """It can still be used."""
    worker_id: UUID | None
    """Who has enrolled with the token."""
    picture_job_id: UUID | None
    picture_state: str | None
    picture_by: str | None
    """Who has drawn it: perhaps another machine, which makes the same."""
    signed_in: bool
    has_gpu: bool
    """Some machine can run workflows."""


class BotRow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    providers: list[str]
    last_used_at: datetime | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far the setup has come."""

    row: Row
    machine: Listed | None
    bots: list[BotRow]


LOOK = Query("setup.look", Row)
IS_OPEN = Query("setup.is_open", bool)
OPERATORS = Query("setup.operators", str)
BOTS = Query("setup.bots", BotRow)
PUT_OFF: Query[None] = Query("setup.put_off")
CLOSE: Query[None] = Query("setup.close")
AWAIT_MACHINE: Query[None] = Query("setup.await_machine")
AWAIT_PICTURE: Query[None] = Query("setup.await_picture")


async def look(database: Database, user_id: UUID, lease_seconds: float) -> Standing:
    """How far it has come, for this operator."""
    row = await database.one(LOOK, {"user_id": user_id})
    assert row is not None, "a migration has made it"
    listed = await roster.list_all(database, lease_seconds) if row.worker_id is not None else []
    machine = next((one for one in listed if one.worker.id == row.worker_id), None)
    return Standing(row=row, machine=machine, bots=await database.many(BOTS))


async def is_open(database: Database) -> bool:
    """Whether the setup is still shown by itself."""
    return await database.one(IS_OPEN) or False


async def operators(database: Database) -> list[str]:
    """The names of all operators, the eldest first."""
    return await database.many(OPERATORS)


async def put_off(database: Database, step: StepName, later: bool) -> None:
    await database.run(PUT_OFF, {"step": step, "later": later})


async def close(database: Database, closed: bool) -> None:
    await database.run(CLOSE, {"closed": closed})


async def await_machine(database: Database, name: str | None, actor: Actor) -> str:
    """A new enrolment token, to be shown once; the setup waits for the machine that comes with it."""
    token = await roster.create_token(database, name, actor=actor)
    await database.run(AWAIT_MACHINE, {"token_id": roster.token_id(token)})
    return token


async def await_picture(database: Database, job_id: UUID) -> None:
    await database.run(AWAIT_PICTURE, {"job_id": job_id})


def light(standing: Standing) -> Light:
    """What the light of the awaited machine shows; pure."""
    row, machine = standing.row, standing.machine
    if row.token_expires_at is None:
        return "off"
    if machine is None:
        return "waiting" if row.token_live else "expired"
    if not is_ready(machine):
        return "enrolled"
    return "green" if row.picture_state == "succeeded" else "ready"


def is_ready(machine: Listed) -> bool:
    """Whether it can be given work: an agent offers what its engine can do only once that has drawn a picture."""
    return condition(machine) in READY and any(slot.healthy and slot.lanes for slot in machine.slots)


def steps(standing: Standing, public_url: str | None, proven: bool) -> dict[StepName, StepState]:
    """How each step stands, in their order; pure. `proven`: there is a backup that could be restored."""
    row = standing.row
    done: dict[StepName, bool] = {
        "account": row.signed_in,
        "address": public_url is not None and public_url.startswith("https://"),
        "machine": row.has_gpu or row.picture_state == "succeeded",
        "bots": any(bot.last_used_at is not None for bot in standing.bots),
        "backup": proven,
    }
    return {name: _state(is_done, name in row.put_off) for name, is_done in done.items()}


def _state(done: bool, later: bool) -> StepState:
    return "done" if done else "put_off" if later else "open"
