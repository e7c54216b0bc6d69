"""A state machine over the very statements of production, against a model of what every client must have been told.

Hypothesis invents lives: orders, claims, heartbeats, reports of leases that are long over, cancels, lost workers, time.
Each step runs production's texts of `sql/queries/` and compares the answers, and then the whole table, with the model.
One example is one transaction that is rolled back; time passes by moving the rows' timestamps. The machine itself is
tested by planting the bugs that it exists to find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import cast

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from control_plane import embedded
from control_plane.database import SESSION_OPTIONS, statements
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import Rows, add_lane, add_user, rows
from tests.fixtures.queue_machine import SMALL_GIB, QueueMachine
from tests.fixtures.queue_model import QUEUED_MAX, RUNNING_MAX
from tests.fixtures.queue_money import MIDNIGHT, PER_DAY


@pytest.fixture(scope="module")
def model_database(postgres: Postgres, template: str) -> Iterator[str]:
    name = postgres.create(template)
    yield name
    postgres.drop(name)


@pytest.fixture(scope="module")
def owner(postgres: Postgres, model_database: str) -> Iterator[Rows]:
    with rows(postgres.url(model_database, embedded.OWNER)) as owner:
        yield owner


@pytest.fixture(scope="module")
def machine(postgres: Postgres, model_database: str, owner: Rows) -> Iterator[type[QueueMachine]]:
    """A machine on a database of its own, with two customers, two lanes, and one for what outgrew the first."""
    owner.execute(
        "insert into plans (name, tokens_per_day, weight, queued_max, running_max, submits_per_minute, retention_days)"
        " values ('small', %s, 1, %s, %s, 1000000, 1)",
        [PER_DAY, QUEUED_MAX, RUNNING_MAX],
    )
    owner.execute(MIDNIGHT)
    users = [add_user(owner, plan="small") for _ in range(2)]
    lanes = (add_lane(owner, "first"), add_lane(owner, "second"), add_lane(owner, "first", SMALL_GIB + 1))
    url = postgres.url(model_database)
    with psycopg.connect(url, autocommit=True, options=SESSION_OPTIONS, prepare_threshold=0) as own:
        texts = {name: text for name, (_, text) in statements().items()}
        body = {"connection": own, "texts": texts, "users": users, "lanes": lanes, "told": Counter[str]()}
        yield cast(type[QueueMachine], type("Machine", (QueueMachine,), body))


@pytest.fixture
def swept(machine: type[QueueMachine], owner: Rows) -> type[QueueMachine]:
    """The machine without the dead rows that earlier lives left behind."""
    owner.execute("vacuum (analyze) jobs, attempts, job_specs, job_events, artifacts, workers")
    return machine


def budget(examples: int, steps: int, *, random: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=not random,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if random else [Phase.generate],
    )


FLOORS = {
    "claim leased": 40,
    "claim_one leased": 10,
    "claim at the cap": 5,
    "claim repeated": 2,
    "claim_one repeated": 1,
    "complete succeeded": 10,
    "stale": 40,
    "heartbeat stale": 40,
    "repeated": 40,
    "reaped": 20,
    "fail queued": 10,
    "outgrown": 2,
    "released": 5,
    "taken over": 2,
    "midnight": 10,
    "submit tokens_short": 5,
    "partly charged": 2,
}
ROUNDS = 10


def drive(machine: type[QueueMachine], profile: settings, times: int = 1) -> None:
    """Until enough of everything has happened, within reason."""
    short = dict(FLOORS)
    for _ in range(ROUNDS):
        run_state_machine_as_test(machine, settings=profile)
        short = {what: machine.told[what] for what, floor in FLOORS.items() if machine.told[what] < floor * times}
        if not short:
            return
    pytest.fail(f"too little happened: {short}")


def test_no_life_of_a_job_surprises_a_client(swept: type[QueueMachine]) -> None:
    drive(swept, budget(30, 40, random=True))


@pytest.mark.torture
def test_no_long_life_of_a_job_surprises_a_client(swept: type[QueueMachine]) -> None:
    drive(swept, budget(1_000, 80, random=True), times=50)


FENCE = """ and j.attempt = member.attempt and j.lease_token = member.token
        and j.worker_id = member.worker_id"""
ONE_FENCE = """ and j.attempt = %(attempt)s::integer and j.lease_token = %(token)s::uuid
        and j.worker_id = %(worker_id)s::uuid"""

PLANTED: dict[str, tuple[str, str, str]] = {
    "complete without the fence": ("complete", FENCE, " and j.state = 'running'"),
    "heartbeat without the fence": ("heartbeat", FENCE.replace("member.", "report."), " and j.state = 'running'"),
    "fail without the fence": ("fail", ONE_FENCE, " and j.state = 'running'"),
    "memory of who was not heard": ("fail", "and other.last_seen_at > now() -", "and now() > now() -"),
    "release without the fence": (
        "release",
        ONE_FENCE.replace("j.", "jobs."),
        " and jobs.state = 'running'",
    ),
    "complete by the name of the worker": ("complete", FENCE, " and j.worker_id = member.worker_id"),
    "complete without looking for files": (
        "complete",
        "locked.artifacts = (\n                select count(*)",
        "0 <= (\n                select count(*)",
    ),
    "reap of live leases": ("reap", "and j.lease_expires_at < now()", ""),
    "reap that forgets the wish to cancel": (
        "reap",
        "when j.cancel_requested_at is not null then 'canceled'",
        "when false then ''",
    ),
    "claim beyond the plan": ("claim", "where running <= running_max", "where running <= running_max + 1"),
    "claim that is not idempotent": ("claim", "and j.claim_id = m.claim_id", "and j.claim_id <> m.claim_id"),
    "claim that jumps the line": (
        "claim",
        "order by q.tag, q.id\n        limit planned.jobs",
        "order by q.id desc\n        limit planned.jobs",
    ),
    "take-over of what runs": ("take_over", "and j.phase = 'held' and", "and"),
    "cancel of somebody else's job": (
        "cancel",
        " and j.user_id = %(user_id)s::uuid",
        " and %(user_id)s::uuid is not null",
    ),
    "retry before its time": ("wake_backoff", "j.due_at <= now()", "j.due_at is not null"),
    "expiry before its time": ("expire", "j.start_by <= now()", "j.start_by is not null"),
    "submit that forgets its key": (
        "admission.submit",
        "when k.request_sha256 = m.request_sha256 then 'replayed'",
        "when false then ''",
    ),
    "submit without a cap": ("admission.submit", "<= least(calls, room)", "<= least(calls, room + 1)"),
    "hold that is not split": (
        "admission.submit",
        "cost - greatest(0, least(cost, daily - (sum - cost)))",
        "0",
    ),
    "overdraft": ("admission.submit", "<= daily + purchased as fits", "<= daily + purchased + 3 as fits"),
    "debt that is not paid off first": ("admission.submit", " or a.purchased < 0 then 0", " then 0"),
    "yesterday's tokens taken of today": (
        "admission.submit",
        "case a.day when utc_day(now()) then a.daily else 0 end",
        "a.daily",
    ),
    "grant that is not told": (
        "ledger.grant",
        "%(reason)s::text from changed",
        "%(reason)s::text from changed where false",
    ),
    "first answer forgotten": ("past", "and j.attempt = a.number", ""),
}
"""What is planted → (statement, text, what stands there instead)."""


FORGED: dict[str, tuple[str, str, str]] = {
    "settlement that returns nothing to hand": (
        "settle",
        "purchased = balances.purchased + mine.purchased,",
        "purchased = balances.purchased,",
    ),
    "hold that is never released": ("settle", "held = balances.held - mine.held,", "held = balances.held,"),
    "settlement without its lines": ("settle", "where part.amount > 0\n        order by ended.id", "where false"),
    "charge for nothing": ("settle", "else 0 end::bigint as charged", "else after.cost end::bigint as charged"),
    "whole charge for a part": (
        "settle",
        "round(after.cost * least(1, greatest(0, coalesce(p.value, 0))))",
        "after.cost",
    ),
    "charge for what a lost attempt had done": ("settle", " and p.attempt = after.attempt", ""),
    "charge for what had not started": ("settle", " and before.phase = 'started'", ""),
    "daily tokens that come back first": (
        "settle",
        "least(purchased, cost - charged) as returned_purchased",
        "greatest(0, purchased - charged) as returned_purchased",
    ),
    "yesterday's tokens returned to today": (
        "settle",
        "coalesce(sum(ended.returned_daily) filter (where ended.day = b.day), 0) as daily",
        "coalesce(sum(ended.returned_daily), 0) as daily",
    ),
    "usage that keeps what was returned": ("settle", "usage_daily.daily - mine.daily", "usage_daily.daily"),
    "settlement twice": ("settle", "after.finished_at is not null and before.finished_at is null", "true"),
    "count that is not kept": ("settle", "running = balances.running + mine.running,", ""),
    "day that does not begin anew": ("hold_tokens", "when balances.day < mine.day then mine.daily else", "else"),
    "hold without its line": ("hold_tokens", "where part.amount > 0;", "where part.amount > 1;"),
}
"""The same for the triggers that keep the books: function, text, what stands there instead."""

LONE: dict[str, tuple[str, str, str]] = {
    "lone claim that is not idempotent": ("claim_one", "and j.claim_id = claim and", "and j.claim_id = for_worker and"),
    "lone claim that jumps the line": (
        "claim_one",
        "order by q.tag, q.id\n    limit 1\n    for update",
        "order by q.id desc\n    limit 1\n    for update",
    ),
    "lone claim in the wrong lane": (
        "claim_one",
        "order by line.place - head.head_start + shift.lift + shift.back,"
        " line.place - head.head_start, head.tag, head.id",
        "order by head.id desc",
    ),
    "lone claim for a full slot": ("claim_one", "when is_full then 'slot_full'", "when false then ''"),
    "lone hold without its line": ("hold_tokens", "if one.daily > 0 then", "if one.daily > 1 then"),
    "lone hold that takes nothing": ("hold_tokens", "held = b.held + one.cost,", "held = b.held,"),
}
"""The same for what goes step by step when it comes alone."""

QUICK = ("heartbeat without the fence",)
SLOW = (
    "complete without the fence",
    "fail without the fence",
    "release without the fence",
    "complete by the name of the worker",
    "complete without looking for files",
    "reap of live leases",
    "claim that is not idempotent",
    "lone claim that is not idempotent",
    "lone claim for a full slot",
    "lone hold without its line",
    "cancel of somebody else's job",
)


def marks(bug: str) -> list[pytest.MarkDecorator]:
    return [] if bug in QUICK else [pytest.mark.slow] if bug in SLOW else [pytest.mark.torture]


@pytest.mark.parametrize("bug", [pytest.param(bug, marks=marks(bug)) for bug in PLANTED])
def test_the_machine_finds_the_planted_bug(swept: type[QueueMachine], bug: str) -> None:
    name, text, instead = PLANTED[bug]
    name = name if "." in name else f"queue.{name}"
    whole = swept.texts[name]
    assert whole.count(text) == 1, "the statement has changed: plant the bug anew"
    texts = {**swept.texts, name: whole.replace(text, instead)}
    planted = cast(type[QueueMachine], type("Planted", (swept,), {"texts": texts, "told": Counter[str]()}))
    with pytest.raises((AssertionError, psycopg.errors.IntegrityError, Flaky)):
        run_state_machine_as_test(planted, settings=budget(400, 40, random=False))


@pytest.mark.parametrize("bug", [*FORGED, *(pytest.param(bug, marks=marks(bug)) for bug in LONE)])
def test_the_machine_finds_the_forged_function(swept: type[QueueMachine], owner: Rows, bug: str) -> None:
    name, text, instead = (FORGED | LONE)[bug]
    [(whole,)] = owner.execute("select pg_get_functiondef(%s::regproc)", [name]).fetchall()
    assert whole.count(text) == 1, "the function has changed: plant the bug anew"
    forged = cast(type[QueueMachine], type("Forged", (swept,), {"told": Counter[str]()}))
    owner.execute(whole.replace(text, instead))
    try:
        with pytest.raises((AssertionError, psycopg.errors.IntegrityError, Flaky)):
            run_state_machine_as_test(forged, settings=budget(400, 40, random=False))
    finally:
        owner.execute(whole)
