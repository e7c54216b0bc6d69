"""How far a file is, for whoever looks on: a bar on a terminal, a line now and then otherwise, or JSON for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from agent import clock
from agent.models.plan import gib

BAR_SECONDS = 0.2
LINE_SECONDS = 30.0
JSON_SECONDS = 1.0
RATE_SECONDS = 10.0
"""The rate is that of about the last ten seconds."""
WIDTH = 24

Form = Literal["bar", "lines", "json"]
PERIODS: dict[Form, float] = {"bar": BAR_SECONDS, "lines": LINE_SECONDS, "json": JSON_SECONDS}


class Progress:
    """Of one file, from its first byte to its last. `write` is given text that ends where it should."""

    def __init__(self, file: str, total: int, form: Form, write: Callable[[str], object]) -> None:
        self._file = file
        self._total = total
        self._form = form
        self._write = write
        self._told = clock.now()
        self._since = (self._told, 0)
        self._rate = 0.0
        self._began = False

    def __call__(self, done: int) -> None:
        now = clock.now()
        if not self._began:
            self._began, self._since = True, (now, done)
        if now - self._told < PERIODS[self._form]:
            return
        self._told = now
        self._measure(now, done)
        self._write(self._text(done))

    def end(self) -> None:
        """The next line is somebody else's."""
        if self._form == "bar":
            self._write("\r\x1b[K")

    def _measure(self, now: float, done: int) -> None:
        then, before = self._since
        if now > then:
            self._rate = max(0.0, (done - before) / (now - then))
        if now - then > RATE_SECONDS:
            self._since = (now - RATE_SECONDS / 2, int(done - self._rate * RATE_SECONDS / 2))

    def _text(self, done: int) -> str:
        if self._form == "json":
            facts = {"event": "pull.progressed", "file": self._file, "bytes": done, "total": self._total}
            return msgspec.json.encode(facts).decode() + "\n"
        line = f"{done / self._total:4.0%} of {gib(self._total)}, {gib(int(self._rate))}/s{self._remaining(done)}"
        if self._form == "lines":
            return f"  {self._file}: {line.strip()}\n"
        full = int(WIDTH * done / self._total)
        return f"\r\x1b[K  {'█' * full}{'░' * (WIDTH - full)} {line}"

    def _remaining(self, done: int) -> str:
        if self._rate < 1:
            return ""
        minutes = (self._total - done) / self._rate / 60
        return f", {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
