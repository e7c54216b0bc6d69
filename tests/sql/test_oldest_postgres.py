"""The oldest PostgreSQL that is promised, also Debian 12's own: every statement is understood, and a backup of it is
proven by a server of the same age."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from control_plane import embedded, migrate, programs
from control_plane.database import statements
from control_plane.programs import ProgramsMissing
from tests.fixtures.backups import estate
from tests.fixtures.postgres import HOUSE
from tests.fixtures.queue import rows
from tests.sql.test_queries import numbered

OLDEST = 15

pytestmark = pytest.mark.slow


async def test_every_statement_is_understood_and_a_backup_is_proven(tmp_path: Path) -> None:
    try:
        old = programs.of(OLDEST, "postgres", "pg_dump", "initdb", exactly=True)
    except ProgramsMissing:
        pytest.skip(f"PostgreSQL {OLDEST} is not here (Debian 12: apt install postgresql-{OLDEST})")
    server = embedded.start(tmp_path / "server", {"fsync": "off"}, old)
    try:
        migrate.migrate(server.owner_url)
        with psycopg.connect(server.app_url, autocommit=True) as connection:
            assert connection.info.server_version // 10_000 == OLDEST
            refused = {}
            for name, (_, text) in statements().items():
                prepared = connection.pgconn.prepare(b"", numbered(text)[0].encode())
                if prepared.status != pq.ExecStatus.COMMAND_OK:
                    refused[name] = prepared.error_message.decode()
        assert refused == {}
        with rows(server.owner_url) as owner:
            owner.execute(HOUSE)
        house = await estate(tmp_path, server.owner_url, server.app_url)
        made = await house.back_up()
        assert made.verified
    finally:
        server.stop()
