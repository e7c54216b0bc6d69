"""A stand-in of a Telegram data centre: real MTProto with key exchange, and what a bot can meet there.

What it does not have: channels, forum topics, inline mode, web apps, polls, stickers, forwarding, pinning, invoice
links, business accounts, several data centres, pictures of users, and edits by people. Whatever it does not know is an
error that is raised when it closes.
"""

from __future__ import annotations

from frontends.standins.telegram.people import Declined
from frontends.standins.telegram.reach import connection_factory
from frontends.standins.telegram.telegram import Telegram

__all__ = ["Declined", "Telegram", "connection_factory"]
