"""The ground of the race: one durable PostgreSQL in a scratch folder, one database for each contestant."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from control_plane import embedded, migrate
from tests.bench import machine
from tests.fixtures.postgres import HOUSE

TUNING = {"track_wal_io_timing": "on", "max_connections": "200", "autovacuum_naptime": "10s"}
"""On top of what the embedded server has anyway (fsync and synchronous_commit on), for all contestants alike."""


class Scratch:
    """A folder and a server that vanish with the race."""

    def __init__(self, folder: Path, server: embedded.Embedded, *, quick: bool) -> None:
        self.folder = folder
        self.server = server
        self.quick = quick
        self._made = 0

    def quiet(self) -> None:
        """Wait a little for the machine to be ours."""
        machine.wait_for_quiet(1.0 if self.quick else 3.0)

    @property
    def postgres_pid(self) -> int:
        return self.server.pid

    def url(self, database: str, role: str = embedded.APP) -> str:
        return self.server.url(role, database)

    def superuser(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(database, embedded.SUPERUSER), autocommit=True)

    def empty(self, word: str) -> str:
        """The name of a new empty database that belongs to the superuser."""
        return self._create(word, embedded.SUPERUSER)

    def tessera(self, word: str) -> str:
        """The name of a new database of Tessera, migrated and otherwise fresh."""
        name = self._create(word, embedded.OWNER)
        migrate.migrate(self.url(name, embedded.OWNER))
        with self.superuser(name) as connection:
            connection.execute(HOUSE)
        return name

    def drop(self, database: str) -> None:
        with self.superuser("postgres") as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database)))

    def _create(self, word: str, owner: str) -> str:
        self._made += 1
        name = f"{word}_{self._made}"
        with self.superuser("postgres") as connection:
            words = map(sql.Identifier, (name, owner))
            connection.execute(sql.SQL("create database {} template template0 owner {}").format(*words))
        return name


@contextmanager
def scratch(*, quick: bool) -> Iterator[Scratch]:
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as name:
        os.chmod(name, 0o711)
        server = embedded.start(Path(name), TUNING)
        try:
            yield Scratch(Path(name), server, quick=quick)
        finally:
            server.stop()
