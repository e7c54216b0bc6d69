"""`tessera artifact quarantine | restore`: files that nobody may see, and may again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.job import job_id
from control_plane.cli.operating import verb
from control_plane.cli.parsing import command, noun

if TYPE_CHECKING:
    from control_plane.database import Database


def add(commands: Any) -> None:
    verbs = noun(commands, "artifact", help="files of orders: quarantine, restore")
    withdraw = command(
        verbs,
        "quarantine",
        verb(_quarantine),
        help="withdraw a file: no address leads to it any more",
        description=(
            "Withdraw a file from every address and list, signed addresses that were handed out included. "
            "`tessera artifact restore` takes it back."
        ),
        examples='  tessera artifact quarantine 0190b6a2-5d3e-7c41-9a52-6f1d2c3b4a59 0 --reason "a real person"',
    )
    restore = command(verbs, "restore", verb(_restore), help="make a quarantined file what it was before")
    for made in (withdraw, restore):
        made.add_argument("job", metavar="JOB", type=job_id, help="the id of its order, as in `tessera job list`")
        made.add_argument("index", metavar="INDEX", type=_index, help="which file, from 0; see `tessera job show`")
    withdraw.add_argument("--reason", metavar="TEXT", default="", help="kept in the audit log")


async def _quarantine(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.conduct import quarantine

    await quarantine.quarantine(database, arguments.job, arguments.index, audit.OPERATOR, arguments.reason)
    return _done(arguments, quarantined=True)


async def _restore(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.conduct import quarantine

    await quarantine.restore(database, arguments.job, arguments.index, audit.OPERATOR)
    return _done(arguments, quarantined=False)


def _done(arguments: argparse.Namespace, *, quarantined: bool) -> int:
    if arguments.json:
        printing.as_json({"job": arguments.job, "index": arguments.index, "quarantined": quarantined})
    else:
        print(f"File {arguments.index} is {'quarantined: nobody sees it' if quarantined else 'what it was before'}.")
    return 0


def _index(text: str) -> int:
    if not text.isdecimal() or int(text) > 63:
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a file, from 0 to 63")
    return int(text)
