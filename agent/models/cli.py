"""`tessera-agent models …`: the owner of a GPU looks after the files that its workflows need.

`list` and `plan` only look; `pull` loads, `pin` trusts a file whose hash nobody has published, `verify` reads what is
here, `remove` deletes. Exit codes as everywhere in the agent: 0 done, 1 it cannot be done so, 2 later it may, 78
something must be decided or set first.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.models import egress, licence, tokens
from agent.models import plan as planning
from agent.models.depot import Depot, depot, pin
from agent.models.part import Busy, Part, note_path, part_path
from agent.models.plan import Plan, Row, gib
from agent.models.progress import Form, Progress
from agent.models.pull import DiskFull, PullFailed, Wanted, pull
from agent.models.safetensors import NotSafetensors, check_file
from agent.settings import ConfigurationError, Settings

DONE, IMPOSSIBLE, LATER = 0, 1, 2
"""As `agent.cli.Exit`."""
SIGNS = {"here": "here", "part": "part", "missing": "    ", "other": "OTHER"}


async def models(settings: Settings, options: argparse.Namespace) -> int:
    """Raises `ConfigurationError` and `PullFailed`."""
    place = await depot(settings)
    match options.verb:
        case "list":
            return _list(place, options)
        case "plan":
            return _plan(place, options)
        case "pull":
            return await _pull(place, options)
        case "pin":
            return await _pin(place, options)
        case "verify":
            return await _verify(place, options)
        case _:
            return _remove(place, options)
