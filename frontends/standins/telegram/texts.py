"""Text with entities, cut into runs of equal looks; entities count in UTF-16 units and may lie in each other."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from pyrogram.raw import types as tl

from frontends.standins.person import Run
from frontends.standins.telegram.layer import slice_units, units

STYLES = {
    "MessageEntityBold": "bold",
    "MessageEntityItalic": "italic",
    "MessageEntityUnderline": "underline",
    "MessageEntityStrike": "strike",
    "MessageEntityCode": "code",
    "MessageEntityPre": "code",
    "MessageEntitySpoiler": "spoiler",
    "MessageEntityBlockquote": "quote",
}
COMMAND = re.compile(r"/[A-Za-z0-9_]{1,32}(@[A-Za-z0-9_]+)?(?![^\s])")


def command_entities(text: str) -> list[Any]:
    """What the person's client marks: a command at the start."""
    found = COMMAND.match(text)
    return [tl.MessageEntityBotCommand(offset=0, length=units(found.group()))] if found else []


def runs(text: str, entities: list[Any]) -> list[Run]:
    edges = sorted({0, units(text)} | {edge for entity in entities for edge in (entity.offset, _end(entity))})
    return [
        _run(
            slice_units(text, start, end - start),
            [entity for entity in entities if entity.offset <= start and end <= _end(entity)],
        )
        for start, end in pairwise(edges)
        if start < units(text)
    ]


def _end(entity: Any) -> int:
    return int(entity.offset + entity.length)


def _run(text: str, inside: list[Any]) -> Run:
    names = {type(entity).__name__: entity for entity in inside}
    date = names.get("MessageEntityFormattedDate")
    link = names.get("MessageEntityTextUrl")
    return Run(
        text,
        frozenset(STYLES[name] for name in names if name in STYLES),
        url=link.url if link else text if "MessageEntityUrl" in names else "",
        time=date.date if date else None,
        format=_format(date) if date else "",
    )


def _format(date: Any) -> str:
    """As the tag `tg-time` says it: `r`, or of the day and the hour."""
    if date.relative:
        return "r"
    letters = ((date.day_of_week, "w"), (date.short_date, "d"), (date.long_date, "D"))
    hours = ((date.short_time, "t"), (date.long_time, "T"))
    return "".join(letter for wanted, letter in letters + hours if wanted)
