"""The process tree of `tessera up`: in which order its parts start, are looked after, and stop.

    database ─ schema ─ control plane ─ key and address ─ agent, bots         start
    agent finishes, bots stop ─ control plane ─ database                     stop

The first signal stops, the second hurries. When the control plane ends for good, so does everything; without its
agent the service still serves agents elsewhere; a database that dies is started again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from control_plane import embedded, migrate
from control_plane.cli import first_start, local_agent, local_bots, nightly, premises, printing
from control_plane.cli.child import Keeper, Verdict
from control_plane.cli.listening import local_url
from control_plane.cli.operating import opened
from control_plane.cli.parsing import EX_CONFIG, EX_UNAVAILABLE, EX_USAGE, CommandError
from control_plane.cli.ready import answers
from control_plane.cli.stopping import Stopping

if TYPE_CHECKING:
    from control_plane.settings import Settings

READY_SECONDS = 60.0
READY_BEAT_SECONDS = 0.05
DATABASE_BEAT_SECONDS = 1.0
"""How often the embedded database is looked after."""
QUIET = "warning"
"""Log level of the control plane when nobody asked for another: this terminal is somebody's."""
HOPELESS = frozenset({EX_USAGE, EX_CONFIG})
"""Exit codes of the control plane after which starting it again is no use."""


class Tree:
    """Everything that `tessera up` runs, and what signals have asked of it."""

    def __init__(self, settings: Settings, stopping: Stopping) -> None:
        assert settings.database_url is not None
        self._database_url = settings.database_url
        self.settings = settings
        self.url = local_url(settings)
        self.control = Keeper("control plane", ("-m", "control_plane", "serve"), _environ(settings), _again)
        self.others: list[Keeper] = []
        """Agent and bots."""
        self.stopping = stopping
        stopping.also = self._signalled

    async def run(self, *, agent: bool, demo_port: int | None = None) -> int:
        """Until it is told to stop; returns the exit code."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_control())
            try:
                if await self._ready():
                    await self._settle(tasks, agent=agent, demo_port=demo_port)
                    nights = tasks.create_task(nightly.run(self.settings, self._database_url))
                    await self.stopping.asked.wait()
                    nights.cancel()
                    await self._finish_others()
            finally:
                premises.forget_address(self.settings.data_dir)
                await self.control.finish()
        return self.control.code if self.control.code in HOPELESS else 0

    def _signalled(self) -> None:
        """First: stop, and let the agent finish. Then: hurry."""
        if not self.stopping.asked.is_set():
            printing.note("\nStopping; what is being made is finished first. Ctrl-C again hurries.")
            return
        for keeper in (*self.others, self.control):
            if keeper.leaving:
                keeper.leave()

    async def _keep_control(self) -> None:
        await self.control.run()
        self.stopping.asked.set()

    async def _settle(self, tasks: asyncio.TaskGroup, *, agent: bool, demo_port: int | None) -> None:
        """The control plane answers: key, agent, bots, and what people are told. `demo_port`: of the page of chats."""
        data_dir = self.settings.data_dir
        async with opened(self._database_url) as database:
            new_key = await first_start.ensure_admin_key(database, data_dir)
            setup = await first_start.open_setup(database, self.settings)
            found = [await local_bots.keeper(database, data_dir, self.url)]
            if agent:
                found.append(await local_agent.keeper(database, data_dir, self.url))
            if demo_port is not None:
                found.append(await local_bots.demo(database, data_dir, self.url, demo_port))
            self.others = [keeper for keeper in found if keeper is not None]
        with_tls = self.settings.tls_certificate is not None
        premises.announce(data_dir, self.url, self.settings.base_url if with_tls else None)
        print(first_start.greeting(self.settings, self.url, new_key, setup), flush=True)
        for keeper in self.others:
            tasks.create_task(keeper.run())

    async def _finish_others(self) -> None:
        for keeper in self.others:
            keeper.leave()
        for keeper in self.others:
            await keeper.finish()

    async def _ready(self) -> bool:
        """Wait until the control plane answers; False when it is not wanted any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while not self.stopping.asked.is_set():
                    if await asyncio.to_thread(answers, f"{self.url}/readyz"):
                        return True
                    await asyncio.sleep(READY_BEAT_SECONDS)
                return False
        raise CommandError(f"The control plane did not get ready within {READY_SECONDS:g} s.", EX_UNAVAILABLE)


async def run(settings: Settings, *, agent: bool, demo_port: int | None = None) -> int:
    """`tessera up` but for its arguments: the database around the tree."""
    stopping = Stopping()
    with stopping.listening():
        async with database(settings) as url:
            tree = Tree(msgspec.structs.replace(settings, database_url=url), stopping)
            return await tree.run(agent=agent, demo_port=demo_port)


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The URL of a database with a current schema: the one of the settings, or the embedded one, looked after."""
    if settings.database_url:
        await asyncio.to_thread(migrate.migrate, settings.owner_database_url or settings.database_url)
        yield settings.database_url
        return
    server = await asyncio.to_thread(embedded.start, settings.data_dir)
    over = asyncio.Event()
    try:
        await asyncio.to_thread(migrate.migrate, server.owner_url)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_look_after(settings.data_dir, server.pid, over))
            try:
                yield server.app_url
            finally:
                over.set()
    finally:
        await asyncio.to_thread(server.stop)


async def _look_after(data_dir: Path, pid: int, over: asyncio.Event) -> None:
    """Start the embedded database again when it has died (killed for memory, say)."""
    while not over.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(DATABASE_BEAT_SECONDS):
                await over.wait()
        if not over.is_set() and not _alive(pid):
            printing.note("The database has died; it is started again.")
            again = await asyncio.to_thread(embedded.start, data_dir)
            pid = again.pid
            again.stop()


async def _again(code: int | None) -> Verdict:
    return "never" if code in HOPELESS else "now"


def _alive(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _environ(settings: Settings) -> dict[str, str]:
    """What the control plane must be told beside what our own environment says."""
    told = {
        "TESSERA_DATABASE_URL": settings.database_url or "",
        "TESSERA_DATA_DIR": str(settings.data_dir),
        "TESSERA_HOST": settings.host,
        "TESSERA_PORT": str(settings.port),
        "TESSERA_PLAIN_HTTP": str(settings.plain_http).lower(),
    }
    if settings.tls_certificate is not None:
        told |= {
            "TESSERA_PUBLIC_URL": settings.base_url,
            "TESSERA_TLS_CERTIFICATE": str(settings.tls_certificate),
            "TESSERA_TLS_KEY": str(settings.tls_key),
            "TESSERA_TLS_HOST": settings.tls_host,
            "TESSERA_TLS_PORT": str(settings.tls_port),
        }
    if settings.tls_authority is not None:
        told["TESSERA_TLS_AUTHORITY"] = str(settings.tls_authority)
    return {"TESSERA_LOG_LEVEL": QUIET, **os.environ, **told}
