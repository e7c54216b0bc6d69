"""Orders on Discord, as people place them and see them come."""

from __future__ import annotations

from tests.fixtures.chatroom import at_work
from tests.fixtures.discord_bots import Stage

ORDER = "a lighthouse, 64x64, 1 step, model testcard"


async def test_a_command_is_answered_at_once_and_becomes_the_picture(stage: Stage) -> None:
    ann = stage.discord.person(42, "Ann", "de")
    async with stage.program(), at_work(stage.plane.service.hands):
        await ann.says(f"/generate {ORDER}", to=stage.account)
        shown = await ann.sees(lambda message: message.media)
        assert "Seed" in shown.text
        assert len(shown.media) == 1
        assert shown.edits
