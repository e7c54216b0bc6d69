"""A stand-in of a Telegram data centre: real MTProto with key exchange, and what a bot can meet there."""

from __future__ import annotations

from frontends.standins.telegram.people import Declined
from frontends.standins.telegram.reach import connection_factory
from frontends.standins.telegram.telegram import Telegram

__all__ = ["Declined", "Telegram", "connection_factory"]
