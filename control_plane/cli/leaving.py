"""`tessera user export | delete`: everything of one person in a file, and nothing of them here any more."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import hint, settings, verb
from control_plane.cli.parsing import EX_FAILED, EX_USAGE, CommandError, command

if TYPE_CHECKING:
    from control_plane.care.export import Export
    from control_plane.database import Database


def add(verbs: Any) -> None:
    """Below `tessera user`."""
    export = command(
        verbs,
        "export",
        verb(_export),
        help="write everything that is known of somebody into a zip file",
        description=(
            "Write everything that is known of somebody into a zip file, for that person: account, orders, ledger, "
            "payments, all pictures. It holds no secret, but is theirs: nobody else on this machine can read it."
        ),
        examples="  tessera user export ada ada.zip",
    )
    export.add_argument("user", metavar="NAME", help="name, id or identity (telegram:123)")
    export.add_argument("file", metavar="FILE", type=Path, help="is not overwritten")
    delete = command(
        verbs,
        "delete",
        verb(_delete),
        help="delete an account with everything in it, for good",
        description=(
            "Delete an account: orders with prompts and files, inputs, links, keys, sessions, webhooks and identities. "
            "What waits is canceled, what runs is stopped. Amounts and dates stay in the ledger under a number that "
            "says nothing of the person. There is no way back but a backup, and backups hold the person until "
            "newer ones replace them."
        ),
        examples="  tessera user delete ada\n  tessera user delete ada --yes",
    )
    delete.add_argument("user", metavar="NAME", help="name, id or identity (telegram:123)")
    delete.add_argument("--yes", action="store_true", help="do not ask for the name once more")


async def _export(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.care.export import Exports
    from control_plane.cli.user import find
    from control_plane.store import open_store

    user = await find(database, arguments.user)
    export = await Exports(database, open_store(settings())).begin(user.id)
    size = await _written(export, arguments.file)
    if arguments.json:
        printing.as_json({"file": str(arguments.file), "bytes": size, "files": export.files, "missing": export.missing})
    else:
        print(f"Wrote {arguments.file}: {size:,} bytes with {export.files} pictures.")
    return 0


async def _written(export: Export, target: Path) -> int:
    """The whole archive or no file; bytes."""
    try:
        file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{target} cannot be written: {error.strerror}.", EX_USAGE) from error
    size = 0
    try:
        with os.fdopen(file, "wb") as out:
            async with aclosing(export.chunks()) as chunks:
                async for data in chunks:
                    size += out.write(data)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(target)
        if isinstance(error, OSError):
            raise CommandError(f"{target} could not be written: {error.strerror}.", EX_FAILED) from error
        raise
    return size


async def _delete(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.care import departures
    from control_plane.cli.user import find
    from control_plane.store import open_store

    user = await find(database, arguments.user)
    if not arguments.yes:
        _confirm(user.name)
    household = await departures.depart(database, user.id, audit.OPERATOR)
    for each in household:
        await hint(database, "user", each)
    finished = await departures.proceed(database, open_store(settings()), user.id)
    if arguments.json:
        printing.as_json({"id": user.id, "deleted": True, "finished": finished})
    elif finished:
        print("The account and everything in it are gone.")
    else:
        print(
            "The account is closed. What a job that is being stopped still needs goes within minutes, by the control\n"
            "plane while it runs; what is under a legal hold or an open report goes when that ends."
        )
    return 0


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("Nobody is here to be asked. Say --yes to delete the account.", EX_USAGE)
    if input(f"Everything of {name} goes for good. Type the name to go on: ").strip() != name:
        raise CommandError("That was another name; nothing was deleted.", EX_USAGE)
