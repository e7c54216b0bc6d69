"""What a skin raises at its start when the platform does not take its token: waiting will not help."""

from __future__ import annotations


class BotRefused(Exception):
    """The token is wrong or was revoked; `detail` is what the platform said, without the token."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
