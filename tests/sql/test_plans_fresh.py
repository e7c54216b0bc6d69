"""Statements that are planned before there are statistics: they reach what grows by its indexes from the first day."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from control_plane.database import SESSION_OPTIONS, numbered, statements
from tests.fixtures.large import SMALL_INDEXES, Large, nodes
from tests.fixtures.queue import one, rows


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
    "gauges.tokens": "adds up what is in line for a gauge, the more rarely the longer it takes",
    "lanes.pools": "adds up what stands in line of plans with a pool",
    "care.due": "looks at every user once an hour, and of each at the first job that is due",
    "sweep.idempotency_keys": "finds what is old, now and then",
    "sweep.progress": "finds what is over, now and then",
    "why.ahead": "what is in line, for an operator",
    "users.list": "one page of users",
    "backups.pictures": "reads everything, once a night",
    "backups.ledger": "reads everything, once a night",
}
"""Statements that may read all of something that grows."""
SUPERUSERS = {"backups.switch"}
"""Not for the owner either; these read no table."""


def test_a_fresh_service_plans_for_growth(database_url: str, owner_url: str) -> None:
    """Right after the migrations every statement reaches what grows by a key, also in joins: a process keeps its plans
    until there are statistics, and the first day may bring a hundred thousand jobs before."""
    walked = {}
    with rows(owner_url) as owner:
        looked_at = one(owner, "select count(*) from pg_class where relname = 'jobs' and reltuples >= 0")
        assert not looked_at, "nobody has told the planner that nothing is there"
    with psycopg.connect(owner_url, autocommit=True, options=SESSION_OPTIONS) as connection:
        for name, (_, text) in statements().items():
            if name in SUPERUSERS:
                continue
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
