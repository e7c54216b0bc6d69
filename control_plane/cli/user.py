"""`tessera user create | list | login-link | suspend | restore`: accounts; what they have is told by `tokens`, how
they end by `leaving`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import lan, leaving, printing, tokens
from control_plane.cli.operating import hint, settings, verb
from control_plane.cli.parsing import command, noun, unknown

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.wire.user import UserView


def add(commands: Any) -> None:
    verbs = noun(commands, "user", help="accounts: create, list, login-link, suspend, plan, grant, export, delete …")
    create = command(
        verbs,
        "create",
        verb(_create),
        help="make an account",
        examples="  tessera user create ada --plan pro\n  tessera key create ada",
    )
    create.add_argument("name", metavar="NAME", help="unique, 1 to 128 characters, no colon")
    create.add_argument("--plan", metavar="PLAN", default="free", help="free, starter or pro (default: free)")
    command(verbs, "list", verb(_list), help="list the accounts")
    link = command(
        verbs,
        "login-link",
        verb(_login_link),
        help="make a link that signs somebody in on the website, once",
        description=(
            "Make a link that signs somebody in on the website: once, within a quarter of an hour, by the button on "
            "its page. Whoever has the link is let in, so send it to nobody else. A new link ends the one before."
        ),
        examples="  tessera user login-link ada\n  tessera user login-link admin",
    )
    link.add_argument("user", metavar="NAME", help="name or id")
    suspend = command(
        verbs,
        "suspend",
        verb(_suspend),
        help="shut an account out; what it has ordered is canceled",
        description=(
            "Shut an account out, with all its identities and keys. What it has waiting is canceled and costs nothing; "
            "what runs is stopped. `tessera user restore` takes it back, but not the cancellations."
        ),
        examples='  tessera user suspend ada --reason "resells keys"',
    )
    suspend.add_argument("user", metavar="USER", help="name or id")
    suspend.add_argument("--reason", metavar="TEXT", default="", help="kept in the audit log")
    restore = command(verbs, "restore", verb(_restore), help="take a suspension back")
    restore.add_argument("user", metavar="USER", help="name or id")
    tokens.add(verbs)
    leaving.add(verbs)


async def _create(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.money import plans
    from control_plane.people import users

    names = [plan.name for plan in await database.many(plans.LIST)]
    if arguments.plan not in names:
        raise unknown("plan", arguments.plan, names)
    user_id = await users.create(database, arguments.name, arguments.plan, audit.OPERATOR)
    if arguments.json:
        printing.as_json({"id": user_id, "name": arguments.name, "plan": arguments.plan})
    else:
        print(f"Created {arguments.name} on plan {arguments.plan}. Next: tessera key create {arguments.name}")
    return 0


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.people import users

    found = await users.list_all(database)
    if arguments.json:
        printing.as_json(found)
        return 0
    printing.table(
        ("name", "plan", "status", "created", "known as", "id"),
        [(user.name, user.plan, user.status, user.created_at, _identities(user), user.id) for user in found],
        empty="There is no account yet. Make one: tessera user create NAME",
    )
    return 0


async def _login_link(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.people import sessions

    user = await find(database, arguments.user)
    made = await sessions.make_link(database, user.id, audit.OPERATOR)
    url = f"{lan.announced(settings()).base_url}/auth/link/{made.token}"
    if arguments.json:
        printing.as_json({"id": user.id, "name": user.name, "url": url, "expires_at": made.expires_at})
    else:
        printing.note(f"This link signs {user.name} in once, until {made.expires_at:%H:%M} UTC; it is shown only now:")
        print(url)
    return 0


async def _suspend(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.conduct import suspension

    user = await find(database, arguments.user)
    await suspension.suspend(database, user.id, audit.OPERATOR, arguments.reason)
    await hint(database, "user", user.id)
    canceled = canceling = 0
    async for stopped in suspension.stop(database, user.id):
        canceled += stopped.state == "canceled"
        canceling += stopped.state != "canceled"
        if stopped.worker_id is not None:
            await hint(database, "worker", stopped.worker_id)
    if arguments.json:
        counts = {"canceled": canceled, "canceling": canceling}
        printing.as_json({"id": user.id, "name": user.name, "plan": user.plan, "status": "suspended", **counts})
    else:
        print(f"{user.name} is suspended; {canceled} orders were canceled and {canceling} are being stopped.")
    return 0


async def _restore(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.conduct import suspension

    user = await find(database, arguments.user)
    await suspension.restore(database, user.id, audit.OPERATOR)
    await hint(database, "user", user.id)
    if arguments.json:
        printing.as_json({"id": user.id, "name": user.name, "plan": user.plan, "status": "active"})
    else:
        print(f"{user.name} is active again.")
    return 0


async def find(database: Database, word: str) -> UserView:
    """The account of this name or id; what is misspelt is told with what is like it."""
    from control_plane.errors import NotFound
    from control_plane.people import users

    try:
        return await users.find(database, word)
    except NotFound:
        names = [user.name for user in await users.list_all(database)]
        raise unknown("account", word, names, cure="Make one: tessera user create NAME") from None


def _identities(user: UserView) -> list[str]:
    return [f"{identity.provider}:{identity.subject}" for identity in user.identities]
