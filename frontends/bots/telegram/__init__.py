"""Telegram for the bots, by its own protocol: what people do becomes events, what is to be shown becomes calls.

line        one bot's connection: logs in, asks until it is answered, says when it was broken
inbox       what comes in: each once, in the order of its conversation, none forgotten before it was heard
reading     what came in as plain data, without asking anybody
hearing     as events of the dialogue: who runs a group, what a reply is about
showing     what is to be shown: messages, albums, edits, questions, bills
media       files up and pictures down
session     its login on disk, and nobody's name
refusals    what it means that Telegram does not take something
menus       commands and descriptions in every language
"""

from __future__ import annotations

from frontends.bots.telegram.bot import TelegramBot

__all__ = ["TelegramBot"]
