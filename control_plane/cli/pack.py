"""`tessera pack list | set`: tokens that can be bought at once, and what they cost in Stars and in money."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import verb
from control_plane.cli.parsing import EX_USAGE, CommandError, command, noun

if TYPE_CHECKING:
    from control_plane.database import Database


def add(commands: Any) -> None:
    verbs = noun(commands, "pack", help="packs of tokens that are sold: list, set")
    command(verbs, "list", verb(_list), help="list what is offered")
    change = command(
        verbs,
        "set",
        verb(_set),
        help="offer a pack, change it, or take it off",
        description=(
            "Offer so many tokens for a price, in Telegram Stars and in hundredths of a currency. A pack that is taken "
            "off is not offered any more; what was paid for it is still credited."
        ),
        examples=(
            "  tessera pack set small --tokens 500 --stars 150 --cents 300\n"
            "  tessera pack set small --tokens 500 --stars 150 --cents 300 --off"
        ),
    )
    change.add_argument("pack", metavar="PACK")
    for option, told in (("--tokens", "how many it gives"), ("--stars", "its price in Telegram Stars")):
        change.add_argument(option, metavar="N", type=_number, required=True, help=told)
    change.add_argument("--cents", metavar="N", type=_number, required=True, help="its price in hundredths")
    change.add_argument("--currency", metavar="CODE", default="EUR", help="of the price (default: EUR)")
    change.add_argument("--off", action="store_true", help="do not offer it any more")


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.money import payments

    found = await database.many(payments.PACKS)
    if arguments.json:
        printing.as_json(found)
        return 0
    rows = [(one.name, one.tokens, one.stars, f"{one.price_cents / 100:.2f} {one.currency}") for one in found]
    printing.table(("pack", "tokens", "stars", "price"), rows, empty="Nothing is offered.")
    return 0


async def _set(arguments: argparse.Namespace, database: Database) -> int:
    import psycopg.errors

    from control_plane import audit
    from control_plane.money import payments

    try:
        await payments.set_pack(
            database,
            arguments.pack,
            tokens=arguments.tokens,
            stars=arguments.stars,
            price_cents=arguments.cents,
            currency=arguments.currency,
            hidden=arguments.off,
            actor=audit.OPERATOR,
        )
    except psycopg.errors.CheckViolation as error:
        told = "A pack is called by small letters and digits, and its currency by three capital letters, such as EUR."
        raise CommandError(told, EX_USAGE) from error
    if arguments.json:
        printing.as_json({"pack": arguments.pack, "offered": not arguments.off})
    else:
        print(f"{arguments.pack} is {'not offered any more' if arguments.off else 'offered'}.")
    return 0


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10**8:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)
