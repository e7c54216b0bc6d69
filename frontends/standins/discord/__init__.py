"""A stand-in of Discord: REST and gateway on one port, and what a bot can meet there."""

from __future__ import annotations

from frontends.standins.discord.discord import Discord

__all__ = ["Discord"]
