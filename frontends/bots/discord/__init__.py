"""Discord: one bot (`bot`), what it hears (`hearing`) and what it shows (`showing`), over the library hikari.

A message stands where its address says (`addresses`); an interaction is answered once and in time (`answering`); what
is called (`calls`) is paced by what the platform tells (`buckets`), and refused in the dialogue's words (`refusals`).
"""

from __future__ import annotations

from frontends.bots.discord.bot import DiscordBot

__all__ = ["DiscordBot"]
