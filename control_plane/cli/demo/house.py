"""Where the demo lives: `.demo/run` for everything that is cleared away, `.demo/pictures` for what stays.

Database, control plane and agents are real processes, tied to this one. Settings of the person's own shell do not
reach them. What a demo that was killed has left is cleared away by the next.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from control_plane import embedded, migrate
from control_plane.cli import child, local_agent, premises
from control_plane.cli.demo.stage import Stage
from control_plane.cli.listening import free_port
from control_plane.cli.operating import opened
from control_plane.cli.parsing import EX_UNAVAILABLE, CommandError
from control_plane.cli.ready import answers
from control_plane.cli.stopping import Stopping
from control_plane.database import Database
from control_plane.embedded import Embedded, EmbeddedError
from control_plane.people import credentials, users

HOST = "127.0.0.1"
GRACE_SECONDS = 0.5
PICTURE_SECONDS = 2.2
READY_BEAT_SECONDS = 0.05
LEAVE_SECONDS = 8.0
AGENTS = ("left", "right")
CUSTOMERS = {
    "ada": "a lighthouse in a storm, teal and gold",
    "ben": "a forest at dawn, emerald and mist",
    "cleo": "a city by night, violet and orange",
}
LOG_LINES = 12


class House:
    """The running service of the demo."""

    def __init__(self, folder: Path, url: str, database: Database) -> None:
        self.run = folder / "run"
        self.pictures = folder / "pictures"
        self.url = url
        self.database = database
        self.keys: dict[str, str] = {}
        self.agents: dict[str, Process] = {}

    def kill(self, agent: str) -> int:
        """SIGKILL: it has no chance to say goodbye. Returns its process id."""
        self.agents[agent].kill()
        return self.agents[agent].pid


@asynccontextmanager
async def house(folder: Path, stage: Stage, stopping: Stopping) -> AsyncIterator[House]:
    """Everything started and answering, and everything gone afterwards."""
    run = folder / "run"
    _clear_remains(run)
    with premises.occupied(run), _gone_afterwards(run):
        shutil.rmtree(folder / "pictures", ignore_errors=True)
        stage.begin()
        with _postgres(run) as server:
            stage.act(f"PostgreSQL {embedded.POSTGRES_MAJOR} is up, its own and private, in {short(run)}")
            stopping.check()
            url = f"http://{HOST}:{free_port(HOST, 0)}"
            async with opened(server.app_url) as database, _control_plane(run, server, url, stage, stopping):
                home = House(folder, url, database)
                await _invite(home)
                async with _agents(home, stage, stopping):
                    yield home


@contextmanager
def _postgres(run: Path) -> Iterator[Embedded]:
    server = embedded.start(run)
    try:
        migrate.migrate(server.owner_url)
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def _control_plane(
    run: Path, server: Embedded, url: str, stage: Stage, stopping: Stopping
) -> AsyncIterator[None]:
    environ = _environ(
        TESSERA_DATABASE_URL=server.app_url,
        TESSERA_DATA_DIR=str(run),
        TESSERA_HOST=HOST,
        TESSERA_PORT=str(urlsplit(url).port),
        TESSERA_GRACE_SECONDS=str(GRACE_SECONDS),
        TESSERA_LOG_LEVEL="warning",
    )
    with (run / "control_plane.log").open("wb") as log:
        process = await child.start("-m", "control_plane", "serve", environ=environ, log=log)
    try:
        while not await asyncio.to_thread(answers, f"{url}/readyz"):
            if process.returncode is not None:
                raise CommandError(f"The control plane did not start: {_tail(run)}", EX_UNAVAILABLE)
            await stopping.rest(READY_BEAT_SECONDS)
        stage.act(f"the control plane answers at {url}")
        stage.say(
            f"         (hurried here: an agent whose connection breaks is given {GRACE_SECONDS:g} s, normally 15 s)"
        )
        yield
    finally:
        await child.end(process, LEAVE_SECONDS)


async def _invite(home: House) -> None:
    """An account and a key for each customer."""
    for name in CUSTOMERS:
        user_id = await users.create(home.database, name)
        made = await credentials.create_key(home.database, name=name, user_id=user_id, scopes=["read", "submit"])
        home.keys[name] = made.key


@asynccontextmanager
async def _agents(home: House, stage: Stage, stopping: Stopping) -> AsyncIterator[None]:
    try:
        for name in AGENTS:
            await _start_agent(home, name)
        for name in AGENTS:
            while not await _waits_for_work(home, name):
                if home.agents[name].returncode is not None:
                    raise CommandError(f"The agent did not start: {_tail(home.run, name)}", EX_UNAVAILABLE)
                await stopping.rest(READY_BEAT_SECONDS)
        stage.act(f"two agents wait for work, {' and '.join(AGENTS)}: {PICTURE_SECONDS:g} s for a picture")
        yield
    finally:
        for process in home.agents.values():  # none of them may finish anything now
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _start_agent(home: House, name: str) -> None:
    folder = home.run / name
    await local_agent.enroll(home.database, folder, home.url, name)
    environ = _environ(
        TESSERA_AGENT_DIR=str(folder),
        TESSERA_AGENT_ENGINE="testcard",
        TESSERA_AGENT_TESTCARD_SECONDS=str(PICTURE_SECONDS),
        TESSERA_AGENT_DISK_FREE_GIB_MIN="0",
    )
    with (home.run / f"{name}.log").open("wb") as log:
        home.agents[name] = await child.start("-m", "agent", "run", environ=environ, log=log)


async def _waits_for_work(home: House, name: str) -> bool:
    """An agent's slots are known from its first claim on."""
    from control_plane.workers import roster

    listed = await roster.list_all(home.database, 60.0)
    return any(one.worker.name == name and one.slots for one in listed)


def _environ(**told: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
    return {**kept, **told}


def _clear_remains(run: Path) -> None:
    """A demo that was killed may have left its database running."""
    if not run.exists() or premises.running(run):
        return
    with suppress(EmbeddedError):
        if (run / "postgres" / "PG_VERSION").exists():
            embedded.start(run).stop()
    shutil.rmtree(run, ignore_errors=True)


@contextmanager
def _gone_afterwards(run: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _tail(run: Path, name: str = "control_plane") -> str:
    """The last that it said."""
    lines = (run / f"{name}.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES:]) or "it said nothing."


def short(path: Path) -> str:
    """As seen from where the person stands."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
