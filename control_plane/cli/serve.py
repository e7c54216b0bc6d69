"""`tessera serve`: a control plane and nothing else, for production."""

from __future__ import annotations

import argparse
import os
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
        examples="  TESSERA_DATABASE_URL=postgresql://tessera@db/tessera tessera serve",
        json=False,
    )
    made.add_argument("--host", metavar="ADDRESS", help="address to listen on (or TESSERA_HOST; default: 127.0.0.1)")
    made.add_argument(
        "--plain-http", action="store_true", default=None, help="--host may be more than this machine, unprotected"
    )
    made.add_argument("--port", metavar="N", help="port to listen on, 0 = any (or TESSERA_PORT; default: 8000)")


def _serve(arguments: argparse.Namespace) -> int:
    from control_plane.cli.listening import settled

    plain_http = arguments.plain_http and "true"
    given = {"TESSERA_HOST": arguments.host, "TESSERA_PORT": arguments.port, "TESSERA_PLAIN_HTTP": plain_http}
    chosen = settled(settings(given))
    with translated(), current_database(chosen) as url:
        _run(chosen, url)
    return 0


def _run(chosen: Settings, url: str) -> None:
    import asyncio

    from control_plane import app, log, tracing
    from control_plane.cli.setup import welcome
    from control_plane.settings import ConfigurationError
    from control_plane.wire import systemd

    try:
        tracing.begin(os.environ)
    except tracing.NoLibrary as error:
        raise ConfigurationError(str(error)) from error
    log.configure(chosen.log_level, chosen.log_format)
    asyncio.run(welcome(chosen, url))
    app.serve(chosen, url, systemd.from_environment(os.environ))
