"""The hot statements on a large table: PostgreSQL reaches every row through an index and touches few of them.

100,000 finished jobs, 20,000 in line, 300 leased, 2,000 in backoff. The plans are the generic ones of a process's
connections; what counts is what they visit, not how long it took.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from control_plane import embedded
from control_plane.database import SESSION_OPTIONS, numbered, statements
from tests.fixtures import books
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import Rows, add_lane, add_user, add_worker, alone, one, rows

FINISHED, QUEUED, LEASED, BACKOFF = 100_000, 20_000, 300, 2_000
USERS, WORKERS = 50, 100

FILL = """
insert into jobs (id, user_id, lane_id, tag, cost, state, attempt, phase, worker_id, slot, claim_id, lease_token,
    lease_expires_at, due_at, start_by, created_at, finished_at)
select gen_random_uuid(), (%(users)s::uuid[])[1 + n %% %(user_count)s], (%(lanes)s::integer[])[1 + n %% 3],
    case when %(state)s <> 'backoff' then %(first)s + n end, 1,
    case when %(state)s = 'backoff' then 'queued' else %(state)s end,
    case when %(state)s in ('running', 'succeeded') then 1 else 0 end,
    case when %(state)s = 'running' then 'started' end,
    case when %(state)s = 'running' then (%(workers)s::uuid[])[1 + n %% %(worker_count)s] end,
    case when %(state)s = 'running' then n / %(worker_count)s end,
    case when %(state)s = 'running' then gen_random_uuid() end,
    case when %(state)s = 'running' then gen_random_uuid() end,
    case when %(state)s = 'running' then now() + make_interval(secs => n - 10) end,
    case when %(state)s = 'backoff' then now() + make_interval(secs => n - 10) end,
    case when %(state)s = 'queued' and n %% 100 = 0 then now() + make_interval(secs => n + 10) end,
    now() - interval '1 hour', case when %(state)s = 'succeeded' then now() end
from generate_series(0, %(jobs)s - 1) n
"""


class Large:
    """The large database, and statements explained in it."""

    def __init__(self, url: str, owner_url: str, users: list[UUID], workers: list[UUID], lanes: list[int]) -> None:
        self.url = url
        self.owner_url = owner_url
        self.users, self.workers, self.lanes = users, workers, lanes

    def explain(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """The nodes of the plan, run and rolled back, on pages without the dead rows that earlier looks left. Run once
        before, so that what functions plan is planned; what they fetch of jobs is counted by the statistics."""
        with rows(self.owner_url) as owner:
            owner.execute("vacuum jobs, attempts, job_specs")
        with psycopg.connect(self.url, options=SESSION_OPTIONS) as connection:
            text = statements()[name][1]
            explained = f"explain (analyze, buffers, format json) {text}"
            with connection.transaction(force_rollback=True):
                connection.execute(explained, parameters)
            before = fetched(connection)
            found = connection.execute(explained, parameters).fetchone()
            by_functions = fetched(connection) - before if "_one(" in text else 0
            connection.rollback()
        assert found is not None
        plan = list(nodes(found[0][0]["Plan"]))
        plan[0]["Fetched By Functions"] = by_functions
        return plan

    def pick(self, what: str) -> Any:
        with rows(self.url) as connection:
            found = connection.execute(what).fetchall()
        assert found
        return found


def fetched(connection: psycopg.Connection[Any]) -> int:
    """Rows of jobs that this transaction has fetched."""
    read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'jobs'"
    return int(one(connection, read))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def seen(plan: list[dict[str, Any]], table: str) -> int:
    """Rows of the table that were fetched, kept or thrown away."""
    kept = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    mine = [node for node in plan if node.get("Relation Name", "").startswith(table)]
    return sum(round(node.get(key, 0) * node["Actual Loops"]) for node in mine for key in kept)


def check(plan: list[dict[str, Any]], *, most: int, buffers: int) -> None:
    """No table that grows is walked from end to end, no index neither."""
    growing = ("jobs", "job_specs", "attempts", "job_events", "artifacts", "idempotency_keys")
    walked = [
        node["Relation Name"]
        for node in plan
        if node["Node Type"] == "Seq Scan" and node["Relation Name"].startswith(growing) and node["Actual Loops"] > 0
    ]
    assert walked == []
    unbounded = [
        node.get("Index Name")
        for node in plan
        if node["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Index Scan")
        and node.get("Relation Name", "jobs") == "jobs"
        and not node.get("Index Cond")
        and node["Actual Loops"] > 0
    ]
    assert [name for name in unbounded if name not in SMALL_INDEXES] == []
    assert max(seen(plan, "jobs"), plan[0]["Fetched By Functions"]) <= most
    total = plan[0]["Shared Hit Blocks"] + plan[0]["Shared Read Blocks"]
    assert total <= buffers, "pages visited"


SMALL_INDEXES = ("jobs_leased", "jobs_backoff", "jobs_start_by")
"""Partial indexes that hold what is leased or due, a few hundred rows: they may be read whole."""


@pytest.fixture(scope="module")
def large(postgres: Postgres, template: str) -> Iterator[Large]:
    name = postgres.create(template)
    with rows(postgres.url(name, embedded.OWNER)) as owner:
        owner.execute("alter table jobs set (autovacuum_enabled = off)")  # it would move pages while we count them
        users, workers = [add_user(owner) for _ in range(USERS)], [add_worker(owner) for _ in range(WORKERS)]
        lanes = [add_lane(owner, f"model-{n}") for n in range(3)]
        shared = {
            "users": users,
            "user_count": USERS,
            "workers": workers,
            "worker_count": WORKERS,
            "lanes": lanes,
        }
        fill(owner, shared, "succeeded", FINISHED, 0)
        fill(owner, shared, "running", LEASED, FINISHED)
        fill(owner, shared, "queued", QUEUED, FINISHED + LEASED)
        fill(owner, shared, "backoff", BACKOFF, 0)
        owner.execute(
            """insert into attempts (job_id, number, worker_id, slot, claim_id, lease_token, offered_at)
            select id, 1, worker_id, slot, claim_id, lease_token, now() from jobs where state = 'running'"""
        )
        owner.execute(
            """insert into job_specs (job_id, spec) select id, '{"count": 1}' from jobs
            where state in ('queued', 'running') or user_id = %s""",
            [users[0]],
        )
        books.write_up(owner)
        owner.execute(
            "vacuum (analyze) jobs, attempts, job_specs, balances, usage_daily, ledger_transfers, settlements"
        )
    yield Large(postgres.url(name), postgres.url(name, embedded.OWNER), users, workers, lanes)
    postgres.drop(name)


def fill(owner: Rows, shared: dict[str, Any], state: str, jobs: int, first: int) -> None:
    owner.execute(FILL, {**shared, "state": state, "jobs": jobs, "first": first})


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
    check(large.explain("queue.wake_backoff", most=1_000), most=400, buffers=3_000)
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
    check(large.explain("jobs.shown", user_id=large.users[0], job_id=job_ids), most=120, buffers=1_000)


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


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("queue.reap", {"most": 100, "losses_max": 3}),
        ("queue.wake_backoff", {"most": 1_000}),
        ("queue.expire", {"most": 1_000}),
        ("queue.shorten", {"worker_id": uuid4(), "grace_seconds": 15.0}),
        ("workers.end_leases", {"worker_id": uuid4()}),
        (
            "queue.take_over",
            {"worker_id": uuid4(), "slot": 0, "claim_id": uuid4(), "lane_id": [1], "offer_seconds": 10.0},
        ),
    ],
)
def test_a_plan_made_while_the_tables_were_empty_already_uses_the_index_that_stays_small(
    database_url: str, owner_url: str, name: str, parameters: dict[str, Any]
) -> None:
    """A process that starts on its first day keeps its plans until the first statistics."""
    plan = Large(database_url, owner_url, [], [], []).explain(name, **parameters)
    first = next(node for node in plan if node.get("Relation Name") == "jobs" and node["Node Type"].endswith("Scan"))
    used = {node.get("Index Name") for node in plan if node.get("Relation Name", "jobs") == "jobs"}
    assert used & set(SMALL_INDEXES), (first["Node Type"], first.get("Index Name"))


GROWING = (
    "jobs job_specs attempts job_events job_progress artifacts users balances identities ledger_transfers usage_daily "
    "settlements idempotency_keys inputs input_uses batches provenance"
).split()
WALKS = {
    "ledger.violations": "reads everything, now and then",
    "operator.jobs": "reads jobs in their order until the page is full",
    "operator.lanes": "one row of counts for each lane, for an operator",
    "lanes.pools": "adds up what stands in line of plans with a pool",
    "sweep.idempotency_keys": "finds what is old, now and then",
    "sweep.progress": "finds what is over, now and then",
    "why.ahead": "what is in line, for an operator",
    "users.list": "one page of users",
}
"""Statements that may read all of something that grows."""


def test_a_fresh_service_plans_for_growth(database_url: str, owner_url: str) -> None:
    """Right after the migrations every statement reaches what grows by a key, also in joins: a process keeps its plans
    until there are statistics, and the first day may bring a hundred thousand jobs before."""
    walked = {}
    with rows(owner_url) as owner:
        looked_at = one(owner, "select count(*) from pg_class where relname = 'jobs' and reltuples >= 0")
        assert not looked_at, "nobody has told the planner that nothing is there"
    with psycopg.connect(owner_url, autocommit=True, options=SESSION_OPTIONS) as connection:
        for name, (_, text) in statements().items():
            explained = b"explain (generic_plan, format json) " + numbered(text)[0]
            found = psycopg.RawCursor(connection).execute(explained).fetchone()
            assert found is not None
            if places := [place for node in nodes(found[0][0]["Plan"]) if (place := _walks(node))]:
                walked[name] = places
    assert {name: places for name, places in walked.items() if name not in WALKS} == {}


def _walks(node: dict[str, Any]) -> str | None:
    """The table that this node reads from end to end, if it is one that grows."""
    if node["Node Type"] not in ("Seq Scan", "Index Scan", "Index Only Scan") or node.get("Index Cond"):
        return None
    table = re.sub(r"_(\d{4}_\d{2}|default)$", "", node["Relation Name"])
    return table if table in GROWING and node.get("Index Name") not in SMALL_INDEXES else None
