"""What it means for whoever waits that Telegram refuses something, by the names that it gives its errors.

Source: core.telegram.org/api/errors. What is not named here concerns what was to be sent: it is refused as it is.
"""

from __future__ import annotations

from typing import Any

from pyrogram.errors import RPCError, rpc_error

from frontends.bots.dialogue.events import Refusal

REFUSALS: dict[str, Refusal] = {
    "USER_IS_BLOCKED": "blocked",
    "INPUT_USER_DEACTIVATED": "blocked",
    "PEER_ID_INVALID": "blocked",  # somebody who never started this bot
    "USER_ID_INVALID": "blocked",
    "CHANNEL_PRIVATE": "gone",
    "CHANNEL_INVALID": "gone",
    "CHAT_ID_INVALID": "gone",
    "CHAT_FORBIDDEN": "gone",
    "CHAT_WRITE_FORBIDDEN": "gone",
    "CHAT_RESTRICTED": "gone",
    "CHAT_ADMIN_REQUIRED": "gone",
    "USER_BANNED_IN_CHANNEL": "gone",
    "USER_KICKED": "gone",
    "TOPIC_CLOSED": "gone",
    "TOPIC_DELETED": "gone",
    "MESSAGE_ID_INVALID": "gone",
    "MESSAGE_EDIT_TIME_EXPIRED": "gone",
    "FILE_PARTS_INVALID": "too_large",
    "FILE_PART_TOO_BIG": "too_large",
    "PHOTO_FILE_TOO_BIG": "too_large",
    "MEDIA_FILE_TOO_BIG": "too_large",
}
"""By the name of the error; of those that are not about the login."""
LOGIN_LOST = 401


def why(error: RPCError) -> Refusal:
    """Why it will not arrive."""
    if error.CODE == LOGIN_LOST:
        return "bot_gone"
    return REFUSALS.get(name(error), "refused")


def name(error: RPCError) -> str:
    """`USER_IS_BLOCKED`, also of an error that the library does not know."""
    if error.ID:
        return str(error.ID)
    return str(error.value or "").strip("[]").partition(" ")[2]


def keep_no_file() -> None:
    """The library appends errors that it does not know to a file where the program was started; a service must not."""
    if getattr(rpc_error.RPCError.__init__, "keeps_no_file", False):
        return
    original = rpc_error.RPCError.__init__

    def begin(
        self: Any, value: Any = None, rpc_name: str | None = None, is_unknown: bool = False, is_signed: bool = False
    ) -> None:
        original(self, value, rpc_name, False, is_signed)

    begin.keeps_no_file = True  # type: ignore[attr-defined]
    rpc_error.RPCError.__init__ = begin


keep_no_file()
