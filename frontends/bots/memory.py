"""What the bots remember by themselves, in one small SQLite file: conversations, and who has met which bot.

A conversation is saved before its effects are carried out. A crash of the program loses nothing; a power cut may lose
the last moments, after which the API is asked again and repeats harmlessly. The file is readable by its user alone.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import structlog

from frontends.bots.dialogue.state import State, read, write

KEEP_SECONDS = 30 * 86_400.0
"""How long a conversation without anything under way is remembered."""
SETTINGS = ("journal_mode = wal", "synchronous = normal", "busy_timeout = 5000", "secure_delete = on")
STATEMENTS = Path(__file__).with_suffix(".sql")

log = structlog.get_logger()


class Memory:
    """Opened once by a program; every call is a fraction of a millisecond."""

    def __init__(self, file: Path, now: float) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        self._statements = named(STATEMENTS.read_text(encoding="utf-8"))
        self._database = sqlite3.connect(file, isolation_level=None)
        for setting in SETTINGS:
            self._database.execute(f"pragma {setting}")
        self._run("make_conversations")
        self._run("make_contacts")
        self._run("forget", now - KEEP_SECONDS)

    def close(self) -> None:
        self._database.close()

    def load(self, conversation: str) -> State | None:
        """What is remembered of a conversation."""
        row = self._run("load", conversation).fetchone()
        return None if row is None else _readable(row[0])

    def save(self, state: State, now: float) -> None:
        self._run("save", state.scene.id, write(state), int(state.idle), now)

    def busy(self) -> list[State]:
        """Conversations with something under way."""
        found = [_readable(row[0]) for row in self._run("busy").fetchall()]
        return [state for state in found if state is not None]

    def meet(self, platform: str, subject: str, bot: str, chat: str, now: float) -> None:
        """Somebody has started a bot: it may write to them in that chat."""
        self._run("meet", platform, subject, bot, chat, now)

    def met(self, platform: str, subject: str) -> dict[str, str]:
        """The bots that somebody has started, the last one first, and the chat with each."""
        return dict(self._run("met", platform, subject).fetchall())

    def part(self, platform: str, subject: str, bot: str) -> None:
        """That bot cannot write to them any more."""
        self._run("part", platform, subject, bot)

    def people(self, before: float) -> list[tuple[str, str]]:
        """Everybody of whom anything is remembered, by platform and subject, but those of whom anything is newer."""
        return list(self._run("people", before).fetchall())

    def leave(self, platform: str, subject: str) -> list[str]:
        """Forgets somebody; their conversations by id. Nothing of it stays in the file, nor beside it."""
        left = [row[0] for row in self._run("leave_conversations", platform, subject).fetchall()]
        self._run("leave_contacts", platform, subject)
        self._database.execute("pragma wal_checkpoint(truncate)").fetchall()
        return left

    def _run(self, name: str, *values: Any) -> sqlite3.Cursor:
        return self._database.execute(self._statements[name], values)


def _readable(data: bytes) -> State | None:
    """None for what another version has written that this one does not understand: its jobs stay in the history."""
    try:
        return read(data)
    except msgspec.MsgspecError as error:
        log.warning("conversation.forgotten", error=str(error))
        return None


def named(text: str) -> dict[str, str]:
    """The statements of the file by their names."""
    parts = text.split("-- name: ")[1:]
    return {name.strip(): statement.strip() for name, _, statement in (part.partition("\n") for part in parts)}
