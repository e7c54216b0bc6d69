"""The machine of the database dies and its standby takes over, while customers order on two control planes.

Nothing of Tessera is told: the URL names both servers, and everything that holds a connection finds the one that takes
writes. With synchronous replication all that anybody was told holds afterwards; without, what was lost is counted.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from control_plane.wire.event import Opened
from tests.fixtures.crowd import Crowd, Reader, keys_and_tokens, until
from tests.fixtures.history import History, contradictions, counts
from tests.fixtures.queue import add_user, broken_laws, one, rows
from tests.fixtures.replica import Pair
from tests.fixtures.services import Services

CUSTOMERS, AGENTS = 4, 4
BACK_SECONDS = 30.0
"""Within which orders are acknowledged again, from the promotion on."""
SETTLE_SECONDS = 120.0
"""For every job to come to its end; leases of the machine's last seconds are lost after a minute at most."""
LEASES = {"TESSERA_LEASE_SECONDS": "4", "TESSERA_OFFER_SECONDS": "2", "TESSERA_GRACE_SECONDS": "1"}
INTERVALS = LEASES | {"TESSERA_HEARTBEAT_SECONDS": "1", "TESSERA_SELF_FENCE_SECONDS": "3"}


class Outcome(msgspec.Struct):
    """What came of it."""

    orders: int
    """Acknowledged in all."""
    back_seconds: float
    """From the promotion to the first acknowledgement of an order that was placed after the death."""
    lost: list[str]
    """What somebody was told that does not hold any more."""
    opened: list[Opened]
    """How each stream of events began."""
    heard: Counter[str]
    """How often the reader heard of each end of a job."""


async def fail_over(folder: Path, pair: Pair, enough: int, *, cut_off: bool = False) -> Outcome:
    """Load, death, promotion, load, and everything to its end. `cut_off`: from the standby, some orders before."""
    with rows(pair.first.app_url) as sql:
        users = [add_user(sql) for _ in range(CUSTOMERS)]
    keys, tokens = await keys_and_tokens(pair.url, users, AGENTS)
    history = History(folder / "history.jsonl")
    shared = (folder / "artifacts").as_uri()
    with Services(pair.url, folder, count=2, TESSERA_ARTIFACTS_URL=shared, **INTERVALS) as services:
        await services.ready()
        crowd, reader = Crowd(history, services.urls, lossy=cut_off), Reader(services.urls[0], keys[1])
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(reader.run())
            for n, key in enumerate(keys):
                tasks.create_task(crowd.customer(n, key))
            for n, token in enumerate(tokens):
                tasks.create_task(crowd.agent(n, token))
            await until(lambda: len(crowd.acknowledged) >= enough and crowd.completed >= enough // 4)
            if cut_off:
                await asyncio.to_thread(pair.cut)
                far = len(crowd.acknowledged) + enough
                await until(lambda: len(crowd.acknowledged) >= far)
            died_at = time.monotonic()
            await asyncio.to_thread(pair.kill_first)
            promoted_at = time.monotonic()
            await asyncio.to_thread(pair.promote)
            await until(lambda: len(since(died_at, crowd)) >= enough)
            crowd.quiet.set()
            await until(lambda: unfinished(pair) == 0, SETTLE_SECONDS)
            await asyncio.sleep(1.0)  # the reader hears the last of it
            crowd.done.set()
            following.cancel()
        for n in range(2):
            assert "Traceback" not in services.said(n), services.said(n)[-4_000:]
    history.close()
    with rows(pair.second.app_url) as sql:
        assert broken_laws(sql) == {}
        lost = contradictions(history.lines(), sql)
    told = counts(history.lines())
    assert told["ok complete"] >= enough // 2
    assert told["ok cancel"] >= 1
    return Outcome(
        orders=len(crowd.acknowledged),
        back_seconds=min(since(died_at, crowd)) - promoted_at,
        lost=lost,
        opened=[msgspec.json.decode(data, type=Opened) for data in reader.opened],
        heard=Counter(f"{name} {msgspec.json.decode(data)['job']['id']}" for _, name, data in reader.heard),
    )


def since(moment: float, crowd: Crowd) -> list[float]:
    """When orders were acknowledged that were placed since."""
    return [acknowledged_at for placed_at, acknowledged_at in crowd.acknowledged if placed_at > moment]


def unfinished(pair: Pair) -> int:
    with rows(pair.second.app_url) as sql:
        return int(one(sql, "select count(*) from jobs where finished_at is null"))


@pytest.mark.long
async def test_with_a_synchronous_standby_nothing_that_anybody_was_told_is_lost(tmp_path: Path) -> None:
    pair = Pair(tmp_path, synchronous=True)
    try:
        met = await fail_over(tmp_path, pair, enough=100)
    finally:
        pair.close()
    print(f"\n{met.orders} orders acknowledged, {len(met.lost)} answers lost; back after {met.back_seconds:.2f} s")
    assert met.lost == []
    assert met.back_seconds <= BACK_SECONDS
    assert len(met.opened) >= 2, "the stream of events never broke"
    assert not met.opened[-1].resumed, "numbers of another server's log are foreign, and readers are told so"
    assert len(met.heard) >= 20
    assert max(met.heard.values()) == 1


@pytest.mark.long
async def test_with_a_standby_that_is_not_waited_for_what_was_lost_is_known_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    pair = Pair(tmp_path, synchronous=False)
    try:
        met = await fail_over(tmp_path, pair, enough=60, cut_off=True)
    finally:
        pair.close()
    orders = sum(line.startswith("submit") for line in met.lost)
    print(f"\n{met.orders} orders acknowledged, {orders} of them lost; back after {met.back_seconds:.2f} s")
    assert 60 <= orders < met.orders, "exactly what the standby had not got"
    assert met.back_seconds <= BACK_SECONDS
    assert not met.opened[-1].resumed, "numbers are given out anew, and would hide what happened since"
