"""`tessera user plan | grant | adjust`: what an account is on and what it has to spend. Every change says why."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import hint, verb
from control_plane.cli.parsing import command, unknown

if TYPE_CHECKING:
    from control_plane.database import Database


def add(verbs: Any) -> None:
    plan = command(
        verbs,
        "plan",
        verb(_plan),
        help="put an account on a plan",
        description=(
            "Put an account on a plan, at once. With --until, the plan is paid until that day (UTC) is over; three "
            "days later it lapses to `free`, and what is queued stays queued."
        ),
        examples="  tessera user plan ada pro --until 2027-01-31\n  tessera user plan ada free",
    )
    plan.add_argument("user", metavar="USER", help="name or id")
    plan.add_argument("plan", metavar="PLAN", help="as in `tessera plan list`")
    plan.add_argument("--until", metavar="DATE", type=_day, help="the last day that is paid for (default: for ever)")
    grant = command(
        verbs,
        "grant",
        verb(_grant),
        help="give an account tokens that do not expire",
        examples='  tessera user grant ada 500 --reason "for your patience"',
    )
    adjust = command(
        verbs,
        "adjust",
        verb(_adjust),
        help="correct what an account has, up or down",
        description=(
            "Correct what an account has, by an amount with its sign. It may fall below zero, as after a reversed "
            "payment: then nothing new can be ordered until that is made up for; what is queued or runs goes on."
        ),
        examples='  tessera user adjust ada -500 --reason "payment reversed"',
    )
    for one, told in ((grant, "how many"), (adjust, "how many, with a sign")):
        one.add_argument("user", metavar="USER", help="name or id")
        one.add_argument("tokens", metavar="TOKENS", type=_tokens, help=told)
        one.add_argument("--reason", metavar="TEXT", required=True, help="why; it stands in the ledger for ever")


async def _plan(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.cli.user import find
    from control_plane.money import plans
    from control_plane.people import users

    names = [plan.name for plan in await database.many(plans.LIST)]
    if arguments.plan not in names:
        raise unknown("plan", arguments.plan, names)
    user = await find(database, arguments.user)
    await users.set_plan(database, user.id, arguments.plan, arguments.until, audit.OPERATOR)
    await hint(database, "user", user.id)
    standing = await plans.standing(database, user.id)
    if arguments.json:
        printing.as_json({"id": user.id, "name": user.name, "plan": standing.plan, "paid_until": standing.paid_until})
        return 0
    until = f", paid until the end of {arguments.until - timedelta(days=1):%Y-%m-%d} (UTC)" if arguments.until else ""
    print(f"{user.name} is on plan {arguments.plan}{until}.")
    if standing.plan != arguments.plan:
        print(f"That was over three days ago, so it has lapsed to {standing.plan}.")
    return 0


async def _grant(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.money import ledger

    return await _moved(arguments, database, ledger.grant)


async def _adjust(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.money import ledger

    return await _moved(arguments, database, ledger.adjust)


async def _moved(arguments: argparse.Namespace, database: Database, move: Any) -> int:
    from control_plane import audit
    from control_plane.cli.user import find

    user = await find(database, arguments.user)
    moved = await move(database, user.id, arguments.tokens, arguments.reason, audit.OPERATOR)
    if arguments.json:
        printing.as_json({"id": user.id, "name": user.name, "transfer": moved.id, "purchased": moved.purchased})
        return 0
    print(f"{user.name} has {moved.purchased} purchased tokens now.")
    if moved.purchased < 0:
        print("Nothing new can be ordered until that is made up for.")
    return 0


def _tokens(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of tokens") from None


def _day(text: str) -> datetime:
    """The end of a day of UTC."""
    try:
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2027-01-31") from None
