"""`tessera audit list`: who did what, the newest first. Lines are never changed, so there is no other verb."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import verb
from control_plane.cli.parsing import command, noun

if TYPE_CHECKING:
    from control_plane.audit import Entry
    from control_plane.database import Database

LIST_MAX = 1_000


def add(commands: Any) -> None:
    verbs = noun(commands, "audit", help="what operators and administrators did: list")
    listing = command(
        verbs,
        "list",
        verb(_list),
        help="list what was done, the newest first",
        examples="  tessera audit list\n  tessera audit list --about user\n  tessera audit list --about artifact:ID/0",
    )
    listing.add_argument("--about", metavar="KIND[:ID]", help="only about such things, or about this one")
    listing.add_argument("--limit", metavar="N", type=_limit, default=50, help=f"at most {LIST_MAX} (default: 50)")


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit

    kind, _, identifier = (arguments.about or "").partition(":")
    about = (kind, identifier) if identifier else None
    found = await audit.entries(database, object=about, kind=kind or None, limit=arguments.limit)
    if arguments.json:
        printing.as_json(found)
        return 0
    printing.table(
        ("at", "who", "did", "to", "detail"),
        [(line.at, _who(line), line.verb, f"{line.object_kind}:{line.object_id}", _detail(line)) for line in found],
        empty="Nothing has been done yet." if not arguments.about else "Nothing has been done about that.",
    )
    return 0


def _who(entry: Entry) -> str:
    return entry.actor_name or ":".join(filter(None, (entry.actor_kind, entry.actor_id)))


def _detail(entry: Entry) -> list[str]:
    return [f"{name}={value}" for name, value in entry.detail.items() if value not in (None, "", [])]


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LIST_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {LIST_MAX}")
    return int(text)
