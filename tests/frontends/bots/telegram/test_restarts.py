"""The program is killed in the middle of every step, and started again: one order, one result, nothing said twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from frontends.standins.telegram import Telegram
from tests.fixtures.api import BOTS_SCOPES, Plane
from tests.fixtures.chatroom import PATIENCE_SECONDS, at_work
from tests.fixtures.people import count, violations
from tests.fixtures.telegraph import ORDER, has_picture, running

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


@pytest.fixture
async def key(control_plane: Plane, owner_url: str) -> str:
    return await control_plane.service_key("telegram", scopes=BOTS_SCOPES)


async def test_killed_in_any_step_it_is_one_order_and_one_result(
    control_plane: Plane, key: str, telegram: Telegram, tmp_path: Path, owner_url: str
) -> None:
    bot, folder = telegram.bot("tessera_bot"), tmp_path / "bots"
    async with at_work(control_plane.service.hands):
        for number, (call, done) in enumerate(STEPS):
            ann = telegram.person(100 + number, "Ann", ("en", "de")[number % 2])
            step = telegram.faults.hold(call, done=done)
            async with running(control_plane.url, key, telegram, folder, bot):
                await ann.says(ORDER, to=bot)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await step.reached.wait()
            step.abandon()
            async with running(control_plane.url, key, telegram, folder, bot) as program:
                shown = await ann.sees(has_picture)
                await program.settled()
            left = ann.messages(by=bot)
            assert left == [shown], (call, done, [message.text for message in left])
            assert step.hits == 1
    assert count(owner_url, "select count(*) from jobs where state = 'succeeded'") == len(STEPS)
    assert violations(owner_url) == []
    assert telegram.violations == []
