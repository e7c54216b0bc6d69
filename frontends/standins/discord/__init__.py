"""A stand-in of Discord: REST and gateway on one port, and what a bot can meet there.

What it does not have: threads, several channels in a server, roles, voice, reactions, webhooks of their own,
interactions by HTTP, payments, compression by zstd, and selections of anything but text. Whatever it does not know is
an error that is raised when it closes.
"""

from __future__ import annotations

from frontends.standins.discord.discord import Discord

__all__ = ["Discord"]
