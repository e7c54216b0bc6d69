"""Idempotency-Key: one order, one job, one hold and one answer, however often and wherever it is repeated."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from control_plane.sweeper import IDEMPOTENCY_SECONDS, Sweeper
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.queue import Rows, one, rows
from tests.fixtures.worker import Answered, running

RETRIES = 20
ORDER = {"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 1, "metadata": {"for": "ada"}}
REPLAYED = "Idempotent-Replayed"


async def place(plane: Plane, key: str, order: dict[str, Any] = ORDER, *, who: str | None = None) -> Answered:
    return await plane.call("POST", f"{API}/jobs", who or plane.service.key, order, headers={"Idempotency-Key": key})


async def test_a_repetition_gets_the_answer_that_the_order_got_whatever_happened_since(
    control_plane: Plane, database_url: str, tmp_path: Path, sql: Rows
) -> None:
    first = await place(control_plane, "a")
    assert (first.status, REPLAYED in first.headers) == (201, False)
    assert first.json["waiting"]["reason"] == "no_worker_for_model"
    at_once = await place(control_plane, "a")
    [lease] = await control_plane.service.hands.claim(wait=5)
    await control_plane.service.hands.start(lease)
    assert (await control_plane.service.hands.fail(lease)).json["state"] == "failed"

    async def written() -> int:
        return int(one(sql, "select count(*) from idempotency_keys where waiting is not null"))

    assert await eventually(written, bool) == 1
    later = await place(control_plane, "a")
    async with running(database_url, tmp_path / "other") as other, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {control_plane.service.key}", "Idempotency-Key": "a"}
        async with session.post(f"{other.settings.base_url}{API}/jobs", json=ORDER, headers=headers) as response:
            elsewhere = Answered(response.status, response.headers, await response.read())
    for again in (at_once, later, elsewhere):
        assert (again.status, again.headers[REPLAYED]) == (201, "true")
        assert without_place(again.json) == without_place(first.json)
    now = await control_plane.service.job(first.json["id"])
    assert now["status"] == "failed", "looking is no repetition"


def without_place(job: dict[str, Any]) -> dict[str, Any]:
    """An answer but for its addresses, which name the process that gives them when no public one is set."""
    return {name: value for name, value in job.items() if name != "urls"}


async def test_twenty_parallel_retries_to_two_processes_make_one_job_and_one_hold(
    control_plane: Plane, database_url: str, tmp_path: Path, sql: Rows
) -> None:
    service = control_plane.service
    async with (
        running(database_url, tmp_path / "other") as other,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        urls = (service.url, other.settings.base_url)

        async def retry(n: int, key: str) -> tuple[int, str, bool]:
            headers = {"Authorization": f"Bearer {service.key}", "Idempotency-Key": key}
            async with session.post(f"{urls[n % 2]}{API}/jobs", json=ORDER, headers=headers) as response:
                return response.status, (await response.json()).get("id", ""), REPLAYED in response.headers

        for key in ("one", "two", "three"):
            answers = await asyncio.gather(*(retry(n, key) for n in range(RETRIES)))
            assert {status for status, _, _ in answers} == {201}
            assert len({job_id for _, job_id, _ in answers}) == 1
            assert Counter(replayed for _, _, replayed in answers) == {False: 1, True: RETRIES - 1}
    assert one(sql, "select count(*) from jobs where user_id = %s", service.user_id) == 3
    assert one(sql, "select count(*) from ledger_transfers where user_id = %s and kind = 'hold'", service.user_id) == 3
    assert one(sql, "select queued from balances where user_id = %s", service.user_id) == 3


async def test_a_repetition_of_an_order_still_on_its_way_is_told_to_come_again(
    control_plane: Plane, database_url: str
) -> None:
    """The order waits for a lock of its user; its repetition is neither placed nor left waiting."""
    assert (await place(control_plane, "before")).status == 201
    with psycopg.connect(database_url) as other:
        other.execute("select from balances where user_id = %s for update", [control_plane.service.user_id])
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(place(control_plane, "a"))
            await eventually(lambda: asyncio.sleep(0, _waits(database_url)), bool)
            again = await place(control_plane, "a")
            assert (again.status, again.code) == (409, "idempotency-in-flight")
            assert int(again.headers["Retry-After"]) >= 1
            assert not first.done()
            other.rollback()
    assert first.result().status == 201
    repeated = await place(control_plane, "a")
    assert (repeated.status, repeated.json["id"]) == (201, first.result().json["id"])


def _waits(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchone()
    assert found is not None
    return int(found[0])


async def test_a_key_with_another_order_is_refused_and_changes_nothing(control_plane: Plane, sql: Rows) -> None:
    placed = await place(control_plane, "a")
    for other in ({**ORDER, "prompt": "a barn"}, {**ORDER, "seed": 1}, {**ORDER, "metadata": {}}):
        refused = await place(control_plane, "a", other)
        assert (refused.status, refused.code) == (422, "idempotency-mismatch")
    assert (await place(control_plane, "a")).json["id"] == placed.json["id"]
    assert one(sql, "select count(*) from jobs") == 1


async def test_a_key_belongs_to_its_user(control_plane: Plane) -> None:
    mine = await place(control_plane, "a")
    theirs = await place(control_plane, "a", who=await control_plane.user_key())
    assert (theirs.status, REPLAYED in theirs.headers) == (201, False)
    assert theirs.json["id"] != mine.json["id"]


async def test_a_refusal_leaves_the_key_free(control_plane: Plane, sql: Rows) -> None:
    refusals = Counter[int]()
    sql.execute("update switches set paused_at = now() where name = 'submits'")
    refusals[(await place(control_plane, "a")).status] += 1
    sql.execute("update switches set paused_at = null")
    refusals[(await place(control_plane, "a", {**ORDER, "model": "nothing"})).status] += 1
    refusals[(await place(control_plane, "a", {**ORDER, "steps": 1_000})).status] += 1
    assert refusals == {503: 1, 422: 2}
    placed = await place(control_plane, "a")
    assert (placed.status, REPLAYED in placed.headers) == (201, False)


async def test_a_key_is_kept_for_a_day_and_then_forgotten(control_plane: Plane, owner_url: str) -> None:
    jobs = {name: (await place(control_plane, name)).json["id"] for name in ("young", "old")}
    for name, seconds in (("young", IDEMPOTENCY_SECONDS - 60), ("old", IDEMPOTENCY_SECONDS + 60)):
        with rows(owner_url) as owner:
            owner.execute(
                "update idempotency_keys set created_at = now() - make_interval(secs => %s) where key = %s",
                [seconds, name],
            )
    context = control_plane.context
    sweeper = Sweeper(context.database, context.store, context.signing_keys, context.settings)
    assert await sweeper.idempotency_keys() == 1
    assert (await place(control_plane, "young")).json["id"] == jobs["young"]
    anew = await place(control_plane, "old")
    assert (anew.status, REPLAYED in anew.headers, anew.json["id"] != jobs["old"]) == (201, False, True)
