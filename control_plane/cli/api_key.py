"""`tessera key create | list | revoke`: what programs show to be let in. The secret is shown once and never stored."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import hint, the_time, verb
from control_plane.cli.parsing import EX_USAGE, CommandError, command, noun, unknown
from control_plane.cli.user import find

if TYPE_CHECKING:
    from control_plane.database import Database

SCOPES = ("read", "submit", "admin", "metrics")
DAY_SECONDS = 86_400.0
NAME_LENGTH_MAX = 64
PROVIDER = re.compile(r"[a-z]{1,32}")


def add(commands: Any) -> None:
    verbs = noun(commands, "key", help="API keys: create, list, revoke")
    create = command(
        verbs,
        "create",
        verb(_create),
        help="make a key for an account, or for a service",
        description=(
            "Make an API key; it is shown once. A key of an account acts for that account. A key of a service, such as "
            "a bot, has no account: it acts for the people of its providers, and is never an administrator."
        ),
        examples=(
            "  tessera key create ada\n"
            "  tessera key create ada --scope read --days 30 --name dashboard\n"
            "  tessera key create --service bots --provider telegram --provider discord"
        ),
    )
    create.add_argument("user", metavar="USER", nargs="?", help="whose key: name or id")
    create.add_argument("--service", metavar="NAME", help="instead of USER: the name of a service, such as bots")
    create.add_argument(
        "--provider",
        metavar="PROVIDER",
        action="append",
        default=[],
        help="with --service: whom it acts for; repeat it",
    )
    create.add_argument("--name", metavar="NAME", help="what to call the key (default: after its account or service)")
    create.add_argument(
        "--scope", choices=SCOPES, action="append", help="what it may do; may be repeated (default: read and submit)"
    )
    create.add_argument(
        "--model", metavar="MODEL", action="append", help="let it order of this model only; repeat it (default: all)"
    )
    create.add_argument("--days", metavar="N", type=_days, help="let it expire after so many days (default: never)")
    listing = command(verbs, "list", verb(_list), help="list the keys of an account, or of the services")
    listing.add_argument("user", metavar="USER", nargs="?", help="name or id; absent: the keys of services")
    revoke = command(verbs, "revoke", verb(_revoke), help="end a key for ever")
    revoke.add_argument("key", metavar="ID", help="the id of the key, as in `tessera key list`, or the key itself")


async def _create(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit, credentials

    scopes = arguments.scope or ["read", "submit"]
    _check(arguments, scopes)
    user = await find(database, arguments.user) if arguments.user else None
    name = arguments.name or arguments.service or (user.name[:NAME_LENGTH_MAX] if user else "")
    made = await credentials.create_key(
        database,
        name=name,
        user_id=user.id if user else None,
        scopes=scopes,
        providers=arguments.provider,
        models=await _models(database, arguments.model),
        expires_seconds=arguments.days * DAY_SECONDS if arguments.days else None,
        actor=audit.OPERATOR,
    )
    if arguments.json:
        printing.as_json({"id": made.id, "key": made.key})
    else:
        printing.note(f"A key with {' and '.join(scopes)}, shown only now:")
        print(made.key)
    return 0


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import credentials

    user = await find(database, arguments.user) if arguments.user else None
    found = await credentials.list_keys(database, user.id if user else None)
    if arguments.json:
        printing.as_json(found)
        return 0
    whose = user.name if user else "--service NAME --provider PROVIDER"
    now = await the_time(database)
    printing.table(
        ("id", "name", "may", "acts for", "created", "last used", "expires", "revoked"),
        [
            (
                key.id,
                key.name,
                key.scopes,
                [f"{provider}:*" for provider in key.providers] or (user.name if user else None),
                key.created_at,
                printing.ago(key.last_used_at, now),
                key.expires_at,
                key.revoked_at,
            )
            for key in found
        ],
        empty=f"There is no key yet. Make one: tessera key create {whose}",
    )
    return 0


async def _revoke(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit, credentials

    parts = arguments.key.split("_")
    key_id = parts[1] if len(parts) == 3 else arguments.key
    await credentials.revoke_key(database, key_id, audit.OPERATOR)
    await hint(database, "credential", key_id)
    if arguments.json:
        printing.as_json({"id": key_id, "revoked": True})
    else:
        print(f"The key {key_id} opens nothing any more.")
    return 0


async def _models(database: Database, wanted: list[str] | None) -> list[str] | None:
    """Those that a key is bound to, if it is; each of them is offered here."""
    from control_plane.models import LIST

    known = sorted({model.name for model in await database.many(LIST, {"live_seconds": 0.0})})
    for name in wanted or ():
        if name not in known:
            raise unknown("model", name, known)
    return wanted


def _check(arguments: argparse.Namespace, scopes: list[str]) -> None:
    """What argparse cannot say about which options belong together."""
    if bool(arguments.user) == bool(arguments.service):
        raise CommandError("Say whose key: either USER, or --service NAME with --provider.", EX_USAGE)
    if bool(arguments.service) != bool(arguments.provider):
        raise CommandError("A service needs --provider: whose people it acts for, such as telegram.", EX_USAGE)
    if arguments.service and "admin" in scopes:
        raise CommandError("A service is never an administrator. Make an admin key for an account.", EX_USAGE)
    if any(not PROVIDER.fullmatch(provider) for provider in arguments.provider):
        raise CommandError("A provider is 1 to 32 lower-case letters, such as telegram or discord.", EX_USAGE)
    if not len(arguments.name or arguments.service or "key") <= NAME_LENGTH_MAX:
        raise CommandError(f"The name of a key has at most {NAME_LENGTH_MAX} characters.", EX_USAGE)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0
    if not 0 < days <= 36_500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days above 0")
    return days
