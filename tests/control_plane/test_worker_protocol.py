"""The worker protocol over HTTP: who may call, what is refused, what is held open, and what a hang-up does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import pytest

from control_plane.wire.worker import Lease
from tests.fixtures.worker import Hands, Json, Service, attempt, claim, enrolled, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_SECONDS = 10.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # what is waited for is on the other side of HTTP
            await asyncio.sleep(0.01)


def report(lease: Lease, phase: str = "started") -> Json:
    return {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": phase}


async def expires_in(service: Service, lease: Lease) -> float:
    """Seconds that a lease has left, by the database."""
    async with service.context.database.connection() as connection:
        cursor = await connection.execute(
            "select extract(epoch from lease_expires_at - now())::float8 from jobs where id = %s", (lease.job_id,)
        )
        row = await cursor.fetchone()
    assert row is not None
    return float(row[0])


async def last_seen(service: Service) -> dict[int, datetime]:
    """When each slot of the worker was heard."""
    async with service.context.database.connection() as connection:
        cursor = await connection.execute(
            "select slot, last_seen_at from slots where worker_id = %s", (service.hands.worker_id,)
        )
        return dict(await cursor.fetchall())


async def until_expiry(service: Service, lease: Lease, condition: Callable[[float], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition(await expires_in(service, lease)):  # a table tells nobody
            await asyncio.sleep(0.01)


async def test_a_job_goes_from_claim_to_success(service: Service) -> None:
    lease = await service.leased()
    assert lease.spec.prompt == "a lighthouse"
    assert (await service.job(lease.job_id))["status"] == "running"
    assert (await service.hands.upload(lease, picture())).status == 200
    completed = await service.hands.complete(lease)
    assert (completed.status, completed.json) == (200, {"state": "succeeded", "claimed": None})
    assert (await service.job(lease.job_id))["status"] == "succeeded"


async def test_complete_brings_the_next_lease_in_the_same_answer(service: Service) -> None:
    lease = await service.leased()
    following = await service.order()
    await service.hands.upload(lease, picture())
    completed = await service.hands.complete(lease, claim=claim(wait=25))
    assert completed.json["state"] == "succeeded"
    [taken] = completed.json["claimed"]["leases"]
    assert taken["job_id"] == str(following)


async def test_complete_asks_for_nothing_more_when_there_is_nothing_and_does_not_wait_for_it(service: Service) -> None:
    lease = await service.leased()
    await service.hands.upload(lease, picture())
    began = time.monotonic()
    completed = await service.hands.complete(lease, claim=claim(wait=25))
    assert completed.json["claimed"] == {"leases": [], "skipped": {"no_job": 1}, "messages": []}
    assert time.monotonic() - began < 5


async def test_a_repeated_report_gets_the_same_answer_and_a_late_other_one_is_refused(service: Service) -> None:
    lease = await service.leased()
    await service.hands.upload(lease, picture())
    answers = [(await service.hands.complete(lease)).json for _ in range(3)]
    assert answers == [{"state": "succeeded", "claimed": None}] * 3
    assert (await service.hands.fail(lease)).code == "lease-lost"
    assert (await service.hands.release(lease)).code == "lease-lost"
    failed = await service.leased()
    assert [(await service.hands.fail(failed)).json["state"] for _ in range(2)] == ["failed", "failed"]
    assert (await service.hands.complete(failed)).code == "lease-lost"


async def test_a_released_job_is_claimed_again_with_a_new_fence(service: Service) -> None:
    lease = await service.leased()
    assert (await service.hands.release(lease, "shutdown")).json["state"] == "queued"
    [again] = await service.hands.claim(wait=5)
    assert (again.job_id, again.attempt) == (lease.job_id, lease.attempt + 1)
    assert again.token != lease.token
    for stale in (service.hands.complete, service.hands.fail):
        assert (await stale(lease)).code == "lease-lost"


async def test_nobody_reports_on_the_lease_of_another_worker(service: Service) -> None:
    lease = await service.leased()
    other = await enrolled(service.context, service.session, "other")
    answers = [await other.complete(lease), await other.fail(lease), await other.release(lease)]
    answers.append(await other.upload(lease, picture()))
    assert {(answered.status, answered.code) for answered in answers} == {(409, "lease-lost")}
    beat = await other.call("/heartbeat", {"leases": [report(lease)]})
    assert (beat.json["renewed"], beat.json["revoke"]) == ([], [str(lease.job_id)])
    assert (await service.job(lease.job_id))["status"] == "running"


@pytest.mark.parametrize(
    ("progress", "pointer"),
    [
        ({"value": 1e300}, "value"),
        ({"value": -0.1}, "value"),
        ({"value": 0.5, "step": 2**31}, "step"),
        ({"value": 0.5, "steps": -1}, "steps"),
    ],
)
async def test_progress_that_no_job_can_make_is_refused(service: Service, progress: Json, pointer: str) -> None:
    lease = await service.leased()
    answered = await service.hands.call("/heartbeat", {"leases": [{**report(lease), "progress": progress}]})
    assert answered.status == 422, answered.body
    assert answered.json["errors"][0]["pointer"] == f"/leases/0/progress/{pointer}"


async def test_gauges_that_the_table_cannot_hold_are_refused(service: Service) -> None:
    for gauges in ({"a\0b": 1.0}, {"a" * 65: 1.0}, {str(number): 1.0 for number in range(65)}):
        answered = await service.hands.call("/heartbeat", {"leases": [], "slots": [{"slot": 0, "gpu": gauges}]})
        assert answered.status == 422, answered.body
        assert answered.json["errors"][0]["pointer"] == "/slots/0/gpu"


async def test_the_slots_of_a_worker_wait_side_by_side(service: Service) -> None:
    async with asyncio.TaskGroup() as tasks:
        polls = []
        for number in (0, 1):
            body = {**claim(wait=20), "slots": [{**claim()["slots"][0], "slot": number}]}
            polls.append(tasks.create_task(service.hands.call("/claim", body)))
            await until(lambda: len(service.context.dispatcher.waiters) == len(polls))
        ordered = {str(await service.order()) for _ in polls}
    answers = [poll.result().json["leases"] for poll in polls]
    assert [[lease["slot"] for lease in leases] for leases in answers] == [[0], [1]]
    assert {lease["job_id"] for leases in answers for lease in leases} == ordered


async def test_a_slot_that_its_agent_no_longer_has_is_not_kept_alive_by_the_others(service: Service) -> None:
    both = [{**claim()["slots"][0], "slot": number} for number in (0, 1)]
    await service.hands.call("/claim", {**claim(), "slots": both})
    before = await last_seen(service)
    assert (await service.hands.call("/heartbeat", {"leases": [], "slots": [{"slot": 0}]})).status == 200
    after = await last_seen(service)
    assert after[0] > before[0]
    assert after[1] == before[1]


@pytest.mark.parametrize("path", ["complete", "fail", "release", "artifacts/0"])
async def test_a_report_needs_the_token_of_the_lease_in_its_header(service: Service, path: str) -> None:
    lease = await service.leased()
    body = {"complete": {"artifacts": 1}, "fail": {"cause": "oom"}, "release": {"reason": "drain"}}.get(path)
    address = f"{attempt(lease)}/{path}"
    for token in (None, "", "x", "١" * 32):
        headers = {} if token is None else {"Tessera-Lease-Token": token}
        method = "POST" if body else "PUT"
        answered = await service.hands.request(method, address, headers, str(body).replace("'", '"').encode())
        assert (answered.status, answered.json["errors"][0]["pointer"]) == (422, "Tessera-Lease-Token")


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/{id}/attempts/0/complete",
        "/jobs/{id}/attempts/-1/complete",
        "/jobs/{id}/attempts/2147483648/complete",
        "/jobs/{id}/attempts/" + "9" * 5_000 + "/complete",
        "/jobs/{id}/attempts/one/complete",
        "/jobs/no-job/attempts/1/complete",
    ],
)
async def test_a_path_that_names_no_lease_is_refused(service: Service, path: str) -> None:
    answered = await service.hands.call(path.format(id=uuid4()), {"artifacts": 1}, token=uuid4())
    assert answered.status in (404, 422)
    assert answered.code in ("not-found", "invalid")


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/claim", {**claim(), "claim_id": "x"}, "/claim_id"),
        ("/claim", {**claim(), "slots": []}, "/slots"),
        ("/claim", {**claim(), "slots": [{"slot": 16, "capabilities": []}]}, "/slots/0/slot"),
        ("/claim", claim(protocol=2), "/protocol"),
        ("/claim", claim(wait=26), "/wait"),
        ("/heartbeat", {"leases": [{}]}, "/leases/0/job_id"),
        ("/heartbeat", {"leases": [], "hold": 11}, "/hold"),
        ("/heartbeat", [], ""),
        ("/enroll", {"token": "tse_123456", "secret_sha256": "0" * 63, "name": "x"}, "/secret_sha256"),
        ("/enroll", {"token": "tse_123456", "secret_sha256": "0" * 64, "name": "a\nb"}, "/name"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_at_its_place(
    service: Service, path: str, body: object, pointer: str
) -> None:
    answered = await service.hands.call(path, body)
    assert (answered.status, answered.json["errors"][0]["pointer"]) == (422, pointer)


async def test_an_agent_that_is_too_old_is_told_so(service: Service) -> None:
    answered = await service.hands.call("/claim", claim(protocol=0))
    assert (answered.status, answered.code) == (426, "version-too-old")
    assert (answered.json["protocol_min"], answered.json["protocol_max"]) == (1, 1)
    lease = await service.leased()
    await service.hands.upload(lease, picture())
    assert (await service.hands.complete(lease, claim=claim(protocol=0))).status == 426
    assert (await service.hands.complete(lease)).json["state"] == "succeeded"


async def test_only_a_worker_speaks_the_worker_protocol(service: Service) -> None:
    wrong = ["", "x", service.key, service.hands.secret[:-1] + "x", service.hands.secret.replace("tsw", "tsk")]
    for secret in wrong:
        answered = await Hands(service.session, service.url, uuid4(), secret).call("/claim", claim())
        assert (answered.status, answered.code) == (401, "unauthorized")
    assert (await service.as_customer("/api/v1/jobs", key=service.hands.secret)).status == 401


async def test_a_poll_waits_and_the_next_job_answers_it_at_once(service: Service) -> None:
    polling = asyncio.create_task(service.hands.claim(wait=20))
    await until(lambda: len(service.context.dispatcher.waiters) > 0)
    began = time.monotonic()
    job_id = await service.order()
    [lease] = await polling
    assert lease.job_id == job_id
    assert time.monotonic() - began < 2


async def test_a_poll_that_nobody_waits_for_any_more_takes_no_job(service: Service) -> None:
    polling = asyncio.create_task(service.hands.claim(wait=20))
    await until(lambda: len(service.context.dispatcher.waiters) > 0)
    polling.cancel()
    await until(lambda: len(service.context.dispatcher.waiters) == 0)
    job_id = await service.order()
    other = await enrolled(service.context, service.session, "other")
    [lease] = await other.claim(wait=5)
    assert lease.job_id == job_id
    await other.release(lease)


async def test_an_unanswered_claim_is_asked_again_and_brings_the_same_lease(service: Service) -> None:
    job_id, claim_id = await service.order(), uuid4()
    [first] = await service.hands.claim(wait=5, claim_id=claim_id)
    [again] = await service.hands.claim(claim_id=claim_id)
    assert (first.job_id, first.token, first.attempt) == (job_id, again.token, again.attempt)


async def test_a_broken_heartbeat_shortens_the_leases_and_the_next_one_renews_them(service: Service) -> None:
    grace_seconds = service.context.settings.grace_seconds
    lease = await service.leased()
    async with service.context.database.connection() as connection:
        await connection.execute("update jobs set lease_expires_at = now() + '5 s' where id = %s", (lease.job_id,))
    held = asyncio.create_task(service.hands.call("/heartbeat", {"leases": [report(lease)], "hold": 9}))
    await until_expiry(service, lease, lambda left: left > grace_seconds)
    held.cancel()
    await until_expiry(service, lease, lambda left: left <= grace_seconds)
    await service.hands.start(lease)
    assert await expires_in(service, lease) > grace_seconds


async def test_a_held_heartbeat_is_answered_at_once_when_its_job_is_canceled(service: Service) -> None:
    lease = await service.leased()
    began = time.monotonic()
    held = asyncio.create_task(service.hands.call("/heartbeat", {"leases": [report(lease)], "hold": 9}))
    assert (await service.as_customer(f"/api/v1/jobs/{lease.job_id}", "DELETE")).json["status"] == "canceling"
    assert (await held).json["cancel"] == [str(lease.job_id)]
    assert time.monotonic() - began < 5
    assert (await service.hands.release(lease, "canceled")).json["state"] == "canceled"


async def test_a_worker_that_drains_is_told_so_and_gets_no_more(service: Service) -> None:
    lease = await service.leased()
    assert (await service.hands.call("/drain")).status == 204
    await service.order()
    answered = await service.hands.call("/claim", claim())
    assert (answered.json["leases"], answered.json["skipped"]) == ([], {"draining": 1})
    assert (await service.hands.call("/heartbeat", {"leases": [report(lease)]})).json["drain"] is True
    await service.hands.upload(lease, picture())
    assert (await service.hands.complete(lease)).json["state"] == "succeeded"
    await service.context.dispatcher.resume(service.hands.worker_id)
    assert len(await service.hands.claim(wait=5)) == 1


async def test_a_revoked_worker_is_refused_everywhere_and_its_job_goes_on_elsewhere(service: Service) -> None:
    lease = await service.leased()
    await service.context.dispatcher.revoke(service.hands.worker_id)
    answers = [
        await service.hands.call("/claim", claim()),
        await service.hands.call("/heartbeat", {"leases": [report(lease)]}),
        await service.hands.complete(lease),
        await service.hands.upload(lease, picture()),
    ]
    assert {answered.status for answered in answers} <= {401, 409}
    other = await enrolled(service.context, service.session, "other")
    [again] = await other.claim(wait=5)
    assert again.job_id == lease.job_id
    await other.release(again)


async def test_an_agent_learns_nothing_about_who_ordered(service: Service) -> None:
    await service.order(metadata={"chat-of": "somebody"})
    answered = await service.hands.call("/claim", claim(wait=5))
    [lease] = answered.json["leases"]
    assert set(lease) == {"job_id", "attempt", "token", "slot", "expires_in", "spec", "traceparent"}
    for private in (str(service.user_id), "chat-of", "somebody"):
        assert private not in answered.body.decode()
