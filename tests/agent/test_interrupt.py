"""A stretch of work that others may cut short."""

from __future__ import annotations

import asyncio

import pytest

from agent.interrupt import Interrupted, Scope


async def test_an_interrupted_stretch_ends_with_interrupted_and_nothing_else_is_canceled() -> None:
    scope, tidied = Scope(), asyncio.Event()

    async def stretch() -> None:
        async with scope:
            try:
                await asyncio.Event().wait()
            finally:
                tidied.set()

    asyncio.get_running_loop().call_soon(scope.interrupt)
    with pytest.raises(Interrupted):
        await stretch()
    await asyncio.sleep(0)
    assert tidied.is_set()
    assert not scope.forced


async def test_a_stretch_that_was_interrupted_before_it_began_does_not_begin() -> None:
    scope = Scope()
    scope.interrupt()
    with pytest.raises(Interrupted):
        async with scope:
            pytest.fail("began")


async def test_interrupting_what_has_ended_changes_nothing() -> None:
    scope = Scope()
    async with scope:
        await asyncio.sleep(0)
    scope.interrupt()
    await asyncio.sleep(0)


async def test_a_body_that_does_not_let_go_is_torn_out() -> None:
    scope = Scope(patience_seconds=0.05)

    async def stretch() -> None:
        async with scope:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.Event().wait()

    asyncio.get_running_loop().call_soon(scope.interrupt)
    with pytest.raises(Interrupted):
        await stretch()
    assert scope.forced


async def test_a_timeout_of_the_body_itself_stays_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with Scope(), asyncio.timeout(0.001):
            await asyncio.Event().wait()


async def test_an_error_of_the_body_passes_through() -> None:
    with pytest.raises(KeyError):
        async with Scope():
            raise KeyError


async def test_cancellation_from_outside_is_not_taken_for_an_interruption() -> None:
    async def body() -> None:
        async with Scope():
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(body())
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
