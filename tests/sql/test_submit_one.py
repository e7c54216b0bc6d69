"""A lone order has a statement of its own, for speed; what becomes of it must be what a batch of one would have made.

Both are run on the same state at the same instant, each rolled back: plans of every kind, balances near their limits,
keys that were used, what is paused, jobs that the user has in line already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, LiteralString
from uuid import UUID

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from control_plane import embedded
from control_plane.database import SESSION_OPTIONS, columns, statements
from control_plane.queue.admission import Order, lone_submit
from tests.fixtures.outcomes import meet_all
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import add_user, lane_of_the_testcard, order, rows

PLANS: LiteralString = """
    insert into plans (name, tokens_per_day, weight, pool_weight, queued_max, submits_per_minute, retention_days,
        images, pixels_max, video_seconds_max)
    values ('weighted', 12, 2, null, 3, 6, 1, true, 4096, 2), ('pooled', 12, 1, 0.5, 3, 6, 1, true, 4096, 2),
        ('films', 12, 1, null, 3, 6, 1, false, 4096, 2)"""
BEFORE: dict[str, LiteralString] = {
    "nothing": "",
    "suspended": "update users set status = 'suspended' where id = %(user)s",
    "merged": "delete from balances where user_id = %(user)s",
    "tomorrow": "update balances set day = utc_day(now()) + 1, daily = 0 where user_id = %(user)s",
    "yesterday": "update balances set day = utc_day(now()) - 1, daily = 9 where user_id = %(user)s",
    "lane paused": "update lanes set paused_at = now()",
    "model paused": "update models set paused_at = now()",
    "all paused": "update switches set paused_at = now()",
    "key used": """insert into idempotency_keys (user_id, key, request_sha256, job_id)
        values (%(user)s, 'key', sha256('key'), uuid7())""",
    "key used otherwise": """insert into idempotency_keys (user_id, key, request_sha256, job_id)
        values (%(user)s, 'key', sha256('another order'), uuid7())""",
    "in debt": "update balances set purchased = -3 where user_id = %(user)s",
    "rich": "update balances set purchased = 50 where user_id = %(user)s",
    "hasty": "update balances set submits_until = now() + interval '59 seconds' where user_id = %(user)s",
}
JOB: LiteralString = """insert into jobs (id, user_id, lane_id, tag, head_start, cost)
    values (uuid7(), %(user)s, %(lane)s, %(tag)s, %(head_start)s, %(cost)s)"""
WRITTEN: LiteralString = """select
    (select row(j.user_id, j.lane_id, j.tag, j.pool, j.head_start, j.cost, j.running_max, j.purchased, j.start_by,
        j.created_at, j.policy_version, s.spec, s.metadata)::text
        from jobs j join job_specs s on s.job_id = j.id where j.id = %(job)s) as job,
    (select balances::text from balances where user_id = %(user)s) as balance,
    (select array_agg(name::text || attempt order by name) from job_events where job_id = %(job)s) as events,
    (select row(key, request_sha256)::text from idempotency_keys where job_id = %(job)s) as key"""

JOB_IN_LINE = st.tuples(st.integers(0, 20).map(float), st.sampled_from([0.0, 0.0, 5.0]), st.integers(1, 5))
IN_LINE = st.integers(0, 4).flatmap(lambda jobs: st.lists(JOB_IN_LINE, min_size=jobs, max_size=jobs))
"""(tag, head start, cost) of the user's other jobs."""


class World:
    """A database with a user of each plan, whose orders are compared."""

    def __init__(self, url: str) -> None:
        with rows(url) as owner:
            owner.execute(PLANS)
            self.users = {plan: add_user(owner, plan=plan) for plan in ("house", "weighted", "pooled", "films")}
            self.lane = lane_of_the_testcard(owner)
        self.told = Counter[str]()
        self.connection = psycopg.connect(url, options=SESSION_OPTIONS, row_factory=dict_row)

    def run(self, name: str, asked: Mapping[str, Any], user: UUID) -> tuple[dict[str, Any], dict[str, Any]]:
        """What it answers and what it wrote, but for the id that it drew."""
        with self.connection.transaction(force_rollback=True):
            [row] = self.connection.execute(statements()[name][1], asked).fetchall()
            written = self.connection.execute(WRITTEN, {"job": row["job_id"], "user": user}).fetchone()
        assert written is not None
        if row["refusal"] is None:
            assert row.pop("job_id") is not None
            assert written["job"] is not None
        return row, written


@pytest.fixture(scope="module")
def world(postgres: Postgres, template: str) -> Iterator[World]:
    name = postgres.create(template)
    made = World(postgres.url(name, embedded.OWNER))
    yield made
    made.connection.close()
    postgres.drop(name)


@settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    plan=st.sampled_from(["house", "house", "weighted", "weighted", "pooled", "films"]),
    before=st.sampled_from(["nothing", "nothing", "nothing", *BEFORE]),
    in_line=IN_LINE,
    cost=st.sampled_from([1, 2, 3, 12, 13, 70_000]),
    size=st.sampled_from([(0, 0.0), (0, 0.0), (4096, 2.0), (4097, 0.0), (1, 2.5)]),
    head_start=st.sampled_from([0.0, 0.0, 1_000.0]),
    clock=st.sampled_from([0.0, 8.0]),
    pool_tokens=st.sampled_from(["{}", '{"pooled": 7, "weighted": 9}']),
    max_wait=st.sampled_from([None, None, 600]),
    keyed=st.booleans(),
    spent=st.sampled_from([[], [], ["weighted", "pooled"]]),
)
def compare(
    world: World,
    plan: str,
    before: str,
    in_line: list[tuple[float, float, int]],
    cost: int,
    size: tuple[int, float],
    head_start: float,
    clock: float,
    pool_tokens: str,
    max_wait: int | None,
    keyed: bool,
    spent: list[str],
) -> None:
    user = world.users[plan]
    made: Order = msgspec.structs.replace(
        order(user, world.lane, cost=cost, key="key" if keyed else None, prompt='a "fox", {snow}\\'),
        pixels=size[0],
        video_seconds=size[1],
        head_start=head_start,
        clock=clock,
        pool_tokens=pool_tokens,
        max_wait=max_wait,
    )
    with world.connection.transaction(force_rollback=True):
        for tag, ahead, price in in_line:
            job = {"user": user, "lane": world.lane, "tag": tag - ahead, "head_start": ahead, "cost": price}
            world.connection.execute(JOB, job)
        if BEFORE[before]:
            world.connection.execute(BEFORE[before], {"user": user} if "%(user)s" in BEFORE[before] else None)
        batch = world.run("admission.submit", {**columns([made]), "spent_plans": spent}, user)
        lone = world.run("admission.submit_one", lone_submit(made, spent), user)
    assert lone == batch
    world.told[batch[0]["refusal"] or f"placed for {plan}"] += 1


FLOORS = {
    "placed for house": 20,
    "placed for weighted": 10,
    "placed for pooled": 5,
    "merged": 1,
    "again": 1,
    "suspended": 1,
    "paused": 3,
    "plan_forbids": 5,
    "rate_limited": 1,
    "queue_full": 3,
    "tokens_short": 5,
    "replayed": 1,
    "idempotency_mismatch": 1,
}


def test_a_lone_order_becomes_what_it_would_have_become_in_a_batch_of_one(world: World) -> None:
    meet_all(compare, world, FLOORS)
