"""Incidents as they are written down: the statements of `incidents.sql` with their rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from control_plane.database import Database, Query
from control_plane.errors import NotFound
from control_plane.watch.decision import REOPEN_SECONDS, Decision, Incident

KEPT_SECONDS = 90 * 86_400.0
"""How long what is over can be looked up."""
SWEPT_MAX = 100
REACH_SECONDS = 86_400.0
"""An end that could not be told for so long is not told any more."""


class Known(Incident, frozen=True, kw_only=True):
    """With an id: it is written down."""

    id: int


class Untold(Known, frozen=True, kw_only=True):
    """An incident of which a channel has not heard the last."""

    handle: str | None
    told: int


TAKE_TURN = Query("incidents.take_turn", datetime)
END_TURN: Query[None] = Query("incidents.end_turn")
KNOWN = Query("incidents.known", Known)
ADD = Query("incidents.add", int)
CHANGE: Query[None] = Query("incidents.change")
FORGET: Query[None] = Query("incidents.forget")
UNTOLD = Query("incidents.untold", Untold)
TOLD: Query[None] = Query("incidents.told")
PAGE = Query("incidents.page", Known)
ACK = Query("incidents.ack", int)
SWEEP: Query[None] = Query("incidents.sweep")


async def known(database: Database) -> list[Known]:
    return await database.many(KNOWN, {"reach_seconds": REOPEN_SECONDS})


async def write(database: Database, decision: Decision) -> None:
    """One transaction: what was decided together stands together."""
    async with database.transaction() as connection:
        for incident in decision.changed:
            if incident.id is None:
                await ADD.one(connection, _row(incident))
            else:
                await CHANGE.run(connection, _row(incident))
        for incident in decision.forgotten:
            await FORGET.run(connection, {"id": incident.id})
        await SWEEP.run(connection, {"age_seconds": KEPT_SECONDS, "most": SWEPT_MAX})


async def page(database: Database, *, closed: bool, most: int) -> list[Known]:
    """The newest first."""
    return await database.many(PAGE, {"closed": closed, "most": most})


async def ack(database: Database, incident_id: int) -> None:
    """Ends the reminders. Raises `NotFound`."""
    if await database.one(ACK, {"id": incident_id}) is None:
        raise NotFound(f"There is no incident {incident_id} that is not over. `tessera incident list` shows them.")


def _row(incident: Incident) -> dict[str, Any]:
    return msgspec.structs.asdict(incident)
