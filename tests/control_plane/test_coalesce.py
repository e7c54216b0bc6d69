"""Many waiting calls become few statements, and each caller meets its own fate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager

import pytest

from control_plane.errors import Unavailable
from control_plane.queue.coalesce import FLIGHTS, LATE_SECONDS, WIDTH, Coalescer
from tests.fixtures.queue import until


class Statement:
    """Stands where a batch statement stands: doubles numbers; slow, picky or broken as a test wants it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.flying = 0
        self.most_flying = 0
        self.go = asyncio.Event()
        self.go.set()
        self.refuses: Callable[[Sequence[int]], Exception | None] = lambda _: None

    async def __call__(self, calls: Sequence[int]) -> list[int]:
        self.batches.append(list(calls))
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            await self.go.wait()
            await asyncio.sleep(0)
            if error := self.refuses(calls):
                raise error
            return [2 * call for call in calls]
        finally:
            self.flying -= 1


@asynccontextmanager
async def coalescing(
    statement: Statement, key: Callable[[int], Hashable] = lambda _: None
) -> AsyncIterator[Coalescer[int, int]]:
    async with asyncio.TaskGroup() as tasks:
        yield Coalescer(statement, tasks, key=key)


async def test_a_single_call_leaves_at_once() -> None:
    statement = Statement()
    async with coalescing(statement) as double:
        assert await double(4) == 8
    assert statement.batches == [[4]]


async def test_calls_that_wait_together_share_statements_and_get_their_own_answers() -> None:
    statement = Statement()
    async with coalescing(statement) as double:
        assert await asyncio.gather(*(double(n) for n in range(1_000))) == [2 * n for n in range(1_000)]
    assert len(statement.batches) <= 1_000 // WIDTH + FLIGHTS
    assert max(map(len, statement.batches)) == WIDTH
    assert statement.most_flying <= FLIGHTS


async def test_nobody_waits_long_behind_a_slow_statement() -> None:
    statement = Statement()
    async with coalescing(statement) as double:
        statement.go.clear()
        first = asyncio.ensure_future(double(1))
        await until(lambda: statement.batches == [[1]])
        second = asyncio.ensure_future(double(2))
        await until(lambda: statement.batches == [[1], [2]], 100 * LATE_SECONDS + 5)
        third = asyncio.ensure_future(double(3))
        await asyncio.sleep(5 * LATE_SECONDS)
        assert len(statement.batches) == FLIGHTS, "no more than so many at a time"
        statement.go.set()
        assert [await first, await second, await third] == [2, 4, 6]


async def test_only_calls_with_the_same_key_share_a_statement_and_keys_take_turns() -> None:
    statement = Statement()
    async with coalescing(statement, key=lambda call: call % 3) as double:
        await asyncio.gather(*(double(n) for n in range(600)))
    assert all(len({call % 3 for call in batch}) == 1 for batch in statement.batches)
    assert {batch[0] % 3 for batch in statement.batches[:4]} == {0, 1, 2}, "a busy key holds up nobody"


async def test_one_bad_call_spoils_no_neighbour() -> None:
    statement = Statement()
    statement.refuses = lambda calls: ValueError("seven") if 7 in calls else None
    async with coalescing(statement) as double:
        answers = await asyncio.gather(*(double(n) for n in range(20)), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, ValueError)] == [7]
    assert [answer for answer in answers if isinstance(answer, int)] == [2 * n for n in range(20) if n != 7]


async def test_when_the_database_is_away_everybody_is_told_and_nothing_is_tried_again() -> None:
    statement = Statement()
    statement.refuses = lambda _: Unavailable("away")
    async with coalescing(statement) as double:
        answers = await asyncio.gather(*(double(n) for n in range(20)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert len(statement.batches) <= FLIGHTS


async def test_a_caller_that_leaves_takes_nobody_along() -> None:
    statement = Statement()
    async with coalescing(statement) as double:
        statement.go.clear()
        calls = [asyncio.ensure_future(double(n)) for n in range(10)]
        await asyncio.sleep(0.01)
        calls[3].cancel()
        statement.go.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, asyncio.CancelledError)] == [3]
    assert [answer for answer in answers if isinstance(answer, int)] == [2 * n for n in range(10) if n != 3]


async def test_answers_that_do_not_match_the_calls_are_an_error_of_the_calls_not_of_the_process() -> None:
    async def forgetful(calls: Sequence[int]) -> list[int]:
        return [2 * call for call in calls[1:]]

    async with asyncio.TaskGroup() as tasks:
        double: Coalescer[int, int] = Coalescer(forgetful, tasks)
        with pytest.raises(RuntimeError):
            await double(1)
        with pytest.raises(RuntimeError):
            await double(2)
