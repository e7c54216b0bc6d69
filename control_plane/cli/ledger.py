"""`tessera ledger show | check`: every token that came and went, in words, and whether the books agree."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import verb
from control_plane.cli.parsing import EX_FAILED, command, noun
from control_plane.cli.user import find

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.money.ledger import Line

LINES_DEFAULT = 50
LINES_MAX = 1_000


def add(commands: Any) -> None:
    verbs = noun(commands, "ledger", help="the books: show, check")
    show = command(
        verbs,
        "show",
        verb(_show),
        help="tell every token of an account: what it was for, and what was left",
        description=(
            "Tell the lines of an account's ledger, the newest first: when, what happened, how many tokens, and what "
            "the account had after it. A minus sign means that tokens went from hand: a hold puts them aside, a charge "
            "takes them out of what was held."
        ),
        examples="  tessera ledger show ada\n  tessera ledger show ada --limit 20 --before 4711",
    )
    show.add_argument("user", metavar="USER", help="name or id")
    show.add_argument("--limit", metavar="N", type=_limit, default=LINES_DEFAULT, help=f"at most {LINES_MAX} lines")
    show.add_argument("--before", metavar="LINE", type=int, help="only lines older than this one: the next page")
    command(
        verbs,
        "check",
        verb(_check),
        help="read all the books and say where they disagree",
        description="Read all the books and say where they disagree; exit code 1 when they do anywhere.",
    )


async def _show(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.money import ledger

    user = await find(database, arguments.user)
    lines = await ledger.page(database, user.id, before=arguments.before, most=arguments.limit)
    if arguments.json:
        printing.as_json([_fields(line) for line in lines])
        return 0
    printing.table(
        ("line", "when", "tokens", "purchased", "held", "taken of the day", "what"),
        [
            (
                line.id,
                line.created_at,
                f"{ledger.signed(line):+d}",
                line.purchased,
                line.held,
                None if line.daily is None else f"{line.daily} of {line.day}",
                ledger.in_words(line),
            )
            for line in lines
        ],
        empty=f"{user.name} has never had or spent a token.",
    )
    if len(lines) == arguments.limit:
        printing.note(f"Older lines: tessera ledger show {user.name} --before {lines[-1].id}")
    return 0


async def _check(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.money import ledger

    found = await ledger.violations(database)
    if arguments.json:
        printing.as_json(found)
    elif not found:
        print("The books agree.")
    else:
        for violation in found:
            print(ledger.violation_in_words(violation))
    return EX_FAILED if found else 0


def _fields(line: Line) -> dict[str, object]:
    from control_plane.money import ledger

    return {**printing.fields(line), "signed": ledger.signed(line), "sentence": ledger.in_words(line)}


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LINES_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {LINES_MAX}")
    return int(text)
