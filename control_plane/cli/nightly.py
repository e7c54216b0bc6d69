"""The nightly backup of `tessera up`: the command `tessera backup`, once a night, in a process of its own.

The table of backups says whether tonight's is still to be made, so nothing is remembered here: a machine that was off
at that time makes it when it is on again, and one that failed is tried again an hour later.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from control_plane.cli import child, printing
from control_plane.cli.operating import opened
from control_plane.errors import TesseraError

if TYPE_CHECKING:
    from control_plane.settings import Settings

LOOK_SECONDS = 60.0
END_SECONDS = 20.0


async def run(settings: Settings, database_url: str) -> None:
    """For ever, if there is a place for backups; belongs to the task group of the tree."""
    while settings.backup_url is not None:
        if await _due(settings, database_url):
            await _make(settings)
        await asyncio.sleep(LOOK_SECONDS)


async def _due(settings: Settings, database_url: str) -> bool:
    from control_plane.backup import records

    try:
        async with opened(database_url) as database:
            return await records.due(database, settings.backup_at)
    except TesseraError:  # away just now; the next look will tell
        return False


async def _make(settings: Settings) -> None:
    """It reads the same settings as we have, and finds our database by itself."""
    environ = {**os.environ, "TESSERA_DATA_DIR": str(settings.data_dir)}
    process = await child.start("-m", "control_plane", "backup", environ=environ)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        await child.end(process, END_SECONDS)
        raise
    if code:
        printing.note("The nightly backup has failed; see above. It is tried again in an hour.")
