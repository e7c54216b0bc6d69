"""A state machine over the very statements of production, against a model of what every client must have been told.

Hypothesis invents lives: orders, claims, heartbeats, reports of leases that are long over, cancels, lost workers, time.
Each step runs production's texts of `sql/queries/` and compares the answers, and then the whole table, with the model.
One example is one transaction that is rolled back; time passes by moving the rows' timestamps. The machine itself is
tested by planting the bugs that it exists to find.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar, LiteralString, cast
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from psycopg.rows import dict_row

from control_plane import embedded
from control_plane.database import SESSION_OPTIONS, statements
from control_plane.queue import REAP_MOST, SWEEP_MOST, URGENT_TOKENS
from control_plane.states import BACKOFF_FIRST_SECONDS, BACKOFF_MAX_SECONDS, FAILURES_MAX, LOSSES_MAX, TERMINAL
from control_plane.wire.worker import LEASES_PER_SLOT_MAX
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import PASS, SPEC, Rows, add_lane, add_user, add_worker, rows

OFFER, LEASE, GRACE = 10.0, 60.0, 15.0
QUEUED_MAX = 6
"""Of the test's own plan, low enough to be met."""
SPEC_TEXT = msgspec.json.encode(SPEC).decode()

# ------------------------------------------------------------------------------------------------ the model


@dataclass
class Lease:
    job_id: UUID
    attempt: int
    token: UUID
    worker: UUID
    slot: int
    claim_id: UUID


@dataclass
class Job:
    user: UUID
    lane: int
    tag: float | None
    head_start: float
    start_by: float | None
    state: str = "queued"
    phase: str | None = None
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    lost_by: UUID | None = None
    lease: Lease | None = None
    until: float = 0.0
    due: float | None = None
    cancel: bool = False
    files: set[int] = field(default_factory=set)


class Model:
    """What must be true of jobs and leases. Knows no SQL."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jobs: dict[UUID, Job] = {}
        self.keys: dict[tuple[UUID, str], tuple[bytes, UUID]] = {}
        self.clock: defaultdict[int, float] = defaultdict(float)
        self.over: dict[UUID, tuple[str, str]] = {}
        """Token of an ended lease → how it ended, and the state that the job had then."""

    def queued(self, user: UUID) -> list[Job]:
        return [job for job in self.jobs.values() if job.user == user and job.state == "queued"]

    def tag(self, user: UUID, lane: int, cost: int, head_start: float) -> float:
        """One line per user: behind the user's last job, or at the clock of the lane."""
        mine = [(job.tag, job.head_start) for job in self.queued(user) if job.lane == lane and job.tag is not None]
        clock = self.clock[lane]
        behind = [tag + (start if head_start else 0) for tag, start in mine if tag > clock - head_start]
        return max([clock, *behind]) + cost - head_start

    def leases(self, worker: UUID, slot: int | None = None) -> list[Job]:
        return [
            job
            for job in self.jobs.values()
            if job.lease and job.lease.worker == worker and slot in (None, job.lease.slot)
        ]

    def in_line(self, lanes: tuple[int, ...]) -> list[UUID]:
        """The jobs that may be claimed, the next one first."""
        ready = [
            (job.tag, job_id)
            for job_id, job in self.jobs.items()
            if job.state == "queued" and job.tag is not None and job.lane in lanes
            if job.start_by is None or job.start_by > self.now
        ]
        return [job_id for _, job_id in sorted(ready)]

    def lend(self, lease: Lease) -> None:
        job = self.jobs[lease.job_id]
        job.state, job.phase, job.lease, job.until = "running", "offered", lease, self.now + OFFER
        job.attempt += 1
        self.clock[job.lane] = max(self.clock[job.lane], (job.tag or 0) + job.head_start)

    def live(self, lease: Lease) -> Job | None:
        job = self.jobs[lease.job_id]
        return job if job.lease == lease else None

    def end(self, job: Job, outcome: str, state: str, due: float | None = None) -> str:
        assert job.lease is not None
        self.over[job.lease.token] = (outcome, state)
        job.lease, job.phase, job.state, job.due = None, None, state, due
        if due is not None:
            job.tag = None
        return state

    def back(self, job: Job, outcome: str) -> str:
        """Unharmed to its place in line, unless somebody wanted it gone."""
        return self.end(job, "canceled", "canceled") if job.cancel else self.end(job, outcome, "queued")

    def reap(self, job: Job) -> str:
        assert job.lease is not None
        worker, started = job.lease.worker, job.phase == "started"
        poison = started and (job.losses + 1 >= LOSSES_MAX or job.lost_by not in (None, worker))
        if started:
            job.losses, job.lost_by = job.losses + 1, worker
        state = "canceled" if job.cancel else "failed" if poison else "queued"
        return self.end(job, "lost" if started else "released", state)


# ------------------------------------------------------------------------------------------------ the machine


SWEEPS = ("reap", "wake_backoff", "expire")
ORDERS = st.tuples(
    st.integers(0, 1),
    st.integers(0, 1),
    st.sampled_from([1, 1, 10]),
    st.sampled_from([None, None, None, "a", "b"]),
    st.sampled_from([True, True, False]),
)
"""(user, lane, cost, key, whether the key comes with the usual request)"""


class QueueMachine(RuleBasedStateMachine):
    connection: ClassVar[Rows]
    """Of the application's role, in a transaction of its own."""
    texts: ClassVar[Mapping[str, LiteralString]]
    users: ClassVar[list[UUID]]
    lanes: ClassVar[tuple[int, ...]]
    told: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.connection.execute("begin")
        self.connection.execute("select setseed(0.5)")
        self.workers = [add_worker(self.connection) for _ in range(3)]
        self.leases: list[Lease] = []
        """Every lease that was ever given: old ones are used again, as a delayed or repeated message would."""
        self.wishes: list[tuple[UUID, int, UUID]] = []

    def pick(self, n: int) -> Lease | None:
        """Two times out of three a lease that is live, else one that is over, best of a job that runs again.

        No rule has a precondition and no draw looks at the state: what is drawn must not depend on ids made by chance.
        """
        live = [lease for lease in self.leases if self.model.live(lease)]
        stale = [lease for lease in self.leases if lease not in live and self.model.jobs[lease.job_id].lease]
        choice = (live if n % 3 else stale) or self.leases
        return choice[n // 3 % len(choice)] if choice else None

    def teardown(self) -> None:
        self.connection.execute("rollback")

    def run(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        text = self.texts[name if "." in name else f"queue.{name}"]
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(text, parameters, prepare=True)
            return cursor.fetchall() if cursor.description else []

    @initialize(middle=st.sampled_from(["silent", "failed", "held", "unwanted", "waiting"]))
    def begin(self, middle: str) -> None:
        """Lives begin in the middle, where it is interesting."""
        self.submit([(n % 2, n % 2, 1, None, True) for n in range(3)], False, None)
        if middle == "waiting":
            return
        self.claim([(0, 0, 9), (0, 0, 9)], True)
        if middle == "held":  # one behind another that runs
            self.beat(self.leases, ["started", "held"])
            return
        self.beat(self.leases, ["started", "started"])
        if middle == "silent":  # both are given anew, one of them to the same worker
            self.time_passes(61, {"reap"})
            self.claim([(0, 0, 9), (2, 1, 9)], True)
            self.beat(self.leases[2:], ["started", "held"])
        if middle == "unwanted":
            self.cancel(0, True)
            self.cancel(1, True)
        if middle == "failed":
            self.fail(1, False)
            self.time_passes(1, {"wake_backoff"})
            self.time_passes(301, {"wake_backoff"})
            self.claim([(1, 0, 9)], True)

    # ------------------------------------------------------------------------------------- customers

    @rule(
        orders=st.lists(ORDERS, min_size=1, max_size=3),
        urgent=st.sampled_from([False, False, False, True]),
        max_wait=st.sampled_from([None, None, 30]),
    )
    def submit(self, orders: list[tuple[int, int, int, str | None, bool]], urgent: bool, max_wait: int | None) -> None:
        if not orders:
            return
        model, head_start = self.model, URGENT_TOKENS if urgent else 0.0
        asked = [
            (self.users[user], self.lanes[lane], cost, key, sha256(f"{key}{same}".encode()).digest() if key else None)
            for user, lane, cost, key, same in orders
        ]
        found = self.run(
            "submit",
            user_id=[user for user, *_ in asked],
            lane_id=[lane for _, lane, *_ in asked],
            cost=[cost for _, _, cost, *_ in asked],
            head_start=[head_start] * len(asked),
            clock=[model.clock[lane] for _, lane, *_ in asked],
            spec=[SPEC_TEXT] * len(asked),
            metadata=["{}"] * len(asked),
            max_wait=[max_wait] * len(asked),
            key=[key for *_, key, _ in asked],
            request_sha256=[request for *_, request in asked],
        )
        known = dict(model.keys)
        before = {user: len(model.queued(user)) for user, *_ in asked}
        new = Counter[UUID]()
        asked_for: set[tuple[UUID, str]] = set()
        for (user, lane, cost, key, request), row in zip(asked, found, strict=True):
            self.told[f"submit {row['refusal']}"] += 1
            if key and (user, key) in known:
                first, job_id = known[user, key]
                assert row["refusal"] == ("replayed" if first == request else "idempotency_mismatch")
                assert row["job_id"] == job_id
                continue
            new[user] += 1
            twin = bool(key) and (user, key or "") in asked_for
            asked_for.add((user, key or ""))
            if twin:
                assert row["refusal"] == "idempotency_twin"
            elif before[user] + new[user] > QUEUED_MAX:
                assert row["refusal"] == "queue_full"
            else:
                assert (row["refusal"], row["tag"]) == (None, model.tag(user, lane, cost, head_start))
                start_by = model.now + max_wait if max_wait else None
                model.jobs[row["job_id"]] = Job(user, lane, row["tag"], head_start, start_by)
                if key and request:
                    model.keys[user, key] = (request, row["job_id"])

    @rule(n=st.integers(0, 60), own=st.sampled_from([True, True, True, False]))
    def cancel(self, n: int, own: bool) -> None:
        """By the customer who owns the job, or by another."""
        model = self.model
        if not model.jobs:
            return
        job_id = list(model.jobs)[n % len(model.jobs)]
        job = model.jobs[job_id]
        caller = job.user if own else next(other for other in self.users if other != job.user)
        found = self.run("cancel", user_id=caller, job_id=job_id)
        if caller != job.user or job.state in TERMINAL:
            assert found == []
            return
        holder = job.lease.worker if job.lease else None
        if job.state == "queued":
            job.state, job.due = "canceled", None
        elif job.phase != "started":
            model.end(job, "canceled", "canceled")
        job.cancel = True
        assert found == [{"job_id": job_id, "state": job.state, "worker_id": holder}]

    # ------------------------------------------------------------------------------------- workers

    @rule(
        who=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=4),
        both=st.booleans(),
    )
    def claim(self, who: list[tuple[int, int, int]], both: bool) -> None:
        """Some agents ask, now and then with the id of an earlier claim, as when its answer was lost."""
        model, lanes = self.model, self.lanes if both else self.lanes[:1]
        wishes = list(dict.fromkeys(self.wish(*one) for one in who))
        full = {(worker, slot) for worker, slot, _ in wishes if len(model.leases(worker, slot)) >= LEASES_PER_SLOT_MAX}
        found = self.run(
            "claim",
            worker_id=[worker for worker, _, _ in wishes],
            slot=[slot for _, slot, _ in wishes],
            claim_id=[claim_id for _, _, claim_id in wishes],
            is_full=[(worker, slot) in full for worker, slot, _ in wishes],
            loaded_lane_id=None,
            lane_id=list(lanes),
            bound=[float("-inf")] * len(lanes),
            tag_offset=[0.0] * len(lanes),
            pool_clock=0.0,
            offer_seconds=OFFER,
            affinity=0.0,
            patience=0.0,
            lag=1e9,
        )
        line = iter(model.in_line(lanes))
        for (worker, slot, claim_id), row in zip(wishes, found, strict=True):
            held = [job.lease for job in model.leases(worker, slot) if job.lease and job.lease.claim_id == claim_id]
            lease = self.lease(row, worker, slot, claim_id) if row["job_id"] else None
            if held:
                assert lease == held[0], "the same claim finds the same lease"
                self.told["claim repeated"] += 1
            elif worker not in self.workers or (worker, slot) in full:
                assert (row["refusal"], lease) == ("revoked" if worker not in self.workers else "slot_full", None)
            else:
                assert (row["refusal"], row["job_id"]) == (None, next(line, None)), "the head of the line"
                if lease:
                    self.lend(lease)
                    self.told["claim leased"] += 1
        for lane, clock in model.clock.items():
            self.connection.execute("update lanes set clock = %s where id = %s", [clock, lane])

    def wish(self, worker: int, slot: int, again: int) -> tuple[UUID, int, UUID]:
        if again < min(len(self.wishes), 3):
            return self.wishes[-1 - again]
        self.wishes.append((self.workers[worker], slot, uuid4()))
        return self.wishes[-1]

    def lend(self, lease: Lease) -> None:
        self.model.lend(lease)
        self.leases.append(lease)

    def lease(self, row: dict[str, Any], worker: UUID, slot: int, claim_id: UUID) -> Lease:
        return Lease(row["job_id"], row["attempt"], row["lease_token"], worker, slot, claim_id)

    @rule(n=st.integers(0, 11))
    def take_over(self, n: int) -> None:
        """A slot, idle if there is one, found nothing in line and looks at what waits behind others."""
        slots = [(worker, slot) for worker in range(3) for slot in range(2)]
        idle = [(worker, slot) for worker, slot in slots if not self.model.leases(self.workers[worker], slot)]
        worker, slot = (idle or slots)[n % len(idle or slots)]
        self._take_over(*self.wish(worker, slot, 9))

    def _take_over(self, worker: UUID, slot: int, claim_id: UUID) -> None:
        model = self.model
        found = self.run(
            "take_over", worker_id=worker, slot=slot, claim_id=claim_id, lane_id=list(self.lanes), offer_seconds=OFFER
        )
        waiting = [
            (job.tag, job_id)
            for job_id, job in model.jobs.items()
            if job.lease and job.phase == "held" and not job.cancel
            if any(other.phase == "started" for other in model.leases(job.lease.worker, job.lease.slot))
        ]
        if worker not in self.workers or model.leases(worker, slot) or not waiting:
            assert found == []
            return
        [row] = found
        assert row["job_id"] == min(waiting)[1]
        job = model.jobs[row["job_id"]]
        assert job.lease is not None
        assert row["old_worker_id"] == job.lease.worker
        model.end(job, "taken_over", "queued")
        lease = self.lease(row, worker, slot, claim_id)
        self.lend(lease)
        self.told["taken over"] += 1

    @rule(
        which=st.lists(st.integers(0, 60), min_size=1, max_size=4), starts=st.sampled_from([0b1111, 0b1111, 0, 0b0101])
    )
    def heartbeat(self, which: list[int], starts: int) -> None:
        """Reports of several leases in one statement, some of them twice."""
        leases = [lease for n in which if (lease := self.pick(n))]
        self.beat(leases, ["started" if starts >> n & 1 else "held" for n in range(len(leases))])

    def beat(self, leases: list[Lease], phases: list[str]) -> None:
        if not leases:
            return
        found = self.run(
            "heartbeat",
            job_id=[lease.job_id for lease in leases],
            attempt=[lease.attempt for lease in leases],
            token=[lease.token for lease in leases],
            worker_id=[lease.worker for lease in leases],
            phase=phases,
            lease_seconds=LEASE,
        )
        lives = [self.model.live(lease) for lease in leases]
        for lease, report in zip(leases, phases, strict=True):
            if job := self.model.live(lease):
                job.until = self.model.now + LEASE
                job.phase = "started" if "started" in (report, job.phase) else "held"
        assert [row["renewed"] for row in found] == [job is not None for job in lives]
        assert [row["cancel"] for row in found] == [job is not None and job.cancel for job in lives]
        self.told["heartbeat stale"] += lives.count(None)

    @rule(which=st.lists(st.integers(0, 60), min_size=1, max_size=3), upload=st.sampled_from([True, True, True, False]))
    def complete(self, which: list[int], upload: bool) -> None:
        """Several fences in one statement, some of them twice."""
        leases = [lease for n in which if (lease := self.pick(n))]
        if not leases:
            return
        for lease in leases:
            if upload:
                self.upload(lease)
        found = self.run(
            "complete",
            job_id=[lease.job_id for lease in leases],
            attempt=[lease.attempt for lease in leases],
            token=[lease.token for lease in leases],
            worker_id=[lease.worker for lease in leases],
            artifacts=[1] * len(leases),
        )
        lives = [self.model.live(lease) for lease in leases]
        for lease, job, row in zip(leases, lives, found, strict=True):
            if job is None:
                assert row["result"] == "lease_lost"
                self.repeat(lease, {"succeeded", "canceled"})
            elif job.cancel or lease.attempt in job.files:
                assert row["result"] == ("canceled" if job.cancel else "succeeded")
                if job.lease:
                    self.model.end(job, row["result"], row["result"])
            else:
                assert row["result"] == "artifacts_missing"
            self.told[f"complete {row['result']}"] += 1

    def upload(self, lease: Lease) -> None:
        self.connection.execute(
            """insert into artifacts (job_id, attempt, index, key, mime_type, width, height, bytes, sha256)
            values (%s, %s, 0, gen_random_uuid()::text, 'image/png', 1, 1, 1, sha256('x')) on conflict do nothing""",
            [lease.job_id, lease.attempt],
        )
        self.model.jobs[lease.job_id].files.add(lease.attempt)

    def repeat(self, lease: Lease, outcomes: set[str]) -> None:
        """What a report of an ended lease is told: what the first one was told, or that the lease is lost."""
        past = self.run("past", job_id=lease.job_id, attempt=lease.attempt, token=lease.token, worker_id=lease.worker)
        outcome, state = self.model.over[lease.token]
        assert [row["outcome"] for row in past] == [outcome]
        if outcome in outcomes:
            assert [row["state"] for row in past] == [state], "the answer that the first report got"
            self.told["repeated"] += 1
        else:
            self.told["stale"] += 1

    @rule()
    def echo(self) -> None:
        """Every report that ever ended a lease arrives once more."""
        for lease in self.leases:
            if lease.token in self.model.over:
                self.repeat(lease, {"succeeded", "canceled", "failed", "released"})

    @rule(n=st.integers(0, 60), final=st.sampled_from([False, False, True]))
    def fail(self, n: int, final: bool) -> None:
        if not (lease := self.pick(n)):
            return
        model, job = self.model, self.model.live(lease)
        found = self.run(
            "fail",
            job_id=lease.job_id,
            attempt=lease.attempt,
            token=lease.token,
            worker_id=lease.worker,
            cause="invalid_input" if final else "oom",
            message="",
            final=final,
            failures_max=FAILURES_MAX,
            backoff_first=BACKOFF_FIRST_SECONDS,
            backoff_max=BACKOFF_MAX_SECONDS,
            quarantine_after=3,
        )
        if job is None:
            assert found == []
            self.repeat(lease, {"failed", "canceled"})
            return
        job.failures += 1
        if job.cancel:
            state = model.end(job, "canceled", "canceled")
        elif final or job.failures >= FAILURES_MAX:
            state = model.end(job, "failed", "failed")
        else:
            state = model.end(job, "failed", "queued", due=self.due(job, lease.job_id))
        assert found == [{"state": state, "worker_id": lease.worker, "slot": lease.slot}]
        self.told[f"fail {state}"] += 1

    def due(self, job: Job, job_id: UUID) -> float:
        """Full jitter: any moment up to the backoff of this failure."""
        row = self.connection.execute("select extract(epoch from due_at - now()) from jobs where id = %s", [job_id])
        [(left,)] = row.fetchall()
        assert left is not None
        assert 0 <= left <= min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** (job.failures - 1))
        return self.model.now + float(left)

    @rule(n=st.integers(0, 60))
    def release(self, n: int) -> None:
        if not (lease := self.pick(n)):
            return
        job = self.model.live(lease)
        found = self.run(
            "release",
            job_id=lease.job_id,
            attempt=lease.attempt,
            token=lease.token,
            worker_id=lease.worker,
            reason="drain",
        )
        if job is None:
            assert found == []
            self.repeat(lease, {"released", "canceled"})
            return
        assert found == [{"state": self.model.back(job, "released"), "lane_id": job.lane, "tag": job.tag}]
        self.told["released"] += 1

    @rule(worker=st.integers(0, 2), revoked=st.sampled_from([False, False, True]))
    def trouble(self, worker: int, revoked: bool) -> None:
        """A connection broke, or the worker is gone for good and another one enrols."""
        gone = self.workers[worker]
        held = self.model.leases(gone)
        if not revoked:
            self.run("shorten", worker_id=gone, grace_seconds=GRACE)
            for job in held:
                job.until = min(job.until, self.model.now + GRACE)
            return
        assert len(self.run("workers.revoke", worker_id=gone)) == 1
        assert len(self.run("workers.end_leases", worker_id=gone)) == len(held)
        for job in held:
            self.model.back(job, "released")
        self.workers[worker] = add_worker(self.connection)

    # ------------------------------------------------------------------------------------- time

    @rule(seconds=st.sampled_from([0, 1, 4, 11, 16, 61, 301]), sweeps=st.sets(st.sampled_from(SWEEPS)))
    def time_passes(self, seconds: int, sweeps: set[str]) -> None:
        self.model.now += seconds
        for statement in PASS:
            self.connection.execute(statement, {"seconds": seconds})
        for sweep in sorted(sweeps):
            getattr(self, sweep)()

    def reap(self) -> None:
        found = {row["job_id"]: row["state"] for row in self.run("reap", most=REAP_MOST, losses_max=LOSSES_MAX)}
        expired = {key: job for key, job in self.model.jobs.items() if job.lease and job.until < self.model.now}
        assert found == {job_id: self.model.reap(job) for job_id, job in expired.items()}
        self.told["reaped"] += len(found)

    def wake_backoff(self) -> None:
        found = self.run("wake_backoff", most=SWEEP_MOST)
        due = [job for job in self.model.jobs.values() if job.state == "queued" and job.due is not None]
        due = [job for job in due if job.due is not None and job.due <= self.model.now]
        for job in due:
            job.tag, job.due = self.model.clock[job.lane], None
        assert sorted((row["lane_id"], row["tag"]) for row in found) == sorted((job.lane, job.tag) for job in due)
        self.told["woken"] += len(found)

    def expire(self) -> None:
        found = {row["job_id"] for row in self.run("expire", most=SWEEP_MOST)}
        line = {key: job for key, job in self.model.jobs.items() if job.state == "queued" and job.start_by is not None}
        over = {key: job for key, job in line.items() if (job.start_by or 0) <= self.model.now}
        for job in over.values():
            job.state, job.due = "expired", None
        assert found == set(over)
        self.told["expired"] += len(found)

    # ------------------------------------------------------------------------------------- laws

    @invariant()
    def the_table_says_what_the_clients_were_told(self) -> None:
        """Acknowledged is kept, terminal stays, budgets are exact, and nobody has a lease that was not given."""
        found = self.connection.execute(
            """select id, state, tag, phase, attempt, failures, losses, lost_by, lease_token, worker_id,
            cancel_requested_at is not null and state <> 'queued' as cancel from jobs"""
        ).fetchall()
        assert {row[0]: row[1:] for row in found} == {
            job_id: (
                job.state,
                job.tag,
                job.phase,
                job.attempt,
                job.failures,
                job.losses,
                job.lost_by,
                job.lease.token if job.lease else None,
                job.lease.worker if job.lease else None,
                job.cancel,
            )
            for job_id, job in self.model.jobs.items()
        }

    @invariant()
    def every_lease_is_an_attempt_that_ends_once(self) -> None:
        """One live attempt for a job with a lease and none for another; numbers without a gap; at most one success."""
        found = self.connection.execute(
            """select j.id, count(a) filter (where a.ended_at is null), count(a), max(a.number),
            count(a) filter (where a.outcome = 'succeeded'), array_agg(a.lease_token || ' ' || a.outcome)
            filter (where a.outcome is not null)
            from jobs j left join attempts a on a.job_id = j.id group by j.id"""
        ).fetchall()
        for job_id, live, count, last, successes, ended in found:
            job = self.model.jobs[job_id]
            assert live == (1 if job.lease else 0)
            assert count == (last or 0) == job.attempt
            assert successes == (1 if job.state == "succeeded" else 0)
            for token, outcome in (line.split(" ") for line in ended or ()):
                assert self.model.over[UUID(token)][0] == outcome


# ------------------------------------------------------------------------------------------------ the tests


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
    """A machine on a database of its own, with two customers and two lanes."""
    owner.execute(
        "insert into plans (name, weight, queued_max, retention_days) values ('small', 1, %s, 1)", [QUEUED_MAX]
    )
    users = [add_user(owner, plan="small") for _ in range(2)]
    lanes = (add_lane(owner, "first"), add_lane(owner, "second"))
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
    "claim repeated": 2,
    "complete succeeded": 10,
    "stale": 40,
    "heartbeat stale": 40,
    "repeated": 40,
    "reaped": 20,
    "fail queued": 10,
    "released": 5,
    "taken over": 2,
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
    "submit that forgets its key": ("submit", "when same_request then 'replayed'", "when false then ''"),
    "submit without a cap": ("submit", "> queued_max then", "> queued_max + 1 then"),
    "first answer forgotten": ("past", "and j.attempt = a.number", ""),
}
"""What is planted → (statement, text, what stands there instead)."""


QUICK = ("complete without the fence", "heartbeat without the fence")
SLOW = (
    "fail without the fence",
    "release without the fence",
    "complete by the name of the worker",
    "complete without looking for files",
    "reap of live leases",
    "claim that is not idempotent",
    "cancel of somebody else's job",
)


def marks(bug: str) -> list[pytest.MarkDecorator]:
    return [] if bug in QUICK else [pytest.mark.slow] if bug in SLOW else [pytest.mark.torture]


@pytest.mark.parametrize("bug", [pytest.param(bug, marks=marks(bug)) for bug in PLANTED])
def test_the_machine_finds_the_planted_bug(swept: type[QueueMachine], bug: str) -> None:
    name, text, instead = PLANTED[bug]
    whole = swept.texts[f"queue.{name}"]
    assert whole.count(text) == 1, "the statement has changed: plant the bug anew"
    texts = {**swept.texts, f"queue.{name}": whole.replace(text, instead)}
    planted = cast(type[QueueMachine], type("Planted", (swept,), {"texts": texts, "told": Counter[str]()}))
    with pytest.raises((AssertionError, psycopg.errors.IntegrityError, Flaky)):
        run_state_machine_as_test(planted, settings=budget(400, 40, random=False))
