"""What one bot keeps on disk for the library: its login, and how far it has heard.

Whom it has met it keeps in memory only. The address of a chat can be asked for again by its id alone, so no file names
anybody, and nothing has to be taken from it when somebody leaves. The library's statements find tables of these names
among the temporary ones first (sqlite.org/lang_naming.html).
"""

from __future__ import annotations

from pathlib import Path

from pyrogram.storage import SQLiteStorage

STATEMENTS = Path(__file__).with_suffix(".sql")


class SessionFile(SQLiteStorage):  # type: ignore[misc]  # the library tells no types
    """May be opened and closed several times; each time it knows nobody."""

    async def open(self) -> None:
        """See `SQLiteStorage`. What an earlier version has written of people is taken out."""
        await super().open()
        self.conn.execute("pragma temp_store = memory")
        before = self.conn.total_changes
        self.conn.executescript(STATEMENTS.read_text(encoding="utf-8"))
        self.conn.commit()
        if self.conn.total_changes > before:
            self.conn.execute("vacuum")
            self.conn.execute("pragma wal_checkpoint(truncate)").fetchall()
