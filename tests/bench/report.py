"""Rows of the table: what was measured, what was promised, whether it was reached."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Sequence

import msgspec

NAME_WIDTH = 46
VALUE_WIDTH = 30
TARGET_WIDTH = 24
NOTE_WIDTH = 118


class Row(msgspec.Struct, kw_only=True):
    """One measurement. `reached` is None when it is there for comparison only."""

    name: str
    value: str
    target: str = ""
    reached: bool | None = None
    notes: list[str] = []
    figures: dict[str, float] = {}
    """The raw medians, for the JSON file."""


def render(row: Row) -> str:
    mark = {True: "yes", False: "NO", None: ""}[row.reached]
    head = f"{row.name:<{NAME_WIDTH}} {row.value:<{VALUE_WIDTH}} {row.target:<{TARGET_WIDTH}} {mark}".rstrip()
    notes = (textwrap.fill(note, NOTE_WIDTH, initial_indent="    ", subsequent_indent="    ") for note in row.notes)
    return "\n".join([head, *notes])


def heading() -> str:
    return render(Row(name="WHAT", value="MEASURED", target="PROMISED")) + " REACHED"


def at_least(name: str, ratio: float, target: float, *, against: str, **rest: object) -> Row:
    """A row whose ratio must be at least `target`."""
    return _ratio(name, ratio, f">= {target:g} x {against}", ratio >= target, rest)


def at_most(name: str, ratio: float, target: float, *, against: str, **rest: object) -> Row:
    """A row whose ratio must be at most `target`."""
    return _ratio(name, ratio, f"<= {target:g} x {against}", ratio <= target, rest)


def _ratio(name: str, ratio: float, target: str, reached: bool, rest: dict[str, object]) -> Row:
    return msgspec.convert(
        {"name": name, "value": f"{ratio:.2f} x", "target": target, "reached": reached, **rest}, type=Row
    )


def within(name: str, value: float, limit: float, unit: str, **rest: object) -> Row:
    """A row whose value must not be above `limit`."""
    made = {"name": name, "value": f"{value:.4g} {unit}", "target": f"<= {limit:g} {unit}", "reached": value <= limit}
    return msgspec.convert({**made, **rest}, type=Row)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(values: Sequence[float]) -> str:
    """The median and the whole range: `1,234 (1,100 to 1,300)`."""
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"
