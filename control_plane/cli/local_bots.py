"""The bots of `tessera up`: those that `tessera-bots setup` has put into `data_dir/bots`, and with `--demo-chats` bots
on stand-ins of the platforms, with a page to chat with them. Each is a program of its own with a key of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from control_plane.cli import first_start, premises
from control_plane.cli.child import Keeper, Verdict
from control_plane.cli.parsing import EX_CONFIG, EX_USAGE

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.people.credentials import Scope

BOTS, DEMO = "bots", "demo_chats"
"""Folders in the data folder."""
CONFIG = "bots.toml"
PROVIDERS = ("telegram", "discord")
SCOPES: tuple[Scope, ...] = ("read", "submit", "payments", "operate")
HOPELESS = frozenset({EX_USAGE, EX_CONFIG})


async def keeper(database: Database, data_dir: Path, url: str) -> Keeper | None:
    """What keeps the operator's own bots running; None when there are none."""
    folder = data_dir / BOTS
    if not (folder / CONFIG).exists():
        return None
    await _key(database, folder)
    told = {"TESSERA_BOTS_CONFIG": str(folder / CONFIG), "TESSERA_BOTS_URL": url}
    return Keeper("bots", ("-m", "frontends.bots"), {**os.environ, **told}, _again)


async def demo(database: Database, data_dir: Path, url: str, page_port: int) -> Keeper:
    """What keeps the demonstration running; it says where its page is."""
    folder = data_dir / DEMO
    key = await _key(database, folder)
    words = ("--url", url, "--api-key-file", str(key), "--folder", str(folder / "state"), "--page-port", str(page_port))
    return Keeper("demonstration of the bots", ("-m", "frontends.bots", "demo", *words), os.environ, _again)


async def _key(database: Database, folder: Path) -> Path:
    """The file with the key of a service for bots, which is made when there is none that works."""
    from control_plane.people import credentials

    path = folder / "credentials" / "api_key"
    known = premises.secret(path)
    if known is None or not await first_start.opens(database, known):
        made = await credentials.create_key(
            database, name=folder.name, user_id=None, scopes=SCOPES, providers=PROVIDERS
        )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        premises.store_secret(path, made.key)
    return path


async def _again(code: int | None) -> Verdict:
    return "never" if code in HOPELESS else "now"
