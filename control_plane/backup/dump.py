"""The database as a dump: one snapshot, what was true in it, and PostgreSQL's own programs.

What is compared is read in the transaction that exports the snapshot, and `pg_dump` reads the very same one; so a
restore must agree to the row, however busy the service was. Programs get the address in their environment: who lists
the processes of this machine sees no password.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection, pq

from control_plane import migrate
from control_plane.backup import BackupError
from control_plane.backup.archive import Table
from control_plane.database import Query
from control_plane.log import redact
from control_plane.programs import Programs, ProgramsMissing
from control_plane.programs import of as programs_of
from control_plane.store.staged import in_thread

CONNECT_SECONDS = 10
WORK_SECONDS = 6 * 3600.0
"""Nothing that is backed up or restored at home takes longer."""
END_SECONDS = 10.0
GONE_SECONDS, BEAT_SECONDS = 3.0, 0.05
"""How long a server process may take to notice that its client has hung up, and how often that is looked at."""
TOLD_CHARACTERS = 1_500
SESSION = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex -c extra_float_digits=1 -c jit=off"
    " -c statement_timeout=0 -c lock_timeout=30s -c idle_in_transaction_session_timeout=0"
    " -c client_min_messages=warning"
)
"""Rows are hashed as they are written, so they are written alike everywhere."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    snapshot: str
    taken_at: datetime
    server: str
    major: int
    database: str
    bytes: int


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """How a table is read whole."""

    name: str
    statement: str


EXPORT = Query("backups.export", Exported)
MIGRATIONS = Query("backups.migrations", str)
READERS = Query("backups.readers", Reader)
GRANTS = Query("backups.grants", str)
LEDGER = Query("backups.ledger", int)
TABLES = Query("backups.tables", int)
OTHERS = Query("backups.others", int)


class Facts(msgspec.Struct, frozen=True):
    """What must be the same wherever this database is restored."""

    migrations: list[str]
    tables: dict[str, Table]
    grants: list[str]
    violations: int

    def differences(self, other: Facts) -> list[str]:
        """How the other differs, in words; empty when all is the same."""
        told = [] if self.migrations == other.migrations else ["the migrations differ"]
        for name in sorted(self.tables.keys() | other.tables.keys()):
            here, there = self.tables.get(name), other.tables.get(name)
            if here is None or there is None:
                told.append(f"the table {name} is {'missing' if there is None else 'new'}")
            elif here.rows != there.rows:
                told.append(f"{name} has {there.rows} rows instead of {here.rows}")
            elif here.contents != there.contents:
                told.append(f"rows of {name} differ")
        if self.grants != other.grants:
            told.append(f"rights differ: {', '.join(sorted(set(self.grants) ^ set(other.grants))[:5])}")
        if self.violations != other.violations:
            told.append(f"the books disagree in {other.violations} places instead of {self.violations}")
        return told


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection[Any]]:
    try:
        connection = await AsyncConnection.connect(
            url, autocommit=True, options=SESSION, connect_timeout=CONNECT_SECONDS
        )
    except psycopg.OperationalError as error:
        raise BackupError(f"The database does not answer: {redact(str(error).strip())}") from error
    async with connection:
        yield connection


@asynccontextmanager
async def snapshot(connection: AsyncConnection[Any]) -> AsyncIterator[Exported]:
    """What is read over this connection inside the block, and dumped by its name, is of one moment."""
    await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)
    async with connection.transaction():
        exported = await EXPORT.one(connection)
        assert exported is not None
        yield exported


async def facts(connection: AsyncConnection[Any]) -> Facts:
    """Reads everything."""
    tables = {reader.name: await _read(connection, reader) for reader in await READERS.many(connection)}
    violations = await LEDGER.one(connection)
    return Facts(await MIGRATIONS.many(connection), tables, await GRANTS.many(connection), violations or 0)


async def _read(connection: AsyncConnection[Any], reader: Reader) -> Table:
    found = await (await connection.execute(reader.statement.encode())).fetchone()
    assert found is not None
    return Table(*found)


async def facts_of(url: str) -> Facts:
    async with connected(url) as connection, asyncio.timeout(WORK_SECONDS):
        return await facts(connection)


async def dump(url: str, exported: Exported, target: Path) -> int:
    """The dump of that snapshot; the major version of the program that made it."""
    programs = chosen(exported.major, "pg_dump")
    words = ["--format=custom", f"--snapshot={exported.snapshot}", "--no-unlogged-table-data", f"--file={target}"]
    words += ["--no-publications", "--no-subscriptions", "--no-security-labels", "--no-tablespaces"]
    await run(programs, "pg_dump", *words, url=url)
    return programs.major


async def restore(url: str, source: Path, major: int) -> None:
    """Into an empty database, all or nothing; everything belongs to whoever connects. `major` made the dump."""
    async with connected(url) as connection:
        server = connection.info.server_version // 10_000
        if server < major:
            raise BackupError(
                f"The dump was made by PostgreSQL {major}, and this server is {server}, which is too old."
            )
        database = connection.info.dbname
    await in_thread(migrate.prepare, url)
    words = ["--no-owner", "--single-transaction", "--exit-on-error", f"--dbname={database}", str(source)]
    await run(chosen(max(server, major), "pg_restore"), "pg_restore", *words, url=url)


async def empty(url: str, *, force: bool) -> None:
    """See to it that the database may be filled. Raises `BackupError` when something is there and not to be lost."""
    async with connected(url) as connection:
        if not await TABLES.one(connection):
            return
        if not force:
            raise BackupError(
                f"The database {connection.info.dbname} is not empty; nothing was changed."
                " `--force` drops what is in it."
            )
        await alone(connection)
    await in_thread(lambda: migrate.prepare(url, clear=True))


async def alone(connection: AsyncConnection[Any]) -> None:
    """Nobody else may be connected; those that have just hung up are waited for. Raises `BackupError`."""
    others = 0
    for _ in range(int(GONE_SECONDS / BEAT_SECONDS)):
        if not (others := await OTHERS.one(connection) or 0):
            return
        await asyncio.sleep(BEAT_SECONDS)
    raise BackupError(f"{others} other programs use the database. Stop Tessera everywhere, and try again.")


def chosen(major: int, *names: str) -> Programs:
    try:
        return programs_of(major, *names)
    except ProgramsMissing as error:
        raise BackupError(str(error)) from error


async def run(programs: Programs, name: str, *words: str, url: str) -> None:
    """One of PostgreSQL's programs. Raises `BackupError` with what it said."""
    process = await asyncio.create_subprocess_exec(
        str(programs / name),
        *words,
        env=environ(url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(WORK_SECONDS):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
    if process.returncode:
        told = redact(said.decode(errors="replace").strip())[-TOLD_CHARACTERS:]
        raise BackupError(f"{name} has failed: {told or f'exit code {process.returncode}'}")


def environ(url: str) -> dict[str, str]:
    """The address as libpq reads it from the environment, with what the environment of this program says already."""
    given = {option.envvar: option.val for option in pq.Conninfo.get_defaults() if option.envvar and option.val}
    given |= {option.envvar: option.val for option in pq.Conninfo.parse(url.encode()) if option.envvar and option.val}
    named = {name.decode(): value.decode() for name, value in given.items()}
    named.pop("PGOPTIONS", None)
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(Path.home()), **named}
