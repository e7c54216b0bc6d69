"""What results were made with, and what the run took from the GPU: noted just before the report that it came with.

It is a statement of its own beside the completion's, shared like it by all that wait at the same moment, and only there
when an agent reports something. A completion that then fails leaves a row that nobody sees, because what is shown is
that of the attempt which succeeded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec.structs import asdict

from control_plane import metrics
from control_plane.database import Database, Query, columns
from control_plane.queue.coalesce import Coalescer
from control_plane.queue.statements import Fence
from control_plane.wire.provenance import Provenance


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One report under its fence; `made` is JSON. What was not said is None."""

    job_id: UUID
    attempt: int
    token: UUID
    worker_id: UUID
    made: str | None
    joules: float | None


ADD: Query[None] = Query("provenance.add")

_encode = msgspec.json.Encoder().encode


class Notes:
    """Those of one process."""

    def __init__(self, database: Database, tasks: asyncio.TaskGroup) -> None:
        self._database = database
        self._notes: Coalescer[Note, None] = Coalescer(self._write, tasks)

    async def note(self, fence: Fence, made: Provenance | None, joules: float | None = None) -> None:
        """Without effect when there is nothing to note, or when the lease is lost, as the report will say."""
        if made is None and joules is None:
            return
        encoded = None if made is None else _encode(made).decode()
        await self._notes(Note(**asdict(fence), made=encoded, joules=joules))

    async def _write(self, notes: Sequence[Note]) -> Sequence[None]:
        await self._database.run(ADD, columns(notes))
        metrics.energy_joules.inc(sum(note.joules or 0.0 for note in notes))
        return [None] * len(notes)
