"""Every event meets a job in every state, through the production statements: the table of transitions is the truth.

A job is brought into each state in every way that matters (phases of a lease, a wish to cancel, budgets nearly spent),
then the event happens. Where the table has an entry, exactly its states are reached; everywhere else nothing changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import product
from pathlib import Path
from typing import get_args
from uuid import UUID, uuid4

import msgspec
import pytest

from control_plane import states
from control_plane.database import Database
from control_plane.errors import TesseraError
from control_plane.queue import admission, statements
from control_plane.queue.admission import Order
from control_plane.queue.statements import Completion, Fence, LaneHint, Place, Report
from control_plane.states import FAILURES_MAX, STATES, TERMINAL, TRANSITIONS, State, status
from control_plane.wire.worker import FailCause, Phase
from control_plane.workers import roster
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import SPEC, Rows, add_lane, add_user, add_worker, rows

ROOT = Path(__file__).parents[2]
EVENTS = ("claim", "cancel", "expire", "complete", "fail", "release", "reap", "take_over", "revoke")


@pytest.fixture(scope="module")
def home(postgres: Postgres, template: str) -> Iterator[str]:
    """One database for all cases: each has a lane of its own."""
    name = postgres.create(template)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def sql(home: str) -> Iterator[Rows]:
    with rows(home) as connection:
        yield connection


@pytest.fixture
async def database(home: str) -> AsyncIterator[Database]:
    database = Database(home)
    await database.open()
    yield database
    await database.close()


class Case(msgspec.Struct):
    """A job in a lane of its own, its customer, and the last lease that it had."""

    user_id: UUID
    worker_id: UUID
    lane_id: int
    job_id: UUID
    fence: Fence


class Hands:
    """Brings jobs into states and makes events happen, by the functions that production calls."""

    def __init__(self, database: Database, sql: Rows) -> None:
        self.database = database
        self.sql = sql

    async def queued(self, *, max_wait: int | None = None) -> Case:
        user_id, lane_id = add_user(self.sql), add_lane(self.sql, f"model-{uuid4().hex}")
        order = Order(
            user_id=user_id, lane_id=lane_id, cost=1, spec=msgspec.json.encode(SPEC).decode(), max_wait=max_wait
        )
        [row] = await admission.submit(self.database, [order])
        assert row.job_id is not None
        worker_id = add_worker(self.sql)
        nobody = Fence(job_id=row.job_id, attempt=1, token=uuid4(), worker_id=worker_id)
        return Case(user_id, worker_id, lane_id, row.job_id, nobody)

    async def running(self, phase: Phase, *, cancel: bool = False, expired: bool = False, spent: bool = False) -> Case:
        """`spent`: one more failure or loss and the job is given up."""
        case = await self.queued()
        await self.claim(case)
        if phase != "offered":
            await statements.heartbeat(self.database, [Report(**msgspec.structs.asdict(case.fence), phase=phase)], 60.0)
        self.set(case, "cancel_requested_at = now()" if cancel else None)
        self.set(case, "lease_expires_at = now() - interval '1 second'" if expired else None)
        self.set(case, f"failures = {FAILURES_MAX - 1}, losses = {states.LOSSES_MAX - 1}" if spent else None)
        return case

    def set(self, case: Case, what: str | None) -> None:
        if what:
            self.sql.execute(f"update jobs set {what} where id = %s", [case.job_id])

    async def ended(self, state: State) -> Case:
        """By the event that usually leads there, so that it has a whole history."""
        if state == "expired":
            case = await self.queued(max_wait=1)
            self.set(case, "start_by = now()")
            await self.expire(case)
            return case
        case = await self.running("started", cancel=state == "canceled", spent=state == "failed")
        await (self.fail(case) if state == "failed" else self.complete(case))
        return case

    # ------------------------------------------------------------------------------------- the events

    async def claim(self, case: Case) -> None:
        place = Place(worker_id=case.worker_id, slot=0, claim_id=uuid4(), lane_ids=(case.lane_id,), loaded_lane_id=None)
        hint = LaneHint(lane_id=case.lane_id, bound=float("-inf"), tag_offset=0.0)
        [row] = await statements.claim(self.database, [place], [hint], 0.0, 10.0)
        if row.job_id is not None and row.attempt is not None and row.lease_token is not None:
            assert row.job_id == case.job_id
            case.fence = Fence(job_id=row.job_id, attempt=row.attempt, token=row.lease_token, worker_id=case.worker_id)

    async def cancel(self, case: Case) -> None:
        await statements.cancel(self.database, case.user_id, case.job_id)

    async def expire(self, case: Case) -> None:
        await statements.expire(self.database)

    async def complete(self, case: Case) -> None:
        self.sql.execute(
            """insert into artifacts (job_id, attempt, index, key, mime_type, width, height, bytes, sha256)
            values (%s, %s, 0, gen_random_uuid()::text, 'image/png', 1, 1, 1, sha256('x')) on conflict do nothing""",
            [case.job_id, case.fence.attempt],
        )
        [row] = await statements.complete(
            self.database, [Completion(**msgspec.structs.asdict(case.fence), artifacts=1)]
        )
        await statements.completed(self.database, case.fence, row)

    async def fail(self, case: Case) -> None:
        await statements.fail(self.database, case.fence, "oom", "")

    async def release(self, case: Case) -> None:
        await statements.release(self.database, case.fence, "drain")

    async def reap(self, case: Case) -> None:
        await statements.reap(self.database)

    async def take_over(self, case: Case) -> None:
        """By an idle slot of another worker, while another job of this one runs."""
        other, user = await self.running("started"), add_worker(self.sql)
        self.sql.execute("update jobs set worker_id = %s where id = %s", [case.worker_id, other.job_id])
        place = Place(worker_id=user, slot=0, claim_id=uuid4(), lane_ids=(case.lane_id,), loaded_lane_id=None)
        await statements.take_over(self.database, place, 10.0)

    async def revoke(self, case: Case) -> None:
        await roster.revoke(self.database, case.worker_id)

    # ------------------------------------------------------------------------------------- what is looked at

    def state(self, case: Case) -> State:
        found = self.sql.execute("select state from jobs where id = %s", [case.job_id]).fetchone()
        assert found is not None
        state: State = found[0]
        return state

    def everything(self, case: Case) -> list[object]:
        """The job, its attempts and its story."""
        tables = ("jobs where id", "attempts where job_id", "job_events where job_id")
        texts = (f"select to_jsonb(t) from (select * from {table} = %s) t order by 1" for table in tables)
        return [self.sql.execute(text, [case.job_id]).fetchall() for text in texts]


Make = Callable[[Hands], Awaitable[Case]]


def ways(state: State) -> list[Make]:
    """Every way to be in this state that an event might care about."""
    if state in TERMINAL:
        return [lambda hands: hands.ended(state)]
    if state == "queued":
        return [lambda hands: hands.queued(), overdue, in_backoff]
    phases: tuple[Phase, ...] = ("offered", "held", "started")
    return [
        lambda hands, phase=phase, cancel=cancel, expired=expired, spent=spent: hands.running(  # type: ignore[misc]
            phase, cancel=cancel, expired=expired, spent=spent
        )
        for phase, cancel, expired, spent in product(phases, (False, True), (False, True), (False, True))
    ]


async def overdue(hands: Hands) -> Case:
    case = await hands.queued(max_wait=1)
    hands.set(case, "start_by = now()")
    return case


async def in_backoff(hands: Hands) -> Case:
    case = await hands.running("started")
    await hands.fail(case)
    return case


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", EVENTS)
async def test_an_event_does_what_the_table_says_and_nothing_else(
    database: Database, sql: Rows, state: State, event: str
) -> None:
    hands = Hands(database, sql)
    reached: dict[State, int] = defaultdict(int)
    unmoved = 0
    for make in ways(state):
        case = await make(hands)
        assert hands.state(case) == state
        before = hands.everything(case)
        try:
            await getattr(hands, event)(case)
        except TesseraError as error:
            assert error.slug == "lease-lost"  # noqa: PT017 - a refusal is one of the answers, not the only one
        if hands.everything(case) == before:
            unmoved += 1
        else:
            reached[hands.state(case)] += 1
    allowed = TRANSITIONS.get((state, event), ())
    assert set(reached) == set(allowed), f"{unmoved} ways changed nothing"


def test_the_table_speaks_of_these_events_only() -> None:
    assert {event for _, event in TRANSITIONS} == set(EVENTS)
    assert {state for state, _ in TRANSITIONS}.isdisjoint(TERMINAL)


def test_the_public_word_for_a_lease_that_has_not_started_is_queued() -> None:
    assert [status("running", phase, False) for phase in ("offered", "held", "started")] == [
        "queued",
        "queued",
        "running",
    ]
    assert status("running", "started", True) == "canceling"
    assert [status(state, None, True) for state in TERMINAL] == list(TERMINAL)


def test_the_diagram_draws_every_transition() -> None:
    drawn = states.diagram()
    for (state, event), targets in TRANSITIONS.items():
        for target in targets:
            assert f"{state} --> {target} : {event}" in drawn
    assert all(f"{state} --> [*]" in drawn for state in TERMINAL)


def test_every_error_code_of_a_job_has_a_sentence() -> None:
    assert set(get_args(FailCause)) | {"worker_lost", "max_wait"} == set(states.ERROR_MESSAGES)


def test_the_diagram_of_the_architecture_is_the_one_that_is_drawn() -> None:
    assert f"```mermaid\n{states.diagram()}\n```" in (ROOT / "ARCHITECTURE.md").read_text()
