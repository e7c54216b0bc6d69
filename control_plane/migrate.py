"""The schema, brought up to date by numbered migrations that only go forward.

`sql/migrations/0001_name.sql` is one transaction that records its number first; an advisory lock lets one process
at a time apply them, so several control planes may start at once. Code never runs on a schema that is behind it
(`tessera migrate`). Beside one that is ahead it goes on if that only adds: a migration that takes away what older code
uses says so in its first line, `-- needs: 0028`, the least migration that code must know to live with it.

The role `tessera_app` gets its rights from the migrations. It is made here where the owner may make roles; on a
server where that is not so, the sentence says what an administrator has to type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import class_row

MIGRATIONS_FOLDER = Path(__file__).parents[1] / "sql" / "migrations"
FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
NEEDS = re.compile(r"-- needs: (\d{4})$", re.MULTILINE)
LOCK_KEY = 0x7E55E7A
LOCK_SECONDS = 300
"""How long to wait for another process that is migrating."""
ENCODING = "UTF8"
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

    @property
    def needs(self) -> int:
        """The least migration that code must know to work with a schema that this one has changed; 0: any."""
        found = NEEDS.match(self.text)
        return int(found[1]) if found else 0


Standing = Literal["current", "behind", "beside", "beyond"]
"""How a schema stands to this code: what it was written for, older, newer and only added to, newer and too much so."""
CURES: dict[Standing, str] = {
    "behind": "Run `tessera migrate`.",
    "beside": "Install the newer Tessera that has changed it.",
    "beyond": "Install the newer Tessera that has changed it.",
}


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
    """Raise `MigrationError` unless this code can work with the schema."""
    known = migrations(folder)
    with _connect(database_url) as connection:
        present = connection.execute("select to_regclass('schema_migrations') is not null").fetchone()
        applied = _count(connection, known, beside=True) if present == (True,) else 0
    if applied < len(known):
        behind = len(known) - applied
        raise MigrationError(
            f"The database is {behind} migration{'s' * (behind > 1)} behind this Tessera. Run `tessera migrate`."
        )


def migrations(folder: Path = MIGRATIONS_FOLDER) -> list[Migration]:
    """All of them in the order of their numbers, each of which is there once; a gap is no fault."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        last = found[-1].number if found else 0
        match = FILE_NAME.fullmatch(path.name)
        if match is None or int(match[1]) <= last:
            raise MigrationError(f"{path.name} should be called {last + 1:04d}_some_name.sql, or have a higher number.")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    return found


def standing(applied: int, needs: int, known: Sequence[Migration]) -> Standing:
    """Of a schema with so many migrations, the most demanding of which needs code that knows number `needs`."""
    if applied == len(known):
        return "current"
    if applied < len(known):
        return "behind"
    return "beside" if needs <= known[-1].number else "beyond"


def prepare(owner_url: str, *, clear: bool = False) -> None:
    """See to it that a dump can be restored: the role that it grants to is there, and, if `clear`, nothing else."""
    with _connect(owner_url) as connection:
        _ensure_role(connection)
        if clear:
            with connection.transaction():
                connection.execute("drop schema public cascade")
                connection.execute("create schema public")
                connection.execute("grant usage on schema public to public")


def _connect(url: str) -> Connection:
    try:
        connection: Connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.OperationalError as error:
        raise MigrationError(f"The database does not answer: {str(error).strip()}") from error
    if connection.info.server_version < SERVER_VERSION_MIN:
        version = connection.info.server_version // 10_000
        connection.close()
        raise MigrationError(f"This is PostgreSQL {version}; Tessera needs {SERVER_VERSION_MIN // 10_000} or newer.")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != ENCODING:
        connection.close()
        raise MigrationError(
            f"The database keeps text as {encoding}; Tessera needs {ENCODING}. Make another: create database tessera"
            f" owner tessera_owner template template0 encoding '{ENCODING}';"
        )
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
    _ensure_role(connection)
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


def _ensure_role(connection: Connection) -> None:
    if connection.execute("select from pg_roles where rolname = %s", [APP]).fetchone() is None:
        try:
            connection.execute(f"create role {APP} nologin")
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"The role {APP} is missing and this user may not make roles. As an administrator of the server, type"
                f" `create role {APP} nologin; grant {APP} to ROLE;` with the ROLE that TESSERA_DATABASE_URL uses."
            ) from error


def _needs(connection: Connection) -> int:
    """The least migration that code must know; asked only of a schema that is ahead, which has the column."""
    found = connection.execute("select max(needs) from schema_migrations").fetchone()
    return int(found[0]) if found is not None else 0


def _count(connection: Connection, known: list[Migration], *, beside: bool = False) -> int:
    """How many are applied; refuses a database that another program made, or that a newer Tessera has changed.
    `beside`: unless that only adds."""
    with connection.cursor(row_factory=class_row(Applied)) as cursor:
        applied = cursor.execute("select number, name from schema_migrations order by number").fetchall()
    is_ahead = len(applied) > len(known)
    if is_ahead and not (beside and standing(len(applied), _needs(connection), known) == "beside"):
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
            if migration.needs:
                words = "update schema_migrations set needs = %s where number = %s"
                connection.execute(words, [migration.needs, migration.number])
    except psycopg.Error as error:
        raise MigrationError(
            f"Migration {migration.number:04d}_{migration.name} failed and changed nothing: {error}"
        ) from error
