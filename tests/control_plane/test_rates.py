"""Reads are limited by the plan, in memory, and every answer says where the rate stands."""

from __future__ import annotations

import math
import re
import time
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import RateLimited
from control_plane.money.rates import Reads, headers
from control_plane.people import users
from tests.fixtures.api import API, Plane

ADA = UUID(int=1)
CALL_SECONDS_MAX = 20e-6
"""Of one count with its headers: far above what it takes, far below what a request may notice."""


def taken(reads: Reads, per_minute: int, moments: list[float], processes: int = 1) -> list[float]:
    """The moments at which a request was let through."""
    let = []
    for moment in moments:
        try:
            reads.take(ADA, per_minute, processes, now=moment)
        except RateLimited:
            continue
        let.append(moment)
    return let


def test_a_minute_may_be_used_at_once_and_comes_back_one_by_one() -> None:
    reads = Reads()
    left = [reads.take(ADA, 60, now=100.0).left for _ in range(60)]
    assert left == list(range(59, -1, -1))
    with pytest.raises(RateLimited) as refused:
        reads.take(ADA, 60, now=100.0)
    assert refused.value.retry_after == 1
    assert refused.value.rate == ("reads", 60, 0, 60.0)
    assert reads.take(ADA, 60, now=101.0).left == 0
    with pytest.raises(RateLimited):
        reads.take(ADA, 60, now=101.5)
    assert reads.take(ADA, 60, now=400.0).left == 59


def test_what_is_refused_costs_nothing() -> None:
    reads = Reads()
    assert len(taken(reads, 10, [0.001] * 500)) == 10
    assert len(taken(reads, 10, [6.1])) == 1


@given(
    per_minute=st.integers(1, 300),
    processes=st.integers(1, 4),
    pauses=st.lists(st.floats(0, 90), min_size=1, max_size=60),
)
def test_no_minute_and_no_hour_exceeds_the_rate(per_minute: int, processes: int, pauses: list[float]) -> None:
    """In any window: a minute at once, and the rate from then on; who asks no faster than that is never refused."""
    moments, now = [], 1_000.0
    for pause in pauses:
        now += pause
        moments += [now] * 20
    let = taken(Reads(), per_minute, moments, processes)
    share = max(1.0, per_minute / processes)
    for start, first in enumerate(let):
        for count, last in enumerate(let[start:], 1):
            assert count <= share + (last - first) * share / 60 + 1e-3
    steady = [2_000.0 + n * 60.001 / share for n in range(50)]
    assert taken(Reads(), per_minute, steady, processes) == steady
    assert all(later >= sooner for sooner, later in pairwise(let))


def test_processes_share_the_rate_and_everybody_has_at_least_one_read() -> None:
    assert len(taken(Reads(), 120, [5.0] * 200, processes=3)) == 40
    assert len(taken(Reads(), 1, [5.0] * 200, processes=8)) == 1


def test_users_are_counted_apart_and_only_so_many_are_remembered() -> None:
    reads = Reads(users_max=100)
    for _ in range(1_000):
        assert reads.take(uuid4(), 10, now=5.0).left == 9
    assert len(reads) == 100


def test_counting_takes_microseconds() -> None:
    reads, people, rounds = Reads(), [uuid4() for _ in range(1_000)], 20
    best = math.inf
    for _ in range(rounds):
        started = time.perf_counter()
        for person in people:
            headers(reads.take(person, 3_600))
        best = min(best, (time.perf_counter() - started) / len(people))
    assert best < CALL_SECONDS_MAX


# ------------------------------------------------------------------------------------------ over HTTP

POLICY = re.compile(r'"(reads|submits)";q=(\d+);w=60')
LIMIT = re.compile(r'"(reads|submits)";r=(\d+);t=(\d+)')


async def person(plane: Plane, plan: str) -> tuple[UUID, str]:
    user_id = await users.create(plane.context.database, f"on {plan} {uuid4().hex}", plan)
    return user_id, await plane.key_of(user_id, ["read", "submit"])


async def test_every_answer_to_a_person_says_where_the_rate_stands(control_plane: Plane) -> None:
    _, key = await person(control_plane, "free")
    left = []
    for path in ("/user/me", "/jobs", f"/jobs/{UUID(int=0)}", "/jobs?limit=x"):
        answered = await control_plane.call("GET", API + path, key)
        policy = POLICY.fullmatch(answered.headers["RateLimit-Policy"])
        limit = LIMIT.fullmatch(answered.headers["RateLimit"])
        assert policy is not None
        assert limit is not None
        assert policy.groups() == ("reads", "120")
        assert limit[1] == "reads"
        assert int(limit[3]) >= 1
        left.append(int(limit[2]))
    assert left == [119, 118, 117, 116]
    for path in ("/models", "/plans"):
        assert "RateLimit" not in (await control_plane.call("GET", API + path)).headers


async def test_reads_beyond_the_rate_are_told_when_to_come_back(control_plane: Plane) -> None:
    _, key = await person(control_plane, "free")
    answers = [await control_plane.call("GET", f"{API}/user/me", key) for _ in range(130)]
    refused = [answer for answer in answers if answer.status == 429]
    assert 1 <= len(refused) <= 10
    assert {answer.status for answer in answers} == {200, 429}
    assert refused[0].code == "rate-limited"
    assert int(refused[0].headers["Retry-After"]) == 1
    assert refused[0].headers["RateLimit"].startswith('"reads";r=0;t=')
    _, other = await person(control_plane, "free")
    assert (await control_plane.call("GET", f"{API}/user/me", other)).status == 200


async def test_submits_have_a_rate_of_their_own_and_a_dry_run_is_a_read(control_plane: Plane) -> None:
    _, key = await person(control_plane, "starter")
    order = {"prompt": "x", "width": 64, "height": 64, "steps": 1}
    dry = await control_plane.call("POST", f"{API}/jobs?dry_run=1", key, order)
    assert dry.headers["RateLimit-Policy"] == '"reads";q=720;w=60'
    placed = [await control_plane.call("POST", f"{API}/jobs", key, order) for _ in range(3)]
    assert [answer.status for answer in placed] == [201, 201, 201]
    assert placed[0].headers["RateLimit-Policy"] == '"submits";q=60;w=60'
    left = [LIMIT.fullmatch(answer.headers["RateLimit"]) for answer in placed]
    assert [found and found[2] for found in left] == ["59", "58", "57"]


async def test_submits_beyond_the_rate_are_told_when_to_come_back(control_plane: Plane) -> None:
    user_id, key = await person(control_plane, "free")
    order = {"prompt": "x", "width": 64, "height": 64, "steps": 1}
    answers = []
    for _ in range(14):
        answers.append(await control_plane.call("POST", f"{API}/jobs", key, order))
        if answers[-1].status == 201:
            await control_plane.context.dispatcher.cancel(user_id, UUID(answers[-1].json["id"]))
    assert [answer.status for answer in answers] == [201] * 10 + [429] * 4
    assert answers[-1].code == "rate-limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 6
    assert answers[-1].headers["RateLimit"].startswith('"submits";r=0;t=')


async def test_a_service_is_counted_by_the_people_it_acts_for(control_plane: Plane) -> None:
    key = await control_plane.service_key("telegram")

    async def read(who: str) -> str:
        answered = await control_plane.call("GET", f"{API}/jobs", key, headers={"Tessera-On-Behalf-Of": who})
        assert answered.status == 200, answered.body
        return answered.headers["RateLimit"].split(";")[1]

    assert [await read("telegram:1"), await read("telegram:1"), await read("telegram:2")] == ["r=119", "r=118", "r=119"]


async def test_a_new_plan_counts_at_once_where_it_is_announced(control_plane: Plane) -> None:
    user_id, key = await person(control_plane, "free")
    before = await control_plane.call("GET", f"{API}/user/me", key)
    assert before.headers["RateLimit-Policy"] == '"reads";q=120;w=60'
    async with control_plane.context.database.connection() as connection:
        await connection.execute("update users set plan = 'pro' where id = %s", (user_id,))
    control_plane.context.dispatcher.bus.announce("user", user_id)
    after = await control_plane.call("GET", f"{API}/user/me", key)
    assert after.headers["RateLimit-Policy"] == '"reads";q=3600;w=60'
    assert after.json["plan"] == "pro"


async def test_agents_are_not_limited_by_it(control_plane: Plane) -> None:
    hands = control_plane.service.hands
    answers = [await hands.call("/heartbeat", {"leases": []}) for _ in range(150)]
    assert {answer.status for answer in answers} == {200}
    assert not any("RateLimit" in answer.headers for answer in answers)
