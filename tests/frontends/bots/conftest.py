"""The stage on which conversations are tried, once as on Telegram and once as on Discord."""

from __future__ import annotations

import pytest

from tests.fixtures.theatre import Theatre, scene


@pytest.fixture(params=["telegram", "discord"])
def stage(request: pytest.FixtureRequest) -> Theatre:
    return Theatre(scene(request.param))
