"""`tessera migrate`: bring the schema up to date."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import settings, translated
from control_plane.cli.parsing import command

if TYPE_CHECKING:
    from control_plane.settings import Settings


def add(commands: Any) -> None:
    command(
        commands,
        "migrate",
        _migrate,
        help="bring the database schema up to date",
        description=(
            "Apply what is missing of the numbered migrations, under a lock, as the role of TESSERA_OWNER_DATABASE_URL "
            "(else TESSERA_DATABASE_URL, else the embedded owner). Doing it twice changes nothing."
        ),
    )


def _migrate(arguments: argparse.Namespace) -> int:
    with translated():
        applied = _applied(settings())
    if arguments.json:
        printing.as_json({"applied": applied})
    elif applied:
        print(f"Applied {', '.join(applied)}.")
    else:
        print("The schema is up to date.")
    return 0


def _applied(chosen: Settings) -> list[str]:
    from control_plane import embedded, migrate

    if url := chosen.owner_database_url or chosen.database_url:
        return migrate.migrate(url)
    server = embedded.start(chosen.data_dir)
    try:
        return migrate.migrate(server.owner_url)
    finally:
        server.stop()
