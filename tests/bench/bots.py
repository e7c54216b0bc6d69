"""Twelve bots in one process: how soon they are up, what they hold, how late their loop is, how soon people hear back.

The program runs as an operator runs it, in a process of its own; both stand-ins and all people are in ours, and workers
without engines report progress of a hundred jobs every second. People come at their own moments until `PEOPLE`
dialogues are open, and order anew when their picture has come, so that as many stay open. The clock of an answer starts
with the command and stops when the message with cost and place stands in the chat.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import aiohttp
import psycopg

from control_plane.wire.worker import SLOTS_MAX
from frontends.bots.metrics import Lag
from frontends.standins.discord import Discord
from frontends.standins.person import Message, Person
from frontends.standins.telegram import Telegram
from tests.bench import crew, fill, machine, service
from tests.bench.report import Row, percentile, within
from tests.bench.scratch import Scratch
from tests.fixtures.fleet import Fleet

PEOPLE = 240
PARALLEL = 100
"""Jobs at once."""
ARRIVALS_PER_SECOND = 8.0
JOB_SECONDS = 20.0
THINK_SECONDS = 1.5, 5.0
"""Before somebody orders anew. Sooner than a second after a message, the platform itself makes a bot wait."""
UP_SECONDS, RESIDENT_MIB, LAG_MS, ANSWER_MS = 3.0, 160.0, 150.0, 300.0
ANSWER_SECONDS_MAX = 60.0
RESULT_SECONDS_MAX = 180.0
WORD = re.compile(r"lighthouse (\d+/\d+)")
ORDER = "/generate lighthouse {}, 64x64, 1 step, model testcard"
KEY_SCOPES = ["read", "submit", "payments", "operate"]


@dataclass
class Found:
    up_seconds: list[float] = field(default_factory=list)
    resident_mib: float = 0.0
    idle_mib: float = 0.0
    answers: list[float] = field(default_factory=list)
    results: int = 0
    open_most: int = 0
    parallel: int = 0
    reports: int = 0
    lag: dict[str, float] = field(default_factory=dict)
    violations: list[object] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    floods: float = 0.0
    cpu_seconds: float = 0.0
    """Of the bots, while people were there."""
    our_lag: Lag = field(default_factory=Lag)
    """What everybody else is late by, in the process of stand-ins and people."""


def measure(scratch: Scratch) -> list[Row]:
    seconds = 10.0 if scratch.quick else 40.0
    database = scratch.tessera("bots")
    with (
        service.control_plane(
            scratch.folder, scratch.url(database), signups_per_day="1000", log_level="warning"
        ) as plane,
        scratch.superuser(database) as connection,
    ):
        key = _key(connection)
        connection.execute("alter table users alter column plan set default 'house'")
        workers = fill.workers(connection, -(-PARALLEL // SLOTS_MAX))
        scratch.quiet()
        with machine.metered({"control plane": plane.pid, "postgres": scratch.postgres_pid}) as load:
            found = asyncio.run(_evening(scratch.folder / "bots", plane.url, key, workers, seconds))
    if found.results < PEOPLE or found.open_most < 0.9 * PEOPLE or found.parallel < 0.9 * PARALLEL:
        raise RuntimeError(
            f"Only {found.open_most} dialogues were open at once, {found.parallel} jobs ran, {found.results} came."
        )
    return _rows(found, load.told(found.results))


async def _evening(folder: Path, url: str, key: str, workers: list[fill.Credential], seconds: float) -> Found:
    found = Found()
    async with Telegram() as telegram, Discord() as discord, aiohttp.ClientSession() as session:
        fleet = Fleet(folder, url, key, telegram, discord, ["image"] * 6)
        for _ in range(3):
            await fleet.start()
            found.up_seconds.append(fleet.started_in_seconds)
            found.idle_mib = fleet.resident_mib
            if len(found.up_seconds) < 3:
                await fleet.stop()
        assert fleet.process is not None
        before = machine.cpu_seconds(fleet.process.pid)
        try:
            await _crowd(fleet, crew.crew(session, url, workers, PARALLEL, JOB_SECONDS), seconds, found)
            found.cpu_seconds = machine.cpu_seconds(fleet.process.pid) - before
        finally:
            await fleet.stop()
        found.violations, found.failures = fleet.violations, fleet.failures
    return found


async def _crowd(fleet: Fleet, workers: list[crew.Worker], seconds: float, found: Found) -> None:
    until = time.monotonic() + PEOPLE / ARRIVALS_PER_SECOND + seconds
    ears = _Ears()
    dialogues = _Dialogues(fleet, found, until, ears)
    with fleet.telegram.changes.listen(ears.hear), fleet.discord.changes.listen(ears.hear):
        await _talk(fleet, workers, dialogues, found)
    measured = await fleet.metrics()
    found.lag = _lag(measured)
    found.floods = sum(value for name, value in measured.items() if name.startswith("tessera_bots_floods_total"))
    found.parallel = sum(worker.most for worker in workers)
    found.reports = sum(worker.reports for worker in workers)


async def _talk(fleet: Fleet, workers: list[crew.Worker], dialogues: _Dialogues, found: Found) -> None:
    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(worker.run()) for worker in workers]
        looking = tasks.create_task(_look(fleet, found))
        lagging = tasks.create_task(found.our_lag.measure())
        async with asyncio.TaskGroup() as talks:
            for number in range(PEOPLE):
                talks.create_task(dialogues.of(number, random.uniform(0, PEOPLE / ARRIVALS_PER_SECOND)))
        for task in (*working, looking, lagging):
            task.cancel()


class _Ears:
    """Hears everything that bots say once, for all people: if each listened, that would cost more than the bots."""

    def __init__(self) -> None:
        self._awaited: dict[str, tuple[asyncio.Future[float], asyncio.Future[float]]] = {}

    def about(self, word: str) -> tuple[asyncio.Future[float], asyncio.Future[float]]:
        """When an order is answered, and when its picture comes."""
        loop = asyncio.get_running_loop()
        self._awaited[word] = loop.create_future(), loop.create_future()
        return self._awaited[word]

    def hear(self, message: Message) -> None:
        found = WORD.search(message.text) if message.bot is not None and not message.thinking else None
        if found is None or found[1] not in self._awaited:
            return
        for future, holds in zip(self._awaited[found[1]], (True, bool(message.media)), strict=True):
            if holds and not future.done():
                future.set_result(time.monotonic())


class _Dialogues:
    def __init__(self, fleet: Fleet, found: Found, until: float, ears: _Ears) -> None:
        self._fleet = fleet
        self._found = found
        self._until = until
        self._open = 0
        self._ears = ears

    async def of(self, number: int, comes_in: float) -> None:
        """One person, who orders again whenever the picture has come."""
        name = list(self._fleet.bots)[number % len(self._fleet.bots)]
        person = self._fleet.person(name, 1_000 + number, f"Person {number}", random.choice(["en", "de", "es"]))
        await asyncio.sleep(comes_in)
        orders = 0
        while not orders or time.monotonic() < self._until:
            orders += 1
            self._open += 1
            self._found.open_most = max(self._found.open_most, self._open)
            await self._dialogue(person, name, f"{number}/{orders}")
            self._open -= 1
            await asyncio.sleep(random.uniform(*THINK_SECONDS))

    async def _dialogue(self, person: Person, name: str, word: str) -> None:
        answered, came = self._ears.about(word)
        began = time.monotonic()
        await person.says(ORDER.format(word), to=self._fleet.bots[name])
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            self._found.answers.append(await answered - began)
        async with asyncio.timeout(RESULT_SECONDS_MAX):
            await came
        self._found.results += 1


async def _look(fleet: Fleet, found: Found) -> None:
    while True:
        found.resident_mib = max(found.resident_mib, fleet.resident_mib)
        await asyncio.sleep(0.5)


def _lag(measured: dict[str, float]) -> dict[str, float]:
    return {share: 1e3 * measured[f"tessera_bots_loop_lag_{share}_seconds"] for share in ("p50", "p99")}


def _key(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    """Of a service that acts for people of both platforms."""
    [made] = fill.users(connection, 1)
    connection.execute(
        "update api_keys set user_id = null, providers = array['telegram', 'discord'], scopes = %s where user_id = %s",
        [KEY_SCOPES, UUID(made.id)],
    )
    return made.secret


def _rows(found: Found, told: str) -> list[Row]:
    answers = {share: 1e3 * percentile(found.answers, share) for share in (0.5, 0.95, 0.99)}
    crowd = f"{found.open_most} dialogues open at once, {found.parallel} jobs in parallel, {found.results} results"
    times = ", ".join(f"p{100 * share:.0f} {value:.0f}" for share, value in answers.items())
    return [
        within("12 bots up", sorted(found.up_seconds)[1], UP_SECONDS, "s", notes=["the middle one of three starts"]),
        within(
            "12 bots, resident",
            found.resident_mib,
            RESIDENT_MIB,
            "MiB",
            notes=[f"{found.idle_mib:.0f} MiB before anybody came; at most, with {crowd}"],
        ),
        within("loop of the bots late, p99", found.lag["p99"], LAG_MS, "ms", notes=[f"p50 {found.lag['p50']:.1f} ms"]),
        within(
            "command to acknowledgement, p95",
            answers[0.95],
            ANSWER_MS,
            "ms",
            notes=[
                f"{times} ms over {len(found.answers)} commands, of which stand-ins and people, in one process, take"
                f" their part: their loop is late by {1e3 * found.our_lag.quantile(0.5):.0f} ms,"
                f" p99 {1e3 * found.our_lag.quantile(0.99):.0f} ms",
                f"the bots took {1e3 * found.cpu_seconds / found.results:.0f} ms of CPU for a dialogue; {told}",
            ],
            figures={"p50_ms": answers[0.5], "p95_ms": answers[0.95]},
        ),
        within(
            "limits broken, and what nobody could explain",
            len(found.violations) + len(found.failures),
            0,
            "",
            notes=[
                f"{found.reports:,} reports of progress; asked for patience {found.floods:.0f} times",
                *[str(one) for one in [*found.violations, *found.failures][:5]],
            ],
        ),
    ]
