"""A database carried elsewhere is the same to the row, or nothing has happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from control_plane import embedded, migrate, programs
from control_plane.backup import BackupError, dump, moving
from control_plane.embedded import EmbeddedError
from control_plane.programs import Programs, ProgramsMissing
from tests.fixtures.backups import JOBS, estate, violations
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import add_user, one, rows

OLDER = 16
"""A major version before the embedded one; the wheel of this one brings it, too."""


@pytest.fixture
def stranger(postgres: Postgres) -> Iterator[str]:
    """An empty database of a role that has nothing to do with ours, as its owner."""
    name, role = postgres.create(), f"stranger_{uuid4().hex}"
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        connection.execute(sql.SQL("alter database {} owner to {}").format(*map(sql.Identifier, (name, role))))
    yield postgres.url(name, role)
    postgres.drop(name)
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


async def test_a_moved_database_has_every_row_right_and_token_under_its_new_owner(
    tmp_path: Path, owner_url: str, database_url: str, stranger: str, postgres: Postgres
) -> None:
    await estate(tmp_path, owner_url, database_url)
    before = await dump.facts_of(owner_url)
    with rows(database_url), pytest.raises(BackupError, match="1 other programs use the database"):
        await moving.move(owner_url, stranger, tmp_path)
    moved = await moving.move(owner_url, stranger, tmp_path)
    after = await dump.facts_of(stranger)
    assert before.differences(after) == []
    assert (moved.tables, after.tables["jobs"].rows) == (len(before.tables), JOBS)
    assert moved.grants == len(before.grants) > 50
    assert await violations(stranger) == 0
    name = psycopg.conninfo.conninfo_to_dict(stranger)["dbname"]
    with rows(postgres.url(str(name))) as app:
        add_user(app)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("delete from ledger_transfers")
    with pytest.raises(BackupError, match="is not empty; nothing was changed"):
        await moving.move(owner_url, stranger, tmp_path)
    assert before.differences(await dump.facts_of(owner_url)) == []


async def test_what_differs_is_named(tmp_path: Path, owner_url: str, database_url: str) -> None:
    await estate(tmp_path, owner_url, database_url)
    before = await dump.facts_of(owner_url)
    with rows(owner_url) as owner:
        owner.execute("update users set name = name || 'x' where name like 'user-%'")
        owner.execute("delete from inputs where key = (select min(key) from inputs)")
        owner.execute("grant delete on ledger_transfers to tessera_app")
        owner.execute("create table more (n integer)")
    assert before.differences(await dump.facts_of(owner_url)) == [
        "inputs has 2 rows instead of 3",
        "the table more is new",
        "rows of users differ",
        "rights differ: table ledger_transfers: tessera_app DELETE",
    ]


@pytest.fixture
def older() -> Programs:
    try:
        return programs.of(OLDER, "postgres", "pg_dump", "initdb", exactly=True)
    except ProgramsMissing:
        pytest.skip(f"PostgreSQL {OLDER} is not here")


async def test_a_cluster_of_an_older_postgresql_is_carried_over(tmp_path: Path, older: Programs) -> None:
    server = embedded.start(tmp_path, {"fsync": "off"}, older)
    migrate.migrate(server.owner_url)
    with rows(server.app_url) as app:
        user = add_user(app, "ada", "free")
    server.stop()
    with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 16, and this Tessera brings 18. `tessera db upgrade`"):
        embedded.start(tmp_path)

    upgraded = await moving.upgrade(tmp_path)
    assert upgraded is not None
    assert (upgraded.before, upgraded.after) == (OLDER, embedded.POSTGRES_MAJOR)
    assert (Path(upgraded.kept) / "PG_VERSION").read_text().strip() == str(OLDER)
    assert _one_user(tmp_path) == user
    assert await moving.upgrade(tmp_path) is None

    (tmp_path / embedded.UPGRADE).mkdir()  # as if it had been cut down between its last two steps
    (tmp_path / "postgres").rename(tmp_path / embedded.UPGRADE / "postgres")
    with pytest.raises(EmbeddedError, match="`tessera db upgrade` finishes its last step"):
        embedded.start(tmp_path)
    assert await moving.upgrade(tmp_path) is None
    assert _one_user(tmp_path) == user


def _one_user(data_dir: Path) -> object:
    server = embedded.start(data_dir)
    try:
        with rows(server.app_url) as app:
            return one(app, "select id from users where name = 'ada'")
    finally:
        server.stop()


async def test_without_the_old_programs_or_for_a_newer_cluster_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="There is no embedded PostgreSQL"):
        await moving.upgrade(tmp_path)
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        BackupError, match=r"of PostgreSQL 9, whose programs are needed once more.*--old-programs FOLDER"
    ):
        await moving.upgrade(tmp_path)
    with pytest.raises(BackupError, match=f"postgres and pg_dump of PostgreSQL 9 are not in {tmp_path}"):
        await moving.upgrade(tmp_path, tmp_path)
    (tmp_path / "postgres" / "PG_VERSION").write_text("99\n")
    with pytest.raises(BackupError, match="install the newer Tessera"):
        await moving.upgrade(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["postgres"]
