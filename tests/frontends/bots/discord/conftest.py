"""The stage on which the Discord bots are tried."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from frontends.standins.discord import Discord
from tests.fixtures.api import BOTS_SCOPES, Plane
from tests.fixtures.discord_bots import Stage


@pytest.fixture
async def stage(
    discord: Discord, control_plane: Plane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Stage]:
    """One bot that makes pictures. No limit may be broken on it, and nothing may fail unheard in the library."""
    key = await control_plane.service_key("discord", scopes=BOTS_SCOPES)
    stage = Stage(discord, control_plane, key, tmp_path)
    stage.hire()
    with caplog.at_level(logging.ERROR, "hikari"):
        yield stage
    assert discord.violations == []
    assert [record.getMessage() for record in caplog.records if record.name.startswith("hikari")] == []
