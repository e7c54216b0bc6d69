"""One stream over all jobs of a credential: nothing lost, nothing twice, nothing of others, and nobody held up."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp

from control_plane.database import Database
from control_plane.events.feed import LINE_MAX
from control_plane.events.tail import LAST
from control_plane.people import credentials
from control_plane.queue.dispatch import Dispatcher
from tests.fixtures.api import API, Plane
from tests.fixtures.queue import Rows, Slot, add_user, add_worker, lane_of_the_testcard, one, order, process, rows
from tests.fixtures.services import Services
from tests.fixtures.streams import Frame, Reader, reading

JOBS, USERS, CUTS = 240, 12, 5


class Follower:
    """A program that opens one stream, is cut off again and again, and goes on by id wherever it gets in."""

    def __init__(self, urls: list[str], key: str) -> None:
        self.urls = urls
        self.key = key
        self.last = ""
        self.ends: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.strangers: list[Frame] = []
        self.connected = self.resumed = self.broken = 0
        self.ready = asyncio.Event()
        self.cut = asyncio.Event()

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                url = self.urls[self.connected % len(self.urls)] + f"{API}/events"
                try:
                    async with reading(session, url, self.key, last=self.last) as reader:
                        self.connected += 1
                        await self._read(reader)
                except aiohttp.ClientError:
                    self.broken += 1
                    self.connected += 1
                    await asyncio.sleep(0.02)

    async def _read(self, reader: Reader) -> None:
        self.cut.clear()
        while not self.cut.is_set():
            frame = await reader.next(60)
            if frame is None:
                return
            self.last = reader.id
            if frame.name == "opened":
                assert frame.data["resumed"] == bool(self.connected > 1 and self.ready.is_set())
                self.resumed += frame.data["resumed"]
                self.ready.set()
                continue
            self.seen[frame.id] += 1
            if not frame.data["identities"]:
                self.strangers.append(frame)
            if frame.name in LAST:
                self.ends[frame.data["job_id"]] += 1
                assert f"job.{frame.data['job']['status']}" == frame.name


async def test_a_stream_cut_five_times_and_once_with_its_process_tells_every_end_exactly_once(
    database_url: str, tmp_path: Path, sql: Rows
) -> None:
    """Twelve bots, 240 jobs, two control planes; the reader is cut off five times, and once its process is killed."""
    users = [add_user(sql) for _ in range(USERS)]
    for n, user in enumerate(users):
        sql.execute("insert into identities (provider, subject, user_id) values ('telegram', %s, %s)", [str(n), user])
    bystander = add_user(sql)
    with Services(database_url, tmp_path, count=2) as services:
        await services.ready()
        follower = Follower(services.urls, await service_key(database_url, "telegram"))
        async with asyncio.TaskGroup() as tasks, process(database_url) as dispatcher:
            following = tasks.create_task(follower.run())
            await asyncio.wait_for(follower.ready.wait(), 20)
            chaos = tasks.create_task(cut_it(follower, services))
            ordered = await live(dispatcher, sql, users, bystander)
            async with asyncio.timeout(60):
                await chaos
                while len(follower.ends) < JOBS:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)  # what comes twice comes late
            following.cancel()
    assert follower.ends == Counter({str(job): 1 for job in ordered})
    assert set(follower.seen.values()) == {1}
    assert follower.strangers == []
    assert follower.connected >= CUTS + 2
    assert follower.resumed >= CUTS + 1
    ends = {row[0] for row in sql.execute("select distinct state from jobs where user_id = any(%s)", [users])}
    assert ends == {"succeeded", "failed", "canceled"}


async def cut_it(follower: Follower, services: Services) -> None:
    """Five cuts while jobs go on, each after some more events; in the middle the process that serves it is killed."""
    for n in range(CUTS + 1):
        goal = len(follower.seen) + 60
        while len(follower.seen) < goal:
            await asyncio.sleep(0.005)
        if n == CUTS // 2:
            services.kill((follower.connected - 1) % 2)
        else:
            follower.cut.set()


async def live(dispatcher: Dispatcher, sql: Rows, users: list[UUID], bystander: UUID) -> list[UUID]:
    """Customers order, agents work, some fail, some are canceled; somebody else orders too."""
    lane, chance = lane_of_the_testcard(sql), random.Random(1)
    ordered: list[UUID] = []
    slots = [Slot(dispatcher, add_worker(sql)) for _ in range(3)]
    for n in range(JOBS):
        user = users[n % USERS]
        ordered.append((await dispatcher.submit(order(user, lane))).job_id)
        if n % 10 == 0:
            await dispatcher.submit(order(bystander, lane))
        if n % 3 == 0:
            await dispatcher.cancel(user, ordered[-1])
        else:
            await _work(slots[n % 3], sql, fails=n % 3 == 1)
        await asyncio.sleep(chance.random() * 0.02)
    while one(sql, "select count(*) from jobs where state = 'queued'"):
        await _work(slots[0], sql, fails=False)
    return ordered


async def _work(slot: Slot, sql: Rows, *, fails: bool) -> None:
    lease = await slot.take()
    await slot.start(lease)
    if fails:
        await slot.dispatcher.fail(slot.fence(lease), "invalid_input", "")
    else:
        assert await slot.complete(sql, lease) == "succeeded"


async def service_key(database_url: str, *providers: str) -> str:
    database = Database(database_url)
    await database.open()
    made = await credentials.create_key(
        database, name="bots", user_id=None, scopes=["read", "submit"], providers=providers
    )
    await database.close()
    return made.key


async def test_everybody_hears_of_their_own_jobs_only(control_plane: Plane) -> None:
    plane, session = control_plane, control_plane.service.session
    url = f"{plane.url}{API}/events"
    ada, bob = await plane.user_key(), await plane.user_key()
    telegram, discord = await plane.service_key("telegram"), await plane.service_key("discord")
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(reading(session, url, key)) for key in (ada, bob, telegram, discord)]
        behalf = {"Tessera-On-Behalf-Of": "telegram:7"}
        readers.append(await stack.enter_async_context(reading(session, url, telegram, headers=behalf)))
        some = f"{url}?names=job.canceled,job.failed"
        readers.append(await stack.enter_async_context(reading(session, some, ada)))
        for reader in readers:
            await reader.until("opened")
        jobs = {"ada": await plane.order(ada), "bob": await plane.order(bob)}
        for name, key in (("telegram:7", telegram), ("telegram:8", telegram), ("discord:7", discord)):
            body = {"prompt": "a lighthouse"}
            headers = {"Tessera-On-Behalf-Of": name}
            jobs[name] = (await plane.call("POST", f"{API}/jobs", key, body, headers=headers)).json
        assert (await plane.call("DELETE", jobs["ada"]["urls"]["cancel"].removeprefix(plane.url), ada)).status == 200
        heard = [
            {(frame.data["job_id"], *frame.data["identities"]) for frame in await first(reader, count)}
            for reader, count in zip(readers, (2, 1, 2, 1, 1, 1), strict=True)
        ]
        for reader in readers:
            assert not await more(reader)
    ids = {name: job["id"] for name, job in jobs.items()}
    assert heard == [
        {(ids["ada"],)},
        {(ids["bob"],)},
        {(ids["telegram:7"], "telegram:7"), (ids["telegram:8"], "telegram:8")},
        {(ids["discord:7"], "discord:7")},
        {(ids["telegram:7"],)},
        {(ids["ada"],)},
    ]
    refused = await plane.call("GET", f"{API}/events?names=job.painted", ada)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "names")


async def first(reader: Reader, count: int) -> list[Frame]:
    found = [await reader.next() for _ in range(count)]
    assert None not in found
    return [frame for frame in found if frame is not None]


async def more(reader: Reader) -> Frame | None:
    try:
        return await reader.next(0.2)
    except TimeoutError:
        return None


async def test_a_place_that_the_log_does_not_know_is_said_to_be_unknown(control_plane: Plane, owner_url: str) -> None:
    plane, session, url = control_plane, control_plane.service.session, f"{control_plane.url}{API}/events"
    ids = []
    for last in ("", "0123abcd-1-1"):  # none, and one of a cluster that is no more
        async with reading(session, url, plane.service.key, last=last) as reader:
            [opened] = await reader.until("opened")
            assert opened.data == {"resumed": False}
            ids.append(opened.id)
    job = await plane.order(plane.service.key)
    async with reading(session, url, plane.service.key, last=ids[-1]) as reader:
        assert (await reader.until("opened"))[0].data == {"resumed": True}
        assert [frame.data["job_id"] for frame in await first(reader, 1)] == [job["id"]]
    with rows(owner_url) as owner:
        owner.execute("update job_events set at = at - interval '25 hours'")
    async with reading(session, url, plane.service.key, last=ids[-1]) as reader:
        assert (await reader.until("opened"))[0].data == {"resumed": False}, "a day is as far back as it reaches"


async def test_a_stream_of_which_nothing_happens_moves_on_without_a_word(control_plane: Plane) -> None:
    """Others' events pass by; whoever comes back later does not have to read them all."""
    plane, session, url = control_plane, control_plane.service.session, f"{control_plane.url}{API}/events"
    plane.context.dispatcher.feed.keep_alive_seconds = 0.1
    stranger = await plane.user_key()
    async with reading(session, url, plane.service.key) as reader:
        [opened] = await reader.until("opened")
        await plane.order(stranger)
        async with asyncio.timeout(20):
            while reader.id == opened.id:
                assert await more(reader) is None
        place = reader.id
    job = await plane.order(plane.service.key)
    async with reading(session, url, plane.service.key, last=place) as reader:
        await reader.until("opened")
        assert [frame.data["job_id"] for frame in await first(reader, 1)] == [job["id"]]


async def test_a_reader_that_takes_nothing_holds_up_nobody_and_is_let_go(control_plane: Plane, sql: Rows) -> None:
    """More happens than a listener's line and the buffers of a connection take; one of two readers never reads."""
    plane = control_plane
    plane.context.dispatcher.feed.send_seconds = 1.0
    url = urlsplit(f"{plane.url}{API}/events")
    request = f"GET {url.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {plane.service.key}\r\n\r\n"
    jobs = 4 * LINE_MAX  # some megabytes: more than what the system itself keeps for a connection
    with socket.socket() as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sleeper.connect((url.hostname, url.port))
        sleeper.sendall(request.encode())
        await _beside_a_sleeper(plane, sql, url.geturl(), jobs)


async def _beside_a_sleeper(plane: Plane, sql: Rows, url: str, jobs: int) -> None:
    feed, user_id = plane.context.dispatcher.feed, plane.service.user_id
    async with reading(plane.service.session, url, plane.service.key) as reader:
        await reader.until("opened")
        async with asyncio.timeout(20):
            while feed.holding(user_id) < 2:
                await asyncio.sleep(0.01)
        lane = lane_of_the_testcard(sql)
        wishes = [order(user_id, lane, prompt="x" * 4_000) for _ in range(jobs)]
        async with asyncio.TaskGroup() as tasks:
            placing = [tasks.create_task(plane.context.dispatcher.submit(wish)) for wish in wishes]
            frames = await first(reader, jobs)
        assert {frame.data["job_id"] for frame in frames} == {str(placed.result().job_id) for placed in placing}
        async with asyncio.timeout(20):
            while feed.holding(user_id) > 1:
                await asyncio.sleep(0.05)
        await plane.order(plane.service.key)
        assert len(await first(reader, 1)) == 1, "who reads goes on"
