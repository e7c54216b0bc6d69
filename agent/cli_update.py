"""`tessera-agent update`: tells the steps of an update as they are done."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from agent.credential import load
from agent.homes import home
from agent.installing.steps import Step
from agent.settings import ConfigurationError, Settings
from agent.updating.steps import Update
from agent.updating.steps import update as steps

ABOUT = "Take the agent that the control plane has now; the one that is here goes on if that one does not work."
HINDERING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONHOME", "PYTHONPATH")
"""What would put the new agent elsewhere, or something else before it."""
DONE = 0
"""As `agent.cli.Exit`."""


async def update(settings: Settings, options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Raises `CredentialError`, `ConfigurationError` or `UpdateFailed`."""
    credential = load(settings.credential_file)
    found = home()
    if found is None:
        raise ConfigurationError(
            "This agent was not put here by the installer, so it is updated the way it came (in a clone: git pull &&"
            f" make install). Or install it: curl -fsS {credential.url}/install/agent.sh | sh"
        )
    plan = Update(
        settings=settings,
        credential=credential,
        home=found,
        environ={name: value for name, value in environ.items() if name not in HINDERING},
        dry=options.dry_run,
    )
    told: list[Step] = []
    async with aclosing(steps(plan)) as going:
        async for step in going:
            told.append(step)
            if not options.json:
                print(f"{step.result:<7}{step.what}" + (f"\n{'':7}→ {step.cure}" if step.cure else ""), flush=True)
    if options.json:
        print(msgspec.json.encode(told).decode())
    return DONE


def add_parser(commands: Any, everywhere: argparse.ArgumentParser) -> None:
    """`commands`: of the program's parser."""
    command = commands.add_parser("update", help=ABOUT, description=ABOUT, parents=[everywhere])
    command.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    command.add_argument("--json", action="store_true", help="print the steps as JSON")
