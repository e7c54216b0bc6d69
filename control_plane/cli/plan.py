"""`tessera plan list | set`: what each plan gives, allows and costs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import hint, verb
from control_plane.cli.parsing import EX_USAGE, CommandError, command, noun, unknown

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.money.plans import Change, Plan


def add(commands: Any) -> None:
    verbs = noun(commands, "plan", help="plans: list, set")
    command(verbs, "list", verb(_list), help="list the plans with all they give and allow")
    change = command(
        verbs,
        "set",
        verb(_set),
        help="change a plan, for everybody who is on it",
        description=(
            "Change what a plan gives, allows and costs, for everybody who is on it. It counts from the next order on; "
            "what is queued keeps its place, what runs goes on. `none` takes a bound away."
        ),
        examples=(
            "  tessera plan set free tokens_per_day=50 queued_max=2\n"
            "  tessera plan set pro video_seconds_max=30 price_cents=2500\n"
            "  tessera plan set free pool_tokens_per_day=none"
        ),
    )
    change.add_argument("plan", metavar="PLAN")
    change.add_argument("settings", metavar="KEY=VALUE", nargs="+", help="a column as in `tessera plan list --json`")


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.money import plans

    found = await database.many(plans.LIST)
    if arguments.json:
        printing.as_json(found)
        return 0
    printing.table(
        (
            *("plan", "tokens a day", "weight", "running", "queued", "submits/min", "reads/min", "pixels", "video"),
            *("kept", "newcomers", "pool weight", "pool tokens", "price"),
        ),
        [_row(plan) for plan in found],
        empty="There is no plan.",
    )
    return 0


def _row(plan: Plan) -> tuple[object, ...]:
    return (
        *(plan.name, plan.tokens_per_day, f"{plan.weight:g}", plan.running_max, plan.queued_max),
        *(plan.submits_per_minute, plan.reads_per_minute, plan.pixels_max if plan.images else "video only"),
        *(f"{plan.video_seconds_max:g} s" if plan.video_seconds_max else None, f"{plan.retention_days} d"),
        f"{plan.newcomer_days} d" if plan.newcomer_days else None,
        *(None if plan.pool_weight is None else f"{plan.pool_weight:g}", plan.pool_tokens_per_day),
        f"{plan.price_cents / 100:.2f} {plan.currency}",
    )


async def _set(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.money import plans

    wanted = _wanted(arguments.settings, plans.COLUMNS)
    names = [plan.name for plan in await database.many(plans.LIST)]
    if arguments.plan not in names:
        raise unknown("plan", arguments.plan, names)
    found = await plans.change(database, arguments.plan, wanted, audit.OPERATOR)
    if found:
        await hint(database, "plans")
    if arguments.json:
        printing.as_json({"plan": arguments.plan, "changes": found})
    elif not found:
        print(f"Nothing to change: the plan {arguments.plan} says so already.")
    else:
        for change in found:
            print(f"{arguments.plan}: {_told(change)}")
    return 0


def _wanted(settings: list[str], columns: tuple[str, ...]) -> dict[str, str]:
    """`name=value` pairs by their names."""
    wanted: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise CommandError(f"{setting} is not KEY=VALUE, such as tokens_per_day=50.", EX_USAGE)
        if name not in columns:
            raise unknown("setting of a plan", name, columns)
        if name in wanted:
            raise CommandError(f"{name} is given twice.", EX_USAGE)
        wanted[name] = value
    return wanted


def _told(change: Change) -> str:
    before, after = ("none" if value is None else value for value in (change.before, change.after))
    return f"{change.name} was {before}, is {after}"
