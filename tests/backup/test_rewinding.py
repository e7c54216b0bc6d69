"""Any minute of the embedded database can be had back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from pyrage import x25519

from control_plane import embedded, migrate
from control_plane.backup import streaming
from control_plane.backup.places import FolderPlace
from control_plane.backup.sealing import Seal
from tests.fixtures.queue import Rows, add_user, one, rows
from tests.system.processes import ROOT, program, wait_until


def moment(sql: Rows) -> datetime:
    """By the database's clock, with nothing written in the same instant."""
    found: datetime = one(sql, "select clock_timestamp()")
    sql.execute("select pg_sleep(0.01)")
    return found


@pytest.mark.long
def test_the_database_goes_back_to_a_minute_and_not_a_row_further(tmp_path: Path) -> None:
    place, data_dir, secret = tmp_path / "disk", tmp_path / "data", x25519.Identity.generate()
    place.mkdir()
    (tmp_path / "identity").write_text(str(secret))
    environ = {
        "TESSERA_DATA_DIR": str(data_dir),
        "TESSERA_BACKUP_URL": place.as_uri(),
        "TESSERA_BACKUP_RECIPIENT": str(secret.to_public()),
    }
    server = embedded.start(data_dir)
    try:
        migrate.migrate(server.owner_url)
        with (
            rows(server.app_url) as sql,
            program(tmp_path / "said", "control_plane", "backup", "stream", **environ) as following,
        ):
            wait_until(lambda: list(place.glob("base-*.age")), "a base is there", lambda: following.said)
            with rows(server.url(embedded.SUPERUSER)) as superuser:
                wait_until(
                    lambda: one(superuser, "select count(*) from pg_stat_replication"),
                    "it follows",
                    lambda: following.said,
                )
                add_user(sql, "before", "free")
                until = moment(sql)
                add_user(sql, "after", "free")
                superuser.execute("select pg_switch_wal()")
                add_user(sql, "much later", "free")
                superuser.execute("select pg_switch_wal()")
            [base] = streaming.bases([path.name for path in place.iterdir()])
            received = data_dir / "spool" / "stream"
            wait_until(lambda: len(newer(received, base.segment)) >= 2, "the log is received", lambda: following.said)
        seal = Seal(str(secret.to_public()))
        left = asyncio.run(streaming.ship(FolderPlace(place), seal, base.cluster, received, set()))  # as once a minute
        assert len(left) == 1
    finally:
        server.stop()
    shutil.rmtree(data_dir)

    words = ("restore", str(place), "--identity", str(tmp_path / "identity"), "--until", until.isoformat(), "--json")
    command = [sys.executable, "-m", "control_plane", *words]
    told = {**os.environ, "TESSERA_DATA_DIR": str(tmp_path / "again")}
    ran = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["segments"] >= 2
    server = embedded.start(tmp_path / "again")
    try:
        with rows(server.app_url) as sql:
            assert sql.execute("select name from users order by name").fetchall() == [("before",)]
            add_user(sql, "and on", "free")
    finally:
        server.stop()


def newer(folder: Path, segment: str) -> list[Path]:
    """What was received whole since then."""
    return [path for path in folder.glob("?" * 24) if path.name > segment]
