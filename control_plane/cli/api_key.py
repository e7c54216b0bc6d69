"""`tessera key create | list | rotate | revoke`: what programs show to be let in; the secret only once."""

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

SCOPES = ("read", "submit", "keys", "admin", "metrics", "payments", "operate")
DAY_SECONDS = 86_400.0
OVERLAP_HOURS, OVERLAP_HOURS_MAX = 24.0, 7 * 24.0
NAME_LENGTH_MAX = 64
PROVIDER = re.compile(r"[a-z]{1,32}")


def add(commands: Any) -> None:
    verbs = noun(commands, "key", help="API keys: create, list, rotate, revoke")
    _add_create(verbs)
    listing = command(verbs, "list", verb(_list), help="list the keys of an account, or of the services")
    listing.add_argument("user", metavar="USER", nargs="?", help="name or id; absent: the keys of services")
    rotate = command(
        verbs,
        "rotate",
        verb(_rotate),
        help="give a key another secret; the old one works on for a while",
        examples="  tessera key rotate 0a1b2c3d4e5f\n  tessera key rotate 0a1b2c3d4e5f --overlap 0",
    )
    rotate.add_argument("key", metavar="ID", help="the id of the key, as in `tessera key list`, or the key itself")
    rotate.add_argument(
        "--overlap",
        metavar="HOURS",
        type=_overlap,
        default=OVERLAP_HOURS,
        help="for how long the old secret works on, 0 to 168 (default: 24)",
    )
    revoke = command(verbs, "revoke", verb(_revoke), help="end a key for ever")
    revoke.add_argument("key", metavar="ID", help="the id of the key, as in `tessera key list`, or the key itself")


def _add_create(verbs: Any) -> None:
    create = command(
        verbs,
        "create",
        verb(_create),
        help="make a key for an account, or for a service",
        description=(
            "Make an API key; it is shown once. A key of an account acts for that account. A key of a service, such as "
            "a bot, has no account: it acts for the people of its providers. The scope `payments` lets it credit what "
            "they have paid, `operate` lets it act for those who own a key with the scope `admin`. What a test key "
            "orders is drawn by the sandbox for play tokens, apart from everything real."
        ),
        examples=(
            "  tessera key create ada\n"
            "  tessera key create ada --scope read --days 30 --name dashboard\n"
            "  tessera key create ada --test\n"
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
    create.add_argument("--test", action="store_true", help="a test key: play tokens, drawn by the sandbox")
    create.add_argument("--cap", metavar="N", type=_tokens, help="let it order for so many tokens a day (default: any)")
    create.add_argument(
        "--origin", metavar="URL", action="append", help="let pages of this web site use it (CORS); repeat it"
    )
    create.add_argument("--days", metavar="N", type=_days, help="let it expire after so many days (default: never)")


async def _create(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.people import credentials, keys, origins

    scopes = arguments.scope or ["read", "submit"]
    _check(arguments, scopes)
    user = await find(database, arguments.user) if arguments.user else None
    name = arguments.name or arguments.service or (user.name[:NAME_LENGTH_MAX] if user else "")
    owner_id = user.id if user else None
    if user and arguments.test:
        owner_id = await keys.twin_of(database, user.id)
    made = await credentials.create_key(
        database,
        name=name,
        user_id=owner_id,
        scopes=scopes,
        providers=arguments.provider,
        origins=origins.checked(arguments.origin),
        daily_cap=arguments.cap,
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
    from control_plane.people import credentials

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
                f"{key.name} (test)" if key.test else key.name,
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


async def _rotate(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.people import credentials, keys

    key_id = credentials.key_id_of(arguments.key) or arguments.key
    rotated = await keys.rotate(database, key_id, arguments.overlap * 3_600, audit.OPERATOR)
    await hint(database, "credential", rotated.id)
    if arguments.json:
        printing.as_json({"id": rotated.id, "key": rotated.key, "overlap_hours": arguments.overlap})
        return 0
    old = f"works for {arguments.overlap:g} hours more" if arguments.overlap else "works no more"
    printing.note(f"The key {rotated.id} has a new secret, shown only now; the old one {old}:")
    print(rotated.key)
    return 0


async def _revoke(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.people import credentials

    key_id = credentials.key_id_of(arguments.key) or arguments.key
    await credentials.revoke_key(database, key_id, audit.OPERATOR)
    await hint(database, "credential", key_id)
    if arguments.json:
        printing.as_json({"id": key_id, "revoked": True})
    else:
        print(f"The key {key_id} opens nothing any more.")
    return 0


async def _models(database: Database, wanted: list[str] | None) -> list[str] | None:
    """Those that a key is bound to, if it is; each of them is offered here."""
    from control_plane.orders.models import LIST

    known = sorted({model.name for model in await database.many(LIST, {"live_seconds": 0.0})})
    for name in wanted or ():
        if name not in known:
            raise unknown("model", name, known)
    return wanted


def _check(arguments: argparse.Namespace, scopes: list[str]) -> None:
    """What argparse cannot say about which options belong together."""
    from control_plane.people import keys

    if bool(arguments.user) == bool(arguments.service):
        raise CommandError("Say whose key: either USER, or --service NAME with --provider.", EX_USAGE)
    if bool(arguments.service) != bool(arguments.provider):
        raise CommandError("A service needs --provider: whose people it acts for, such as telegram.", EX_USAGE)
    if arguments.service and arguments.test:
        raise CommandError("A test key belongs to an account: give USER.", EX_USAGE)
    if arguments.test and (unfit := keys.NOT_OF_TESTS.intersection(scopes)):
        raise CommandError(f"A test key cannot have {' and '.join(sorted(unfit))}.", EX_USAGE)
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


def _overlap(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1
    if not 0 <= hours <= OVERLAP_HOURS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours from 0 to {OVERLAP_HOURS_MAX:g}")
    return hours


def _tokens(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens above 0")
    return int(text)
