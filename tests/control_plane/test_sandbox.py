"""Test keys: every outcome on the first day, for play money, and nobody real notices."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from PIL import Image

from control_plane.people import credentials, keys, twins, users
from control_plane.people.credentials import SCOPES, Scope
from control_plane.sandbox import simulate
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.people import count, violations
from tests.fixtures.pictures import colour, decoded, drawn, encoded
from tests.fixtures.queue import rows
from tests.fixtures.worker import Answered, serving

ORDER = {"prompt": "a lighthouse", "width": 128, "height": 128, "steps": 20}
KEYS: tuple[Scope, ...] = ("read", "submit", "keys")

REFUSED = {
    "moderated_input": (422, "moderated-input"),
    "tokens_short": (402, "tokens-short"),
    "rate_limited": (429, "rate-limited"),
    "queue_full": (429, "queue-full"),
    "plan_forbids": (403, "plan-forbids"),
}
FAILED = {
    "oom": "oom",
    "engine_crash": "engine_crash",
    "missing_model": "missing_model",
    "moderated": "moderation",
}
DRAWN = {"slow", "lost", "failing_webhook"}


class Integrator:
    """Somebody with a live key and a test key."""

    def __init__(self, plane: Plane, user_id: UUID, live: str, test: str) -> None:
        self.plane = plane
        self.user_id = user_id
        self.live = live
        self.test = test

    async def order(self, simulated: str | None = None, *, key: str | None = None, **fields: Any) -> Answered:
        metadata = {"simulate": simulated} if simulated is not None else {}
        body = {**ORDER, "metadata": metadata, **fields}
        return await self.plane.call("POST", f"{API}/jobs", key or self.test, body)

    async def job(self, job_id: str) -> dict[str, Any]:
        answered = await self.plane.call("GET", f"{API}/jobs/{job_id}", self.test)
        assert answered.status == 200, answered.body
        job: dict[str, Any] = answered.json
        return job

    async def over(self, job_id: str) -> dict[str, Any]:
        return await eventually(lambda: self.job(job_id), lambda job: job["finished_at"] is not None)


@pytest.fixture
async def ada(control_plane: Plane) -> Integrator:
    user_id = await users.create(control_plane.context.database, "ada", "free")
    live = await control_plane.key_of(user_id, KEYS)
    made = await control_plane.call("POST", f"{API}/api-keys", live, {"name": "tests", "test": True})
    assert made.status == 201, made.body
    assert made.json["key"].startswith("tsr_test_")
    return Integrator(control_plane, user_id, live, made.json["key"])


async def test_every_outcome_can_be_had_on_the_first_day(ada: Integrator, owner_url: str) -> None:
    plane = ada.plane
    for name, told in REFUSED.items():
        refused = await ada.order(name)
        assert (refused.status, refused.code) == told
        assert (refused.status == 429) == ("Retry-After" in refused.headers) or name == "tokens_short"
        quoted = await plane.call("POST", f"{API}/jobs?dry_run=1", ada.test, {**ORDER, "metadata": {"simulate": name}})
        assert quoted.json["refusal"]["code"] == told[1]
    assert count(owner_url, "select count(*) from jobs") == 0

    taken: dict[str, dict[str, Any]] = {
        name: (await ada.order(name)).json for name in simulate.OUTCOMES if name not in REFUSED
    }
    assert set(taken) == {*FAILED, *DRAWN, "expired"}
    assert all(job["test"] and job["status"] == "queued" for job in taken.values())
    slow = await ada.job(taken["slow"]["id"])  # behind the one that expires
    assert slow["waiting"] == {"reason": "no_worker_for_model", "position": "2", "eta": None}
    over = {name: await ada.over(job["id"]) for name, job in taken.items()}

    for name, code in FAILED.items():
        assert (over[name]["status"], over[name]["error"]["code"]) == ("failed", code)
        assert over[name]["cost"]["charged"] == 0
    assert (over["expired"]["status"], over["expired"]["error"]["code"]) == ("expired", "max_wait")
    for name in DRAWN:
        assert over[name]["status"] == "succeeded", over[name]
        assert over[name]["cost"] == {"held": 0, "charged": 1}
        assert over[name]["provenance"]["seeds"] == [over[name]["seed"]]
        [artifact] = over[name]["artifacts"]
        picture = await plane.service.get(artifact["url"])
        assert Image.open(io.BytesIO(picture.body)).size == (128, 128)
    with rows(owner_url) as sql:
        lost = sql.execute(
            "select number, outcome from attempts where job_id = %s order by number", [taken["lost"]["id"]]
        ).fetchall()
        waited = sql.execute(
            "select extract(epoch from started_at - created_at)::float8 from jobs where id = %s", [taken["slow"]["id"]]
        ).fetchone()
    assert lost == [(1, "lost"), (2, "succeeded")]
    assert waited is not None
    assert waited[0] >= simulate.SLOW_SECONDS
    assert violations(owner_url) == []


async def test_an_outcome_that_there_is_not_is_refused_with_those_that_there_are(ada: Integrator) -> None:
    refused = await ada.order("earthquake")
    assert (refused.status, refused.code) == (422, "invalid")
    [fault] = refused.json["errors"]
    assert fault["pointer"] == "/metadata/simulate"
    assert all(name in fault["detail"] for name in simulate.OUTCOMES)
    live = await ada.order("earthquake", key=ada.live)
    assert (live.status, live.json["test"], live.json["metadata"]) == (201, False, {"simulate": "earthquake"})
    assert (await ada.order("oom", key=ada.live)).status == 201


async def test_a_test_is_canceled_repeated_and_batched_like_anything_else(ada: Integrator) -> None:
    plane = ada.plane
    slow = (await ada.order("slow")).json
    canceled = await plane.call("DELETE", f"{API}/jobs/{slow['id']}", ada.test)
    assert canceled.json["status"] == "canceled"
    orders = [{**ORDER, "metadata": {"simulate": name}} for name in ("oom", "failing_webhook")]
    placed = await plane.call("POST", f"{API}/jobs/batch", ada.test, {"jobs": orders})
    assert placed.status == 201, placed.body
    ends = [(await ada.over(job["id"]))["status"] for job in placed.json["jobs"]]
    assert ends == ["failed", "succeeded"]
    blamed = [*orders, {**ORDER, "metadata": {"simulate": "queue_full"}}]
    refused = await plane.call("POST", f"{API}/jobs/batch", ada.test, {"jobs": blamed})
    assert (refused.code, refused.json["errors"][0]["pointer"]) == ("queue-full", "/jobs/2")


async def test_what_is_tested_starts_from_pictures_like_anything_else(ada: Integrator) -> None:
    plane, picture = ada.plane, drawn((64, 64))
    uploaded = await plane.call("POST", f"{API}/inputs", ada.test, raw=encoded(picture))
    assert uploaded.status == 201, uploaded.body
    body = {"input_image": uploaded.json["id"], "upscale": 2}
    placed = await plane.call("POST", f"{API}/jobs", ada.test, body)
    assert placed.status == 201, placed.body
    job = await ada.over(placed.json["id"])
    larger = decoded((await plane.service.get(job["artifacts"][0]["url"])).body)
    assert larger.size == (128, 128)
    assert [colour(larger, at)[:3] for at in ((10, 10), (120, 10))] == [(220, 20, 60), (0, 0, 128)]
    real = await plane.call("GET", f"{API}/inputs/{uploaded.json['id']}", ada.live)
    assert real.status == 404


async def test_tests_and_real_work_never_meet(ada: Integrator, owner_url: str) -> None:
    """An agent that waits for the very model gets no test order, nobody sees the other's jobs, nothing is counted."""
    plane, service = ada.plane, ada.plane.service
    waiting = asyncio.create_task(service.hands.claim(wait=8))
    there = 'tessera_lane_slots{kind="image",model="testcard",task="",vram_gib="0"} 1.0'
    before = await eventually(lambda: _counted(plane), lambda counted: there in counted)
    test = (await ada.order()).json
    assert test["model"] == "testcard"
    assert (await ada.over(test["id"]))["status"] == "succeeded"
    slow = (await ada.order("slow")).json
    canceled = (await ada.order("slow")).json
    await plane.call("DELETE", f"{API}/jobs/{canceled['id']}", ada.test)
    expired = await ada.over((await ada.order("expired")).json["id"])
    assert expired["status"] == "expired"
    assert await waiting == [], "an agent was given a test order"
    assert await service.hands.claim() == []
    assert await _counted(plane) == before
    assert (await plane.call("GET", f"{API}/models")).json["data"][0]["feasible_now"]

    live = (await ada.order(key=ada.live)).json
    assert live["waiting"]["position"] in (None, "1")
    for key, mine, other in ((ada.live, live, test), (ada.test, test, live)):
        assert (await plane.call("GET", f"{API}/jobs/{mine['id']}", key)).status == 200
        assert (await plane.call("GET", f"{API}/jobs/{other['id']}", key)).status == 404
        assert (await plane.call("DELETE", f"{API}/jobs/{other['id']}", key)).status == 404
    listed = await plane.call("GET", f"{API}/jobs?model=testcard", ada.live)
    assert [job["id"] for job in listed.json["data"]] == [live["id"]]
    listed = await plane.call("GET", f"{API}/jobs?model=testcard&status=queued", ada.test)
    assert [job["id"] for job in listed.json["data"]] == [slow["id"]]
    [lease] = await service.hands.claim(wait=5)
    assert str(lease.job_id) == live["id"]
    assert count(owner_url, "select count(*) from jobs where is_test(user_id)") == 4


async def test_play_money_is_nobodys_money(ada: Integrator, owner_url: str) -> None:
    plane = ada.plane
    before = (await plane.call("GET", f"{API}/user/me", ada.live)).json
    job = (await ada.order()).json
    await ada.over(job["id"])
    after = (await plane.call("GET", f"{API}/user/me", ada.live)).json
    assert after["tokens"] == before["tokens"]
    me = (await plane.call("GET", f"{API}/user/me", ada.test)).json
    assert me["plan"] == "test"
    assert me["id"] == str(twins.twin(ada.user_id)) != before["id"]
    assert me["tokens"]["daily_left"] == me["tokens"]["daily_per_day"] - job["cost"]["held"]
    assert "test" not in {plan["name"] for plan in (await plane.call("GET", f"{API}/plans")).json["data"]}
    assert me["name"] not in {user.name for user in await users.list_all(plane.context.database)}
    real = "select count(*) from usage_daily u join users o on o.id = u.user_id where o.test_of is null"
    assert count(owner_url, real) == 0
    assert violations(owner_url) == []


async def test_a_test_key_can_touch_nothing_real(ada: Integrator, control_plane: Plane, owner_url: str) -> None:
    refused = [
        await control_plane.call("POST", f"{API}/user/link-code", ada.test),
        await control_plane.call("POST", f"{API}/user/link", ada.test, {"code": "ABCD-EFGH"}),
        await control_plane.call("POST", f"{API}/user/invite", ada.test, {"code": "ABCD-EFGH"}),
        await control_plane.call("DELETE", f"{API}/user/identities/telegram", ada.test),
        await control_plane.call("GET", f"{API}/reports", ada.test),
        await control_plane.call("POST", f"{API}/jobs", ada.test, {**ORDER, "priority": "urgent"}),
    ]
    assert [answered.status for answered in refused] == [403] * len(refused)
    assert (await control_plane.call("GET", f"{API}/worker/config", ada.test)).status == 401
    for scope in set(SCOPES) - {"read", "submit", "keys"}:
        wanted = {"name": "x", "test": True, "scopes": [scope]}
        answered = await control_plane.call("POST", f"{API}/api-keys", control_plane.admin_key, wanted)
        assert (answered.status, answered.code) == (422, "invalid")
    with rows(owner_url) as sql:
        twin = twins.twin(ada.user_id)
        for statement in (
            "insert into identities (provider, subject, user_id) values ('telegram', '1', %s)",
            "insert into link_codes (user_id, code_sha256, expires_at) values (%s, sha256(''), now())",
            "insert into api_keys (id, secret_sha256, user_id, name, scopes)"
            " values ('000000000000', sha256(''), %s, 'x', '{admin}')",
        ):
            with pytest.raises(psycopg.Error, match="violates check constraint"):
                sql.execute(statement, [twin])


async def test_who_is_suspended_tests_nothing_either(ada: Integrator, control_plane: Plane) -> None:
    assert (await ada.order("slow")).status == 201
    path = f"{API}/admin/users/{ada.user_id}"
    await control_plane.call("POST", f"{path}/suspend", control_plane.admin_key, {"reason": "x"})
    refused = await eventually(lambda: ada.order("slow"), lambda answered: answered.status == 403)
    assert refused.code == "account-suspended"
    await control_plane.call("POST", f"{path}/restore", control_plane.admin_key, {})
    await eventually(lambda: ada.order("slow"), lambda answered: answered.status == 201)


async def _counted(plane: Plane) -> list[str]:
    """What the metrics say of real work."""
    shown = (await plane.call("GET", "/metrics")).body.decode()
    real = ("tessera_jobs_", "tessera_lane_", "tessera_eta_")
    return [line for line in shown.splitlines() if line.startswith(real) and "_created" not in line]


async def test_test_keys_outlive_a_merge_and_play_money_does_not_come_along(ada: Integrator, owner_url: str) -> None:
    plane = ada.plane
    other_id = await users.create(plane.context.database, "lovelace", "free")
    other = await plane.key_of(other_id, KEYS)
    made = (await plane.call("POST", f"{API}/api-keys", other, {"name": "more tests", "test": True})).json
    job = (await plane.call("POST", f"{API}/jobs", made["key"], {**ORDER, "metadata": {"simulate": "slow"}})).json
    with rows(owner_url) as sql:
        sql.execute("select merge_users(%s, %s)", [ada.user_id, other_id])
        for twin in (twins.twin(ada.user_id), twins.twin(other_id)):
            with pytest.raises(psycopg.Error, match="violates check constraint"):
                sql.execute("select merge_users(%s, %s)", [ada.user_id, twin])
    for user_id in (ada.user_id, other_id):
        plane.context.credentials.forget_user(user_id)
    listed = (await plane.call("GET", f"{API}/api-keys", ada.live)).json["data"]
    assert [key["test"] for key in listed].count(True) == 2
    assert (await plane.call("GET", f"{API}/jobs/{job['id']}", made["key"])).status == 200
    assert (await plane.call("GET", f"{API}/jobs", ada.live)).json["data"] == []
    ended = await plane.call("DELETE", f"{API}/api-keys/{made['id']}", ada.live)
    assert ended.status == 204
    assert violations(owner_url) == []


async def test_where_no_process_draws_tests_wait_until_one_does(
    database_url: str, tmp_path: Path, owner_url: str
) -> None:
    async with serving(database_url, tmp_path / "one", sandbox=False) as quiet:
        twin_id = await keys.twin_of(quiet.context.database, quiet.user_id)
        made = await credentials.create_key(
            quiet.context.database, name="tests", user_id=twin_id, scopes=["read", "submit"]
        )
        body = msgspec.json.encode(ORDER)
        headers = {"Authorization": f"Bearer {made.key}", "Content-Type": "application/json"}
        async with quiet.session.post(f"{quiet.url}{API}/jobs", data=body, headers=headers) as answered:
            job = await answered.json()
        assert job["waiting"]["reason"] == "no_worker_for_model"
        path = f"{API}/jobs/{job['id']}"
        assert (await quiet.as_customer(path, key=made.key)).json["status"] == "queued"
        async with serving(database_url, tmp_path / "two"):
            done = await eventually(
                lambda: quiet.as_customer(path, key=made.key), lambda seen: seen.json["finished_at"] is not None
            )
        assert done.json["status"] == "succeeded"
        assert violations(owner_url) == []
