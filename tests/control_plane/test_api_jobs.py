"""Ordering over HTTP: what is acknowledged, repeated, shown, listed and canceled."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import psycopg

from control_plane.wire.job import METADATA_BYTES_MAX, JobList, JobView
from control_plane.wire.model import Quote
from tests.fixtures.api import API, Plane
from tests.fixtures.worker import Answered, picture

RETRIES = 20


async def test_an_order_is_answered_with_the_job_and_its_address(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    answered = await control_plane.call("POST", f"{API}/jobs", key, {"prompt": "a lighthouse", "metadata": {"a": "b"}})
    assert answered.status == 201
    job = msgspec.json.decode(answered.body, type=JobView)
    assert answered.headers["Location"] == job.urls.self == f"{control_plane.url}{API}/jobs/{job.id}"
    assert answered.headers["Cache-Control"] == "no-store"
    assert (job.status, job.model, job.width, job.height, job.steps) == ("queued", "testcard", 1024, 1024, 20)
    assert (job.cost.held, job.cost.charged) == (1, 0)
    assert job.metadata == {"a": "b"}
    assert job.waiting is not None
    assert job.waiting.reason == "no_worker_for_model"
    again = await control_plane.call("GET", f"{API}/jobs/{job.id}", key)
    looked = msgspec.json.decode(again.body, type=JobView)
    assert looked.waiting is not None
    assert looked.waiting.position == "1"
    assert msgspec.structs.replace(looked, waiting=None) == msgspec.structs.replace(job, waiting=None)


async def test_a_seed_is_drawn_and_can_be_given(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    drawn = {(await control_plane.order(key))["seed"] for _ in range(3)}
    assert len(drawn) == 3
    assert (await control_plane.order(key, seed=7))["seed"] == 7


async def test_a_video_gets_frames_and_a_picture_may_not_have_them(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    video = await control_plane.order(key, kind="video")
    assert (video["frames"], video["fps"]) == (48, 24)
    await _refused(control_plane, key, {"kind": "video", "frames": 241}, "/frames", "out_of_range")
    await _refused(control_plane, key, {"frames": 8}, "/frames", "not_allowed")
    await _refused(control_plane, key, {"fps": 8}, "/fps", "not_allowed")


async def test_limits_of_the_model_are_told_by_pointer_all_at_once(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    body = {"prompt": "x", "width": 4096, "height": 4096, "fps": 3, "strength": 0.5}
    answered = await control_plane.call("POST", f"{API}/jobs", key, body)
    assert answered.status == 422
    assert [fault["pointer"] for fault in answered.json["errors"]] == ["/width", "/fps", "/strength"]
    await _refused(control_plane, key, {"height": 4096, "width": 4096}, "/width", "out_of_range")
    await _refused(control_plane, key, {"input_image": "mine"}, "/input_image", "bad_format")
    await _refused(control_plane, key, {"metadata": {"k": "é" * 512}}, "/metadata", "too_long")
    fits = {"k" * 5: "v" * 490, "l": "w" * 511}
    assert len(msgspec.json.encode(fits)) <= METADATA_BYTES_MAX
    assert (await control_plane.order(key, metadata=fits))["metadata"] == fits


async def test_a_model_that_is_not_offered_is_refused(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    answered = await control_plane.call("POST", f"{API}/jobs", key, {"prompt": "x", "model": "sdxl"})
    assert (answered.status, answered.code) == (422, "no-such-model")
    assert answered.json["errors"][0]["pointer"] == "/model"


async def test_an_urgent_order_needs_the_admin_scope(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    answered = await control_plane.call("POST", f"{API}/jobs", key, {"prompt": "x", "priority": "urgent"})
    assert (answered.status, answered.code) == (403, "forbidden")
    await control_plane.order(key)
    urgent = await control_plane.order(control_plane.admin_key, priority="urgent")
    looked = await control_plane.call("GET", f"{API}/jobs/{urgent['id']}", control_plane.admin_key)
    assert looked.json["waiting"]["position"] == "1"


async def test_a_dry_run_names_the_price_and_orders_nothing(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    answered = await control_plane.call(
        "POST", f"{API}/jobs?dry_run=true", key, {"prompt": "x", "count": 4, "steps": 40}
    )
    assert answered.status == 200
    quote = msgspec.json.decode(answered.body, type=Quote)
    assert (quote.cost, quote.feasible_now, quote.eta) == (8, False, None)
    assert (await control_plane.call("GET", f"{API}/jobs", key)).json["data"] == []


async def test_many_retries_with_one_idempotency_key_make_one_job(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    headers = {"Idempotency-Key": "order-17"}
    body = {"prompt": "a lighthouse", "seed": 1}

    async def retry() -> Answered:
        return await control_plane.call("POST", f"{API}/jobs", key, body, headers=headers)

    answers = await asyncio.gather(*(retry() for _ in range(RETRIES)))
    assert {answered.status for answered in answers} == {201}
    assert len({answered.json["id"] for answered in answers}) == 1
    first = [answered for answered in answers if "Idempotent-Replayed" not in answered.headers]
    assert len(first) == 1
    assert len((await control_plane.call("GET", f"{API}/jobs", key)).json["data"]) == 1


async def test_an_idempotency_key_with_another_order_is_refused(control_plane: Plane) -> None:
    key, other = await control_plane.user_key(), await control_plane.user_key()
    headers = {"Idempotency-Key": "order-18"}
    first = await control_plane.call("POST", f"{API}/jobs", key, {"prompt": "one"}, headers=headers)
    same = await control_plane.call("POST", f"{API}/jobs", key, raw=b'{ "count":1, "prompt":"one" }', headers=headers)
    assert (same.status, same.json["id"]) == (201, first.json["id"])
    changed = await control_plane.call("POST", f"{API}/jobs", key, {"prompt": "two"}, headers=headers)
    assert (changed.status, changed.code) == (422, "idempotency-mismatch")
    somebody_else = await control_plane.call("POST", f"{API}/jobs", other, {"prompt": "two"}, headers=headers)
    assert somebody_else.status == 201
    assert "Idempotent-Replayed" not in somebody_else.headers


async def test_repetitions_at_the_same_moment_of_an_order_that_is_refused_are_refused_alike(
    control_plane: Plane, owner_url: str
) -> None:
    key = await control_plane.user_key()
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update switches set paused_at = now() where name = 'submits'")
    headers = {"Idempotency-Key": "order-19"}
    async with asyncio.TaskGroup() as tasks:
        calls = [
            tasks.create_task(control_plane.call("POST", f"{API}/jobs", key, {"prompt": "x"}, headers=headers))
            for _ in range(RETRIES)
        ]
    assert {(call.result().status, call.result().code) for call in calls} == {(503, "paused")}


async def test_a_bad_idempotency_key_is_refused_by_name(control_plane: Plane) -> None:
    for value in ("", "x" * 256, "with space", "ümlaut"):
        answered = await control_plane.call(
            "POST", f"{API}/jobs", control_plane.admin_key, {"prompt": "x"}, headers={"Idempotency-Key": value}
        )
        assert answered.status == 422, value
        assert answered.json["errors"][0]["pointer"] == "Idempotency-Key"


async def test_pages_of_a_list_meet_without_gap_or_overlap(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    placed = [(await control_plane.order(key))["id"] for _ in range(7)]
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        answered = await control_plane.call("GET", f"{API}/jobs?limit=3{cursor}", key)
        page = msgspec.json.decode(answered.body, type=JobList)
        seen += [str(job.id) for job in page.data]
        pages += 1
        if not page.has_more:
            assert page.next_cursor is None
            break
        cursor = f"&cursor={page.next_cursor}"
    assert (seen, pages) == (placed[::-1], 3)


async def test_a_list_can_be_narrowed_to_a_status(control_plane: Plane) -> None:
    service = control_plane.service
    done = await service.done()
    started = await service.leased()
    waiting = await service.order()
    for status, expected in {"succeeded": done["id"], "running": started.job_id, "queued": waiting}.items():
        answered = await service.as_customer(f"{API}/jobs?status={status}")
        assert [job["id"] for job in answered.json["data"]] == [str(expected)], status
        assert {job["status"] for job in answered.json["data"]} == {status}


async def test_canceling_twice_is_like_canceling_once(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    job = await control_plane.order(key)
    first = await control_plane.call("DELETE", f"{API}/jobs/{job['id']}", key)
    second = await control_plane.call("DELETE", f"{API}/jobs/{job['id']}", key)
    assert first.status == second.status == 200
    assert first.json == second.json
    assert (first.json["status"], first.json["cost"]) == ("canceled", {"held": 0, "charged": 0})
    assert first.json["waiting"] is None


async def test_a_running_job_shows_progress_and_preview_and_then_its_picture(control_plane: Plane) -> None:
    service = control_plane.service
    lease = await service.leased()
    path = f"{API}/jobs/{lease.job_id}"
    assert (await service.as_customer(f"{path}/preview")).status == 404
    report = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": "started"}
    shown = {"progress": {"value": 0.5, "step": 2, "steps": 4}, "preview": picture("navy")}
    await service.hands.call("/heartbeat", {"leases": [report | shown]})
    job = await service.job(lease.job_id)
    assert (job["status"], job["progress"]) == ("running", {"value": 0.5, "step": 2, "steps": 4})
    preview = await service.as_customer(f"{path}/preview")
    assert (preview.status, preview.headers["Content-Type"], preview.body) == (200, "image/png", picture("navy"))
    await service.hands.upload(lease, picture())
    await service.hands.complete(lease)
    job = await service.job(lease.job_id)
    assert (job["status"], job["cost"]) == ("succeeded", {"held": 0, "charged": 1})
    assert job["progress"] is None
    [artifact] = job["artifacts"]
    assert (artifact["mime_type"], artifact["width"], artifact["height"]) == ("image/png", 40, 24)
    assert (await service.get(artifact["url"])).body == picture()
    assert (await service.as_customer(f"{path}/preview")).status == 404


async def test_a_running_job_that_is_canceled_is_canceling_until_its_agent_has_stopped(control_plane: Plane) -> None:
    service = control_plane.service
    lease = await service.leased()
    canceled = await service.as_customer(f"{API}/jobs/{lease.job_id}", "DELETE")
    assert canceled.json["status"] == "canceling"
    await service.hands.release(lease, "canceled")
    assert (await service.job(lease.job_id))["status"] == "canceled"


async def test_a_failed_job_says_why(control_plane: Plane) -> None:
    service = control_plane.service
    lease = await service.leased()
    await service.hands.fail(lease, "invalid_input")
    job = await service.job(lease.job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "invalid_input")
    assert job["error"]["message"].endswith(".")


async def _refused(plane: Plane, key: str, fields: dict[str, Any], pointer: str, code: str) -> None:
    answered = await plane.call("POST", f"{API}/jobs", key, {"prompt": "x", **fields})
    assert (answered.status, answered.code) == (422, "invalid"), answered.body
    assert (answered.json["errors"][0]["pointer"], answered.json["errors"][0]["code"]) == (pointer, code)
