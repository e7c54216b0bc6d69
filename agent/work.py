"""One lease in this agent's hands, from its arrival until its report is acknowledged.

    waiting → running → uploading → reporting

Every stage but the last can be ended from outside (`stop`): the customer canceled, the agent drains or shuts down,
or the lease is lost. Once the outcome is being reported only the loss of the lease still matters, because whatever
else happens is then decided by the control plane.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import msgspec

from agent import clock
from agent.engine import INTERRUPT_SECONDS, Output, Preview
from agent.gpu.energy import Meter
from agent.interrupt import Scope
from control_plane.wire.job import Progress
from control_plane.wire.worker import PREVIEW_BYTES_MAX, Lease, LeaseReport, Phase

Stage = Literal["waiting", "running", "uploading", "reporting"]
Ending = Literal["canceled", "drain", "shutdown", "yield", "lost"]

INTERRUPT_PATIENCE_SECONDS = INTERRUPT_SECONDS + 1.0
"""An engine still busy this long after it was told to stop is torn out of its run and restarted."""


class Work:
    def __init__(self, lease: Lease, folder: Path, outputs: list[Output] | None = None) -> None:
        self.lease = lease
        self.folder = folder
        self.outputs = outputs or []
        """What an agent that was killed had made of it already."""
        self.stage: Stage = "waiting"
        self.progress: Progress | None = None
        self.ending: Ending | None = None
        self.taken_at = self.confirmed_at = clock.now()
        """`confirmed_at`: when the last heartbeat that the control plane answered for this lease was sent."""
        self.started_at: float | None = None
        self.ended_at: float | None = None
        """When the engine let go of it."""
        self.meter: Meter | None = None
        """Of the energy that its run takes."""
        self.working = Scope(INTERRUPT_PATIENCE_SECONDS)
        """Holds waiting, running and uploading."""
        self.reporting = Scope()
        self._preview: bytes | None = None
        folder.mkdir(mode=0o700, parents=True, exist_ok=bool(outputs))

    @property
    def phase(self) -> Phase:
        return "held" if self.stage == "waiting" else "started"

    def stop(self, ending: Ending) -> None:
        """End the work for this reason; the first reason counts, but a lost lease overrides every other."""
        if ending == "lost":
            self.ending = ending
            self.reporting.interrupt()
        elif self.ending is not None or self.stage == "reporting":
            return
        self.ending = ending
        self.working.interrupt()

    def joules(self) -> float | None:
        """What its run took, once it is over; None when it did not run or too little of it was measured."""
        return None if self.meter is None or self.ended_at is None else self.meter.joules(self.ended_at)

    def advance(self, progress: Progress) -> None:
        """An engine that is a rounding error beyond the end must not have a whole heartbeat refused."""
        self.progress = msgspec.structs.replace(progress, value=min(1.0, max(0.0, progress.value)))

    def show(self, preview: Preview) -> None:
        """Keep the latest preview for the next heartbeat."""
        if len(preview.image) <= PREVIEW_BYTES_MAX:
            self._preview = preview.image

    def report(self) -> LeaseReport:
        """For a heartbeat; a preview goes out once."""
        preview, self._preview = self._preview, None
        return LeaseReport(
            job_id=self.lease.job_id,
            attempt=self.lease.attempt,
            token=self.lease.token,
            phase="held" if self.stage == "waiting" else "started",
            progress=self.progress,
            preview=preview,
        )

    def tidy(self) -> None:
        """Delete the files of this attempt."""
        shutil.rmtree(self.folder, ignore_errors=True)
