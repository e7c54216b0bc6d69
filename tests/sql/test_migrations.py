from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from control_plane import embedded, migrate
from control_plane.migrate import MigrationError
from ops import snapshot
from tests.fixtures.postgres import Postgres


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations to throw away."""
    (tmp_path / "0001_things.sql").write_text(
        "create table things (n integer); create table more (n integer); grant select on things to tessera_app;"
    )
    (tmp_path / "0002_colour.sql").write_text("alter table things add column colour text;")
    return tmp_path


def test_the_snapshot_is_the_sum_of_the_migrations(owner_url: str, postgres: Postgres) -> None:
    with psycopg.connect(postgres.superuser_url) as connection:
        if connection.info.server_version // 10_000 != embedded.POSTGRES_MAJOR:
            pytest.skip(f"the snapshot is of PostgreSQL {embedded.POSTGRES_MAJOR}")
    assert snapshot.SCHEMA.read_text() == snapshot.dump(owner_url), "type `make snapshot` and read the difference"


def test_migrating_applies_in_order_and_twice_changes_nothing(empty_url: str, folder: Path) -> None:
    assert migrate.migrate(empty_url, folder) == ["0001_things", "0002_colour"]
    assert migrate.migrate(empty_url, folder) == []
    with psycopg.connect(empty_url) as connection:
        applied = connection.execute("select number, name from schema_migrations order by number").fetchall()
    assert applied == [(1, "things"), (2, "colour")]


def test_only_what_is_missing_is_applied(empty_url: str, folder: Path) -> None:
    (folder / "0002_colour.sql").rename(folder.parent / "later.sql")
    migrate.migrate(empty_url, folder)
    (folder.parent / "later.sql").rename(folder / "0002_colour.sql")
    assert migrate.migrate(empty_url, folder) == ["0002_colour"]


def test_several_processes_may_migrate_at_once(empty_url: str, folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        applied = list(pool.map(lambda _: migrate.migrate(empty_url, folder), range(8)))
    assert sorted(map(len, applied)) == [0] * 7 + [2]


def test_a_migration_that_fails_changes_nothing_and_is_named(empty_url: str, folder: Path) -> None:
    (folder / "0002_colour.sql").write_text("alter table things add column colour text; select 1/0;")
    with pytest.raises(MigrationError, match="0002_colour failed and changed nothing: division by zero"):
        migrate.migrate(empty_url, folder)
    with psycopg.connect(empty_url) as connection, connection.cursor() as cursor:
        assert cursor.execute("select number from schema_migrations").fetchall() == [(1,)]
        assert [column.name for column in cursor.execute("select * from things").description or []] == ["n"]


def test_code_goes_on_beside_a_newer_schema_that_only_adds(empty_url: str, folder: Path) -> None:
    (folder / "0001_things.sql").write_text("alter table schema_migrations add needs integer not null default 0;")
    (folder / "0002_colour.sql").write_text("create table colours (n integer);")
    migrate.migrate(empty_url, folder)
    (folder / "0002_colour.sql").unlink()
    migrate.check(empty_url, folder)
    with pytest.raises(MigrationError, match="Install the newer"):
        migrate.migrate(empty_url, folder)


def test_a_database_newer_than_the_code_is_refused(empty_url: str, folder: Path) -> None:
    (folder / "0001_things.sql").write_text("alter table schema_migrations add needs integer not null default 0;")
    (folder / "0002_colour.sql").write_text("-- needs: 0002\ncreate table colours (n integer);")
    migrate.migrate(empty_url, folder)
    (folder / "0002_colour.sql").unlink()
    for refuse in (migrate.migrate, migrate.check):
        with pytest.raises(MigrationError, match=r"at migration 0002_colour, this Tessera knows 1\. Install the newer"):
            refuse(empty_url, folder)


def test_a_database_of_another_history_is_refused(empty_url: str, folder: Path) -> None:
    migrate.migrate(empty_url, folder)
    (folder / "0002_colour.sql").rename(folder / "0002_flavour.sql")
    with pytest.raises(MigrationError, match="not of one history"):
        migrate.migrate(empty_url, folder)


def test_a_database_that_is_behind_says_what_to_type(empty_url: str, folder: Path) -> None:
    with pytest.raises(MigrationError, match="2 migrations behind this Tessera. Run `tessera migrate`"):
        migrate.check(empty_url, folder)
    migrate.migrate(empty_url, folder)
    migrate.check(empty_url, folder)


def test_the_application_can_check_but_not_migrate(database_url: str) -> None:
    migrate.check(database_url)
    with pytest.raises(MigrationError, match="TESSERA_OWNER_DATABASE_URL"):
        migrate.migrate(database_url)


def test_what_the_migrations_make_the_application_cannot_unmake(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'public' order by tablename"
        ).fetchall()
        assert len(tables) > 10
        for (table,) in tables:
            for verb in ("drop table", "truncate"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL(verb + " {}").format(sql.Identifier(table)))


def test_a_number_that_is_taken_is_refused(folder: Path) -> None:
    (folder / "0002_colour.sql").rename(folder / "0001_zebra.sql")
    with pytest.raises(MigrationError, match="0001_zebra.sql should be called 0002_some_name.sql"):
        migrate.migrations(folder)


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="does not answer"):
        migrate.check(f"postgresql://x@/x?host={tmp_path}")


def test_a_database_that_cannot_hold_every_letter_is_refused_with_the_one_that_can(postgres: Postgres) -> None:
    name = "test_ascii"
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template template0 encoding 'SQL_ASCII' locale 'C'")
    try:
        with pytest.raises(MigrationError, match="as SQL_ASCII; Tessera needs UTF8. Make another: create database"):
            migrate.migrate(postgres.url(name, embedded.OWNER))
    finally:
        postgres.drop(name)
