"""`tessera report list | uphold | dismiss`: what people complained about."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any
from uuid import UUID

from control_plane.cli import printing
from control_plane.cli.operating import verb
from control_plane.cli.parsing import command, noun

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.wire.conduct import Decided

STATES = ("open", "upheld", "dismissed", "all")


def add(commands: Any) -> None:
    verbs = noun(commands, "report", help="complaints: list, uphold, dismiss")
    listing = command(
        verbs,
        "list",
        verb(_list),
        help="list what people have reported, the newest first",
        examples="  tessera report list\n  tessera report list --state all",
    )
    listing.add_argument("--state", choices=STATES, default="open", help="only in this state (default: open)")
    uphold = command(
        verbs,
        "uphold",
        verb(_uphold),
        help="find a report right: what it is about is quarantined",
        examples="  tessera report uphold 0190b6a2-5d3e-7c41-9a52-6f1d2c3b4a59",
    )
    dismiss = command(verbs, "dismiss", verb(_dismiss), help="find nothing wrong")
    for made in (uphold, dismiss):
        made.add_argument("report", metavar="ID", type=_id, help="its id, as in `tessera report list`")


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.conduct import reports

    state = None if arguments.state == "all" else arguments.state
    found, _ = await reports.page(database, state=state, before=None, limit=reports.PAGE_MAX)
    if arguments.json:
        printing.as_json(found)
        return 0
    printing.table(
        ("id", "about", "category", "from", "state", "filed", "by", "text"),
        [
            (
                report.id,
                f"{report.job_id}/{'all' if report.index is None else report.index}",
                report.category,
                report.reporter,
                report.state,
                report.created_at,
                report.handled_by,
                report.text,
            )
            for report in found
        ],
        empty="Nobody has reported anything." if state is None else f"There is no report that is {state}.",
    )
    return 0


async def _uphold(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.conduct import reports

    decided = await reports.uphold(database, arguments.report, audit.OPERATOR)
    files = f"{len(decided.quarantined)} file{'s' * (len(decided.quarantined) != 1)}"
    return _done(arguments, decided, f"Upheld; {files} quarantined.")


async def _dismiss(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.conduct import reports

    return _done(arguments, await reports.dismiss(database, arguments.report, audit.OPERATOR), "Dismissed.")


def _done(arguments: argparse.Namespace, decided: Decided, sentence: str) -> int:
    if arguments.json:
        printing.as_json(decided)
    else:
        print(sentence)
    return 0


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the id of a report, which looks like {UUID(int=0)}"
        ) from None
