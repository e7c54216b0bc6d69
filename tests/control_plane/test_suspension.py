"""A suspended account does nothing, in whatever process and by whatever identity, and has nothing in hand; undone, it
is what it was."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from control_plane import api, audit
from control_plane.api import guards
from control_plane.api.document import plain_path
from control_plane.conduct import suspension
from control_plane.people import credentials, users
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.queue import until
from tests.fixtures.worker import Service, picture, serving

PROMISE_SECONDS = 5.0
TELEGRAM, DISCORD = "telegram:77", "discord:88"


@pytest.fixture
async def plane(database_url: str, tmp_path: Path) -> AsyncIterator[Plane]:
    async with serving(database_url, tmp_path) as service:
        admin_id = await users.create(service.context.database, "admin", "house")
        made = await credentials.create_key(
            service.context.database, name="admin", user_id=admin_id, scopes=credentials.SCOPES
        )
        yield Plane(service, admin_id, made.key)


@pytest.fixture
def rows(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


class Person:
    """Somebody with two identities and a key, all of one user."""

    def __init__(self, plane: Plane, user_id: UUID, key: str, bot: str) -> None:
        self.plane, self.id, self.key, self.bot = plane, user_id, key, bot

    @property
    def ways(self) -> list[dict[str, str]]:
        """Headers of every way in which this person may call."""
        bot = {"Authorization": f"Bearer {self.bot}"}
        return [
            {"Authorization": f"Bearer {self.key}"},
            {**bot, guards.ON_BEHALF_OF_HEADER: TELEGRAM},
            {**bot, guards.ON_BEHALF_OF_HEADER: DISCORD},
        ]

    async def codes(self, at: str | None = None, path: str = f"{API}/jobs") -> set[tuple[int, str]]:
        """What a call is answered by every way."""
        found = set()
        for headers in self.ways:
            async with self.plane.service.session.get((at or self.plane.url) + path, headers=headers) as answered:
                found.add((answered.status, (await answered.json()).get("code", "")))
        return found


WELL = {(200, "")}
SUSPENDED = {(403, "account-suspended")}


async def somebody(plane: Plane, owner_url: str) -> Person:
    key, bot = await plane.user_key(), await plane.service_key("telegram", "discord")
    me = UUID((await plane.call("GET", f"{API}/user/me", key)).json["id"])
    with psycopg.connect(owner_url, autocommit=True) as sql:
        for identity in (TELEGRAM, DISCORD):
            sql.execute(
                "insert into identities (provider, subject, user_id) values (%s, %s, %s)", (*identity.split(":"), me)
            )
    return Person(plane, me, key, bot)


async def change(plane: Plane, user_id: UUID, verb: str) -> Any:
    body = {"reason": "spam"} if verb == "suspend" else None
    return await plane.call("POST", f"{API}/admin/users/{user_id}/{verb}", plane.admin_key, body)


async def test_every_identity_and_key_is_suspended_at_once_and_restored(plane: Plane, owner_url: str) -> None:
    person = await somebody(plane, owner_url)
    assert await person.codes() == WELL
    for _ in range(2):  # twice is once
        answered = await change(plane, person.id, "suspend")
        assert (answered.status, answered.json["status"]) == (200, "suspended")
        assert await person.codes() == SUSPENDED
    for _ in range(2):
        assert (await change(plane, person.id, "restore")).json["status"] == "active"
        assert await person.codes() == WELL
    lines = await audit.entries(plane.context.database, object=("user", person.id), limit=10)
    assert [(line.actor_id, line.verb, line.detail) for line in lines] == [
        (str(plane.admin_id), "restore", {}),
        (str(plane.admin_id), "suspend", {"reason": "spam"}),
    ]


async def test_everything_is_refused_but_to_see_how_one_stands(plane: Plane, owner_url: str) -> None:
    person = await somebody(plane, owner_url)
    await change(plane, person.id, "suspend")
    refused = 0
    for op in api.operations():
        if op.guard.who is not guards.Person and op.guard is not guards.COMER:
            continue
        ids = dict.fromkeys(re.findall(r"\{(\w+)", op.path), str(uuid4())) | {
            "index": "0",
            "provider": "telegram",
            "chat": "1",
        }
        path = plain_path(op.path).format(**ids)
        for headers in person.ways:
            answered = await plane.call(op.method, path, headers=headers, raw=b"{}")
            if op.guard in (guards.ADMIN, guards.KEYS, guards.OWNER, guards.OPERATOR, guards.TELLER):
                assert answered.status == 403, op
            elif op.name == "get_me":
                assert (answered.status, answered.json["status"]) == (200, "suspended")
            else:
                assert answered.status == 403, op
                assert b'"code":"account-suspended"' in answered.body, op
                refused += 1
    assert refused >= 30


async def test_a_suspended_administrator_rules_nobody(plane: Plane) -> None:
    second = await users.create(plane.context.database, "second", "house")
    key = await plane.key_of(second, ["read", "admin"])
    answered = await plane.call("POST", f"{API}/admin/users/{second}/suspend", key, {})
    assert (answered.status, answered.json["errors"][0]["code"]) == (422, "own_account")
    assert (await change(plane, second, "suspend")).status == 200
    answered = await plane.call("POST", f"{API}/admin/users/{plane.admin_id}/suspend", key, {})
    assert (answered.status, answered.code) == (403, "account-suspended")
    assert (await change(plane, uuid4(), "suspend")).status == (await change(plane, uuid4(), "restore")).status == 404


@pytest.mark.parametrize("hints", [True, False])
async def test_other_processes_know_within_the_promise(
    plane: Plane, owner_url: str, database_url: str, tmp_path: Path, hints: bool
) -> None:
    person = await somebody(plane, owner_url)
    async with serving(database_url, tmp_path / "other", hints=hints) as other:
        for verb, expected in (("suspend", SUSPENDED), ("restore", WELL)):
            await person.codes(other.url)  # so that the other process remembers them as they were
            before = time.monotonic()
            assert (await change(plane, person.id, verb)).status == 200
            await eventually(lambda: person.codes(other.url), lambda found, wanted=expected: found == wanted)  # type: ignore[misc]
            assert time.monotonic() - before < (1.5 if hints else PROMISE_SECONDS)


async def test_what_was_ordered_is_canceled_and_returned_and_stays_so(
    plane: Plane, owner_url: str, rows: psycopg.Connection[Any]
) -> None:
    service, user_id = plane.service, plane.service.user_id
    lease = await service.leased(width=1024, height=1024, steps=20)
    waiting = [await service.order() for _ in range(3)]
    answered = await change(plane, user_id, "suspend")
    assert (answered.json["canceled"], answered.json["canceling"]) == (3, 1)
    assert states(rows, waiting) == ["canceled"] * 3
    assert books(rows, user_id) == (1, 0, 1)

    report = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": "started"}
    told = await service.hands.call("/heartbeat", {"leases": [report]})
    assert told.json["cancel"] == [str(lease.job_id)]
    await service.hands.release(lease, "canceled")
    assert states(rows, [lease.job_id]) == ["canceled"]
    assert books(rows, user_id) == (0, 0, 0)
    assert rows.execute("select * from ledger_violations").fetchall() == []

    await change(plane, user_id, "restore")
    assert states(rows, [*waiting, lease.job_id]) == ["canceled"] * 4
    assert (await service.as_customer(f"{API}/jobs/{waiting[0]}")).json["status"] == "canceled"
    await service.order()


async def test_the_agent_of_a_running_job_hears_at_once(plane: Plane) -> None:
    service = plane.service
    lease = await service.leased()
    report = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": "started"}
    held = asyncio.ensure_future(service.hands.call("/heartbeat", {"leases": [report], "hold": 10}))
    done, _ = await asyncio.wait({held}, timeout=0.5)
    assert not done, "there is nothing to tell yet"
    before = time.monotonic()
    await change(plane, service.user_id, "suspend")
    answered = await held
    assert time.monotonic() - before < 2
    assert answered.json["cancel"] == [str(lease.job_id)]


async def test_an_address_handed_out_before_opens_nothing_while_its_owner_is_suspended(plane: Plane) -> None:
    service = plane.service
    url = (await service.done())["artifacts"][0]["url"]
    assert (await service.get(url)).body == picture()
    await change(plane, service.user_id, "suspend")
    refused = await service.get(url)
    assert (refused.status, refused.code) == (403, "account-suspended")
    assert (await service.get(url, "HEAD")).status == 403
    await change(plane, service.user_id, "restore")
    assert (await service.get(url)).body == picture()


def taken_of(rows: psycopg.Connection[Any], user_id: UUID) -> int:
    found = rows.execute("select count(*) from jobs where user_id = %s", [user_id]).fetchone()
    assert found is not None
    return int(found[0])


async def test_no_order_slips_in_behind_a_suspension(
    plane: Plane, database_url: str, tmp_path: Path, owner_url: str, rows: psycopg.Connection[Any]
) -> None:
    """Two processes take orders as fast as they can, one of which hears nothing; afterwards nothing is left in line."""
    async with serving(database_url, tmp_path / "deaf", hints=False) as deaf:
        for _ in range(5):
            person = await somebody_plain(plane)
            over = asyncio.Event()
            taken = [
                asyncio.ensure_future(flood(url, plane.service, person[1], over)) for url in (plane.url, deaf.url) * 3
            ]
            await until(lambda: taken_of(rows, person[0]) > 3)  # noqa: B023  # awaited here and now
            assert (await change(plane, person[0], "suspend")).status == 200
            await asyncio.sleep(0.15)
            over.set()
            counts = await asyncio.gather(*taken)
            left = rows.execute(
                "select count(*), count(*) filter (where state = 'queued') from jobs where user_id = %s", [person[0]]
            ).fetchone()
            assert left == (sum(counts), 0)
            assert sum(counts) > 3, "some were taken before"
            assert rows.execute("select queued, held from balances where user_id = %s", [person[0]]).fetchone() == (
                0,
                0,
            )
    assert rows.execute("select * from ledger_violations").fetchall() == []


async def test_an_order_that_waits_for_a_suspension_to_commit_is_refused(
    plane: Plane, rows: psycopg.Connection[Any], database_url: str
) -> None:
    """Its statement began while the user was active, and goes by what is committed when its turn comes."""
    user_id, key = await somebody_plain(plane)
    async with await psycopg.AsyncConnection.connect(database_url) as suspending:
        await suspending.execute("update users set status = 'suspended' where id = %s", [user_id])
        ordering = asyncio.ensure_future(plane.call("POST", f"{API}/jobs", key, {"prompt": "a lighthouse"}))
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        await eventually(
            lambda: asyncio.to_thread(lambda: rows.execute(waiting).fetchone()), lambda found: found == (1,)
        )
        await suspending.commit()
    answered = await ordering
    assert (answered.status, answered.code) == (403, "account-suspended")
    assert rows.execute("select count(*) from jobs where user_id = %s", [user_id]).fetchone() == (0,)


async def somebody_plain(plane: Plane) -> tuple[UUID, str]:
    key = await plane.user_key()
    return UUID((await plane.call("GET", f"{API}/user/me", key)).json["id"]), key


async def flood(url: str, service: Service, key: str, over: asyncio.Event) -> int:
    """Orders until told to stop; how many were taken."""
    taken = 0
    body = {"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 1}
    while not over.is_set():
        async with service.session.post(
            f"{url}{API}/jobs", json=body, headers={"Authorization": f"Bearer {key}"}
        ) as answered:
            assert answered.status in (201, 403), await answered.text()
            taken += answered.status == 201
    return taken


async def test_a_full_line_is_canceled_in_a_moment(plane: Plane, rows: psycopg.Connection[Any]) -> None:
    user_id, key = await somebody_plain(plane)
    for _ in range(4):
        await asyncio.gather(*(plane.order(key) for _ in range(26)))
    before = time.monotonic()
    answered = await change(plane, user_id, "suspend")
    assert answered.json["canceled"] == 104
    assert time.monotonic() - before < PROMISE_SECONDS


async def test_the_status_is_what_admission_goes_by_however_it_was_set(
    plane: Plane, owner_url: str, rows: psycopg.Connection[Any]
) -> None:
    user_id, _ = await somebody_plain(plane)
    with psycopg.connect(owner_url, autocommit=True) as sql:
        for status, expected in (("suspended", True), ("active", False), ("deleted", True)):
            sql.execute("update users set status = %s where id = %s", (status, user_id))
            assert sql.execute("select suspended from balances where user_id = %s", [user_id]).fetchone() == (expected,)
    with pytest.raises(Exception, match="no such user"):
        await suspension.restore(plane.context.database, user_id, audit.OPERATOR)


def states(rows: psycopg.Connection[Any], jobs: list[UUID]) -> list[str]:
    return [row[0] for row in rows.execute("select state from jobs where id = any(%s) order by id", [jobs])]


def books(rows: psycopg.Connection[Any], user_id: UUID) -> Any:
    """Tokens held, jobs queued, jobs running."""
    return rows.execute("select held, queued, running from balances where user_id = %s", [user_id]).fetchone()
