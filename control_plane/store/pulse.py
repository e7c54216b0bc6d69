"""Whether the store works just now, for whoever asks: tried at most once a minute, however often that is.

A trial writes, reads and deletes a small file (`checkup.py`). Those who ask meanwhile share it, and nobody waits longer
for it than `LOOK_SECONDS`: a store that is slower than that does not work.
"""

from __future__ import annotations

import asyncio
import time

from control_plane.store.checkup import Checkup, examine
from control_plane.store.contract import Store

KEPT_SECONDS = 60.0
"""What a trial has found is good for."""
BAD_KEPT_SECONDS = 5.0
"""What does not work is soon tried again."""
LOOK_SECONDS = 5.0


class Pulse:
    """One per process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looking = asyncio.Lock()
        self._found = Checkup(where=store.where)
        self._due = 0.0

    async def look(self) -> Checkup:
        """Never raises."""
        async with self._looking:
            if time.monotonic() >= self._due:
                self._found = await self._looked()
                kept = KEPT_SECONDS if self._found.fault is None else BAD_KEPT_SECONDS
                self._due = time.monotonic() + kept
            return self._found

    async def _looked(self) -> Checkup:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await examine(self._store)
        except TimeoutError:
            return Checkup(where=self._store.where, fault=f"{self._store.where} does not answer in {LOOK_SECONDS:g} s.")
