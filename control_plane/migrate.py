"""The schema, brought up to date by numbered migrations that only go forward.

`sql/migrations/0001_name.sql` is one transaction that records its number first; an advisory lock lets one process
at a time apply them, so several control planes may start at once. Code never runs on a schema that it does not know:
one that is behind wants `tessera migrate`, one that is ahead a newer Tessera.

The role `tessera_app` gets its rights from the migrations. It is made here where the owner may make roles; on a
server where that is not so, the sentence says what an administrator has to type.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import class_row

MIGRATIONS_FOLDER = Path(__file__).parents[1] / "sql" / "migrations"
FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
LOCK_KEY = 0x7E55E7A
LOCK_SECONDS = 300
"""How long to wait for another process that is migrating."""
SERVER_VERSION_MIN = 150_000
CONNECT_SECONDS = 10
APP = "tessera_app"
EX_UNAVAILABLE = 69

Connection = psycopg.Connection[Any]


class MigrationError(Exception):
    """The schema cannot be used or changed; the message says what to do."""

    exit_code = EX_UNAVAILABLE


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    text: str


class Applied(msgspec.Struct, frozen=True):
    number: int
    name: str


def migrate(owner_url: str, folder: Path = MIGRATIONS_FOLDER) -> list[str]:
    """Apply what is missing, in order; the names of what was applied. Doing it twice changes nothing."""
    known = migrations(folder)
    with _connect(owner_url) as connection:
        _lock(connection)
        _prepare(connection)
        missing = known[_count(connection, known) :]
        for migration in missing:
            _apply(connection, migration)
        if missing:
            _analyze(connection)
    return [f"{migration.number:04d}_{migration.name}" for migration in missing]


def _analyze(connection: psycopg.Connection[Any]) -> None:
    """Only what is large. A table never looked at is planned for as one of ten pages, and one that was seen small
    as small, so that joins read all of it, and those plans are kept while it grows: on a busy first day, too long."""
    filled = connection.execute(
        """select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname = 'public'
            and pg_relation_size(c.oid) > 10 * current_setting('block_size')::integer"""
    ).fetchall()
    for (table,) in filled:
        connection.execute(sql.SQL("analyze {}").format(sql.SQL(table)))


def check(database_url: str, folder: Path = MIGRATIONS_FOLDER) -> None:
    """Raise `MigrationError` unless the schema is exactly the one that this code knows."""
    known = migrations(folder)
    with _connect(database_url) as connection:
        present = connection.execute("select to_regclass('schema_migrations') is not null").fetchone()
        applied = _count(connection, known) if present == (True,) else 0
    if applied < len(known):
        behind = len(known) - applied
        raise MigrationError(
            f"The database is {behind} migration{'s' * (behind > 1)} behind this Tessera. Run `tessera migrate`."
        )


def migrations(folder: Path = MIGRATIONS_FOLDER) -> list[Migration]:
    """All of them, numbered without a gap from 1."""
    found = []
    for number, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        match = FILE_NAME.fullmatch(path.name)
        if match is None or int(match[1]) != number:
            raise MigrationError(f"{path.name} should be called {number:04d}_some_name.sql.")
        text = path.read_text(encoding="utf-8")
        found.append(Migration(number, match[2], text))
    return found


def _connect(url: str) -> Connection:
    try:
        connection: Connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.OperationalError as error:
        raise MigrationError(f"The database does not answer: {str(error).strip()}") from error
    if connection.info.server_version < SERVER_VERSION_MIN:
        version = connection.info.server_version // 10_000
        connection.close()
        raise MigrationError(f"This is PostgreSQL {version}; Tessera needs {SERVER_VERSION_MIN // 10_000} or newer.")
    return connection


def _lock(connection: Connection) -> None:
    """Held until the connection closes; a killed process loses it."""
    connection.execute("select set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
    try:
        connection.execute("select pg_advisory_lock(%s)", [LOCK_KEY])
    except psycopg.errors.LockNotAvailable as error:
        raise MigrationError(f"Another process has been migrating for {LOCK_SECONDS} s; look what it does.") from error


def _prepare(connection: Connection) -> None:
    """The role that the migrations grant to, and the table that remembers them."""
    if connection.execute("select from pg_roles where rolname = %s", [APP]).fetchone() is None:
        try:
            connection.execute(f"create role {APP} nologin")
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"The role {APP} is missing and this user may not make roles. As an administrator of the server, type"
                f" `create role {APP} nologin; grant {APP} to ROLE;` with the ROLE that TESSERA_DATABASE_URL uses."
            ) from error
    try:
        connection.execute(
            "create table if not exists schema_migrations (number integer primary key, name text not null,"
            " applied_at timestamptz not null default now())"
        )
        connection.execute(f"grant select on schema_migrations to {APP}")
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            "This user may not change the schema. Set TESSERA_OWNER_DATABASE_URL to the role that owns the database."
        ) from error


def _count(connection: Connection, known: list[Migration]) -> int:
    """How many are applied; refuses a database that a newer Tessera has changed, or another program made."""
    with connection.cursor(row_factory=class_row(Applied)) as cursor:
        applied = cursor.execute("select number, name from schema_migrations order by number").fetchall()
    if len(applied) > len(known):
        raise MigrationError(
            f"The database is at migration {applied[-1].number:04d}_{applied[-1].name},"
            f" this Tessera knows {len(known)}."
            " Install the newer Tessera that changed it, or restore a backup from before."
        )
    for row, migration in zip(applied, known, strict=False):
        if (row.number, row.name) != (migration.number, migration.name):
            raise MigrationError(
                f"The database has migration {row.number:04d}_{row.name} where this Tessera has"
                f" {migration.number:04d}_{migration.name}: they are not of one history."
            )
    return len(applied)


def _apply(connection: Connection, migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(
                "insert into schema_migrations (number, name) values (%s, %s)", [migration.number, migration.name]
            )
            connection.execute(migration.text)
    except psycopg.Error as error:
        raise MigrationError(
            f"Migration {migration.number:04d}_{migration.name} failed and changed nothing: {error}"
        ) from error
