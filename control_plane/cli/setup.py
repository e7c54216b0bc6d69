"""`tessera setup`: a link by which the operator sets this installation up in a browser.

`tessera up` prints such a link by itself for as long as the setup is open, and so does `tessera serve` at a terminal;
where nobody looks, it says in the log that there is one to be had.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from control_plane.cli import premises, printing
from control_plane.cli.operating import opened, settings, verb
from control_plane.cli.parsing import command

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.settings import Settings

HINT = "tessera setup"


def add(commands: Any) -> None:
    command(
        commands,
        "setup",
        verb(_setup),
        help="make a link to the setup of this installation, for its operator, once",
        description=(
            "Make a link that signs the operator in on the website and leads to the setup: once, within a quarter of "
            "an hour. Where there is no operator yet, the account `admin` is made, with a key that stays on this "
            "machine. "
            "Whoever has the link is let in, so send it to nobody."
        ),
        examples="  tessera setup",
    )


async def _setup(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.cli import first_start
    from control_plane.operator import setup

    chosen = settings()
    if not await setup.operators(database) and await first_start.ensure_admin_key(database, chosen.data_dir):
        printing.note(f"Made the account admin; its key is kept in {chosen.data_dir / premises.ADMIN_KEY}.")
    path = await first_start.setup_path(database)
    url = f"{chosen.base_url}{path}"
    if arguments.json:
        printing.as_json({"url": url})
    else:
        printing.note("This link signs the operator in once, within a quarter of an hour; it is shown only now:")
        print(url)
    return 0


async def welcome(chosen: Settings, database_url: str) -> None:
    """Says that this installation waits to be set up, if it does: at a terminal with the link."""
    import structlog

    from control_plane.cli import first_start
    from control_plane.operator import setup

    async with opened(database_url) as database:
        if not await setup.is_open(database) or not first_start.has_site(chosen):
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            structlog.get_logger().info("setup.open", hint=HINT)
            return
        if not await setup.operators(database):
            await first_start.ensure_admin_key(database, chosen.data_dir)
        path = await first_start.setup_path(database)
        printing.note(
            f"Set this installation up in your browser, by this link that works once:\n\n  {chosen.base_url}{path}\n"
        )
