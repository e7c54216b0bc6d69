"""An order that is handed over is leased as it is written when it is all there is for that place, which saves looking;
what comes of it must be what an order and a claim right behind it would have made.

Both are run on the same state at the same instant, each rolled back: lines that are empty or not, in this lane and in
the other one of the slot, workers and lanes of every condition, users at their limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, LiteralString
from uuid import uuid4

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from control_plane import embedded
from control_plane.database import SESSION_OPTIONS, statements
from control_plane.queue.admission import Order, lone_submit
from tests.fixtures.outcomes import meet_all
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import add_lane, add_user, add_worker, alone, order, rows

BEFORE: dict[str, LiteralString] = {
    "nothing": "",
    "revoked": "update workers set revoked_at = now()",
    "draining": "update workers set drain_requested_at = now()",
    "quarantined": "insert into slots (worker_id, slot, quarantined_at) values (%(worker)s, 0, now())",
    "lane paused": "update lanes set paused_at = now() where id = %(lane)s",
    "suspended": "update users set status = 'suspended' where id = %(user)s",
    "one runs": "update balances set running = 1 where user_id = %(user)s",
}
FOR_USER = {"suspended", "one runs"}
JOB: LiteralString = """insert into jobs (id, user_id, lane_id, tag, cost) values (uuid7(), %s, %s, %s, 1)"""
WRITTEN: LiteralString = """select
    (select row(j.state, j.phase, j.attempt, j.worker_id, j.slot, j.claim_id, j.lease_expires_at, j.lane_id, j.tag,
        j.pool, j.head_start, j.cost, j.running_max, j.purchased, j.created_at, s.spec)::text
        from jobs j join job_specs s on s.job_id = j.id where j.id = %(job)s) as job,
    (select array_agg(row(a.number, a.worker_id, a.slot, a.claim_id, a.ended_at, a.lease_token = j.lease_token)::text)
        from attempts a join jobs j on j.id = a.job_id where a.job_id = %(job)s) as attempts,
    (select array_agg(name::text || attempt order by attempt, name) from job_events where job_id = %(job)s) as events,
    (select row(b.held, b.daily, b.queued, b.running, b.submits_until)::text from balances b where b.user_id = %(user)s)
        as balance"""
ORDERED = ("refusal", "tag", "created_at", "pool", "available", "calls_left", "calls_per_minute", "busy_seconds")
CLAIMED = ("attempt", "expires_in", "lane_id", "clock", "head_tag", "key", "cost", "contended")

NUMBERS = st.integers(0, 30).map(float)


class World:
    def __init__(self, url: str) -> None:
        with rows(url) as owner:
            owner.execute(
                """insert into plans
                    (name, weight, pool_weight, queued_max, running_max, retention_days, tokens_per_day)
                values ('solo', 2, null, 9, 1, 1, 100), ('pooled', 1, 0.5, 9, 1, 1, 100)"""
            )
            self.users = {plan: add_user(owner, plan=plan) for plan in ("house", "solo", "pooled")}
            self.worker = add_worker(owner)
            self.lanes = [add_lane(owner, f"lane-{n}") for n in range(2)]
        self.told = Counter[str]()
        self.connection = psycopg.connect(url, options=SESSION_OPTIONS, row_factory=dict_row)

    def one(self, statement: str, parameters: Any) -> dict[str, Any]:
        found = self.connection.execute(statement, parameters).fetchone()
        assert found is not None
        return found

    def together(self, mine: dict[str, Any], claim: dict[str, Any], user: Any) -> tuple[Any, ...]:
        with self.connection.transaction(force_rollback=True):
            more = {"into_lane_id": mine["lane_id"], "process_clock": mine["clock"]}
            row = self.one(statements()["claims.hand_over"][1], mine | more | claim)
            written = self.one(WRITTEN, {"job": row["job_id"], "user": user})
        given = row["claimed_job_id"] is not None
        claimed = {name: row[name] for name in CLAIMED} | {"tag": row["claimed_tag"]} if given else None
        itself = given and row["claimed_job_id"] == row["job_id"]
        assert not given or msgspec.json.decode(row["spec"])["model"]
        return [row[name] for name in ORDERED], itself, claimed, row["claim_refusal"], row["contended"], written

    def apart(self, mine: dict[str, Any], claim: dict[str, Any], user: Any) -> tuple[Any, ...]:
        with self.connection.transaction(force_rollback=True):
            row = self.one(statements()["admission.submit_one"][1], mine)
            if row["refusal"] is not None:
                written = self.one(WRITTEN, {"job": row["job_id"], "user": user})
                return [row[name] for name in ORDERED], False, None, None, False, written
            found = self.one(statements()["queue.claim_one"][1], claim | {"of_user_id": user})
            written = self.one(WRITTEN, {"job": row["job_id"], "user": user})
        given = found["job_id"] is not None
        claimed = {name: found[name] for name in CLAIMED} | {"tag": found["tag"]} if given else None
        itself = given and found["job_id"] == row["job_id"]
        return [row[name] for name in ORDERED], itself, claimed, found["refusal"], found["contended"], written


@pytest.fixture(scope="module")
def world(postgres: Postgres, template: str) -> Iterator[World]:
    name = postgres.create(template)
    made = World(postgres.url(name, embedded.OWNER))
    yield made
    made.connection.close()
    postgres.drop(name)


@settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
@given(
    plan=st.sampled_from(["house", "solo", "pooled"]),
    before=st.sampled_from(["nothing", "nothing", "nothing", *BEFORE]),
    in_line=st.integers(0, 2).flatmap(
        lambda most: st.lists(st.tuples(st.booleans(), st.integers(0, 1), NUMBERS), min_size=most, max_size=most)
    ),
    cost=st.sampled_from([1, 4, 101]),
    head_start=st.sampled_from([0.0, 0.0, 1_000.0]),
    clocks=st.tuples(NUMBERS, NUMBERS),
    offsets=st.tuples(NUMBERS, NUMBERS),
    pool_clock=NUMBERS,
    full=st.booleans(),
    lanes=st.sampled_from([1, 2]),
)
def compare(
    world: World,
    plan: str,
    before: str,
    in_line: list[tuple[bool, int, float]],
    cost: int,
    head_start: float,
    clocks: tuple[float, float],
    offsets: tuple[float, float],
    pool_clock: float,
    full: bool,
    lanes: int,
) -> None:
    user = world.users[plan]
    made: Order = msgspec.structs.replace(
        order(user, world.lanes[0], cost=cost), head_start=head_start, clock=clocks[0], pool_tokens='{"pooled": 3}'
    )
    asked = {
        "worker_id": [world.worker],
        "slot": [0],
        "claim_id": [uuid4()],
        "is_full": [full and bool(in_line)],
        "loaded_lane_id": None,
        "lane_id": world.lanes[:lanes],
        "bound": [-1_000.0] * lanes,
        "clock": list(clocks[:lanes]),
        "tag_offset": list(offsets[:lanes]),
        "served_at": ["-infinity"] * lanes,
        "pool_clock": pool_clock,
        "offer_seconds": 10.0,
        "affinity": 10.0,
        "patience": 20.0,
        "lag": 5.0,
    }
    with world.connection.transaction(force_rollback=True):
        for own, lane, tag in in_line:
            whose = user if own else world.users["house"]
            job = world.one(JOB + " returning id", [whose, world.lanes[lane], tag])
            spec = '{"model": "of another"}'
            world.connection.execute("insert into job_specs (job_id, spec) values (%s, %s)", [job["id"], spec])
        named = {"worker": world.worker, "lane": world.lanes[0], "user": user}
        text = BEFORE[before]
        if text:
            world.connection.execute(text, {k: v for k, v in named.items() if f"%({k})s" in text} or None)
        mine, claim = lone_submit(made, []), {k: v for k, v in alone(asked).items() if k != "of_user_id"}
        together, apart = world.together(mine, claim, user), world.apart(mine, claim, user)
    assert together == apart
    _, itself, claimed, refusal, contended, _ = together
    what = refusal or ("itself" if itself else "another" if claimed else "contended" if contended else "nothing")
    world.told[what if not in_line else f"{what} in company"] += 1


FLOORS = {"itself": 40, "itself in company": 5, "another in company": 3, "contended in company": 3, "nothing": 5}
FLOORS |= {"revoked": 1, "draining": 1, "quarantined": 1, "slot_full in company": 1}


def test_what_is_handed_over_is_what_a_claim_behind_the_order_would_get(world: World) -> None:
    meet_all(compare, world, FLOORS)
