"""What the audience sees: sentences above, one bar per customer below; plain lines where there is no terminal."""

from __future__ import annotations

import shutil
from time import monotonic
from typing import TextIO

import msgspec

from frontends.command_line.progress import ascii_only, bar

BAR_CELLS = 22
QUARTERS = 4


class Row(msgspec.Struct, kw_only=True):
    """How one customer's order stands: what the customer is told, and what the operator sees."""

    customer: str
    prompt: str
    status: str = ""
    value: float = 0.0
    agent: str = ""
    lost: bool = False
    """Its agent has been killed, and nobody has noticed yet."""

    @property
    def words(self) -> str:
        if self.lost:
            return f"agent {self.agent} is gone"
        match self.status:
            case "queued":
                return f"next at agent {self.agent}" if self.agent else "waits in line"
            case "running":
                return f"drawn by agent {self.agent}"
            case "succeeded":
                return f"delivered, by agent {self.agent}"
            case other:
                return other


class Stage:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._ascii = ascii_only(stream)
        self._drawn = 0
        self._rows: list[Row] = []
        self._told: dict[str, str] = {}
        self._began = monotonic()

    def begin(self) -> None:
        self._began = monotonic()

    @property
    def seconds(self) -> float:
        return monotonic() - self._began

    def act(self, sentence: str) -> None:
        """Something happens, now."""
        self.say(f"{self.seconds:5.1f} s  {sentence}")

    def say(self, line: str) -> None:
        self._clear()
        print(line, file=self._stream)
        self._draw()
        self._stream.flush()

    def show(self, rows: list[Row]) -> None:
        self._rows = rows
        if self._terminal:
            self._clear()
            self._draw()
            self._stream.flush()
            return
        for row in rows:
            if row.status and (line := _plain(row)) != self._told.get(row.customer):
                self._told[row.customer] = line
                self.act(line)

    def freeze(self) -> None:
        """The bars stay as they are; what follows stands below them."""
        self._drawn, self._rows = 0, []

    def _clear(self) -> None:
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}F\x1b[J")
        self._drawn = 0

    def _draw(self) -> None:
        if not self._terminal:
            return
        width = shutil.get_terminal_size().columns - 1
        for row in self._rows:
            self._stream.write(self._line(row)[:width] + "\n")
        self._drawn = len(self._rows)

    def _line(self, row: Row) -> str:
        drawn = bar(row.value, cells=BAR_CELLS, ascii_only=self._ascii)
        return f"         {row.customer:<6}{drawn}  {row.words}"


def _plain(row: Row) -> str:
    """Away from a terminal: a line when something has changed, and at each quarter."""
    quarter = f"{int(row.value * QUARTERS) * 100 // QUARTERS} %, "
    return f"{row.customer:<6}{quarter if row.status == 'running' and not row.lost else ''}{row.words}"
