"""What a process stands on, one line each: whether it works, and for the operator what is wrong and what to do.

Only the database and its schema decide whether requests can be served at all. Everything else is told, and takes no
process out of service: with a full disk or a store that is away, what needs neither still goes on, and a load balancer
that took all processes out would only make it worse.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import psycopg

from control_plane import migrate
from control_plane.context import Context
from control_plane.database import Query
from control_plane.errors import Unavailable
from control_plane.store.checkup import Checkup

DEAF_SECONDS = 60.0
"""The listening connection hears its own probe every few seconds."""
RUNBOOK = "See ops/docs/runbook.md"
MIGRATIONS = migrate.migrations()
"""Those that this code was written for."""

Name = Literal["database", "schema", "disk", "store", "policy", "hints"]
Result = Literal["ok", "note", "bad"]


class Dependency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: Name
    result: Result
    """`note`: not as it should be, but what was ordered goes on; `bad`: nothing can be served without it."""
    found: str = ""
    """What is wrong. This and the cure are for the operator: this machine, or a key with the scope `metrics`."""
    cure: str = ""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What the database has seen: how many migrations, and the least of them that code must know."""

    applied: int
    needs: int


APPLIED = Query("models.applied", Applied)


async def look(context: Context) -> list[Dependency]:
    """In the order of importance. Never raises but what a fault of ours would."""
    store = await context.pulse.look()
    return [*await _database(context), _disk(context), _store(store), _policy(context), _hints(context)]


def trouble(found: list[Dependency]) -> str | None:
    """Why nothing can be served, for anybody; None when it can."""
    bad = {one.name for one in found if one.result == "bad"}
    if "schema" in bad:
        return "The database is not of this version. Run `tessera migrate`."
    return "The database does not answer. Nothing was changed; try again in a moment." if bad else None


def for_strangers(found: list[Dependency]) -> list[Dependency]:
    return [Dependency(name=one.name, result=one.result) for one in found]


async def _database(context: Context) -> list[Dependency]:
    try:
        applied = await context.database.one(APPLIED)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        applied = None
    except Unavailable as error:
        said = str(error.__cause__ or error).strip().partition("\n")[0]
        cure = f'{RUNBOOK}, "The database is down".'
        return [Dependency(name="database", result="bad", found=said, cure=cure)]
    return [Dependency(name="database", result="ok"), _schema(applied or Applied(applied=0, needs=0))]


def _schema(seen: Applied) -> Dependency:
    """One that is ahead and only adds is a note: beside it the release before goes on until it is restarted."""
    standing = migrate.standing(seen.applied, seen.needs, MIGRATIONS)
    if standing == "current":
        return Dependency(name="schema", result="ok")
    found = f"The database has {seen.applied} migrations, this Tessera {len(MIGRATIONS)}."
    result: Result = "note" if standing == "beside" else "bad"
    return Dependency(name="schema", result=result, found=found, cure=migrate.CURES[standing])


def _disk(context: Context) -> Dependency:
    if not context.disk.is_low:
        return Dependency(name="disk", result="ok")
    found = f"{context.disk.free_bytes() // 1024**2} MiB are free, so nothing new is accepted."
    return Dependency(name="disk", result="note", found=found, cure=f'{RUNBOOK}, "The disk is nearly full".')


def _store(looked: Checkup) -> Dependency:
    if looked.fault is None:
        return Dependency(name="store", result="ok")
    cure = "Let the user of the service write there, or choose another place; `tessera check` tries it."
    return Dependency(name="store", result="note", found=looked.fault, cure=cure)


def _policy(context: Context) -> Dependency:
    if context.conduct.is_usable:
        return Dependency(name="policy", result="ok")
    found = "The policy file was changed and cannot be used; the rules before the change still hold."
    return Dependency(name="policy", result="note", found=found, cure="`tessera check` names file and line.")


def _hints(context: Context) -> Dependency:
    seconds = context.dispatcher.bus.probe_seconds
    if seconds <= DEAF_SECONDS:
        return Dependency(name="hints", result="ok")
    cure = f'{RUNBOOK}, "A control plane hears no hints".'
    return Dependency(name="hints", result="note", found=f"Nothing was heard for {seconds:.0f} s.", cure=cure)
