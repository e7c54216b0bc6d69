"""`tessera status`: the whole service at a glance."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from control_plane.cli import premises, printing
from control_plane.cli.operating import settings, verb
from control_plane.cli.parsing import command
from control_plane.cli.pause import lanes
from control_plane.cli.worker import known

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.operator.tables import LaneRow


def add(commands: Any) -> None:
    command(commands, "status", verb(_status), help="tell at a glance what the service is doing")


async def _status(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.operator.tables import SUBMITS
    from control_plane.workers.roster import condition

    data_dir = settings().data_dir
    process, address = premises.running(data_dir), premises.address(data_dir)
    submits = await database.one(SUBMITS)
    assert submits is not None
    found = await lanes(database)
    conditions = dict(Counter(map(condition, await known(database))))
    if arguments.json:
        printing.as_json(
            {
                "running": bool(process),
                "address": address,
                "submits_paused": submits.paused_at is not None,
                "workers": conditions,
                "lanes": found,
            }
        )
        return 0
    printing.listing(
        {
            "service": f"up at {address} (process {process})" if process else "no `tessera up` on this machine",
            "submits": f"paused{f': {submits.reason}' if submits.reason else ''}" if submits.paused_at else "open",
            "workers": ", ".join(f"{count} {name}" for name, count in sorted(conditions.items())) or "none enrolled",
        }
    )
    print()
    printing.table(
        ("lane", "kind", "model", "task", "vram", "queued", "retrying", "leased", "live slots", "state"),
        [
            (
                *(r.id, r.kind, r.model, r.task or "all", f"{r.vram_gib} GiB", r.queued, r.backoff, r.leased),
                *(r.live_slots, _condition(r)),
            )
            for r in found
            if _matters(r)
        ],
        empty="There is no lane yet.",
    )
    return 0


def _matters(lane: LaneRow) -> bool:
    """Workflows that come with Tessera and that nobody can run or wants are no news; `workflow list` has them."""
    busy = lane.queued or lane.backoff or lane.leased or lane.live_slots
    return bool(not lane.task or busy or lane.paused or lane.model_paused)


def _condition(lane: LaneRow) -> str:
    if lane.model_paused or lane.paused:
        return "model paused" if lane.model_paused else "paused"
    return "open" if lane.live_slots else "no worker"
