"""Discord's markdown, cut into runs of equal looks: as much of it as bots write."""

from __future__ import annotations

import re
from typing import Any

from frontends.standins.person import Run

MARKS = re.compile(
    r"(?P<block>```(?:\w*\n)?(?P<blocked>.+?)```)|(?P<code>`(?P<coded>[^`]+)`)|(?P<bold>\*\*(?P<bolded>.+?)\*\*)"
    r"|(?P<spoiler>\|\|(?P<spoiled>.+?)\|\|)|(?P<under>__(?P<underlined>.+?)__)|(?P<strike>~~(?P<struck>.+?)~~)"
    r"|(?P<italic>(?<!\w)[*_](?P<slanted>[^*_\s][^*_]*)[*_](?!\w))|<t:(?P<time>-?\d+)(?::(?P<format>[tTdDfFRsS]))?>"
    r"|\[(?P<title>[^\]]+)\]\(<?(?P<link>https?://[^)>\s]+)>?\)|(?P<url>https?://[^\s<>)]+)|^-# (?P<small>.+)$"
    r"|^#{1,3} (?P<head>.+)$|^> (?P<quote>.+)$",
    re.DOTALL | re.MULTILINE,
)
INSIDE = {
    "blocked": "code",
    "coded": "code",
    "bolded": "bold",
    "spoiled": "spoiler",
    "underlined": "underline",
    "struck": "strike",
    "slanted": "italic",
    "small": "small",
    "head": "bold",
    "quote": "quote",
}
VERBATIM = {"blocked", "coded"}
DEFAULT_FORMAT = "f"


def runs(text: str, styles: frozenset[str] = frozenset()) -> list[Run]:
    found, at = [], 0
    for mark in MARKS.finditer(text):
        if mark.start() > at:
            found.append(Run(text[at : mark.start()], styles))
        found += _marked(mark, styles)
        at = mark.end()
    return found + ([Run(text[at:], styles)] if at < len(text) else [])


def _marked(mark: re.Match[str], styles: frozenset[str]) -> list[Run]:
    said: dict[str, Any] = mark.groupdict()
    if said["time"]:
        shown = said["format"] or DEFAULT_FORMAT
        return [Run("", styles, time=int(said["time"]), format="r" if shown == "R" else shown)]
    if said["link"]:
        return [Run(said["title"], styles, url=said["link"])]
    if said["url"]:
        return [Run(said["url"], styles, url=said["url"])]
    group = next(name for name in INSIDE if said[name] is not None)
    inner = styles | {INSIDE[group]}
    return [Run(said[group], inner)] if group in VERBATIM else runs(said[group], inner)
