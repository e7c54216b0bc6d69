"""The program is killed in the middle of every step, and started again: one order, one result, nothing said twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from typing import Any

from tests.fixtures.chatroom import at_work
from tests.fixtures.people import count, violations
from tests.fixtures.skins import ORDER, PATIENCE_SECONDS
from tests.fixtures.telegram_bots import Stage, beginning, has_picture

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
            await killed_in(stage, call, ann.says(ORDER, to=stage.account), done)
            async with stage.program() as program:
                shown = await ann.sees(has_picture)
                await program.settled()
            left = ann.messages(by=stage.account)
            assert left == [shown], (call, done, [message.text for message in left])
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
    first = await ann.says("/start", to=stage.account)
    order = ann.says(f"/generate {ORDER}", to=stage.account, reply_to=first)
    await killed_in(stage, "messages.GetMessages", order, True)
    await ann.says(f"/balance@{stage.account.name}", to=stage.account, where=group)
    async with stage.program():
        await ann.sees("Ordered for")
        await ann.sees(beginning("balance.parts", "en"), where=group)
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


async def test_what_is_kept_of_a_login_names_nobody_not_even_from_before(stage: Stage) -> None:
    """Who leaves is in no session file; addresses are asked for again, so a restart loses nobody."""
    ann, folder = stage.telegram.person(42, "Ann", "en"), stage.folder / "sessions"
    async with stage.program() as program:
        await ann.says(f"/generate {ORDER}", to=stage.account)
        await ann.sees("Ordered for")
        assert await program.bot._line.client.storage.get_peer_by_id(42), "while it runs it knows"
    [file] = folder.glob("*.session")
    with closing(sqlite3.connect(file)) as session:
        assert session.execute("select count(*) from peers").fetchone() == (0,)
        session.execute("insert into peers (id, access_hash, type) values (43, 1, 'user')")
        session.execute("insert into usernames (id, username) values (43, 'quokka7f3')")
        session.commit()
    async with stage.program() as program, at_work(stage.plane.service.hands):
        await ann.sees(has_picture)
        await program.settled()
    with closing(sqlite3.connect(file)) as session:
        assert session.execute("select count(*) from peers").fetchone() == (0,)
        assert session.execute("select count(*) from sessions where auth_key is not null").fetchone() == (1,)
    assert b"quokka7f3" not in b"".join(kept.read_bytes() for kept in folder.iterdir())


async def test_killed_while_it_sends_an_album_it_is_one_album(stage: Stage) -> None:
    async with at_work(stage.plane.service.hands):
        for number, done in enumerate((False, True)):
            ann = stage.telegram.person(200 + number, "Ann", "en")
            await killed_in(stage, "messages.SendMultiMedia", ann.says(f"3 pictures, {ORDER}", to=stage.account), done)
            async with stage.program() as program:
                await ann.sees(beginning("result.image", "en", count=3))
                await program.settled()
            assert [bool(message.album) for message in ann.messages(by=stage.account)] == [True, True, True, False]


async def test_killed_while_it_tells_that_nothing_came_of_it_that_is_told(stage: Stage) -> None:
    for number, done in enumerate((False, True)):
        ann = stage.telegram.person(300 + number, "Ann", "de")
        async with stage.program():
            await ann.says(ORDER, to=stage.account)
            status = await ann.sees("Bestellt")
        await killed_in(stage, "messages.EditMessage", ann.presses(status.button("Abbrechen")), done)
        async with stage.program() as program:
            assert await ann.sees(beginning("ended.canceled", "de"), within=10) is status
            await program.settled()
        assert ann.messages(by=stage.account) == [status]


async def test_killed_after_a_question_its_answer_is_understood(stage: Stage) -> None:
    ann = stage.telegram.person(42, "Ann", "es")
    await killed_in(stage, "messages.SendMessage", ann.says("/generate", to=stage.account), True)
    question = ann.messages(by=stage.account)[-1]
    assert question.asks
    async with stage.program():
        await ann.answers(question, ORDER)
        await ann.sees(beginning("order.taken", "es", cost=1))
    assert len([message for message in ann.messages(by=stage.account) if message.asks]) == 1


async def test_killed_in_any_step_of_a_purchase_it_is_one_bill_and_one_credit(stage: Stage, owner_url: str) -> None:
    ann, bot = stage.telegram.person(42, "Ann", "de"), stage.account
    async with stage.program() as program:
        await ann.says("/buy", to=bot)
        offer = await ann.sees(beginning("buy.choose", "de"))
        await program.settled()
    await killed_in(stage, "messages.SendMedia", ann.presses(offer.button("150 ⭐")), True)
    async with stage.program() as program:
        await program.settled()
    bills = [message for message in ann.messages(by=bot) if message.invoice]
    assert len(bills) == 1
    await killed_in(stage, "messages.SetBotPrecheckoutResults", ann.pays(bills[0]), True)
    await killed_in(stage, "messages.SendMessage", asyncio.sleep(0), True)
    async with stage.program() as program:
        await ann.sees(beginning("buy.credited", "de", count=500))
        await program.settled()
    told = [message for message in ann.messages(by=bot) if beginning("buy.credited", "de", count=500) in message.text]
    assert len(told) == 1
    assert count(owner_url, "select count(*) from payments") == 1
    assert violations(owner_url) == []


async def killed_in(stage: Stage, call: str, deed: Coroutine[Any, Any, object], done: bool) -> None:
    """Somebody does something, and the program dies in the middle of what it does about it."""
    step = stage.telegram.faults.hold(call, done=done)
    async with stage.program(killed=True), asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(deed)
        await step.reached.wait()
    step.abandon()
    assert step.hits == 1
