"""`tessera status`: the whole service on one screen. Exit code 0: all is well; 1: somebody should look."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from control_plane.cli import premises, printing
from control_plane.cli.operating import settings, verb
from control_plane.cli.parsing import EX_FAILED, command
from control_plane.cli.ready import answers
from control_plane.cli.worker import gpu_words

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.operator.tables import LaneRow
    from control_plane.watch.overview import Machine, Overview

GIB = 1024**3


def add(commands: Any) -> None:
    command(
        commands,
        "status",
        verb(_status),
        help="tell at a glance what the service is doing",
        description=(
            "Tell on one screen what the service is doing: what waits, for how long; the machines and what they have "
            "in hand; failures, books, disk, backups, bots. Exit code 0 when all is well, 1 when somebody should look."
        ),
    )


async def _status(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.watch import overview

    chosen = settings()
    found = await overview.look(database, chosen)
    wanting = overview.attention(found)
    if arguments.json:
        printing.as_json(_facts(found, wanting))
    else:
        printing.listing(_sections(found))
        print()
        _lanes(found)
        print()
        _machines(found)
        print()
        print("\n".join(f"ATTENTION: {sentence}" for sentence in wanting) or "All is well.")
    return EX_FAILED if wanting else 0


def _facts(found: Overview, wanting: list[str]) -> dict[str, Any]:
    data_dir = settings().data_dir
    return {
        "running": bool(premises.running(data_dir)),
        "address": premises.address(data_dir),
        "well": not wanting,
        "attention": wanting,
        "version": _version(),
        "workers": Counter(machine.condition for machine in found.machines),
        **printing.fields(found),
    }


def _sections(found: Overview) -> dict[str, object]:
    data_dir, house = settings().data_dir, found.house
    process, address = premises.running(data_dir), premises.address(data_dir)
    conditions = Counter(machine.condition for machine in found.machines)
    paused = f"paused{f': {found.reason}' if found.reason else ''}"
    due = house.webhooks_due
    late = f", the oldest for {printing.duration(house.webhook_seconds or 0.0)}" if due else ""
    return {
        "service": f"up at {address} (process {process})" if process else _served(),
        "version": _version(),
        "submits": paused if found.submits_paused else "open",
        "workers": ", ".join(f"{count} {name}" for name, count in sorted(conditions.items())) or "none enrolled",
        "failures": ", ".join(f"{one.runs} {one.cause}" for one in found.failures) or "none in the last hour",
        "books": _books(found),
        "disk": f"{found.room.share:.0%} free ({found.room.free_bytes / GIB:.1f} of {found.room.bytes / GIB:.1f} GiB)",
        "backups": _backups(found),
        "webhooks": f"{due} due{late}",
        "reports": f"{house.reports_open} open",
        "bots": ", ".join(f"{bot.name} {'ready' if bot.ready else bot.why or 'not ready'}" for bot in found.bots or ())
        or "none known",
    }


def _served() -> str:
    """Of a control plane that systemd or a container has started, here."""
    where = f"127.0.0.1:{settings().port}"
    if answers(f"http://{where}/healthz"):
        return f"answers at {where}"
    return f"no `tessera up` on this machine, and nobody answers at {where}"


def _books(found: Overview) -> str:
    house = found.house
    if house.ledger_checked_at is None:
        return "not read yet"
    agree = "agree" if not house.ledger_violations else f"{house.ledger_violations} disagreements"
    return f"{agree} (read {printing.ago(house.ledger_checked_at, house.now)})"


def _backups(found: Overview) -> str:
    house = found.house
    if house.backup_at is None:
        return "none yet"
    last = "failed" if house.backup_error else "goes on" if house.backup_ended_at is None else "good"
    proven = (
        f"; restored on trial {printing.ago(house.backup_verified_at, house.now)}" if house.backup_verified_at else ""
    )
    return f"the last, {printing.ago(house.backup_at, house.now)}: {last}{proven or '; never restored on trial'}"


def _lanes(found: Overview) -> None:
    printing.table(
        ("lane", "kind", "model", "task", "vram", "queued", "oldest", "retrying", "leased", "live slots", "state"),
        [
            (
                *(r.id, r.kind, r.model, r.task or "all", f"{r.vram_gib} GiB", r.queued),
                *(printing.duration(r.oldest_seconds) if r.oldest_seconds is not None else None, r.backoff, r.leased),
                *(r.live_slots, _condition(r)),
            )
            for r in found.lanes
            if _matters(r)
        ],
        empty="There is no lane yet.",
    )


def _machines(found: Overview) -> None:
    printing.table(
        ("worker", "condition", "last heard", "agent", "gpu", "has in hand"),
        [
            (
                *(one.name, one.condition, printing.ago(one.last_seen_at, found.house.now), one.agent_version),
                *(
                    [words for gpu in one.gpus if one.condition != "away" and (words := gpu_words(gpu))],
                    list(_work(one)),
                ),
            )
            for one in found.machines
        ],
        empty="There is no worker yet. Enrol one: tessera worker enroll-token",
    )


def _work(machine: Machine) -> Iterator[str]:
    for work in machine.work:
        since = f"for {printing.duration(work.seconds)}" if work.seconds is not None else "not started"
        yield f"{work.model} {since}"


def _matters(lane: LaneRow) -> bool:
    """Workflows that come with Tessera and that nobody can run or wants are no news; `workflow list` has them."""
    busy = lane.queued or lane.backoff or lane.leased or lane.live_slots
    return bool(not lane.task or busy or lane.paused or lane.model_paused)


def _condition(lane: LaneRow) -> str:
    if lane.model_paused or lane.paused:
        return "model paused" if lane.model_paused else "paused"
    return "open" if lane.live_slots else "no worker"


def _version() -> str:
    from control_plane.cli import program

    return program.version()
