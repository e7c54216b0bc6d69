"""`tessera webhook list | deliveries | redeliver`: where an account wants to be told, and what became of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any
from uuid import UUID

from control_plane.cli import printing
from control_plane.cli.operating import hint, the_time, verb
from control_plane.cli.parsing import command, noun
from control_plane.cli.user import find

if TYPE_CHECKING:
    from control_plane.database import Database

LIMIT = 20


def add(commands: Any) -> None:
    verbs = noun(commands, "webhook", help="webhooks of an account: list, deliveries, redeliver")
    listing = command(verbs, "list", verb(_list), help="list where an account wants to be told of its jobs")
    log = command(
        verbs,
        "deliveries",
        verb(_deliveries),
        help="show what was sent to a webhook and what it answered, the newest first",
        examples="  tessera webhook deliveries ada 01a2…\n  tessera webhook deliveries ada 01a2… --status dead",
    )
    again = command(verbs, "redeliver", verb(_redeliver), help="send a message once more, with the id that it had")
    for parser in (listing, log, again):
        parser.add_argument("user", metavar="USER", help="whose: name or id")
    for parser in (log, again):
        parser.add_argument("webhook", metavar="WEBHOOK", type=_id, help="its id, as in `tessera webhook list`")
    log.add_argument("--status", choices=("pending", "delivered", "dead"), help="these only")
    log.add_argument("--limit", metavar="N", type=int, default=LIMIT, help=f"how many (default: {LIMIT})")
    again.add_argument("delivery", metavar="DELIVERY", type=_id, help="its id, as in `tessera webhook deliveries`")


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.webhooks import endpoints

    user = await find(database, arguments.user)
    found = (await endpoints.listed(database, user.id)).data
    if arguments.json:
        printing.as_json(found)
        return 0
    now = await the_time(database)
    printing.table(
        ("id", "url", "events", "status", "failing", "created"),
        [
            (
                webhook.id,
                webhook.url or "(of orders)",
                " ".join(event.removeprefix("job.") for event in webhook.events),
                webhook.disabled_reason or webhook.status,
                printing.ago(webhook.failing_since, now),
                printing.ago(webhook.created_at, now),
            )
            for webhook in found
        ],
        empty=f"{user.name} has no webhook.",
    )
    return 0


async def _deliveries(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.webhooks import deliveries

    user = await find(database, arguments.user)
    most = max(1, min(arguments.limit, deliveries.PAGE_MAX))
    found = await deliveries.latest(database, user.id, arguments.webhook, state=arguments.status, most=most)
    if arguments.json:
        printing.as_json(found)
        return 0
    now = await the_time(database)
    printing.table(
        ("id", "type", "job", "status", "attempts", "answer", "last", "next"),
        [
            (
                delivery.id,
                delivery.type,
                delivery.job_id,
                delivery.status,
                delivery.attempts,
                delivery.last_status or delivery.last_error,
                printing.ago(delivery.last_attempt_at, now),
                delivery.next_attempt_at,
            )
            for delivery in found
        ],
        empty="Nothing has been sent there yet.",
    )
    return 0


async def _redeliver(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.webhooks import deliveries

    user = await find(database, arguments.user)
    found = await deliveries.redeliver(database, user.id, arguments.webhook, arguments.delivery)
    await hint(database, "webhook")
    if arguments.json:
        printing.as_json(found)
    else:
        print(f"{found.message_id} is on its way to {found.url} once more.")
    return 0


def _id(word: str) -> UUID:
    try:
        return UUID(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word} is no id.") from None
