"""What is swept and, more important, what is not."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import LiteralString
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from control_plane import audit
from control_plane.care import retention
from control_plane.conduct import gallery
from control_plane.people import linking, users
from control_plane.people.credentials import create_key
from control_plane.signing import artifact_url
from control_plane.store import new_key
from control_plane.sweeper import DAY, ORPHAN_SECONDS, TEMPORARY_SECONDS, Sweeper, Task
from tests.fixtures.worker import Json, Service, picture

PATIENCE_SECONDS = 10.0
MONTHLY = "(attempts|job_events)_[0-9]{4}_[0-9]{2}"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def only_mine(service: Service) -> None:
    """Nothing lies about from the test before, since a sweep looks at everything."""
    for table in ("artifacts", "idempotency_keys", "job_progress"):
        async with service.context.database.connection() as connection:
            await connection.execute(f"delete from {table}".encode())
    await retention.sweep(service.context.database, service.context.store, ahead_seconds=10_000 * DAY)
    shutil.rmtree(service.context.settings.artifacts_folder, ignore_errors=True)


@pytest.fixture
def sweeper(service: Service) -> Sweeper:
    context = service.context
    return Sweeper(context.database, context.store, context.signing_keys, context.settings)


async def run(service: Service, statement: LiteralString, *parameters: object) -> int:
    async with service.context.database.connection() as connection:
        return (await connection.execute(statement, parameters)).rowcount


async def older(service: Service, days: float) -> None:
    """Every file in the books is that much older."""
    assert await run(service, "update artifacts set created_at = created_at - make_interval(secs => %s)", days * 86_400)


async def count(service: Service, table: str) -> int:
    async with service.context.database.connection() as connection:
        row = await (await connection.execute(f"select count(*)::int from {table}".encode())).fetchone()
    assert row is not None
    return int(row[0])


async def fetched(service: Service, job: Json) -> int:
    return (await service.get(job["artifacts"][0]["url"])).status


async def test_files_of_stale_attempts_go_and_those_of_the_successful_one_stay(
    service: Service, sweeper: Sweeper
) -> None:
    first = await service.leased()
    await service.hands.upload(first, picture("red"))
    await service.hands.release(first)
    [second] = await service.hands.claim(wait=5)
    await service.hands.upload(second, picture("green"))
    await service.hands.complete(second)
    failed = await service.leased()
    await service.hands.upload(failed, picture("blue"))
    await service.hands.fail(failed)
    assert await sweeper.stale_artifacts() == 0, "an agent may still be reporting"
    await older(service, 0.02)
    assert await sweeper.stale_artifacts() == 2
    [left] = service.files()
    assert left.startswith(f"jobs/{second.job_id}/{second.attempt}/")
    assert await fetched(service, await service.job(second.job_id)) == 200


async def test_files_of_a_running_attempt_stay_however_long_it_runs(service: Service, sweeper: Sweeper) -> None:
    lease = await service.leased(count=2)
    await service.hands.upload(lease, picture())
    await older(service, 30)
    assert await sweeper.stale_artifacts() + await sweeper.older_stale_artifacts() + await sweeper.orphan_files() == 0
    assert len(service.files()) == 1


async def test_the_daily_sweep_finds_what_the_frequent_one_does_not_look_back_to(
    service: Service, sweeper: Sweeper
) -> None:
    lease = await service.leased()
    await service.hands.upload(lease, picture())
    await service.hands.fail(lease)
    await older(service, 3)
    assert await sweeper.stale_artifacts() == 0
    assert await sweeper.older_stale_artifacts() == 1
    assert service.files() == []


@pytest.mark.parametrize(("plan", "days"), [("free", 7), ("starter", 30), ("pro", 180)])
async def test_files_are_kept_as_long_as_the_plan_says_and_then_are_gone(
    service: Service, sweeper: Sweeper, plan: str, days: int
) -> None:
    await run(service, "update users set plan = %s where id = %s", plan, service.user_id)
    job = await service.done()
    small = await service.get(job["artifacts"][0]["thumbnail_url"])
    assert (small.status, len(service.files())) == (200, 2)
    sweeper.ahead_seconds = (days - 0.1) * DAY
    assert await sweeper.retired_jobs() == 0
    assert await fetched(service, job) == 200
    sweeper.ahead_seconds = (days + 0.1) * DAY
    assert await sweeper.retired_jobs() == 1
    assert service.files() == []
    assert await fetched(service, job) == 410
    after = await service.job(job["id"])
    assert (after["status"], after["artifacts"], after["prompt"]) == ("succeeded", [], "")
    assert (after["cost"], after["seed"], after["finished_at"]) == (job["cost"], job["seed"], job["finished_at"])
    assert await details(service, job) == (0, 0, 1), "the attempt stays, and what it took"
    assert await sweeper.retired_jobs() == 0, "no job is looked at twice"


async def details(service: Service, job: Json) -> tuple[int, ...]:
    """Events, provenance and attempts of a job."""
    async with service.context.database.connection() as connection:
        found = await connection.execute(
            "select (select count(*)::int from job_events where job_id = %(id)s),"
            " (select count(*)::int from provenance where job_id = %(id)s),"
            " (select count(*)::int from attempts where job_id = %(id)s and message is null)",
            {"id": job["id"]},
        )
        row = await found.fetchone()
    assert row is not None
    return tuple(row)


async def test_what_was_still_needed_when_its_time_came_goes_later(service: Service, sweeper: Sweeper) -> None:
    await run(service, "update users set plan = 'free' where id = %s", service.user_id)
    lease = await service.leased()
    job_id = await service.order()
    await service.as_customer(f"/api/v1/jobs/{job_id}", "DELETE")
    sweeper.ahead_seconds = 8 * DAY
    assert await sweeper.retired_jobs() == 2
    assert (await service.job(job_id))["prompt"] == ""
    assert (await service.job(lease.job_id))["prompt"] == "a lighthouse"
    await service.hands.upload(lease, picture())
    await service.hands.complete(lease)
    assert await sweeper.retired_jobs() == 1
    assert (await service.job(lease.job_id))["prompt"] == ""
    assert service.files() == []


async def test_jobs_that_come_along_with_a_merge_are_not_forgotten(service: Service, sweeper: Sweeper) -> None:
    database = service.context.database
    other = await users.create(database, f"other-{uuid4().hex}", "free")
    made = await create_key(database, name="test", user_id=other, scopes=["read", "submit"])
    mine, service.key = service.key, made.key
    theirs = await service.done()
    service.key = mine
    await run(service, "update users set plan = 'pro' where id = %s", other)
    await run(service, "update users set plan = 'free' where id = %s", service.user_id)
    await service.done()
    sweeper.ahead_seconds = 8 * DAY
    assert await sweeper.retired_jobs() == 1, "the other one's plan keeps longer"
    await run(service, "update users set plan = 'free' where id = %s", other)
    await linking.merge(database, service.user_id, other)
    assert await sweeper.retired_jobs() == 2, "the walk begins anew"
    assert (await service.job(theirs["id"]))["prompt"] == ""


async def test_what_everybody_sees_is_kept_beyond_the_plan_and_goes_once_it_is_withdrawn(
    service: Service, sweeper: Sweeper
) -> None:
    await run(service, "update users set plan = 'free' where id = %s", service.user_id)
    context, jobs = service.context, [await service.done() for _ in range(3)]
    place = [(service.user_id, UUID(job["id"]), 0) for job in jobs]
    for one in place[:2]:
        await gallery.propose(context.database, context.conduct, *one, show_prompt=False)
    waiting, _ = await gallery.page(context.database, state="proposed", before=None, limit=2)
    await gallery.approve(context.database, context.conduct, waiting[0].id, audit.OPERATOR)
    sweeper.ahead_seconds = 100 * DAY
    assert await sweeper.retired_jobs() == 3
    assert [await fetched(service, job) for job in jobs] == [410, 200, 410], "to be proposed is not enough"
    await gallery.withdraw(context.database, *place[1])
    assert await sweeper.retired_jobs() == 1
    assert await fetched(service, jobs[1]) == 410


async def test_what_is_under_a_legal_hold_outlives_every_sweep(service: Service, sweeper: Sweeper) -> None:
    job = await service.done()
    failed = await service.leased()
    await service.hands.upload(failed, picture("red"))
    await service.hands.fail(failed)
    await run(service, "update artifacts set legal_hold = true")
    await older(service, 1_000)
    sweeper.ahead_seconds = 1_000 * DAY
    for task in sweeper.tasks.values():
        await task.run()
    assert len(service.files()) == 2
    assert await fetched(service, job) == 200


async def put(service: Service, age_seconds: float, *, keep: bool = True) -> Path:
    """A file without a row, as a crash between rename and insert leaves it behind (or one before the rename)."""
    job_id = uuid4()
    service.jobs.append(job_id)
    key = new_key(job_id, 1, 0)
    async with service.context.store.stage(key) as staged:
        await staged.write(b"x")
        await staged.keep()
    path = service.context.settings.artifacts_folder / key
    if not keep:
        path = path.rename(path.with_name(path.name + ".part"))
    os.utime(path, times=(path.stat().st_mtime - age_seconds,) * 2)
    return path


async def test_a_file_that_no_row_knows_goes_after_a_day(service: Service, sweeper: Sweeper) -> None:
    for _ in range(2):
        await service.done()
    old, young = await put(service, ORPHAN_SECONDS + 60), await put(service, ORPHAN_SECONDS - 60)
    assert await sweeper.orphan_files() == 1
    assert (old.exists(), young.exists(), len(service.files())) == (False, True, 3)


async def test_when_most_files_look_like_orphans_the_database_is_doubted_and_nothing_is_deleted(
    service: Service, sweeper: Sweeper
) -> None:
    job = await service.done()
    for _ in range(2):
        await put(service, ORPHAN_SECONDS + 60)
    assert await sweeper.orphan_files() == 0
    assert len(service.files()) == 3
    await service.done()
    assert await sweeper.orphan_files() == 2
    assert await fetched(service, job) == 200


async def test_what_an_upload_left_that_was_cut_down_goes_and_one_that_runs_stays(
    service: Service, sweeper: Sweeper
) -> None:
    old = await put(service, TEMPORARY_SECONDS + 60, keep=False)
    young = await put(service, TEMPORARY_SECONDS - 60, keep=False)
    assert await sweeper.orphan_files() == 0, "temporary files are none of its business"
    assert await sweeper.temporary_files() == 1
    assert (old.exists(), young.exists()) == (False, True)


async def test_two_processes_sweep_at_once_without_harm(service: Service, sweeper: Sweeper) -> None:
    for _ in range(6):
        lease = await service.leased()
        await service.hands.upload(lease, picture())
        await service.hands.fail(lease)
    await older(service, 0.02)
    context = service.context
    another = Sweeper(context.database, context.store, context.signing_keys, context.settings)
    async with asyncio.TaskGroup() as tasks:
        sweeps = [tasks.create_task(one.stale_artifacts()) for one in (sweeper, another)]
    assert sum(sweep.result() for sweep in sweeps) == 6
    assert (service.files(), await count(service, "artifacts")) == ([], 0)


async def test_old_idempotency_keys_go_and_fresh_ones_stay(service: Service, sweeper: Sweeper) -> None:
    headers = {"Authorization": f"Bearer {service.key}"}
    for key in ("old", "fresh"):
        async with service.session.post(
            service.url + "/api/v1/jobs", json={"prompt": "x"}, headers={**headers, "Idempotency-Key": key}
        ) as response:
            assert response.status == 201
    await run(
        service,
        "insert into idempotency_keys (user_id, key, request_sha256, job_id, created_at)"
        " select user_id, 'older', request_sha256, job_id, now() - interval '25 hours' from idempotency_keys limit 1",
    )
    assert await sweeper.idempotency_keys() == 1
    assert await count(service, "idempotency_keys") == 2


async def test_last_values_of_jobs_that_run_stay_and_of_others_go(service: Service, sweeper: Sweeper) -> None:
    done, lease = await service.done(), await service.leased()
    for job_id in (done["id"], lease.job_id):
        await run(
            service,
            "insert into job_progress (job_id, attempt, value, step, steps, reported_at)"
            " values (%s, 1, 0.5, 1, 2, now() - interval '2 hours')",
            job_id,
        )
    assert await sweeper.progress() == 1
    assert await count(service, "job_progress") == 1


async def test_what_ended_by_itself_of_people_in_browsers_goes(service: Service, sweeper: Sweeper) -> None:
    for ends in ("now() - interval '1 second'", "now() + interval '1 hour'"):
        for statement in (
            "insert into sessions (user_id, secret_sha256, way, expires_at) values (%s, sha256(%s), 'link', {})",
            "insert into login_links (user_id, token_sha256, expires_at) values (%s, sha256(%s), {})"
            " on conflict do nothing",
            "insert into sign_ins (for_user, state_sha256, browser_sha256, provider, verifier, nonce, next, expires_at)"
            " values (%s, sha256(%s), sha256(''), 'google', repeat('x', 43), 'x', '/', {})",
        ):
            await run(service, statement.format(ends), service.user_id, ends.encode())
        await run(service, f"insert into spent_proofs values (sha256(%s), {ends})", ends.encode())
    assert await sweeper.sessions() == 4
    kept = {table: await count(service, table) for table in ("sessions", "sign_ins", "spent_proofs", "login_links")}
    assert kept == {"sessions": 1, "sign_ins": 1, "spent_proofs": 1, "login_links": 0}


async def test_a_process_that_starts_makes_the_partitions_of_the_months_ahead(service: Service) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await count(service, f"pg_class where relname ~ '^{MONTHLY}$' and relkind = 'r'") < 6:
            await asyncio.sleep(0.01)


async def test_a_task_that_fails_is_tried_again_soon_and_disturbs_nobody(sweeper: Sweeper) -> None:
    async def broken() -> int:
        raise OSError("the folder is away")

    async def fine() -> int:
        return 1

    assert await sweeper.sweep(Task("broken", 86_400.0, broken)) == 60
    assert await sweeper.sweep(Task("fine", 86_400.0, fine)) == 86_400


async def test_a_new_key_signs_only_when_every_process_must_have_read_it(service: Service, sweeper: Sweeper) -> None:
    context, job = service.context, await service.done()
    keys, now = context.signing_keys, context.signing_keys.now()

    def signed() -> str:
        return artifact_url(keys, service.url, UUID(job["id"]), 0, 600, now)

    before = signed()
    await run(service, "insert into signing_keys (key) values (%s)", b"n" * 32)
    await sweeper.signing_keys()
    assert signed() == before
    await run(service, "update signing_keys set created_at = now() - make_interval(hours => 2 - id)")
    await sweeper.signing_keys()
    assert signed() == before, "the newest is still too young"
    await run(service, "update signing_keys set created_at = created_at - interval '1 hour'")
    await sweeper.signing_keys()
    after = signed()
    assert after != before
    assert [(await service.get(url)).status for url in (before, after)] == [200, 200]
