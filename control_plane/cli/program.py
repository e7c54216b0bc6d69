"""The program: every noun under one parser, and the last place where an error becomes a sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from control_plane.cli import (
    api_key,
    artifact,
    audit,
    backup,
    check,
    db,
    doctor,
    gallery,
    generate,
    incident,
    invite,
    job,
    ledger,
    mcp,
    migrate,
    openapi,
    pack,
    pause,
    plan,
    report,
    restore,
    serve,
    setup,
    status,
    up,
    upgrade,
    user,
    webhook,
    worker,
    workflow,
)
from control_plane.cli.parsing import EX_INTERRUPTED, CommandError, Parser

EXAMPLES = """\
Start here:
  tessera up                                   the whole service on this machine, until Ctrl-C
  tessera generate "a lighthouse" -o out.png   order a picture from it
  tessera status                               what it is doing

`tessera COMMAND --help` explains each command, with examples.
"""

NOUNS = (
    *(up, setup, generate, mcp, status, doctor, incident, user, api_key, webhook, invite, plan, pack, ledger),
    *(worker, workflow),
    *(job, artifact, gallery, report, pause, audit, backup, restore, db, upgrade, serve, migrate, check, openapi),
)
"""In the order of the help."""


def parser() -> Parser:
    top = Parser(prog="tessera", description="Tessera: images and videos from your own machines.", epilog=EXAMPLES)
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for noun in NOUNS:
        noun.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except CommandError as error:
        print(f"tessera: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; that is no error
        return 0
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    return code


class _Version(argparse.Action):
    """Reading the version takes longer than everything else, so it is read only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.exit(message=f"tessera {version()}\n")


def version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("tessera")
    except PackageNotFoundError:
        return "from a clone"
