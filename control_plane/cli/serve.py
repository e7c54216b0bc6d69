"""`tessera serve`: a control plane and nothing else, for production."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli.operating import current_database, settings, translated
from control_plane.cli.parsing import command

if TYPE_CHECKING:
    from control_plane.settings import Settings


def add(commands: Any) -> None:
    made = command(
        commands,
        "serve",
        _serve,
        help="run a control plane alone, for production",
        description=(
            "Run one control plane on a database that is up to date (see `tessera migrate`). Run as many as you like "
            "on one database. Everything is set by TESSERA_… variables; `tessera check` shows them."
        ),
        examples="  TESSERA_DATABASE_URL=postgresql://tessera@db/tessera tessera serve --host 0.0.0.0",
        json=False,
    )
    made.add_argument("--host", metavar="ADDRESS", help="address to listen on (or TESSERA_HOST; default: 127.0.0.1)")
    made.add_argument("--port", metavar="N", help="port to listen on, 0 = any (or TESSERA_PORT; default: 8000)")


def _serve(arguments: argparse.Namespace) -> int:
    from control_plane.cli.listening import settled

    chosen = settled(settings({"TESSERA_HOST": arguments.host, "TESSERA_PORT": arguments.port}))
    with translated(), current_database(chosen) as url:
        _run(chosen, url)
    return 0


def _run(chosen: Settings, url: str) -> None:
    from control_plane import app

    app.serve(chosen, url)
