"""Files that nobody needs any more: their rows go first, together with a note of the key, and the files after it.

Whoever deletes a row notes its key in `discards` within the same statement or transaction. From then on nobody can
reach the file; `carry_out` takes it, and its small picture, out of the store, outside of any transaction because the
store may be a network away. Should that fail, the note stays and the sweep tries again, so that nothing is forgotten
that is still there.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from control_plane.database import Database, Query
from control_plane.errors import TesseraError
from control_plane.store import Store, thumbnail_key

BATCH = 100

DUE = Query("discards.due", str)
DONE: Query[None] = Query("discards.done")

log = structlog.get_logger()


async def carry_out(database: Database, store: Store, keys: Sequence[str]) -> None:
    """Afterwards neither the files are there nor the notes. Raises `Unavailable`, `OSError`."""
    if keys:
        await store.delete(*keys, *map(thumbnail_key, keys))
        await database.run(DONE, {"keys": list(keys)})


async def soon(database: Database, store: Store, keys: Sequence[str]) -> None:
    """The same now if possible, else by the sweep: nobody can reach them anyway."""
    try:
        await carry_out(database, store, keys)
    except (TesseraError, OSError) as error:
        log.warning("discard.delayed", files=len(keys), error=type(error).__name__)


async def overdue(database: Database, store: Store) -> int:
    """What was left behind; how many files it was."""
    swept = 0
    while keys := await database.many(DUE, {"most": BATCH}):
        await carry_out(database, store, keys)
        swept += len(keys)
    return swept
