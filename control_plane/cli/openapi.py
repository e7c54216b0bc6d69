"""`tessera openapi`: the description of the HTTP API, without a running service."""

from __future__ import annotations

import argparse
from typing import Any

from control_plane.cli.operating import settings
from control_plane.cli.parsing import command


def add(commands: Any) -> None:
    made = command(
        commands,
        "openapi",
        _openapi,
        help="print the description of the HTTP API (OpenAPI 3.1)",
        examples="  tessera openapi > openapi.json",
        json=False,
    )
    made.add_argument("--json", action="store_true", help="nothing else is printed anyway")


def _openapi(arguments: argparse.Namespace) -> int:
    import msgspec

    from control_plane import app

    document = msgspec.json.encode(app.openapi(settings()))
    print(msgspec.json.format(document, indent=2).decode())
    return 0
