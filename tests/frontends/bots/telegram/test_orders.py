"""Orders on Telegram, as people place them: through the genuine library, from the words to the picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontends.standins.telegram import Telegram
from tests.fixtures.api import BOTS_SCOPES, Plane
from tests.fixtures.chatroom import at_work
from tests.fixtures.telegraph import ORDER, has_picture, running


@pytest.fixture
async def key(control_plane: Plane, owner_url: str) -> str:
    return await control_plane.service_key("telegram", scopes=BOTS_SCOPES)


async def test_words_become_a_picture_with_buttons(
    control_plane: Plane, key: str, telegram: Telegram, tmp_path: Path
) -> None:
    bot = telegram.bot("tessera_bot")
    ann = telegram.person(42, "Ann", "en")
    async with (
        at_work(control_plane.service.hands),
        running(control_plane.url, key, telegram, tmp_path / "bots", bot) as program,
    ):
        await ann.starts(bot)
        await ann.sees("Hello!")
        said = await ann.says(ORDER, to=bot)
        status = await ann.sees("Ordered for")
        assert status.reply_to == said.id
        shown = await ann.sees(has_picture)
        assert "Seed" in shown.text
        assert shown.media[0].kind == "photo"
        answer = await ann.presses(shown.button("Info"))
        assert answer.text is None
        await ann.sees("testcard")
        await program.settled()
        assert status.deleted
    assert telegram.violations == []
