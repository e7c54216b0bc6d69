"""`tessera up`: the whole service of one machine, in one process tree, until Ctrl-C.

This process holds the data folder (`premises`), the embedded PostgreSQL, and its children (`tree`): the control plane,
the local agent, bots if there are any. What dies is started again. The children are tied to this process, so that even
its SIGKILL leaves only PostgreSQL behind, which the next start takes over.
"""

from __future__ import annotations

import argparse
from typing import Any

from control_plane.cli import premises
from control_plane.cli.operating import settings, translated
from control_plane.cli.parsing import command


def add(commands: Any) -> None:
    made = command(
        commands,
        "up",
        _up,
        help="run the whole service on this machine, until Ctrl-C",
        description=(
            "Run the whole service on this machine: database, control plane and a local agent, which takes a ComfyUI "
            "that it finds at 127.0.0.1:8188, else the built-in engine; and the bots in the folder `bots` of the data "
            "folder, if there are any. Ctrl-C stops it, twice hurries."
        ),
        examples=(
            "  tessera up\n"
            "  tessera up --port 8001 --no-agent\n"
            "  tessera up --demo-chats            chat with bots in a browser, without any account\n"
            "  tessera up --lan                   also for other machines of this network, by https"
        ),
        json=False,
    )
    made.add_argument("--host", metavar="ADDRESS", help="address to listen on (or TESSERA_HOST; default: 127.0.0.1)")
    made.add_argument(
        "--lan",
        metavar="ADDRESS",
        nargs="?",
        const="",
        help="also for other machines of this network, by https on port 8443 (TESSERA_TLS_PORT) with an authority of"
        " our own, which agents know by their token; ADDRESS: how they reach this machine (default: found out)",
    )
    made.add_argument(
        "--plain-http", action="store_true", default=None, help="--host may be more than this machine, unprotected"
    )
    made.add_argument("--port", metavar="N", help="port to listen on, 0 = any (or TESSERA_PORT; default: 8000)")
    made.add_argument("--data-dir", metavar="FOLDER", help="what to keep everything in (or TESSERA_DATA_DIR)")
    made.add_argument("--no-agent", action="store_true", help="without a local agent: other machines do the work")
    made.add_argument(
        "--demo-chats",
        action="store_true",
        help="also bots on stand-ins of Telegram and Discord, with a page where you chat with them",
    )


def _up(arguments: argparse.Namespace) -> int:
    import asyncio

    from control_plane import log
    from control_plane.cli import lan, tree
    from control_plane.cli.listening import free_port, settled

    chosen = settings(
        {
            "TESSERA_HOST": arguments.host,
            "TESSERA_PORT": arguments.port,
            "TESSERA_DATA_DIR": arguments.data_dir,
            "TESSERA_PLAIN_HTTP": arguments.plain_http and "true",
        }
    )
    log.configure(chosen.log_level, chosen.log_format)
    with translated(), premises.occupied(chosen.data_dir):
        if arguments.lan is not None:
            chosen = lan.opened(chosen, arguments.lan)
        demo_port = free_port("127.0.0.1", 0) if arguments.demo_chats else None
        return asyncio.run(tree.run(settled(chosen), agent=not arguments.no_agent, demo_port=demo_port))
