"""`tessera mcp`: the service as tools of an assistant, over standard input and output."""

from __future__ import annotations

import argparse
import os
from typing import Any

from control_plane.cli.generate import local
from control_plane.cli.parsing import EX_UNAVAILABLE, EX_USAGE, CommandError, command
from frontends.command_line import arguments as options

EXAMPLES = f"""\
  TESSERA_URL=https://tessera.example TESSERA_API_KEY=tsk_… tessera mcp

Assistants start it by themselves; in their configuration it stands like this:

  {{"mcpServers": {{"tessera": {{"command": "tessera", "args": ["mcp"],
    "env": {{"{options.URL_VARIABLE}": "https://tessera.example", "{options.KEY_VARIABLE}": "tsk_…"}}}}}}}}

Without these variables it finds the service of `tessera up` on this machine.
"""
MISSING = "`tessera mcp` needs the package mcp, which is not installed. Run: pip install 'tessera[mcp]' (or: mcp)"


def add(commands: Any) -> None:
    command(
        commands,
        "mcp",
        _mcp,
        help="let an assistant order pictures (Model Context Protocol, stdio)",
        examples=EXAMPLES,
        json=False,
    )


def _mcp(arguments: argparse.Namespace) -> int:
    import asyncio

    found = options.access(argparse.Namespace(url=None, key=None), os.environ, local())
    if found is None:
        raise CommandError(
            f"No service is known. Set {options.URL_VARIABLE} to its address and {options.KEY_VARIABLE} to a key of"
            " yours, or start one on this machine with `tessera up`.",
            EX_USAGE,
        )
    try:
        from frontends.mcp.server import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"mcp", "mcp_types", "pydantic", "anyio"}:
            raise
        raise CommandError(MISSING, EX_UNAVAILABLE) from error
    asyncio.run(serve(found.url, found.key))
    return 0
