"""Two users become one: nothing of the books is lost or invented, whatever they hold and whatever happens meanwhile.

Hypothesis invents lives of three people over several days (orders, grants, reversed payments, claims, ends of all
kinds) and merges them in between, all through the functions of production. Before and after each merge everything is
counted. The races are real: a whole control plane, fifty submits by two identities, a worker, a merge in their midst.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, LiteralString
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from control_plane import audit, embedded
from control_plane.errors import TokensShort
from control_plane.money import ledger
from control_plane.people import linking
from control_plane.queue.admission import Order
from control_plane.queue.dispatch import Dispatcher, Submitted
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import SPEC, Rows, Slot, add_user, add_worker, lane_of_the_testcard, order, process, rows

PEOPLE = 3
EXAMPLES = 30
STEPS = 48
DAYS = 4

KEPT: LiteralString = """select u.id, b.purchased, b.held, b.queued, b.running,
    (select coalesce(jsonb_object_agg(d.day, d.daily), '{}') from usage_daily d where d.user_id = u.id and d.daily > 0),
    (select coalesce(sum(d.purchased), 0)::bigint from usage_daily d where d.user_id = u.id),
    (select coalesce(sum(d.jobs), 0)::bigint from usage_daily d where d.user_id = u.id),
    (select coalesce(sum(s.charged), 0)::bigint from settlements s where s.user_id = u.id),
    (select coalesce(sum(s.returned), 0)::bigint from settlements s where s.user_id = u.id),
    (select count(*) from jobs j where j.user_id = u.id)
    from users u join balances b on b.user_id = u.id where u.id = any (%s)"""

END: LiteralString = """update jobs set state = 'canceled', finished_at = now(), worker_id = null, slot = null,
    claim_id = null, lease_token = null, phase = null, lease_expires_at = null, due_at = null
    where finished_at is null"""

PAST: LiteralString = """insert into jobs (id, user_id, lane_id, tag, cost, purchased, created_at)
    select uuid7(), %(user)s, %(lane)s, 1, %(cost)s, least(%(cost)s, %(purchased)s),
        now() - make_interval(days => %(days)s)
    returning id"""

person = st.integers(0, PEOPLE - 1)
step = st.one_of(
    st.tuples(st.just("order"), person, st.integers(1, 9)),
    st.tuples(st.just("order with key"), person, st.integers(0, 3)),
    st.tuples(st.just("past"), person, st.integers(1, 9), st.integers(0, 9), st.integers(1, DAYS)),
    st.tuples(st.just("past"), person, st.integers(1, 9), st.integers(0, 9), st.integers(1, DAYS)),
    st.tuples(st.just("grant"), person, st.integers(20, 50)),
    st.tuples(st.just("reverse"), person, st.integers(1, 30)),
    st.tuples(st.just("claim")),
    st.tuples(st.just("claim")),
    st.tuples(st.just("claim")),
    st.tuples(st.just("end"), st.just("complete")),
    st.tuples(st.just("end"), st.sampled_from(["fail", "release", "cancel", "cancel begun"])),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
)
merge = st.tuples(st.just("merge"), person, person)
life = st.lists(step, min_size=STEPS // 2, max_size=STEPS).flatmap(
    lambda steps: st.tuples(
        st.just(steps), st.lists(merge, min_size=1, max_size=3), st.lists(step, max_size=STEPS // 2)
    )
)
"""A life, some merges, and what comes after them."""

Step = tuple[Any, ...]
Books = dict[UUID, tuple[Any, ...]]


@pytest.fixture(scope="module")
def module_urls(postgres: Postgres, template: str) -> Iterator[tuple[str, str]]:
    """A database for all examples, as the application and as its owner."""
    name = postgres.create(template)
    yield postgres.url(name), postgres.url(name, embedded.OWNER)
    postgres.drop(name)


class Life:
    """One example: people, a worker, and what has been done to them."""

    def __init__(self, dispatcher: Dispatcher, owner: Rows, seen: Counter[str]) -> None:
        self.dispatcher = dispatcher
        self.owner = owner
        self.seen = seen
        owner.execute(END)
        self.people = [add_user(owner) for _ in range(PEOPLE)]
        self.everybody = list(self.people)
        self.slot = Slot(dispatcher, add_worker(owner))
        self.lane = lane_of_the_testcard(owner)
        self.leases: list[Any] = []
        self.jobs: list[UUID] = []

    async def take(self, name: str, *values: Any) -> None:
        deeds: dict[str, Callable[..., Awaitable[None]]] = {
            "order": self.order,
            "order with key": self.order_with_key,
            "past": self.past,
            "grant": self.grant,
            "reverse": self.reverse,
            "claim": self.claim,
            "end": self.end,
            "cancel": self.cancel,
            "merge": self.merge,
        }
        await deeds[name](*values)

    async def order(self, person: int, cost: int) -> None:
        if submitted := await self.submit(order(self.people[person], self.lane, cost=cost)):
            self.jobs.append(submitted.job_id)

    async def order_with_key(self, person: int, key: int) -> None:
        submitted = await self.submit(order(self.people[person], self.lane, key=f"key {key}"))
        self.seen["replayed"] += submitted is not None and submitted.replayed

    async def submit(self, wanted: Order) -> Submitted | None:
        try:
            return await self.dispatcher.submit(wanted)
        except TokensShort:
            self.seen["refused for a debt"] += 1
            return None

    async def past(self, person: int, cost: int, purchased: int, days: int) -> None:
        user = self.people[person]
        values = {"user": user, "lane": self.lane, "cost": cost, "purchased": purchased, "days": days}
        found = self.owner.execute(PAST, values).fetchone()
        assert found is not None
        self.owner.execute(
            "insert into job_specs (job_id, spec) values (%s, %s)", [found[0], msgspec.json.encode(SPEC).decode()]
        )
        self.jobs.append(found[0])

    async def grant(self, person: int, amount: int) -> None:
        await ledger.grant(self.dispatcher.database, self.people[person], amount, "a gift", audit.OPERATOR)

    async def reverse(self, person: int, amount: int) -> None:
        await ledger.adjust(
            self.dispatcher.database, self.people[person], -amount, "a reversed payment", audit.OPERATOR
        )

    async def claim(self) -> None:
        if (lease := await self.slot.claim()) is not None:
            self.leases.append(await self.slot.start(lease))

    async def end(self, how: str) -> None:
        if not self.leases:
            return
        lease = self.leases.pop()
        self.seen[how] += 1
        match how:
            case "complete":
                assert await self.slot.complete(self.owner, lease) == "succeeded"
            case "fail":
                await self.dispatcher.fail(self.slot.fence(lease), "invalid_input", "")
            case "release":
                await self.dispatcher.release(self.slot.fence(lease), "not_started")
            case _:
                self._begin(lease.job_id, lease.attempt, 0.5 if how == "cancel begun" else 0.0)
                owner = self.owner.execute("select user_id from jobs where id = %s", [lease.job_id]).fetchone()
                assert owner is not None
                await self.dispatcher.cancel(owner[0], lease.job_id)
                await self.dispatcher.release(self.slot.fence(lease), "canceled")

    def _begin(self, job_id: UUID, attempt: int, value: float) -> None:
        self.owner.execute(
            "insert into job_progress (job_id, attempt, value, step, steps) values (%s, %s, %s, 1, 2)"
            " on conflict (job_id) do update set attempt = excluded.attempt, value = excluded.value",
            [job_id, attempt, value],
        )

    async def cancel(self, index: int) -> None:
        if self.jobs:
            job_id = self.jobs[index % len(self.jobs)]
            found = self.owner.execute("select user_id, state from jobs where id = %s", [job_id]).fetchone()
            assert found is not None
            if found[1] == "queued":
                await self.dispatcher.cancel(found[0], job_id)

    async def merge(self, first: int, second: int) -> None:
        one, other = self.people[first], self.people[second]
        if one == other:
            return
        before = self.books()
        linked = await linking.merge(self.dispatcher.database, one, other)
        assert linked.gone is not None
        assert {linked.user_id, linked.gone} == {one, other}
        assert linked.user_id == min(one, other, key=self.everybody.index), "the older one"
        self.compare(before, linked.user_id, linked.gone)
        self.people = [linked.user_id if person == linked.gone else person for person in self.people]

    def books(self) -> Books:
        return {row[0]: row[1:] for row in self.owner.execute(KEPT, [self.everybody])}

    def compare(self, before: Books, survivor: UUID, gone: UUID) -> None:
        """The survivor has the sum of both; everybody else has what they had; the gone have nothing."""
        after = self.books()
        assert gone not in after
        mine, theirs = before[survivor], before[gone]
        assert after[survivor] == tuple(map(together, mine, theirs))
        assert {user: after[user] for user in after if user != survivor} == {
            user: before[user] for user in before if user not in (survivor, gone)
        }
        self.seen["merges"] += 1
        self.seen["merges of holds"] += theirs[1] > 0
        self.seen["merges of running jobs"] += theirs[3] > 0
        self.seen["merges of debts"] += theirs[0] < 0
        self.seen["merges of several days"] += len(theirs[4]) > 1
        self.seen["merges of one day twice"] += bool(set(mine[4]) & set(theirs[4]))
        self.seen["merges of what was charged"] += theirs[7] > 0

    def check(self) -> None:
        assert self.owner.execute("select law, kept, found from ledger_violations").fetchall() == []


def together(mine: Any, theirs: Any) -> Any:
    return dict(Counter(mine) + Counter(theirs)) if isinstance(mine, dict) else mine + theirs


FLOORS = {
    "merges": 25,
    "merges of holds": 10,
    "merges of running jobs": 2,
    "merges of debts": 3,
    "merges of several days": 5,
    "merges of one day twice": 5,
    "merges of what was charged": 2,
    "complete": 5,
    "cancel begun": 5,
    "replayed": 3,
    "refused for a debt": 3,
}


def test_merging_keeps_every_token_where_the_books_can_see_it(module_urls: tuple[str, str]) -> None:
    app_url, owner_url = module_urls
    seen: Counter[str] = Counter()

    async def live(steps: list[Step]) -> None:
        with rows(owner_url) as owner:
            async with process(app_url, hints=False) as dispatcher:
                life = Life(dispatcher, owner, seen)
                for name, *values in steps:
                    await life.take(name, *values)
                    if name == "merge":
                        life.check()
                life.check()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(life)
    def lives(parts: tuple[list[Step], list[Step], list[Step]]) -> None:
        asyncio.run(live([*parts[0], *parts[1], *parts[2]]))

    lives()
    assert {name: seen[name] for name, floor in FLOORS.items() if seen[name] < floor} == {}, seen
