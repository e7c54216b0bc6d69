"""What /metrics tells of a real run: every number that a promise is measured by, and at what cost."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from control_plane import gauges
from tests.fixtures.api import Plane, eventually
from tests.fixtures.queue import rows
from tests.fixtures.worker import picture, serving

LANE = 'kind="image",model="testcard",task="",vram_gib="0"'

CROWD = 40
"""Scrapers at once; each for itself they would wait for each other's connections dozens of times."""


async def told(plane: Plane) -> dict[str, float]:
    """Every sample, by its name with labels."""
    shown = await plane.call("GET", "/metrics")
    assert shown.status == 200
    found = re.findall(r"^([a-z_0-9]+(?:\{.*\})?) ([-+.0-9einfa]+)$", shown.body.decode(), re.MULTILINE | re.IGNORECASE)
    return {name: float(value) for name, value in found}


async def test_the_metrics_tell_of_lines_leases_tokens_and_retries_as_the_database_has_them(
    control_plane: Plane, owner_url: str
) -> None:
    service = control_plane.service
    before = await told(control_plane)
    failing = await service.leased(steps=2)
    assert (await service.hands.fail(failing, "oom")).status == 200
    with rows(owner_url) as owner:
        owner.execute("update jobs set due_at = now() + interval '1 hour' where id = %s", [failing.job_id])
    running = await service.leased()
    await service.order()
    with rows(owner_url) as owner:
        owner.execute(
            "update jobs set created_at = now() - interval '1 hour' where state = 'queued' and tag is not null"
        )
    expected = {
        f"tessera_lane_jobs_waiting{{{LANE}}}": 1.0,
        f"tessera_lane_users_waiting{{{LANE}}}": 1.0,
        f"tessera_lane_jobs_running{{{LANE}}}": 1.0,
        f"tessera_lane_slots{{{LANE}}}": 1.0,
        "tessera_jobs_backing_off": 1.0,
        'tessera_workers{state="live"}': 1.0,
        'tessera_workers{state="gone"}': 0.0,
        "tessera_oldest_expired_lease_seconds": 0.0,
        "tessera_database_up": 1.0,
    }
    with rows(owner_url) as owner:
        [[held]] = owner.execute("select sum(held)::float8 from balances").fetchall()
    assert held > 0
    expected["tessera_tokens_held"] = held
    now = await eventually(lambda: told(control_plane), lambda now: expected.items() <= now.items())
    assert 3_590 < now[f"tessera_lane_oldest_seconds{{{LANE}}}"] < 3_700
    with rows(owner_url) as owner:  # while there is no backup, its age is that of the service
        owner.execute("update schema_migrations set applied_at = applied_at - interval '2 days'")
        owner.execute(
            "insert into backups (kind, name, place, sealed, started_at, ended_at, error) values"
            " ('dump', 'a', 'file:///a', true, now() - interval '3 hours', now(), null),"
            " ('dump', 'b', 'file:///a', true, now(), now(), 'the disk is full')"
        )
    aged = await eventually(lambda: told(control_plane), lambda now: now["tessera_backup_age_seconds"] > 3_600)
    assert 10_790 < aged["tessera_backup_age_seconds"] < 10_900, "of the last good one"

    def risen(name: str) -> float:
        return now[name] - before.get(name, 0.0)

    assert risen('tessera_jobs_retried_total{cause="oom"}') == 1.0
    assert risen('tessera_job_wait_seconds_count{kind="image",model="testcard"}') == 2.0, "of first leases alone"
    assert risen("tessera_claim_seconds_count") >= 2.0
    assert (await service.hands.upload(running, picture())).status == 200
    assert (await service.hands.complete(running)).json["state"] == "succeeded"
    charged = float(held) / 4  # two steps cost what two pictures of one step do
    now = await eventually(
        lambda: told(control_plane), lambda now: now['tessera_tokens_settled{kind="charge"}'] >= charged > 0
    )
    assert risen('tessera_job_run_seconds_count{kind="image",model="testcard"}') == 1.0
    assert now['tessera_tokens_settled{kind="return"}'] == 0.0


async def test_a_lease_that_nobody_takes_back_and_a_worker_that_is_gone_are_seen(
    control_plane: Plane, owner_url: str
) -> None:
    """A row that somebody else holds is skipped by the reaper, so the lease stays."""
    lease = await control_plane.service.leased()
    with rows(owner_url) as owner, rows(owner_url) as other:
        other.execute("begin")
        other.execute("select from jobs where id = %s for key share", [lease.job_id])
        owner.execute("update jobs set lease_expires_at = now() - interval '40 seconds' where id = %s", [lease.job_id])
        owner.execute("update workers set last_seen_at = now() - interval '1 hour'")
        now = await eventually(
            lambda: told(control_plane), lambda now: now["tessera_oldest_expired_lease_seconds"] > 39
        )
        assert now['tessera_workers{state="gone"}'] == 1.0
        assert now["tessera_oldest_transaction_seconds"] >= 0.0
        other.execute("rollback")
    await eventually(lambda: told(control_plane), lambda now: now["tessera_oldest_expired_lease_seconds"] == 0.0)


async def test_the_pool_the_listener_and_the_disk_are_measured_and_statements_that_wait_are_counted(
    control_plane: Plane,
) -> None:
    database = control_plane.context.database
    before = await eventually(
        lambda: told(control_plane), lambda now: 0.0 < now["tessera_listener_probe_seconds"] < 20.0
    )
    assert before["tessera_pool_connections_max"] == 8.0
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as held:
        for _ in range(8):
            await held.enter_async_context(database.connection())
        assert database.use.lent == 8
        waiting = tasks.create_task(database.many(gauges.LEASES))
        while not database.use.waiting:
            await asyncio.sleep(0.01)
        await held.aclose()
        assert await waiting == []
    now = await told(control_plane)
    assert 2.0 <= now['tessera_pool_connections{state="lent"}'] + now['tessera_pool_connections{state="idle"}'] <= 8.0
    assert now["tessera_pool_waits_total"] > before["tessera_pool_waits_total"]
    assert 0 < now["tessera_disk_free_bytes"] <= now["tessera_disk_bytes"]


async def test_a_crowd_of_scrapers_reads_the_database_once(control_plane: Plane) -> None:
    database = control_plane.context.database
    await told(control_plane)
    waits = database.use.waits
    async with asyncio.TaskGroup() as tasks:
        shown = [tasks.create_task(told(control_plane)) for _ in range(CROWD)]
    assert all(one.result()["tessera_database_up"] == 1.0 for one in shown)
    assert database.use.waits - waits < CROWD / 4, "they share a look; somebody else may have waited as well"


async def test_two_control_planes_tell_the_same_of_the_service(
    control_plane: Plane, database_url: str, tmp_path: Path
) -> None:
    await control_plane.service.order()
    async with serving(database_url, tmp_path / "other") as other:
        there = Plane(other, other.user_id, "")
        name = f"tessera_lane_jobs_waiting{{{LANE}}}"
        for plane in (control_plane, there):
            now = await eventually(partial(told, plane), lambda now: now.get(name) == 1.0)
            assert now["tessera_tokens_held"] > 0
