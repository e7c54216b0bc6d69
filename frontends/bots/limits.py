"""What each platform allows, as data: the only place that knows it. The dialogue lays its cards out by it, the skins
and their budgets (`pace.py`) keep to it, and both stand-ins enforce it.

Sources: core.telegram.org/bots/faq and /bots/api, core.telegram.org/method (lengths are UTF-16 code units);
discord.com/developers/docs (interactions, components, rate limits). Where a platform gives no figure ("about one
message a second"), what stands here is on the safe side of what it was seen to allow.
"""

from __future__ import annotations

from typing import Literal

import msgspec

PlatformName = Literal["telegram", "discord"]


class Rate(msgspec.Struct, frozen=True):
    """At most `count` in any `seconds`."""

    count: int
    seconds: float


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """How often a bot may send or edit."""

    chat: Rate
    """In one chat with one person."""
    group: Rate
    """In one group or channel."""
    overall: Rate
    """Of one bot, everywhere together."""
    edit_gap_seconds: float
    """Between two edits of one message that only show progress, in a chat with one person."""
    group_edit_gap_seconds: float


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """What can be done on a platform, and how much of it."""

    name: PlatformName
    message_length: int
    caption_length: int
    utf16: bool
    """Whether lengths count UTF-16 code units; else characters."""
    payload_bytes: int
    """What a button may carry."""
    label_length: int
    row_buttons: int
    """In one row; fewer than allowed where they would be cut off on a phone."""
    rows: int
    toast_length: int
    form: Literal["modal", "reply"]
    """How a person is asked for text: a window, or a message that is answered."""
    moments: bool
    """Whether the client itself renders a moment, relative and ticking."""
    markdown: bool
    """Whether text is read as Markdown, so that what a person typed must be escaped."""
    private_answers: bool
    """Whether an answer in a group can be seen by one person alone."""
    ends_by: Literal["new", "edit"]
    """How a result takes the place of its status message: as a new message (an edit rings nobody's phone) while the old
    one is deleted, or in it."""
    photo_bytes: int
    photo_sides: int
    """Width and height together."""
    photo_ratio: float
    recompresses: bool
    """Whether a photo is not the file that was made."""
    file_bytes: int
    """Of any file; a chat may allow less or more (`Chat.file_bytes`)."""
    album: int
    """Files in one message."""
    album_buttons: bool
    """Whether several files can have buttons; else text and buttons follow in a message of their own."""
    adult: bool
    """Whether adult content may be shown in a chat that is marked for it."""
    pays_by: Literal["stars", "link"]
    answer_seconds: float
    """Within which a press or a command has to be acknowledged."""
    token_seconds: float | None
    """For how long the answer to a command can be edited by its token."""
    rates: Rates


TELEGRAM = Platform(
    name="telegram",
    message_length=4_096,
    caption_length=1_024,
    utf16=True,
    payload_bytes=64,
    label_length=64,
    row_buttons=3,
    rows=8,
    toast_length=200,
    form="reply",
    moments=True,
    markdown=False,
    private_answers=False,
    ends_by="new",
    photo_bytes=10 * 1000**2,
    photo_sides=10_000,
    photo_ratio=20.0,
    recompresses=True,
    file_bytes=2_000 * 1024**2,
    album=10,
    album_buttons=False,
    adult=False,
    pays_by="stars",
    answer_seconds=10.0,
    token_seconds=None,
    rates=Rates(
        chat=Rate(1, 1.0), group=Rate(20, 60.0), overall=Rate(30, 1.0), edit_gap_seconds=3.0, group_edit_gap_seconds=6.0
    ),
)

DISCORD = Platform(
    name="discord",
    message_length=2_000,
    caption_length=2_000,
    utf16=False,
    payload_bytes=100,
    label_length=80,
    row_buttons=5,
    rows=5,
    toast_length=2_000,
    form="modal",
    moments=True,
    markdown=True,
    private_answers=True,
    ends_by="edit",
    photo_bytes=10 * 1024**2,
    photo_sides=32_768,
    photo_ratio=1e9,
    recompresses=False,
    file_bytes=10 * 1024**2,
    album=10,
    album_buttons=True,
    adult=True,
    pays_by="link",
    answer_seconds=3.0,
    token_seconds=900.0,
    rates=Rates(
        chat=Rate(5, 5.0), group=Rate(5, 5.0), overall=Rate(50, 1.0), edit_gap_seconds=1.5, group_edit_gap_seconds=2.0
    ),
)

PLATFORMS: dict[str, Platform] = {platform.name: platform for platform in (TELEGRAM, DISCORD)}


def length(text: str, platform: Platform) -> int:
    """Of a text, as the platform counts."""
    return len(text.encode("utf-16-le")) // 2 if platform.utf16 else len(text)


def cut(text: str, most: int, platform: Platform) -> str:
    """A text that fits; what was cut off is shown by an ellipsis."""
    if length(text, platform) <= most:
        return text
    kept = text[:most]
    while length(kept, platform) > most - 1:
        kept = kept[:-1]
    return kept + "…"
