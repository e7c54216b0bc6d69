"""`tessera-agent install-service`: start with the machine, stay, and go again."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from agent.credential import load
from agent.installing.steps import Place, Step, install, remove
from agent.settings import CONFIG_VARIABLE, ConfigurationError, Settings

ABOUT = (
    "Have the agent start by itself: a systemd unit of this user, or of the system (--system) as a user of its own; in"
    " WSL2 also a Windows task that keeps Linux alive."
)
DONE, FAILED = 0, 1
"""As `agent.cli.Exit`."""


async def install_service(settings: Settings, options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Raises `CredentialError`: a machine that is not enrolled has nothing to start. Raises `ConfigurationError`."""
    if options.system and os.geteuid() != 0 and not options.dry_run:
        raise ConfigurationError("A unit of the system needs root: sudo tessera-agent install-service --system")
    place = _place(settings, environ, dry=options.dry_run, system=options.system)
    steps = remove(place) if options.remove else install(place, load(settings.credential_file))
    told: list[Step] = []
    async with aclosing(steps) as going:
        async for step in going:
            told.append(step)
            if not options.json:
                print(f"{step.result:<7}{step.what}" + (f"\n{'':7}→ {step.cure}" if step.cure else ""))
    if options.json:
        print(msgspec.json.encode(told).decode())
    return FAILED if any(step.result == "failed" for step in told) else DONE


def _place(settings: Settings, environ: Mapping[str, str], *, dry: bool, system: bool) -> Place:
    home = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    config = environ.get(CONFIG_VARIABLE)
    return Place(
        settings=settings,
        units=home / "systemd" / "user",
        config=Path(config).expanduser().absolute() if config else None,
        distribution=environ.get("WSL_DISTRO_NAME"),
        dry=dry,
        system=system,
    )


def add_parser(commands: Any, everywhere: argparse.ArgumentParser) -> None:
    """`commands`: of the program's parser."""
    command = commands.add_parser("install-service", help=ABOUT, description=ABOUT, parents=[everywhere])
    command.add_argument("--system", action="store_true", help="a unit of the system (needs root)")
    command.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    command.add_argument("--remove", action="store_true", help="take it away again")
    command.add_argument("--json", action="store_true", help="print the steps as JSON")
