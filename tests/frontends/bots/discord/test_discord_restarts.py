"""The program is killed at every point of an order, and started again: one job, one message that shows how it ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from frontends.bots.dialogue.requests import Answer, Asked, Problem
from frontends.bots.errands import Errands, Fetch
from frontends.client import Client
from frontends.standins.changes import NotSeen
from frontends.standins.discord.people import Person
from frontends.standins.faults import Fault
from frontends.standins.person import Message
from tests.fixtures.chatroom import at_work
from tests.fixtures.discord_bots import Stage, no_orders
from tests.fixtures.people import count, violations

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
)
"""Whoever is killed while a thread of the library opens a file for it closes none."""

ORDER = "a lighthouse, 64x64, 1 step, model testcard"
REST = [
    ("/generate", "POST /interactions", 1),
    ("/generate", "PATCH /webhooks", 1),
    ("/generate", "PATCH /webhooks", 2),
    ("words", "POST /channels", 1),
    ("words", "PATCH /channels", 1),
    ("again", "POST /interactions", 1),
    ("again", "PATCH /webhooks", 1),
]
"""What a person does, and the call of its kind at which the program is killed: before it is done, and after."""
ERRANDS_MAX = 4


async def acts(stage: Stage, ann: Person, act: str) -> None:
    match act:
        case "/generate":
            await ann.says(f"/generate {ORDER}", to=stage.account)
        case "words":
            await ann.says(ORDER, to=stage.account)
        case "again":
            [shown] = results(ann)
            with suppress(NotSeen):  # it is not acknowledged before the program is killed
                await ann.presses(shown.button("Again"), within=0.05)


def results(ann: Person) -> list[Message]:
    return [message for message in ann.messages() if message.bot is not None and message.media]


def shown(ann: Person) -> list[Message]:
    return [message for message in ann.messages() if message.bot is not None]


async def comes(stage: Stage, ann: Person, count: int) -> None:
    """So many results."""
    await stage.discord.changes.until(lambda: len(results(ann)) == count, 15)


async def reached(stage: Stage, faults: list[Fault], ann: Person, before: int) -> bool:
    """Whether the last of these calls came, before it was all over."""
    for number, fault in enumerate(faults, 1):
        waits = asyncio.ensure_future(fault.reached.wait())
        over = asyncio.ensure_future(stage.discord.changes.until(lambda: len(results(ann)) > before, 15))
        await asyncio.wait([waits, over], return_when=asyncio.FIRST_COMPLETED)
        for one in (waits, over):
            one.cancel()
        if not fault.hits:
            return False
        if number < len(faults):
            fault.release()
    return True


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_killed_at_any_call_it_is_one_job_and_one_message(stage: Stage, owner_url: str, done: bool) -> None:
    killed = orders = 0
    for number, (act, call, nth) in enumerate(REST):
        ann = stage.discord.person(100 + number, "Ann", "en")
        ann.installs(stage.account)
        before = 0
        async with at_work(stage.plane.service.hands):
            if act == "again":
                async with stage.program() as program:
                    await ann.says(f"/generate {ORDER}", to=stage.account)
                    await ann.sees(lambda message: message.media, within=15)
                    await program.settled()
                before = 1
            async with stage.program(killed=True):
                faults = [stage.discord.faults.hold(call, done=done) for _ in range(nth)]
                await acts(stage, ann, act)
                killed += await reached(stage, faults, ann, before)
            stage.discord.faults.forget()
            for fault in faults:
                fault.abandon()
            async with stage.program() as program:
                await comes(stage, ann, before + 1)
                await program.settled()
        orders += before + 1
        assert len(results(ann)) == len(shown(ann)) == before + 1, (act, call, nth)
    assert killed >= len(REST) - 2, "the calls were met"
    assert count(owner_url, "select count(*) from jobs") == orders
    assert violations(owner_url) == []


class MortalErrands(Errands):
    """After so many things that the service has done, nobody hears of anything any more."""

    def __init__(self, client: Client, folder: Path, fuse: int) -> None:
        super().__init__(client, folder)
        self._fuse = fuse
        self.burnt = asyncio.Event()

    async def run(self, asked: Asked, identity: str, fetch: Fetch) -> Answer | Problem:
        answer = await super().run(asked, identity, fetch)
        self._fuse -= 1
        if self._fuse <= 0:
            self.burnt.set()
            await asyncio.Event().wait()
        return answer


async def test_killed_between_any_two_answers_of_the_service_it_is_one_job_and_one_message(
    stage: Stage, owner_url: str
) -> None:
    killed = 0
    async with at_work(stage.plane.service.hands):
        for fuse in range(1, ERRANDS_MAX + 1):
            ann = stage.discord.person(200 + fuse, "Ann", "de")
            ann.installs(stage.account)
            made: list[MortalErrands] = []

            def mortal(client: Client, folder: Path, fuse: int = fuse, made: list[MortalErrands] = made) -> Errands:
                made.append(MortalErrands(client, folder, fuse))
                return made[0]

            async with stage.program(killed=True, errands=mortal):
                await ann.says(f"/generate {ORDER}", to=stage.account)
                over = asyncio.ensure_future(ann.sees(lambda message: message.media, within=15))
                burnt = asyncio.ensure_future(made[0].burnt.wait())
                await asyncio.wait([over, burnt], return_when=asyncio.FIRST_COMPLETED)
                killed += made[0].burnt.is_set()
                for one in (over, burnt):
                    one.cancel()
            async with stage.program() as program:
                await comes(stage, ann, 1)
                await program.settled()
            assert len(results(ann)) == len(shown(ann)) == 1, fuse
    assert killed >= 3
    assert count(owner_url, "select count(*) from jobs") == ERRANDS_MAX


async def test_what_was_promised_before_it_was_killed_is_kept(stage: Stage, owner_url: str) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with no_orders(owner_url), stage.program(killed=True):
        asked = await ann.calls(stage.account, "generate", prompt=ORDER)
        await stage.discord.changes.until(lambda: asked.acknowledged, 3)
        assert asked.response is not None
        assert asked.response.thinking
    async with stage.program() as program, at_work(stage.plane.service.hands):
        result = await ann.sees(lambda message: message.media, within=15)
        await program.settled()
    assert shown(ann) == [result] == [asked.response]


async def test_buttons_work_after_a_restart(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "de")
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await ann.says(f"/generate {ORDER}", to=stage.account)
        result = await ann.sees(lambda message: message.media)
        await program.settled()
    stage.discord.clock.advance(60 * 86_400)
    async with stage.program() as program:
        await ann.presses(result.button("Info"))
        await ann.sees("testcard")
        form = (await ann.presses(result.button("Prompt ändern"))).form
        assert form is not None
        await program.settled()


async def test_who_stops_lets_what_is_under_way_finish_and_the_rest_is_done_next_time(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "en")
    async with at_work(stage.plane.service.hands):
        async with stage.program():
            slow = stage.discord.faults.hold("POST /channels", done=True)
            await ann.says(ORDER, to=stage.account)
            await slow.reached.wait()
            asyncio.get_running_loop().call_later(0.5, slow.release)
        assert len(shown(ann)) == 1
        async with stage.program() as program:
            await comes(stage, ann, 1)
            await program.settled()
    assert len(shown(ann)) == 1
