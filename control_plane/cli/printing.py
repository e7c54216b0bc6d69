"""Answers: JSON for programs, aligned plain tables and key-value lists for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msgspec import Struct

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def as_json(value: object) -> None:
    """One line; rows, times and ids as the API writes them."""
    import msgspec

    print(msgspec.json.encode(value).decode())


def fields(row: Struct) -> dict[str, Any]:
    """A row, to be completed before it is shown."""
    import msgspec

    return msgspec.structs.asdict(row)


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Columns wide enough for what stands in them; `empty` is the sentence when there is nothing."""
    lines = [[_cell(value) for value in row] for row in rows]
    if not lines:
        print(empty)
        return
    lines.insert(0, [title.upper() for title in header])
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def listing(values: Mapping[str, object]) -> None:
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name.ljust(width)}  {_cell(value)}".rstrip())


def note(sentence: str) -> None:
    """Something for the person that is not the answer."""
    print(sentence, file=sys.stderr)


def ago(moment: datetime | None, now: datetime) -> str:
    """How long since; `now` is the database's."""
    return "never" if moment is None else f"{duration((now - moment).total_seconds())} ago"


def duration(seconds: float) -> str:
    seconds = max(seconds, 0)
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _cell(value: object) -> str:
    if value is None or value in ("", []):
        return "-"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return ", ".join(map(_cell, value)) if isinstance(value, list) else str(value)
