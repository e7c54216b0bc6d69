"""The program is killed in the middle of every step, and started again: one order, one result, nothing said twice."""

from __future__ import annotations

import asyncio

from tests.fixtures.chatroom import at_work
from tests.fixtures.people import count, violations
from tests.fixtures.telegram_bots import ORDER, PATIENCE_SECONDS, Stage, beginning, has_picture

STEPS = [
    ("messages.SendMessage", False),
    ("messages.SendMessage", True),
    ("upload.SaveFilePart", False),
    ("messages.UploadMedia", True),
    ("messages.SendMedia", False),
    ("messages.SendMedia", True),
    ("messages.DeleteMessages", False),
    ("messages.DeleteMessages", True),
]
"""Calls of an order from its first answer to its end, and whether they are done when the program dies."""


async def test_killed_in_any_step_it_is_one_order_and_one_result(stage: Stage, owner_url: str) -> None:
    async with at_work(stage.plane.service.hands):
        for number, (call, done) in enumerate(STEPS):
            ann = stage.telegram.person(100 + number, "Ann", ("en", "de")[number % 2])
            step = stage.telegram.faults.hold(call, done=done)
            async with stage.program(killed=True):
                await ann.says(ORDER, to=stage.account)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await step.reached.wait()
            step.abandon()
            async with stage.program() as program:
                shown = await ann.sees(has_picture)
                await program.settled()
            left = ann.messages(by=stage.account)
            assert left == [shown], (call, done, [message.text for message in left])
            assert step.hits == 1
    assert count(owner_url, "select count(*) from jobs where state = 'succeeded'") == len(STEPS)
    assert violations(owner_url) == []


async def test_killed_before_an_update_was_heard_it_is_told_again(stage: Stage, owner_url: str) -> None:
    """What came in is only known to be heard once the conversation has saved it."""
    ann = stage.telegram.person(42, "Ann", "en")
    group = stage.telegram.group("Friends", bots=[stage.account], people=[ann])
    async with stage.program() as program:
        await ann.says(f"/help@{stage.account.name}", to=stage.account, where=group)
        await ann.sees("/status", where=group)
        await program.settled()
    looking = stage.telegram.faults.hold("messages.GetMessages", done=True)
    first = await ann.says("/start", to=stage.account)
    async with stage.program(killed=True):
        await ann.says(f"/generate {ORDER}", to=stage.account, reply_to=first)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await looking.reached.wait()
    looking.abandon()
    await ann.says(f"/balance@{stage.account.name}", to=stage.account, where=group)
    async with stage.program() as program:
        await ann.sees("Ordered for")
        await ann.sees(beginning("balance.parts", "en"), where=group)
        await program.settled()
        said = [message.text[:20] for message in ann.messages(by=stage.account)]
        assert len(said) == len(set(said)) == 4, said
    assert count(owner_url, "select count(*) from jobs") == 1


async def test_a_bot_that_was_stopped_answers_what_was_said_meanwhile(stage: Stage) -> None:
    ann, ben = stage.telegram.person(42, "Ann", "en"), stage.telegram.person(43, "Ben", "de")
    async with stage.program() as program:
        await ann.starts(stage.account)
        await ann.sees("Hello!")
        await program.settled()
    assert not stage.account.connected
    await ann.says("/status", to=stage.account)
    await ben.says("/status", to=stage.account)
    logins = stage.telegram.calls.count(("", "auth.ImportBotAuthorization"))
    async with stage.program() as program:
        await ann.sees(beginning("status.none", "en"))
        await ben.sees(beginning("status.none", "de"))
        await program.settled()
    assert stage.telegram.calls.count(("", "auth.ImportBotAuthorization")) == logins
    assert len(ann.messages(by=stage.account)) == 2
    kept = list((stage.folder / "sessions").iterdir())
    assert {file.stat().st_mode & 0o777 for file in kept} == {0o600}
