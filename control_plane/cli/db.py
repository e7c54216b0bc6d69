"""`tessera db move | upgrade`: the database carried to another server, or to a newer PostgreSQL."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from control_plane.cli import premises, printing
from control_plane.cli.addresses import database_address
from control_plane.cli.operating import owned_database, settings, translated
from control_plane.cli.parsing import EX_UNAVAILABLE, CommandError, command, noun


def add(commands: Any) -> None:
    verbs = noun(commands, "db", help="the database: move it to another server, or to a newer PostgreSQL")
    moved = command(
        verbs,
        "move",
        _move,
        help="carry the database to another PostgreSQL server",
        description=(
            "Carry everything in the database of the settings into an empty database elsewhere, as its owner, and "
            "compare both to the row: tables, rights, and the books. Stop Tessera before; what is here stays as it was."
        ),
        examples=(
            "  tessera db move postgresql://tessera_owner@db.example/tessera     the password from ~/.pgpass\n"
            "  tessera db move @/root/new-database.url                           address and password from a file"
        ),
    )
    moved.add_argument(
        "url", metavar="URL", help="the empty database, as its owner; @FILE reads the address from a file"
    )
    upgraded = command(
        verbs,
        "upgrade",
        _upgrade,
        help="carry the embedded database to the PostgreSQL of this Tessera",
        description=(
            "Carry the embedded database to the major version of PostgreSQL that this Tessera brings, compare both "
            "to the row. The programs of the old version are needed once more. The old folder stays until you "
            "remove it."
        ),
    )
    upgraded.add_argument("--old-programs", metavar="FOLDER", help="where the old version's programs lie, if not found")


def _move(arguments: argparse.Namespace) -> int:
    import asyncio

    from control_plane.backup import moving

    chosen = settings()
    _alone(chosen.data_dir)
    target = database_address(arguments.url)
    with translated(), owned_database(chosen) as source:
        moved = asyncio.run(moving.move(source, target, chosen.data_dir))
    if arguments.json:
        printing.as_json(moved)
        return 0
    print(f"Moved {moved.rows} rows of {moved.tables} tables with {moved.grants} rights; both sides are the same.")
    print("From now on:")
    print("  TESSERA_OWNER_DATABASE_URL   the address that you have just given")
    print("  TESSERA_DATABASE_URL         the same database as a role of the application's rights. As the owner, type:")
    print("      create role tessera_login login in role tessera_app;  \\password tessera_login")
    print("Then `tessera check`. The old database stays where it is; remove it when you are content.")
    return 0


def _upgrade(arguments: argparse.Namespace) -> int:
    import asyncio

    from control_plane.backup import moving

    chosen = settings()
    if chosen.database_url:
        raise CommandError("TESSERA_DATABASE_URL names a server of your own: upgrade it by its own means (pg_upgrade).")
    _alone(chosen.data_dir)
    folder = None if arguments.old_programs is None else Path(arguments.old_programs).expanduser()
    with translated():
        upgraded = asyncio.run(moving.upgrade(chosen.data_dir, folder))
    if arguments.json:
        printing.as_json(upgraded)
    elif upgraded is None:
        print("The database is of the PostgreSQL that this Tessera brings. There is nothing to do.")
    else:
        print(f"Carried {upgraded.rows} rows from PostgreSQL {upgraded.before} to {upgraded.after}; they are the same.")
        print(f"The old cluster is kept in {upgraded.kept}. Start Tessera, look, and remove it when you are content.")
    return 0


def _alone(data_dir: Path) -> None:
    if premises.running(data_dir):
        raise CommandError(f"Tessera is running on {data_dir}. Stop it, and try again.", EX_UNAVAILABLE)
