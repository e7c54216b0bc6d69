"""`tessera invite create | list | revoke`: codes with which somebody signs up, or gets a plan or tokens."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import settings, the_time, verb
from control_plane.cli.parsing import command, noun, unknown

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.people.invites import Invite


def add(commands: Any) -> None:
    verbs = noun(commands, "invite", help="invite codes: create, list, revoke")
    create = command(
        verbs,
        "create",
        verb(_create),
        help="make a code that lets people in",
        description=(
            "Make a code with which people sign up where TESSERA_SIGNUP is `invite`, by a bot, on the website, or by "
            "its link; it is shown once. It may give a plan (which replaces a lesser one, until you change it) and "
            "tokens that do not expire. Each account uses a code once."
        ),
        examples="  tessera invite create\n  tessera invite create --plan starter --tokens 500 --uses 20 --days 14",
    )
    create.add_argument("--plan", metavar="PLAN", help="the plan that it gives (default: none)")
    create.add_argument("--tokens", metavar="N", type=int, default=0, help="the tokens that it gives (default: 0)")
    create.add_argument("--uses", metavar="N", type=int, default=1, help="how many accounts may use it (default: 1)")
    create.add_argument("--days", metavar="N", type=float, help="let it expire after so many days (default: never)")
    command(verbs, "list", verb(_list), help="list the invites and how often they were used")
    revoke = command(verbs, "revoke", verb(_revoke), help="let nobody use a code any more; what it gave stays given")
    revoke.add_argument("invite", metavar="ID", type=int, help="the number of the invite, as in `tessera invite list`")


async def _create(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.money import plans
    from control_plane.people import invites

    names = [plan.name for plan in await database.many(plans.LIST)]
    if arguments.plan is not None and arguments.plan not in names:
        raise unknown("plan", arguments.plan, names)
    made = await invites.create(
        database, plan=arguments.plan, tokens=arguments.tokens, uses=arguments.uses, days=arguments.days
    )
    url = f"{settings().base_url}/join?code={made.code}"
    if arguments.json:
        printing.as_json({"id": made.id, "code": made.code, "url": url, "expires_at": made.expires_at})
    else:
        printing.note(f"Invite {made.id}, for {_uses(arguments.uses)}; the code is shown only now. As a link: {url}")
        print(made.code)
    return 0


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.people import invites

    found = await invites.list_all(database)
    if arguments.json:
        printing.as_json(found)
        return 0
    now = await the_time(database)
    printing.table(
        ("id", "condition", "used", "plan", "tokens", "created", "expires"),
        [
            (
                invite.id,
                _condition(invite),
                f"{invite.used} of {invite.uses}",
                invite.plan,
                invite.tokens or None,
                printing.ago(invite.created_at, now),
                invite.expires_at,
            )
            for invite in found
        ],
        empty="There is no invite yet. Make one: tessera invite create",
    )
    return 0


async def _revoke(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.people import invites

    await invites.revoke(database, arguments.invite)
    if arguments.json:
        printing.as_json({"id": arguments.invite, "revoked": True})
    else:
        print(f"Invite {arguments.invite} lets nobody in any more.")
    return 0


def _condition(invite: Invite) -> str:
    if invite.revoked_at is not None:
        return "revoked"
    if invite.used >= invite.uses:
        return "used up"
    return "live" if invite.live else "expired"


def _uses(uses: int) -> str:
    return "one account" if uses == 1 else f"{uses} accounts"
