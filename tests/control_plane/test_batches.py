"""Batches: all of their orders are placed, or none, whatever else happens at the same moment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, LiteralString

import aiohttp
import msgspec
import psycopg
import pytest

from control_plane.wire.batch import BATCH_MAX, BatchQuote, BatchView
from tests.fixtures.api import API, Plane
from tests.fixtures.services import Services
from tests.fixtures.worker import Answered

BATCH = f"{API}/jobs/batch"
STORM_SECONDS = 60.0
STORM_BATCHES = 60
RETRIES = 8
KILLS = 4
KILLED_AT_ONCE = 12


async def _place(plane: Plane, key: str, *orders: dict[str, Any], **headers: str) -> Answered:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await plane.call("POST", BATCH, key, {"jobs": list(orders)}, headers=sent)


async def _jobs(plane: Plane, key: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await plane.call("GET", f"{API}/jobs?limit=100", key)).json["data"]
    return listed


def _asked(owner_url: str, question: LiteralString, *values: object) -> Any:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        return connection.execute(question, values).fetchall()


async def test_a_batch_is_answered_with_its_jobs_in_order_and_can_be_looked_at_and_canceled(
    control_plane: Plane,
) -> None:
    key = await control_plane.user_key()
    answered = await _place(control_plane, key, *({"prompt": f"number {n}", "count": 1 + n % 3} for n in range(7)))
    assert answered.status == 201, answered.body
    batch = msgspec.json.decode(answered.body, type=BatchView)
    assert answered.headers["Location"] == batch.urls.self == f"{control_plane.url}{API}/batches/{batch.id}"
    assert [job.prompt for job in batch.jobs] == [f"number {n}" for n in range(7)]
    assert {job.batch_id for job in batch.jobs} == {batch.id}
    assert (batch.counts, batch.cost.held) == ({"queued": 7}, 1 + 2 + 3 + 1 + 2 + 3 + 1)
    one = batch.jobs[3]
    await control_plane.call("DELETE", f"{API}/jobs/{one.id}", key)
    looked = (await control_plane.call("GET", f"{API}/batches/{batch.id}", key)).json
    assert looked["counts"] == {"queued": 6, "canceled": 1}
    assert looked["jobs"][3]["status"] == "canceled"
    for _ in range(2):
        ended = await control_plane.call("DELETE", f"{API}/batches/{batch.id}", key)
        assert (ended.status, ended.json["counts"], ended.json["cost"]["held"]) == (200, {"canceled": 7}, 0)


async def test_one_refused_member_refuses_all_and_is_named_by_its_pointer(control_plane: Plane, owner_url: str) -> None:
    key = await control_plane.user_key()
    fit = {"prompt": "a lighthouse"}
    cases: list[tuple[dict[str, Any], int, str, str]] = [
        ({"prompt": "x", "width": 4096, "height": 4096}, 422, "invalid", "/jobs/2/width"),
        ({"prompt": "x", "model": "nobodys"}, 422, "no-such-model", "/jobs/2/model"),
        ({"prompt": 5}, 422, "invalid", "/jobs/2/prompt"),
        ({"prompt": "x", "nonsense": 1}, 422, "invalid", "/jobs/2/nonsense"),
        ({"prompt": "x", "count": 4, "steps": 150, "width": 2048, "height": 2048}, 402, "tokens-short", "/jobs/2"),
    ]
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update plans set tokens_per_day = 100 where name = 'house'")
    answered: Answered | None = None
    for order, status, code, pointer in cases:
        answered = await _place(control_plane, key, fit, fit, order, fit)
        assert (answered.status, answered.code) == (status, code), answered.body
        assert [fault["pointer"] for fault in answered.json["errors"]] == [pointer]
    assert answered is not None
    short = answered.json
    assert (short["needed"], short["available"]) == (3 + 120, 100)
    both = await _place(control_plane, key, {"prompt": "x", "fps": 1}, fit, {"prompt": "x", "frames": 1})
    assert [fault["pointer"] for fault in both.json["errors"]] == ["/jobs/0/fps", "/jobs/2/frames"]
    assert await _jobs(control_plane, key) == []
    assert _asked(owner_url, "select count(*) from batches") == [(0,)]
    assert _asked(owner_url, "select sum(held) from balances") == [(0,)]


async def test_what_a_plan_never_takes_at_once_is_told_so_and_what_it_takes_later_is_told_when(
    control_plane: Plane, owner_url: str
) -> None:
    key = await control_plane.user_key()
    orders = [{"prompt": "x"}] * 5
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update plans set submits_per_minute = 4 where name = 'house'")
    never = await _place(control_plane, key, *orders)
    assert (never.status, never.code, never.json["limit"]) == (403, "plan-forbids", "submits_per_minute")
    assert never.json["errors"][0]["pointer"] == "/jobs/4"
    placed = await _place(control_plane, key, *orders[:4])
    assert (placed.status, placed.headers["RateLimit"].split(";")[1]) == (201, "r=0")
    later = await _place(control_plane, key, *orders[:2])
    assert (later.status, later.code) == (429, "rate-limited")
    assert int(later.headers["Retry-After"]) >= 1
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update plans set submits_per_minute = 1000000, queued_max = 6 where name = 'house'")
        connection.execute("update balances set submits_until = '-infinity'")
    full = await _place(control_plane, key, *orders[:3])
    assert (full.status, full.code, full.json["errors"][0]["pointer"]) == (429, "queue-full", "/jobs/2")
    assert len(await _jobs(control_plane, key)) == 4


async def test_a_batch_has_one_to_a_hundred_orders(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    for orders in ([], [{"prompt": "x"}] * (BATCH_MAX + 1)):
        answered = await _place(control_plane, key, *orders)
        assert (answered.status, answered.json["errors"][0]["pointer"]) == (422, "/jobs")
    whole = await _place(control_plane, key, *[{"prompt": "x"}] * BATCH_MAX)
    assert (whole.status, len(whole.json["jobs"])) == (201, BATCH_MAX)
    large = await _place(control_plane, key, *[{"prompt": "ü" * 4_000, "negative_prompt": "ü" * 4_000}] * BATCH_MAX)
    assert (large.status, large.code) == (413, "too-large")


async def test_a_repetition_is_the_same_batch_and_its_key_fits_nothing_else(control_plane: Plane) -> None:
    key, other = await control_plane.user_key(), await control_plane.user_key()
    orders = [{"prompt": "one"}, {"prompt": "two"}]
    answers = await asyncio.gather(
        *(_place(control_plane, key, *orders, Idempotency_Key="batch-1") for _ in range(RETRIES))
    )
    assert {answered.status for answered in answers} == {201}
    assert len({answered.json["id"] for answered in answers}) == 1
    assert sum("Idempotent-Replayed" not in answered.headers for answered in answers) == 1
    first = answers[0].json
    await control_plane.call("DELETE", f"{API}/jobs/{first['jobs'][0]['id']}", key)
    again = await _place(control_plane, key, *orders, Idempotency_Key="batch-1")
    assert (again.json["id"], again.json["counts"]) == (first["id"], {"queued": 2})
    changed = await _place(control_plane, key, *orders[::-1], Idempotency_Key="batch-1")
    assert (changed.status, changed.code) == (422, "idempotency-mismatch")
    single = await control_plane.call("POST", f"{API}/jobs", key, orders[0], headers={"Idempotency-Key": "batch-1"})
    assert (single.status, single.code) == (422, "idempotency-mismatch")
    assert (await _place(control_plane, other, *orders, Idempotency_Key="batch-1")).status == 201
    assert len(await _jobs(control_plane, key)) == 2


async def test_a_dry_run_tells_each_order_what_those_before_it_leave(control_plane: Plane, owner_url: str) -> None:
    key = await control_plane.user_key()
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update plans set tokens_per_day = 5 where name = 'house'")
    orders = {"jobs": [{"prompt": "x", "count": count} for count in (2, 1, 3)]}
    answered = await control_plane.call("POST", f"{BATCH}?dry_run=1", key, orders)
    quote = msgspec.json.decode(answered.body, type=BatchQuote)
    assert (answered.status, quote.cost, quote.available, quote.feasible_now) == (200, 6, 5, False)
    assert [(told.cost, told.available) for told in quote.jobs] == [(2, 5), (1, 3), (3, 2)]
    assert quote.refusal is not None
    assert (quote.refusal.pointer, quote.refusal.code, quote.refusal.status) == ("/jobs/2", "tokens-short", 402)
    assert await _jobs(control_plane, key) == []


async def test_an_agent_that_waits_is_woken_by_a_batch(control_plane: Plane) -> None:
    service = control_plane.service
    waiting = asyncio.create_task(service.hands.claim(wait=20))
    while not len(service.context.dispatcher.waiters):
        await asyncio.sleep(0.01)
    placed = await _place(control_plane, service.key, {"prompt": "one"}, {"prompt": "two"})
    async with asyncio.timeout(5):
        [lease] = await waiting
    assert str(lease.job_id) == placed.json["jobs"][0]["id"]


async def test_a_key_of_somebody_else_opens_no_batch(control_plane: Plane) -> None:
    key, stranger = await control_plane.user_key(), await control_plane.user_key()
    batch = (await _place(control_plane, key, {"prompt": "x"})).json["id"]
    for method in ("GET", "DELETE"):
        assert (await control_plane.call(method, f"{API}/batches/{batch}", stranger)).status == 404


@pytest.mark.slow
async def test_a_storm_of_batches_on_two_processes_leaves_whole_ones_and_books_in_order(
    control_plane: Plane, database_url: str, owner_url: str, tmp_path: Path
) -> None:
    """Tokens for a third of them, twins with one key on both sides, single orders in between, cancellations."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update plans set tokens_per_day = 200 where name = 'house'")
    key = await control_plane.user_key()
    told: list[tuple[int, Any]] = []
    with Services(database_url, tmp_path, count=2) as services:
        await services.ready()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:

            async def storm(n: int, url: str) -> None:
                size = 1 + n % 9
                body = {"jobs": [{"prompt": f"{n}", "width": 64, "height": 64, "steps": 1}] * size}
                headers = {"Idempotency-Key": f"storm-{n}"}
                async with session.post(url + BATCH, json=body, headers=headers) as response:
                    told.append((response.status, (n, size, await response.json())))
                async with session.post(url + f"{API}/jobs", json=body["jobs"][0]) as response:
                    assert response.status in (201, 402), await response.text()
                if n % 5 == 0 and told[-1][0] == 201:
                    async with session.delete(f"{url}{API}/batches/{told[-1][1][2]['id']}") as response:
                        assert response.status in (200, 404), await response.text()

            async with asyncio.timeout(STORM_SECONDS), asyncio.TaskGroup() as tasks:
                for n in range(STORM_BATCHES):
                    for url in services.urls:  # the twin of each goes to the other process at the same moment
                        tasks.create_task(storm(n, url))
    statuses = [status for status, _ in told]
    assert set(statuses) <= {201, 402, 409}, statuses
    assert statuses.count(201) >= 40
    assert statuses.count(402) >= 20
    batches = {answer["id"]: (n, size) for status, (n, size, answer) in told if status == 201}
    assert len({n for n, _ in batches.values()}) == len(batches), "twins are one batch"
    kept = dict(_asked(owner_url, "select id::text, cardinality(job_ids) from batches"))
    assert kept == {batch: size for batch, (_, size) in batches.items()}
    placed = _asked(owner_url, "select spec ->> 'batch_id', count(*) from job_specs where spec ? 'batch_id' group by 1")
    assert dict(placed) == kept, "every job of a batch that was acknowledged, and none of any other"
    refused = {n for status, (n, _, _) in told if status == 402} - {n for n, _ in batches.values()}
    assert refused, "some batches did not fit at all"
    assert _asked(owner_url, "select * from ledger_violations") == []


@pytest.mark.slow
async def test_a_batch_whose_answer_was_lost_with_its_process_is_the_same_batch_when_it_is_repeated(
    control_plane: Plane, database_url: str, owner_url: str, tmp_path: Path
) -> None:
    """One of two processes is killed again and again while it places batches; the other is asked for each once more."""
    key = await control_plane.user_key()
    body = {"jobs": [{"prompt": "x", "width": 64, "height": 64, "steps": 1}] * 5}
    lost, kept = 0, 0
    with Services(database_url, tmp_path, count=2) as services:
        await services.ready()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:

            async def place(name: str, url: str) -> tuple[str, bool] | None:
                """Its id, and whether it was there already."""
                try:
                    async with session.post(url + BATCH, json=body, headers={"Idempotency-Key": name}) as response:
                        assert response.status == 201, await response.text()
                        return (await response.json())["id"], "Idempotent-Replayed" in response.headers
                except aiohttp.ClientError:
                    return None

            for n in range(KILLS):
                names = [f"killed-{n}-{k}" for k in range(KILLED_AT_ONCE)]
                async with asyncio.TaskGroup() as tasks:
                    first = [tasks.create_task(place(name, services.urls[0])) for name in names]
                    await _any_batch(owner_url, n * KILLED_AT_ONCE)
                    services.kill(0)
                again = [await place(name, services.urls[1]) for name in names]
                for told, repeated in zip([task.result() for task in first], again, strict=True):
                    assert repeated is not None
                    lost, kept = lost + (told is None), kept + (told is None and repeated[1])
                    assert told is None or told[0] == repeated[0]
                await services.ready()
    assert lost >= KILLS, "answers were lost"
    assert kept >= 1, "and some of them after the commit"
    assert _asked(owner_url, "select count(*), sum(cardinality(job_ids)) from batches") == [
        (KILLS * KILLED_AT_ONCE, KILLS * KILLED_AT_ONCE * 5)
    ]
    assert _asked(owner_url, "select count(*) from jobs") == [(KILLS * KILLED_AT_ONCE * 5,)]
    assert _asked(owner_url, "select * from ledger_violations") == []


async def _any_batch(owner_url: str, before: int) -> None:
    """One more than before has been committed."""
    async with asyncio.timeout(STORM_SECONDS):
        while _asked(owner_url, "select count(*) from batches")[0][0] <= before:
            await asyncio.sleep(0)
