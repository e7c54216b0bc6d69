"""The hot statements on a large table: PostgreSQL reaches every row through an index and touches few of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.fixtures.large import FINISHED, LEASED, USERS, WORKERS, Large, check
from tests.fixtures.queue import alone, one, rows


def fences(large: Large, leases: int) -> dict[str, list[Any]]:
    found = large.pick("select id, attempt, lease_token, worker_id from jobs where state = 'running' order by id")[
        :leases
    ]
    return dict(zip(("job_id", "attempt", "token", "worker_id"), map(list, zip(*found, strict=True)), strict=True))


@pytest.mark.parametrize("batch", [1, 64])
def test_submit_looks_at_its_users_own_line_only(large: Large, batch: int) -> None:
    plan = large.explain(
        "admission.submit",
        user_id=[large.users[n % USERS] for n in range(batch)],
        lane_id=[large.lanes[n % 3] for n in range(batch)],
        cost=[1] * batch,
        pixels=[1] * batch,
        video_seconds=[0.0] * batch,
        pool_tokens=["{}"] * batch,
        policy_version=[1] * batch,
        spent_plans=[],
        head_start=[0.0] * batch,
        clock=[float(FINISHED)] * batch,
        spec=['{"count": 1}'] * batch,
        metadata=["{}"] * batch,
        webhook_url=[None] * batch,
        max_wait=[None] * batch,
        key=[f"key-{n}" for n in range(batch)],
        request_sha256=[bytes(32)] * batch,
    )
    check(plan, most=4 * batch, buffers=200 + batch * 150)


@pytest.mark.parametrize(("name", "batch"), [("queue.claim", 1), ("queue.claim", 64), ("queue.claim_one", 1)])
@pytest.mark.parametrize("bound", [float("-inf"), float(FINISHED + LEASED)])
def test_claim_touches_as_many_jobs_as_it_gives(large: Large, name: str, batch: int, bound: float) -> None:
    asked = {
        "worker_id": [large.workers[n % WORKERS] for n in range(batch)],
        "slot": [9] * batch,
        "claim_id": [uuid4() for _ in range(batch)],
        "is_full": [False] * batch,
        "loaded_lane_id": large.lanes[0],
        "lane_id": large.lanes,
        "bound": [bound] * 3,
        "clock": [0.0] * 3,
        "tag_offset": [0.0] * 3,
        "served_at": ["-infinity"] * 3,
        "pool_clock": float(FINISHED),
        "offer_seconds": 10.0,
        "affinity": 10.0,
        "patience": 20.0,
        "lag": 20.0,
    }
    plan = large.explain(name, **(alone(asked) if name == "queue.claim_one" else asked))
    check(plan, most=12 * batch + 10, buffers=100 + batch * 120)
    assert name != "queue.claim_one" or plan[0]["Fetched By Functions"] > 0


def test_a_lone_order_looks_at_its_users_own_line_only(large: Large) -> None:
    plan = large.explain(
        "admission.submit_one",
        user_id=large.users[0],
        lane_id=large.lanes[0],
        cost=1,
        pixels=1,
        video_seconds=0.0,
        pool_tokens="{}",
        policy_version=1,
        spent_plans=[],
        head_start=0.0,
        clock=float(FINISHED),
        spec='{"count": 1}',
        metadata="{}",
        webhook_url=None,
        max_wait=None,
        key="lone",
        request_sha256=bytes(32),
    )
    check(plan, most=4, buffers=350)


@pytest.mark.parametrize("batch", [1, 64])
def test_heartbeat_and_complete_reach_jobs_by_their_ids(large: Large, batch: int) -> None:
    lease = fences(large, batch)
    beat = large.explain("queue.heartbeat", **lease, phase=["held"] * batch, lease_seconds=60.0)
    check(beat, most=3 * batch, buffers=50 + batch * 40)
    done = large.explain("queue.complete", **lease, artifacts=[1] * batch)
    check(done, most=4 * batch, buffers=50 + batch * 60)


def test_reports_of_one_lease_reach_one_job(large: Large) -> None:
    lease = {name: values[0] for name, values in fences(large, 1).items()}
    check(large.explain("queue.release", **lease, reason="drain"), most=3, buffers=120)
    check(large.explain("queue.past", **lease), most=2, buffers=40)
    failed = large.explain(
        "queue.fail",
        **lease,
        cause="oom",
        message="",
        final=False,
        failures_max=3,
        backoff_first=5.0,
        backoff_max=300.0,
        quarantine_after=3,
        live_seconds=60,
    )
    check(failed, most=3, buffers=120)
    [(user, job)] = large.pick("select user_id, id from jobs where state = 'queued' limit 1")
    check(large.explain("queue.cancel", user_id=user, job_id=job), most=3, buffers=120)


def test_what_a_worker_hears_costs_its_own_leases_only(large: Large) -> None:
    lease = fences(large, 2)
    worker = lease["worker_id"][0]
    check(large.explain("queue.worker_orders", worker_id=worker, job_id=lease["job_id"]), most=8, buffers=40)
    check(large.explain("queue.live_leases", worker_id=worker, job_id=lease["job_id"]), most=4, buffers=20)
    check(large.explain("queue.shorten", worker_id=worker, grace_seconds=15.0), most=20, buffers=120)
    check(large.explain("workers.end_leases", worker_id=worker), most=20, buffers=200)


def test_the_sweeps_read_what_is_due(large: Large) -> None:
    check(large.explain("queue.reap", most=100, losses_max=3), most=LEASED + 110, buffers=2_500)
    check(large.explain("queue.wake_backoff", most=1_000), most=60, buffers=600)
    check(large.explain("queue.expire", most=1_000), most=20, buffers=100)


def test_a_take_over_reads_the_leases(large: Large) -> None:
    plan = large.explain(
        "queue.take_over",
        worker_id=large.workers[0],
        slot=12,
        claim_id=uuid4(),
        lane_id=large.lanes,
        offer_seconds=10.0,
    )
    check(plan, most=2 * LEASED + 20, buffers=1_500)


def test_the_board_reads_one_job_a_lane(large: Large) -> None:
    check(large.explain("lanes.all"), most=len(large.lanes) + 4, buffers=60)
    plan = large.explain("lanes.waiting", lane_id=large.lanes, bound=[float("-inf")] * 3, cap=1_000)
    check(plan, most=3_100, buffers=3_200)


def test_a_users_list_reads_one_page(large: Large) -> None:
    """The newest jobs of one user come from an index that is in their order."""
    assert jobs_of(large, large.users[0]) > 2_000
    for name in ("jobs.newest", "jobs.oldest"):
        check(large.explain(name, **page(large)), most=60, buffers=100)
    with rows(large.url) as connection:
        found = connection.execute("select id from jobs where user_id = %s limit 20", [large.users[0]]).fetchall()
    job_ids = [job for (job,) in found]
    check(large.explain("jobs.shown", user_id=[large.users[0]] * len(job_ids), job_id=job_ids), most=120, buffers=1_000)


def test_a_list_that_nothing_fits_looks_at_no_more_than_its_reach(large: Large) -> None:
    reach = 1_000
    assert jobs_of(large, large.users[0]) > 2 * reach
    nothing = page(large) | {"reach": reach, "metadata": '{"nobody": "has this"}'}
    for name in ("jobs.newest", "jobs.oldest"):
        check(large.explain(name, **nothing), most=2 * reach + 10, buffers=12 * reach)
    check(
        large.explain("jobs.reach_newest", **{name: nothing[name] for name in REACHED}), most=reach, buffers=2 * reach
    )


REACHED = ("user_id", "low", "high", "reach")


def jobs_of(large: Large, user_id: UUID) -> int:
    with rows(large.url) as connection:
        return int(one(connection, "select count(*) from jobs where user_id = %s", user_id))


def page(large: Large) -> dict[str, Any]:
    """The parameters of a list: the user, no filter, the first page."""
    window = {"user_id": large.users[0], "low": UUID(int=0), "high": UUID(int=2**128 - 1), "reach": 5_000, "most": 21}
    filters = ("status", "lane_id", "created_after", "created_before", "metadata")
    return window | dict.fromkeys(filters)
