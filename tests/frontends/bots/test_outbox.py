"""What a bot sends: in order, within its budgets, the newest face of a message alone, and patience when it is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from frontends.bots.limits import Rate, Rates
from frontends.bots.outbox import Flooded, Outbox

QUICK = Rates(
    chat=Rate(1, 0.05), group=Rate(1, 0.1), overall=Rate(10, 0.1), edit_gap_seconds=0.1, group_edit_gap_seconds=0.2
)


class Platform:
    """Writes down what arrives, and when; asks for patience as often as it is told."""

    def __init__(self, floods: int = 0) -> None:
        self.arrived: list[str] = []
        self.at: list[float] = []
        self.floods = floods

    def takes(self, text: str) -> str:
        if self.floods:
            self.floods -= 1
            raise Flooded(0.2)
        self.arrived.append(text)
        self.at.append(time.monotonic())
        return text

    def act(self, text: str) -> Callable[[], Awaitable[str]]:
        async def act() -> str:
            await asyncio.sleep(0.01)
            return self.takes(text)

        return act


async def test_messages_of_a_chat_arrive_in_their_order_and_no_faster_than_it_may() -> None:
    platform = Platform()
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(QUICK, tasks, time.monotonic)
        said = [tasks.create_task(outbox.send("ann", platform.act(str(n)))) for n in range(5)]
        assert await asyncio.gather(*said) == ["0", "1", "2", "3", "4"]
    assert platform.arrived == ["0", "1", "2", "3", "4"]
    assert all(later - earlier >= 0.04 for earlier, later in zip(platform.at, platform.at[1:], strict=False))


async def test_of_many_faces_the_newest_is_shown_and_everybody_hears_how_it_fared() -> None:
    platform = Platform()
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(QUICK, tasks, time.monotonic)
        faces = []
        for n in range(50):
            faces.append(tasks.create_task(outbox.edit("ann", "m1", platform.act(str(n)))))
            await asyncio.sleep(0.005)
        told = await asyncio.gather(*faces)
    assert told[-1] == platform.arrived[-1] == "49"
    assert 2 <= len(platform.arrived) <= 8
    assert all(heard in platform.arrived for heard in told)


async def test_a_face_that_comes_when_another_has_just_been_taken_is_shown_after_it() -> None:
    platform = Platform()
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(QUICK, tasks, time.monotonic)
        old = tasks.create_task(outbox.edit("ann", "m1", platform.act("old")))
        new = tasks.create_task(outbox.edit("ann", "m1", platform.act("new"), paced=False))
        assert (await old, await new) == ("old", "new")
    assert platform.arrived == ["old", "new"]


async def test_a_flood_wait_holds_up_one_chat_and_loses_nothing() -> None:
    platform, other = Platform(floods=2), Platform()
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(QUICK, tasks, time.monotonic)
        began = time.monotonic()
        held_up = tasks.create_task(outbox.send("ann", platform.act("late")))
        face = tasks.create_task(outbox.edit("ann", "m1", platform.act("old")))
        await asyncio.sleep(0.05)
        newer = tasks.create_task(outbox.edit("ann", "m1", platform.act("new")))
        assert await outbox.send("bob", other.act("at once")) == "at once"
        assert other.at[0] - began < 0.2
        assert await held_up == "late"
        assert (await face, await newer) == ("new", "new")
        assert outbox.tally["floods"] == 2
    assert sorted(platform.arrived) == ["late", "new"]
    assert platform.at[0] - began >= 0.2


async def test_a_refusal_reaches_whoever_waits_and_holds_nobody_up() -> None:
    platform = Platform()

    async def refuse() -> str:
        raise ValueError("no such chat")

    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(QUICK, tasks, time.monotonic)
        with pytest.raises(ValueError, match="no such chat"):
            await outbox.send("ann", refuse)
        assert await outbox.send("ann", platform.act("next")) == "next"


async def test_a_face_that_is_dropped_is_never_shown() -> None:
    platform = Platform()
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(QUICK, tasks, time.monotonic)
        await outbox.edit("ann", "m1", platform.act("first"))
        waiting = tasks.create_task(outbox.edit("ann", "m1", platform.act("second")))
        await asyncio.sleep(0)
        outbox.drop("ann", "m1")
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await outbox.send("ann", platform.act("other"))
    assert platform.arrived == ["first", "other"]


async def test_whoever_waits_when_it_is_stopped_hears_so_and_nothing_more_is_sent() -> None:
    platform = Platform()
    async with asyncio.TaskGroup() as tasks:
        outbox = Outbox(QUICK, tasks, time.monotonic)
        waiting = [tasks.create_task(_how(outbox.send("ann", platform.act(str(n))))) for n in range(3)]
        for _ in range(3):
            await asyncio.sleep(0)  # the first one is under way
        outbox.stop()
        assert await asyncio.gather(*waiting, _how(outbox.send("bob", platform.act("late")))) == ["stopped"] * 4
    assert platform.arrived == ["0"], "what was under way went on"


async def _how(sent: Awaitable[str]) -> str:
    try:
        return await sent
    except ConnectionError:
        return "stopped"
