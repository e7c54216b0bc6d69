"""The stage on which the Telegram bots are tried."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from frontends.standins.telegram import Telegram
from tests.fixtures.api import BOTS_SCOPES, Plane
from tests.fixtures.telegram_bots import Stage


@pytest.fixture
async def stage(telegram: Telegram, control_plane: Plane, tmp_path: Path) -> AsyncIterator[Stage]:
    """One bot that makes pictures. No limit may be broken on it, and nothing is written where the tests run."""
    key = await control_plane.service_key("telegram", scopes=BOTS_SCOPES)
    stage = Stage(telegram, control_plane, key, tmp_path)
    stage.hire()
    yield stage
    assert telegram.violations == []
    assert not Path("unknown_errors.txt").exists()
