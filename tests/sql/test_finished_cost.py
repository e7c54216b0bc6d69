"""Finished jobs cost the claim nothing: with half a million of them it visits the pages that it visits with few.

What serves the line are partial indexes, from which a job is gone once it has ended; what is reached by key grows by a
level of a tree now and then. So the proof counts pages, and holds for ten million as for half a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from control_plane import embedded
from tests.fixtures import books
from tests.fixtures.large import Large, fill, seen
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import Rows, add_lane, add_user, add_worker, rows

FEW, FINISHED, QUEUED, BATCH = 10_000, 500_000, 2_000, 16
DEEPER = 5
"""Pages that a job may cost more: one level of each tree in which it is reached by its key, `attempts` having three."""
LINE = ("jobs_ready", "jobs_user_queued", "jobs_backoff", "jobs_start_by", "jobs_leased", "jobs_pool")

OLD = """
with old as (
    insert into jobs (id, user_id, lane_id, tag, cost, state, attempt, created_at, finished_at)
    select uuid7_floor(now() - interval '30 days' + make_interval(secs => n)), (%(users)s::uuid[])[1 + n %% 20],
        (%(lanes)s::integer[])[1 + n %% 3], n, 1, 'succeeded', 1, now() - interval '30 days', now() - interval '29 days'
    from generate_series(%(first)s::integer, %(last)s::integer) n
    returning id
),
specs as (
    insert into job_specs (job_id, spec) select id, '{"count": 1}' from old
)
insert into attempts (job_id, number, worker_id, slot, claim_id, lease_token, offered_at, ended_at, outcome)
select id, 1, (%(workers)s::uuid[])[1], 0, id, id, now(), now(), 'succeeded' from old
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def young(postgres: Postgres, template: str) -> Iterator[Large]:
    """A line of two thousand, and few jobs that have ended."""
    name = postgres.create(template)
    with rows(postgres.url(name, embedded.OWNER)) as owner:
        owner.execute("alter table jobs set (autovacuum_enabled = off)")  # it would move pages while we count them
        users, workers = [add_user(owner) for _ in range(20)], [add_worker(owner) for _ in range(BATCH)]
        lanes = [add_lane(owner, f"model-{n}") for n in range(3)]
        shared = {"users": users, "user_count": 20, "workers": workers, "worker_count": BATCH, "lanes": lanes}
        fill(owner, shared, "queued", QUEUED, FINISHED)
        owner.execute("insert into job_specs (job_id, spec) select id, '{\"count\": 1}' from jobs")
        owner.execute(
            "update jobs set start_by = now() + interval '1 day' where start_by is not null"
        )  # none expires here
        books.write_up(owner)
        finish(owner, shared, 1, FEW)
    yield Large(postgres.url(name), postgres.url(name, embedded.OWNER), users, workers, lanes)
    postgres.drop(name)


def finish(owner: Rows, shared: dict[str, Any], first: int, last: int) -> None:
    """Jobs that ended long ago, the books aside."""
    owner.execute("alter table jobs disable trigger user")
    owner.execute(OLD, {**shared, "first": first, "last": last})
    owner.execute("alter table jobs enable trigger user")
    owner.execute("vacuum (analyze)")


def claim(large: Large) -> tuple[int, int]:
    """Pages and rows of `jobs` that a claim of a batch visits, from the very front of the line."""
    plan = large.explain(
        "queue.claim",
        worker_id=large.workers,
        slot=[9] * BATCH,
        claim_id=[uuid4() for _ in range(BATCH)],
        is_full=[False] * BATCH,
        loaded_lane_id=large.lanes[0],
        lane_id=large.lanes,
        bound=[float("-inf")] * 3,
        clock=[0.0] * 3,
        tag_offset=[0.0] * 3,
        served_at=["-infinity"] * 3,
        pool_clock=float(FINISHED),
        offer_seconds=10.0,
        affinity=10.0,
        patience=20.0,
        lag=20.0,
    )
    return pages(plan), seen(plan, "jobs")


def sweeps(large: Large) -> tuple[int, int]:
    """The same of what every process does each second."""
    plans = [
        large.explain("queue.reap", most=100, losses_max=3),
        large.explain("queue.wake_backoff", most=1_000),
        large.explain("queue.expire", most=1_000),
    ]
    return sum(map(pages, plans)), sum(seen(plan, "jobs") for plan in plans)


def pages(plan: list[dict[str, Any]]) -> int:
    return int(plan[0]["Shared Hit Blocks"] + plan[0]["Shared Read Blocks"])


def sizes(large: Large) -> dict[str, int]:
    with rows(large.owner_url) as owner:
        owner.execute("vacuum jobs")
        found = owner.execute(
            "select c.relname, pg_relation_size(c.oid) from pg_class c where c.relname = any (%s)", (list(LINE),)
        ).fetchall()
    return dict(found)


def test_half_a_million_finished_jobs_cost_the_claim_and_the_sweeps_nothing(young: Large) -> None:
    claimed, swept, line = claim(young), sweeps(young), sizes(young)
    with rows(young.owner_url) as owner:
        shared = {"users": young.users, "lanes": young.lanes, "workers": young.workers}
        finish(owner, shared, FEW + 1, FINISHED)
        [(jobs,)] = owner.execute("select count(*) from jobs where state = 'succeeded'").fetchall()
    assert jobs == FINISHED
    after_pages, after_rows = claim(young)
    assert after_rows == claimed[1] >= BATCH
    assert after_pages <= claimed[0] + DEEPER * BATCH, "the pages of a claim"
    assert sweeps(young) == pytest.approx(swept, abs=len(LINE))
    assert sizes(young) == line, "no index of the line holds anything that has ended"
