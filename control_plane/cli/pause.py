"""`tessera pause | resume`: the switches for all submits, a model, or a lane. Running jobs are not touched."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import hint, settings, verb
from control_plane.cli.parsing import EX_USAGE, CommandError, Parser, command, noun, unknown

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.operator.tables import LaneRow


def add(commands: Any) -> None:
    pausing = noun(commands, "pause", help="switch off: submits, a model, a lane")
    submits = command(
        pausing,
        "submits",
        verb(_pause_submits),
        help="take no new orders; what is queued still runs",
        examples='  tessera pause submits --reason "moving house"',
    )
    submits.add_argument("--reason", metavar="TEXT", default="", help="for your own memory; `tessera status` shows it")
    _add_places(pausing, verb(_pause_model), verb(_pause_lane), "neither take nor start any orders for")
    resuming = noun(commands, "resume", help="switch on again what was paused")
    command(resuming, "submits", verb(_resume_submits), help="take orders again")
    _add_places(resuming, verb(_resume_model), verb(_resume_lane), "take and start orders again for")


def _add_places(verbs: Any, model: Any, lane: Any, told: str) -> None:
    one: Parser = command(verbs, "model", model, help=f"{told} a model")
    one.add_argument("model", metavar="MODEL")
    one = command(verbs, "lane", lane, help=f"{told} a lane")
    one.add_argument("lane", metavar="LANE", help="its number, as in `tessera status`")


async def _pause_submits(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.operator import switches

    await switches.set_submits(database, audit.OPERATOR, paused=True, reason=arguments.reason)
    return _done(arguments, "submits", "submits", paused=True)


async def _resume_submits(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.operator import switches

    await switches.set_submits(database, audit.OPERATOR, paused=False)
    return _done(arguments, "submits", "submits", paused=False)


async def _pause_model(arguments: argparse.Namespace, database: Database) -> int:
    return await _set_model(arguments, database, paused=True)


async def _resume_model(arguments: argparse.Namespace, database: Database) -> int:
    return await _set_model(arguments, database, paused=False)


async def _pause_lane(arguments: argparse.Namespace, database: Database) -> int:
    return await _set_lane(arguments, database, paused=True)


async def _resume_lane(arguments: argparse.Namespace, database: Database) -> int:
    return await _set_lane(arguments, database, paused=False)


async def _set_model(arguments: argparse.Namespace, database: Database, *, paused: bool) -> int:
    from control_plane import audit
    from control_plane.operator import switches

    known = sorted({lane.model for lane in await lanes(database)})
    if arguments.model not in known:
        raise unknown("model", arguments.model, known)
    await switches.set_model(database, audit.OPERATOR, arguments.model, paused=paused)
    await hint(database, "models")
    return _done(arguments, "model", arguments.model, paused=paused)


async def _set_lane(arguments: argparse.Namespace, database: Database, *, paused: bool) -> int:
    from control_plane import audit
    from control_plane.operator import switches

    known = [str(lane.id) for lane in await lanes(database)]
    if arguments.lane not in known:
        raise CommandError(f"There is no lane {arguments.lane}. There is {', '.join(known)}.", EX_USAGE)
    await switches.set_lane(database, audit.OPERATOR, int(arguments.lane), paused=paused)
    return _done(arguments, "lane", arguments.lane, paused=paused)


async def lanes(database: Database) -> list[LaneRow]:
    from control_plane.operator.tables import LANES

    return await database.many(LANES, {"live_seconds": settings().lease_seconds})


def _done(arguments: argparse.Namespace, what: str, name: str, *, paused: bool) -> int:
    if arguments.json:
        printing.as_json({what: name, "paused": paused})
    else:
        subject = "All submits" if what == "submits" else f"The {what} {name}"
        verb_ = "are" if what == "submits" else "is"
        print(f"{subject} {verb_} {'paused' if paused else 'open again'}.")
    return 0
