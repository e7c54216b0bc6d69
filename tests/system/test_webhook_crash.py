"""`kill -9` of the control plane between the end of a job and its webhook: nothing is lost, what repeats has its id.

Customers end jobs and the control plane is killed right behind the answer, while a receiver is just being told, or
somewhere in between; then it is started again. In the end every job that was told to be over has been told to the
receiver as well. The clock of the database is moved on instead of waiting for leases to end.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web

from control_plane.database import Database
from control_plane.people import credentials, users
from control_plane.webhooks import endpoints
from control_plane.wire.webhook import WebhookRequest
from tests.fixtures.receiver import Receiver
from tests.fixtures.webhooks import LOCAL, hurry
from tests.fixtures.worker import free_port
from tests.system.processes import Program

ROUNDS = 6
JOBS = 8
READY_SECONDS = 30.0
UNTIL_KILLED_SECONDS = 0.6
"""Longer than the relay and the courier need, so that the kills fall before, into and behind what they do."""


class Mortal:
    """A control plane on one port that is killed and started again."""

    def __init__(self, folder: Path, database_url: str, key: str) -> None:
        self._folder = folder
        self._port = free_port()
        self._environ = {
            "TESSERA_DATABASE_URL": database_url,
            "TESSERA_DATA_DIR": str(folder / "data"),
            "TESSERA_PORT": str(self._port),
            "TESSERA_DISK_RESERVE_BYTES": "0",
            "TESSERA_WEBHOOK_NETWORKS": "127.0.0.0/8",
        }
        self.url = f"http://127.0.0.1:{self._port}/api/v1/jobs"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._program: Program | None = None

    async def start(self) -> None:
        self._program = Program(self._folder / "said", "control_plane", "serve", **self._environ)
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
            while True:
                assert self._program.process.poll() is None, self._program.said
                try:
                    async with session.get(f"http://127.0.0.1:{self._port}/readyz") as answered:
                        if answered.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    def kill(self) -> None:
        if self._program is not None and self._program.process.poll() is None:
            self._program.process.kill()
            self._program.process.wait()

    async def ended(self, session: aiohttp.ClientSession) -> UUID:
        """A job of which the customer has been told that it is over."""
        async with session.post(self.url, json={"prompt": "x"}, headers=self._headers) as answered:
            assert answered.status == 201, await answered.text()
            job_id = (await answered.json())["id"]
        async with session.delete(f"{self.url}/{job_id}", headers=self._headers) as answered:
            assert (await answered.json())["status"] == "canceled"
        return UUID(job_id)


@pytest.fixture
async def told(database_url: str, receiver: Receiver) -> tuple[str, str]:
    """The key of a customer, and the secret of their webhook."""
    database = Database(database_url)
    await database.open()
    user_id = await users.create(database, "ada", "house")
    made = await credentials.create_key(database, name="test", user_id=user_id, scopes=["read", "submit"])
    webhook = await endpoints.create(database, user_id, WebhookRequest(url=receiver.url), LOCAL)
    await database.close()
    return made.key, webhook.secret


@pytest.fixture
def mortal(tmp_path: Path, database_url: str, told: tuple[str, str]) -> Iterator[Mortal]:
    made = Mortal(tmp_path, database_url, told[0])
    yield made
    made.kill()


@pytest.mark.slow
async def test_no_message_is_lost_when_the_control_plane_is_killed(
    mortal: Mortal, receiver: Receiver, told: tuple[str, str], owner_url: str
) -> None:
    over: list[UUID] = []
    cut_short = 0

    async def held(request: web.Request) -> web.StreamResponse:
        """Never answers: whoever sends is killed meanwhile."""
        nonlocal cut_short
        cut_short += 1
        await asyncio.sleep(3_600)
        return web.Response()

    for turn in range(ROUNDS):
        await mortal.start()
        hurry(owner_url)
        hold = turn % 2 == 1
        receiver.answer = held if hold else 200
        before = cut_short
        async with aiohttp.ClientSession() as session:
            over += await asyncio.gather(*(mortal.ended(session) for _ in range(JOBS)))
        if hold:
            async with asyncio.timeout(READY_SECONDS):
                while cut_short == before:
                    await asyncio.sleep(0.01)
        elif turn:
            await asyncio.sleep(random.random() * UNTIL_KILLED_SECONDS)
        mortal.kill()
    receiver.answer = 200
    await mortal.start()
    hurry(owner_url)
    ids: dict[str, set[str]] = defaultdict(set)
    async with asyncio.timeout(READY_SECONDS):
        while set(ids) != set(map(str, over)):
            await asyncio.sleep(0.1)
            for got in receiver.got:
                ids[got.verified(told[1])["data"]["id"]].add(got.id)
    assert len(over) == ROUNDS * JOBS
    assert {len(known) for known in ids.values()} == {1}, "a message that comes again has the id that it had"
    assert cut_short >= ROUNDS // 2
    assert len(receiver.got) > len(over), "what was cut short came again"
