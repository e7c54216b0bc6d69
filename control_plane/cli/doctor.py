"""`tessera doctor`: is the installation as it must be? One line each, with what to do where it is not."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import operate, settings
from control_plane.cli.parsing import EX_CONFIG, CommandError, command

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.watch.checkup import Check

MARKS = {"ok": "ok  ", "note": "note", "bad": "BAD "}
INDENT = 17


def add(commands: Any) -> None:
    command(
        commands,
        "doctor",
        _doctor,
        help="look whether the installation is as it must be, and say what to do",
        description=(
            "Look at Python, settings, database, schema, roles, clock, files, disk, port, address, certificate,"
            " secrets, sandbox, website, workers, notices and bots: one line each, with the cure where something is"
            " to be done. Exit code 78 when something must be."
        ),
    )


def _doctor(arguments: argparse.Namespace) -> int:
    import asyncio

    from control_plane.watch import checkup
    from control_plane.watch.checkup import Check

    chosen = settings()
    checks = [Check(name="settings", result="ok", found="can be read; `tessera check` shows them")]
    checks += asyncio.run(checkup.of_machine(chosen))
    try:
        checks += operate(_in_database)
    except CommandError as error:
        checks.append(Check(name="database", result="bad", found="cannot be used", cure=str(error)))
    if arguments.json:
        printing.as_json(checks)
    else:
        for check in checks:
            _print(check)
    return EX_CONFIG if any(check.result == "bad" for check in checks) else 0


async def _in_database(database: Database) -> list[Check]:
    from datetime import UTC, datetime

    from control_plane.watch import checkup

    return await checkup.in_database(database, settings(), datetime.now(UTC))


def _print(check: Check) -> None:
    print(f"{MARKS[check.result]} {check.name:<11} {check.found}")
    if check.cure:
        print(f"{'':<{INDENT}}{check.cure}")
