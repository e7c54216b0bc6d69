"""Telegram's limits, with the numbers that the platform gives, and the refusals for whoever breaks them.

Rates (https://core.telegram.org/bots/faq): about one message a second in a chat, 20 a minute in a group, 30 a second
over all. The platform lets short bursts pass and does not say how short; here they are a constant. What comes a little
early is let pass too, for a sender cannot know how long its messages are on the way. An edit counts as a message;
answers to presses, typing and deletions do not. What is too much is refused by FLOOD_WAIT_x, and is a violation.
"""

from __future__ import annotations

import math
from typing import Any

from frontends.standins.telegram.layer import button_data, inline_rows, units

TEXT_UNITS_MAX = 4096
CAPTION_UNITS_MAX = 1024
CALLBACK_DATA_BYTES_MAX = 64
CALLBACK_ANSWER_CHARACTERS_MAX = 200
BUTTONS_MAX = 100
BUTTONS_IN_ROW_MAX = 8
PHOTO_BYTES_MAX = 10 * 1024**2
PHOTO_SIDES_MAX = 10_000
PHOTO_RATIO_MAX = 20
PART_BYTES_MAX = 512 * 1024
PARTS_MAX = 4000
ALBUM_MIN, ALBUM_MAX = 2, 10
COMMANDS_MAX = 100
COMMAND_DESCRIPTION_MAX = 256
BOT_NAME_MAX, BOT_ABOUT_MAX, BOT_DESCRIPTION_MAX = 64, 120, 512
INVOICE_TITLE_MAX, INVOICE_DESCRIPTION_MAX, INVOICE_PAYLOAD_BYTES_MAX = 32, 255, 128
CALLBACK_SECONDS = 60.0
CHECKOUT_SECONDS = 10.0
DELETE_SECONDS = 48 * 3600.0

PRIVATE_BURST, PRIVATE_PER_SECOND = 5, 1.0
GROUP_BURST, GROUP_PER_SECOND = 20, 20 / 60
OVERALL_BURST, OVERALL_PER_SECOND = 30, 30.0
EARLY_SECONDS = 0.2


class Refusal(Exception):
    """An rpc_error. `violation`: the bot broke a limit that it could have known."""

    def __init__(self, code: int, said: str, *, violation: bool = False) -> None:
        super().__init__(f"{code} {said}")
        self.code, self.said, self.violation = code, said, violation


class Pace:
    """A bucket that holds `burst` and fills again at `per_second`."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._left = float(burst)
        self._at = 0.0

    def lacks_seconds(self, now: float, count: int) -> float:
        """How long until so many may be sent; 0 when they may now."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        return max(0.0, (min(count, self._burst) - self._left) / self._per_second)

    def take(self, count: int) -> None:
        self._left -= count


class Paces:
    """One bot's paces: overall, and in each chat."""

    def __init__(self) -> None:
        self._overall = Pace(OVERALL_BURST, OVERALL_PER_SECOND)
        self._chats: dict[tuple[bool, int], Pace] = {}

    def spend(self, now: float, chat: int, private: bool, count: int = 1) -> None:
        """Count what is sent. Raises the refusal with the seconds to wait, and counts nothing then."""
        pace = self._chats.get((private, chat))
        if pace is None:
            pace = Pace(PRIVATE_BURST, PRIVATE_PER_SECOND) if private else Pace(GROUP_BURST, GROUP_PER_SECOND)
            self._chats[private, chat] = pace
        count = 1 if private else count
        wait = max(pace.lacks_seconds(now, count), self._overall.lacks_seconds(now, count))
        if wait > EARLY_SECONDS:
            raise Refusal(420, f"FLOOD_WAIT_{math.ceil(wait)}", violation=True)
        pace.take(count)
        self._overall.take(count)


def check_text(text: str, *, caption: bool) -> None:
    if units(text) > (CAPTION_UNITS_MAX if caption else TEXT_UNITS_MAX):
        raise Refusal(400, "MEDIA_CAPTION_TOO_LONG" if caption else "MESSAGE_TOO_LONG", violation=True)


def check_buttons(markup: Any) -> None:
    rows = list(inline_rows(markup))
    if sum(map(len, rows)) > BUTTONS_MAX or any(not 1 <= len(row) <= BUTTONS_IN_ROW_MAX for row in rows):
        raise Refusal(400, "REPLY_MARKUP_TOO_LONG", violation=True)
    for button in (button for row in rows for button in row):
        if len(button_data(button)) > CALLBACK_DATA_BYTES_MAX:
            raise Refusal(400, "BUTTON_DATA_INVALID", violation=True)
        if not button.text:
            raise Refusal(400, "BUTTON_TEXT_INVALID", violation=True)
