"""`tessera gallery list | approve | refuse`: what people want everybody to see."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any
from uuid import UUID

from control_plane.cli import printing
from control_plane.cli.operating import settings, verb
from control_plane.cli.parsing import command, noun

if TYPE_CHECKING:
    from control_plane.database import Database

STATES = ("proposed", "approved", "refused", "withdrawn")


def add(commands: Any) -> None:
    verbs = noun(commands, "gallery", help="pictures for everybody: list, approve, refuse")
    listing = command(
        verbs,
        "list",
        verb(_list),
        help="list what people have proposed for the gallery, the newest first",
        examples="  tessera gallery list\n  tessera gallery list --state approved",
    )
    listing.add_argument("--state", choices=STATES, default="proposed", help="only in this state (default: proposed)")
    approve = command(
        verbs,
        "approve",
        verb(_approve),
        help="show something to everybody",
        examples="  tessera gallery approve 0190b6a2-5d3e-7c41-9a52-6f1d2c3b4a59",
    )
    refuse = command(
        verbs,
        "refuse",
        verb(_refuse),
        help="show something to nobody, also when it was approved before",
        description="Show something to nobody, also when it was approved before. A refusal stays.",
        examples='  tessera gallery refuse 0190b6a2-5d3e-7c41-9a52-6f1d2c3b4a59 --reason "a real person"',
    )
    for made in (approve, refuse):
        made.add_argument("publication", metavar="ID", type=_id, help="its id, as in `tessera gallery list`")
    refuse.add_argument("--reason", metavar="TEXT", type=_reason, required=True, help="its owner reads it")


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.conduct import gallery

    found, more = await gallery.page(database, state=arguments.state, before=None, limit=gallery.PAGE_MAX)
    if arguments.json:
        printing.as_json(found)
        return 0
    printing.table(
        ("id", "file", "from", "model", "proposed", "by", "reason", "prompt"),
        [
            (
                one.id,
                f"{one.job_id}/{one.index}",
                one.user,
                one.model,
                one.proposed_at,
                one.decided_by,
                one.reason or None,
                one.prompt,
            )
            for one in found
        ],
        empty=f"There is nothing in the gallery that is {arguments.state}.",
    )
    if more:
        printing.note(f"These are the newest {len(found)}; the pages of the API have the rest.")
    return 0


async def _approve(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.conduct import gallery
    from control_plane.conduct.judgement import Conduct

    await gallery.approve(database, Conduct(settings().policy), arguments.publication, audit.OPERATOR)
    return _done(arguments, "approved", "Approved: everybody sees it.")


async def _refuse(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.conduct import gallery

    await gallery.refuse(database, arguments.publication, audit.OPERATOR, arguments.reason)
    return _done(arguments, "refused", "Refused: nobody but its owner sees it.")


def _done(arguments: argparse.Namespace, state: str, sentence: str) -> int:
    if arguments.json:
        printing.as_json({"id": arguments.publication, "state": state})
    else:
        print(sentence)
    return 0


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the id of a publication, which looks like {UUID(int=0)}"
        ) from None


def _reason(text: str) -> str:
    if not 0 < len(text) <= 300:
        raise argparse.ArgumentTypeError("a reason has 1 to 300 characters")
    return text
