"""How the operator's verbs reach the database: the one of the settings, else the embedded one of the data folder.

The embedded server is used while it runs and started for the duration of the command when it does not; its schema is
brought up to date on the way, since nobody else could do it. A foreign server is only ever migrated by `tessera
migrate`. What goes wrong becomes a `CommandError`: one sentence, and an exit code of sysexits(3).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from control_plane.cli.parsing import EX_CONFIG, EX_FAILED, EX_UNAVAILABLE, EX_USAGE, CommandError

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.settings import Settings

POOL_SIZE = 2
LOG_LEVEL = "warning"
"""A command answers itself; only what it does not know how to say is logged."""

Result = TypeVar("Result")
Work = Callable[["Database"], Awaitable[Result]]


def settings(overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings in effect; `overrides` are variables that the command line gives (None = not given)."""
    from control_plane.settings import ConfigurationError, load

    given = {name: str(value) for name, value in (overrides or {}).items() if value is not None}
    try:
        return load({**os.environ, **given})
    except ConfigurationError as error:
        raise CommandError(str(error), EX_CONFIG) from error


def operate(work: Work[Result]) -> Result:
    """Run `work` on the database of the settings."""
    from control_plane import log

    chosen = settings()
    log.configure(LOG_LEVEL, chosen.log_format)

    async def whole(url: str) -> Result:
        async with opened(url) as database:
            return await work(database)

    with translated(), current_database(chosen) as url:
        import asyncio

        return asyncio.run(whole(url))


@contextmanager
def translated() -> Iterator[None]:
    """What goes wrong in ways that we know becomes a `CommandError`."""
    from control_plane.backup import BackupError
    from control_plane.embedded import EmbeddedError
    from control_plane.errors import Invalid, NotFound, TesseraError, Unavailable
    from control_plane.migrate import MigrationError
    from control_plane.settings import ConfigurationError

    try:
        yield
    except (EmbeddedError, MigrationError, ConfigurationError, BackupError) as error:
        raise CommandError(str(error), error.exit_code) from error
    except Unavailable as error:
        raise CommandError(
            "The database does not answer. Is it running, and is its address right?", EX_UNAVAILABLE
        ) from error
    except (Invalid, NotFound) as error:
        raise CommandError(error.detail, EX_USAGE) from error
    except TesseraError as error:
        raise CommandError(error.detail, EX_FAILED) from error
    except BaseExceptionGroup as group:
        raise _first(group) from group


def verb(work: Callable[[argparse.Namespace, Database], Awaitable[int]]) -> Callable[[argparse.Namespace], int]:
    """A command's function out of a coroutine that wants its arguments and the database."""

    def run(arguments: argparse.Namespace) -> int:
        return operate(lambda database: work(arguments, database))

    return run


async def hint(database: Database, topic: str, *words: object) -> None:
    """Tell the running control planes what has changed; they would notice by themselves, only later."""
    from control_plane.notify import Bus

    bus = Bus(database)
    bus.send(topic, *words)
    await bus.flush()


async def the_time(database: Database) -> datetime:
    """By the only wall clock there is."""
    from control_plane.operator.tables import NOW

    now = await database.one(NOW)
    assert now is not None
    return now


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A small pool."""
    from control_plane.database import Database

    database = Database(url, size=POOL_SIZE)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@contextmanager
def current_database(chosen: Settings) -> Iterator[str]:
    """The address of a database with the schema of this code."""
    from control_plane import embedded, migrate

    if chosen.database_url:
        migrate.check(chosen.database_url)
        yield chosen.database_url
        return
    server = embedded.start(chosen.data_dir)
    try:
        migrate.migrate(server.owner_url)
        yield server.app_url
    finally:
        server.stop()


@contextmanager
def owned_database(chosen: Settings, *, current: bool = True) -> Iterator[str]:
    """The address of the same database for its owner, who may read and change everything; with the schema of this code,
    unless that comes later."""
    from control_plane import embedded, migrate

    if url := chosen.owner_database_url or chosen.database_url:
        if current:
            migrate.check(url)
        yield url
        return
    server = embedded.start(chosen.data_dir)
    try:
        if current:
            migrate.migrate(server.owner_url)
        yield server.owner_url
    finally:
        server.stop()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one that is told; a sentence of ours if there is one."""
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if isinstance(leaf, CommandError)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
