"""A job in words and bars: redrawn in place on a terminal, one line per change elsewhere."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from control_plane.wire.job import JobView, Waiting, WaitingReason

BAR_CELLS = 28
QUARTERS = 4
"""Away from a terminal, a running job is reported at each quarter."""
SECONDS_PER_MINUTE = 60

REASONS: dict[WaitingReason, str] = {
    "no_worker_for_model": "no worker for this model is connected",
    "all_workers_busy": "all workers are busy",
    "workers_draining": "the workers are being drained",
    "workers_quarantined": "the workers have failed too often and are out of service",
    "model_not_loaded": "the workers finish jobs of the model that they have loaded",
    "plan_limit_running": "as many of your jobs are running as your plan allows",
    "retry_backoff": "it failed and will be tried again",
    "lane_paused": "the operator has paused this model",
    "starting": "a worker is starting it",
}


def sentence(job: JobView) -> str:
    """What is happening to a job, without its bar."""
    if job.status == "queued":
        return "queued" + (f": {in_words(job.waiting)}" if job.waiting else "")
    if job.status == "running" and job.progress and job.progress.steps:
        return f"running, step {job.progress.step} of {job.progress.steps}"
    return {"canceling": "being canceled"}.get(job.status, job.status)


def in_words(waiting: Waiting) -> str:
    """Why, where in line, and for how long."""
    words = [REASONS[waiting.reason]]
    if waiting.position:
        words.append("next in line" if waiting.position == "1" else f"place {waiting.position}")
    if waiting.eta:
        words.append(f"about {duration(waiting.eta.p50_seconds)}")
    return ", ".join(words)


def bar(value: float, *, cells: int = BAR_CELLS, ascii_only: bool = False) -> str:
    """`value` from 0 to 1 as a bar and per cent."""
    full, empty = ("#", "-") if ascii_only else ("█", "░")
    filled = round(min(max(value, 0.0), 1.0) * cells)
    return full * filled + empty * (cells - filled) + f" {value * 100:3.0f} %"


def duration(seconds: float) -> str:
    if seconds < SECONDS_PER_MINUTE:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / SECONDS_PER_MINUTE:.0f} min"


def ascii_only(stream: TextIO) -> bool:
    try:
        "█░".encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return True
    return False


class Display:
    """Shows one job as it goes on."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._ascii = ascii_only(self._stream)
        self._last = ""

    def show(self, job: JobView) -> None:
        self.note(self._line(job) if self._terminal else self._plain(job))

    def upload(self, name: str, count: int, size: int) -> None:
        """How far a file has been sent."""
        if self._terminal:
            self._redraw(f"{bar(count / max(1, size), ascii_only=self._ascii)}  uploading {name}")
        elif count >= size:
            self.note(f"uploaded {name}")

    def note(self, line: str) -> None:
        """Something beside the job, once; the job's next line takes its place on a terminal."""
        if self._terminal:
            self._redraw(line)
        elif line != self._last:
            self._last = line
            print(line, file=self._stream, flush=True)

    def clear(self) -> None:
        """The terminal without the bar."""
        if self._terminal and self._last:
            self._redraw("")
        self._last = ""

    def say(self, line: str) -> None:
        """A line of its own, that stays."""
        self.clear()
        print(line, file=self._stream, flush=True)

    def _line(self, job: JobView) -> str:
        done = 1.0 if job.status == "succeeded" else job.progress.value if job.progress else 0.0
        drawn = bar(done, ascii_only=self._ascii)
        return f"{drawn}  {sentence(job)}"

    def _plain(self, job: JobView) -> str:
        if job.status != "running" or not job.progress:
            return sentence(job)
        return f"running, {int(job.progress.value * QUARTERS) * 100 // QUARTERS} %"

    def _redraw(self, line: str) -> None:
        self._last = line
        self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()
