"""A lone claim has a statement of its own, for speed; it must give what a batch of one would have been given.

Both are run on the same state, each in a transaction that is rolled back: lanes that lag, are paused or stand back for
the loaded one, heads that others hold, jobs that have waited long or for too long, users at their cap, claims that are
repeated or refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from control_plane import embedded
from control_plane.database import SESSION_OPTIONS, statements
from tests.fixtures.outcomes import meet_all
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import add_lane, add_user, add_worker, alone, rows

LANES = 3
JOBS = st.lists(
    st.tuples(
        st.integers(0, LANES - 1),
        st.integers(0, 40).map(float),
        st.sampled_from([0.0, 0.0, 5.0]),
        st.sampled_from([0, 0, 30]),
        st.sampled_from([False, False, True]),
    ),
    max_size=8,
)
"""(lane, tag, head start, seconds it has waited, whether somebody else holds it)"""
NUMBERS = st.integers(0, 40).map(float)


class World:
    """A database with lanes, and a worker whose claims are compared."""

    def __init__(self, url: str, owner_url: str) -> None:
        with rows(owner_url) as owner:
            self.user, self.worker = add_user(owner), add_worker(owner)
            self.lanes = [add_lane(owner, f"lane-{n}") for n in range(LANES)]
        self.told = Counter[str]()
        self.mine = psycopg.connect(url, options=SESSION_OPTIONS)
        self.other = psycopg.connect(url, options=SESSION_OPTIONS)

    def close(self) -> None:
        self.mine.close()
        self.other.close()

    def fill(self, jobs: list[tuple[int, float, float, int, bool]]) -> list[UUID]:
        """Puts jobs in line, committed, because others are to hold some of them. Returns those."""
        held = []
        for lane, tag, head_start, waited, taken in jobs:
            row = self.other.execute(
                """insert into jobs (id, user_id, lane_id, tag, head_start, cost, created_at)
                values (uuid7(), %s, %s, %s, %s, 1, now() - make_interval(secs => %s)) returning id""",
                [self.user, self.lanes[lane], tag, head_start, waited],
            ).fetchone()
            assert row is not None
            self.other.execute("insert into job_specs (job_id, spec) values (%s, '{}')", [row[0]])
            held += [row[0]] if taken else []
        self.other.commit()
        return held

    def clean(self) -> None:
        self.other.rollback()
        for table in ("job_specs", "jobs"):
            self.other.execute(f"delete from {table}")
        self.other.commit()

    def run(self, name: str, asked: dict[str, Any], before: str, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            with self.mine.cursor(row_factory=dict_row) as cursor:
                if before:
                    cursor.execute(before, parameters)
                cursor.execute(statements()[name][1], asked)
                [row] = cursor.fetchall()
        finally:
            self.mine.rollback()
        if row["job_id"] is not None and row["lane_id"] is not None:
            assert row.pop("lease_token") is not None
        row.pop("claimed_at", None)
        return row


@pytest.fixture(scope="module")
def world(postgres: Postgres, template: str) -> Iterator[World]:
    name = postgres.create(template)
    made = World(postgres.url(name, embedded.OWNER), postgres.url(name, embedded.OWNER))
    yield made
    made.close()
    postgres.drop(name)


BEFORE = {
    "nothing": "",
    "revoked": "update workers set revoked_at = now()",
    "draining": "update workers set drain_requested_at = now()",
    "quarantined": "insert into slots (worker_id, slot, quarantined_at) values (%(worker)s, 0, now())",
    "a lane paused": "update lanes set paused_at = now() where id = %(lane)s",
    "a model paused": "update models set paused_at = now() where name = 'lane-0'",
    "too late to start": """update jobs set start_by = now()
        where id = (select id from jobs order by tag, id limit 1 for update skip locked)""",
    "at the running cap": "update balances set running = 32767",
    "asked before": """update jobs set state = 'running', attempt = 1, phase = 'offered', worker_id = %(worker)s,
        slot = 0, claim_id = %(claim)s, lease_token = gen_random_uuid(), lease_expires_at = now() + interval '5 seconds'
        where id = (select id from jobs order by id limit 1 for update skip locked)""",
}


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    jobs=JOBS,
    offsets=st.lists(NUMBERS, min_size=LANES, max_size=LANES),
    clocks=st.lists(NUMBERS, min_size=LANES, max_size=LANES),
    served_at=st.sampled_from(["-infinity", "now"]),
    pool_clock=NUMBERS,
    bound=st.sampled_from([float("-inf"), 10.0]),
    loaded=st.sampled_from([None, 0, 1]),
    full=st.sampled_from([False, False, False, True]),
    before=st.sampled_from(["nothing", "nothing", "nothing", *BEFORE]),
    lanes=st.sampled_from([1, LANES, LANES]),
)
@example(  # equal but for the head start: the older id goes first in both
    jobs=[(1, 0.0, 5.0, 0, False), (2, 0.0, 0.0, 0, False)],
    offsets=[0.0] * LANES,
    clocks=[0.0] * LANES,
    served_at="-infinity",
    pool_clock=0.0,
    bound=float("-inf"),
    loaded=None,
    full=False,
    before="nothing",
    lanes=LANES,
)
def compare(
    world: World,
    jobs: list[tuple[int, float, float, int, bool]],
    offsets: list[float],
    clocks: list[float],
    served_at: str,
    pool_clock: float,
    bound: float,
    loaded: int | None,
    full: bool,
    before: str,
    lanes: int,
) -> None:
    claim_id = uuid4()
    if lanes == 1:
        pool_clock = clocks[0] + offsets[0]  # as the board has it: that of the furthest lane asked for
    asked = {
        "worker_id": [world.worker],
        "slot": [0],
        "claim_id": [claim_id],
        "is_full": [full],
        "loaded_lane_id": None if loaded is None else world.lanes[loaded],
        "lane_id": world.lanes[:lanes],
        "bound": [bound] * lanes,
        "clock": clocks[:lanes],
        "tag_offset": offsets[:lanes],
        "served_at": [served_at] * lanes,
        "pool_clock": pool_clock,
        "offer_seconds": 10.0,
        "affinity": 10.0,
        "patience": 20.0,
        "lag": 20.0,
    }
    held = world.fill(jobs)
    try:
        world.other.execute("select id from jobs where id = any (%s) for update", [held])
        named = {"worker": world.worker, "lane": world.lanes[0], "claim": claim_id}
        parameters = {name: value for name, value in named.items() if f"%({name})s" in BEFORE[before]}
        batch = world.run("queue.claim", asked, BEFORE[before], parameters)
        lone = world.run("queue.claim_one", alone(asked), BEFORE[before], parameters)
    finally:
        world.clean()
    if before == "asked before" and batch["job_id"] is not None and batch["lane_id"] is None:
        assert (lone.pop("lease_token"), batch.pop("lease_token")) != (None, None)
        assert lone.pop("expires_in") == pytest.approx(batch.pop("expires_in"), abs=1)
    assert lone == batch
    world.told[what(batch)] += 1


FLOORS = {"leased": 40, "nothing": 5, "contended": 1, "repeated": 1, "slot_full": 3, "revoked": 1, "quarantined": 1}


def what(row: dict[str, Any]) -> str:
    if row["refusal"]:
        return str(row["refusal"])
    if row["job_id"] is None:
        return "contended" if row["contended"] else "nothing"
    return "repeated" if row["lane_id"] is None else "leased"


def test_a_lone_claim_gets_what_a_batch_of_one_would_get(world: World) -> None:
    meet_all(compare, world, FLOORS)
