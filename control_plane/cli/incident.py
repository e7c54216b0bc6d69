"""`tessera incident list | ack | test`: what is wrong, that somebody knows, and whether telling works."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import settings, the_time, verb
from control_plane.cli.parsing import EX_CONFIG, EX_UNAVAILABLE, CommandError, command, noun

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.watch.book import Known
    from control_plane.watch.channels import Channel

LISTED = 50
TEST_SECONDS = 30.0


def add(commands: Any) -> None:
    verbs = noun(commands, "incident", help="what is wrong and was told: list, ack, test")
    listing = command(verbs, "list", verb(_list), help="list what is wrong now")
    listing.add_argument("--all", action="store_true", help="also what is over")
    listing.add_argument("--limit", metavar="N", type=int, default=LISTED, help=f"at most so many (default: {LISTED})")
    acked = command(
        verbs,
        "ack",
        verb(_ack),
        help="say that somebody knows: no more reminders of it",
        examples="  tessera incident ack 12",
    )
    acked.add_argument("incident", metavar="NUMBER", type=int, help="as in `tessera incident list`")
    command(
        verbs,
        "test",
        verb(_test),
        help="send a message to each address of TESSERA_NOTIFY",
        description="Send a message to each address of TESSERA_NOTIFY, and say which took it. Exit code 69: not all.",
    )


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.watch import book
    from control_plane.watch.kinds import KINDS

    found = await book.page(database, closed=arguments.all, most=max(1, arguments.limit))
    if arguments.json:
        printing.as_json([{**printing.fields(row), "runbook": KINDS[row.kind].runbook} for row in found])
        return 0
    now = await the_time(database)
    printing.table(
        ("number", "since", "state", "what", "about", "summary"),
        [
            (row.id, printing.ago(row.first_seen_at, now), _state(row), KINDS[row.kind].title, row.subject, row.summary)
            for row in found
        ],
        empty="Nothing is wrong.",
    )
    return 0


async def _ack(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.watch import book

    await book.ack(database, arguments.incident)
    if arguments.json:
        printing.as_json({"id": arguments.incident, "acked": True})
    else:
        print(f"There are no more reminders of incident {arguments.incident}. You are told when it is over.")
    return 0


async def _test(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.watch import channels

    found = channels.parse(settings().notify)
    if not found:
        raise CommandError("TESSERA_NOTIFY names no address, so nobody would be told.", EX_CONFIG)
    faults = {channel.name: await _tried(channel, await the_time(database)) for channel in found}
    if arguments.json:
        printing.as_json([{"channel": name, "fault": fault} for name, fault in faults.items()])
    else:
        for name, fault in faults.items():
            print(f"{name}: {fault or 'told'}")
    return EX_UNAVAILABLE if any(faults.values()) else 0


async def _tried(channel: Channel, now: datetime) -> str | None:
    """Why it could not be told, if it could not."""
    import asyncio

    from control_plane.watch import trial
    from control_plane.watch.posting import NotTold

    try:
        async with asyncio.timeout(TEST_SECONDS):
            await trial.tell(channel, settings().base_url, now)
    except NotTold as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {TEST_SECONDS:g} s"
    return None


def _state(row: Known) -> str:
    if row.closed_at is not None:
        return "over"
    return "known" if row.acked_at is not None else "open"
