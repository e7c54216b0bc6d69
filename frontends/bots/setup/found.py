"""What a look at a bot on its platform has found."""

from __future__ import annotations

import msgspec


class Found(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    links: list[tuple[str, str]]
    """What for, and the address: where people find the bot, and how it comes into a group or server."""
    remarks: list[str] = []
    """What is to be changed on the platform, each with how."""


class NotLetIn(Exception):
    """The platform refuses what was typed: `names` of the questions; the message says where the right answers are."""

    def __init__(self, sentence: str, *names: str) -> None:
        super().__init__(sentence)
        self.names = names
