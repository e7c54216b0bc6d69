"""`tessera generate` and `upscale`: the customer's command line, which finds the service of this machine by itself."""

from __future__ import annotations

import argparse
import os
from typing import Any

from control_plane.cli import premises
from control_plane.cli.operating import settings
from control_plane.cli.parsing import CommandError, command
from frontends.command_line import arguments as options


def add(commands: Any) -> None:
    made = command(
        commands,
        "generate",
        _generate,
        help="order pictures or videos, watch, and save them",
        examples=options.EXAMPLES.removeprefix("examples:\n"),
    )
    options.add(made)

    made = command(
        commands,
        "upscale",
        _generate,
        help="have a picture enlarged, watch, and save it",
        examples="  tessera upscale photo.jpg -o big.png\n  tessera upscale icon.png --factor 4",
    )
    options.add_upscale(made)


def _generate(arguments: argparse.Namespace) -> int:
    from frontends.command_line.generating import run

    return run(arguments, os.environ, local())


def local() -> options.Access | None:
    """The service of `tessera up` on this machine, when it has ever been started."""
    try:
        data_dir = settings().data_dir
    except CommandError:
        return None  # the settings are the operator's business; a customer names address and key
    key = premises.admin_key(data_dir)
    return options.Access(premises.address(data_dir) or options.DEFAULT_URL, key) if key else None
