"""The agent that runs here: how an update makes it end, starts it again, and learns that it works."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from agent import program
from agent.console import NotRunning, ask
from agent.installing.unit import NAME, systemctl
from agent.local import Status
from agent.settings import Settings
from agent.updating import UpdateFailed

BEAT_SECONDS = 0.2
END_SECONDS = 15.0
"""Beyond the longest run, for what a drained agent does at its end."""
HEARD_SECONDS = 120.0
"""From its start until it is heard at the control plane: an engine may load for long, but greeting comes first."""
START_SECONDS = 30.0


async def is_service() -> bool:
    """Whether systemd runs the agent: the system's, or that of this user."""
    with suppress(program.Missing):
        return (await program.ask(*systemctl("is-active", "--quiet", NAME))).well
    return False


async def running(settings: Settings) -> Status | None:
    try:
        return await ask(settings, "status")
    except NotRunning:
        return None


async def drain(settings: Settings) -> None:
    """Has the running agent finish what it holds and end. Raises `UpdateFailed`."""
    limit = settings.run_seconds_max + END_SECONDS
    with suppress(NotRunning):
        await ask(settings, "drain")
    try:
        async with asyncio.timeout(limit):
            while await running(settings) is not None:  # noqa: ASYNC110 -- another process, which has no event for us
                await asyncio.sleep(BEAT_SECONDS)
    except TimeoutError:
        raise UpdateFailed(f"The agent did not finish within {limit:.0f} s. It is still the old one.") from None


async def start() -> None:
    """As a service. Raises `UpdateFailed`."""
    try:
        answer = await program.ask(*systemctl("restart", "--no-block", NAME), seconds=START_SECONDS)
    except program.Missing as error:
        raise UpdateFailed(f"systemd did not start the agent: {error}.") from error
    if not answer.well:
        raise UpdateFailed(f"systemd did not start the agent: {answer.first_line}")


async def heard(settings: Settings, version: str) -> None:
    """Until the agent of this version runs and the control plane has answered it. Raises `UpdateFailed`."""
    try:
        async with asyncio.timeout(HEARD_SECONDS):
            while True:
                status = await running(settings)
                if status is not None and status.version == version and status.silent_seconds is not None:
                    return
                await asyncio.sleep(BEAT_SECONDS)
    except TimeoutError:
        raise UpdateFailed(f"The new agent was not heard at the control plane within {HEARD_SECONDS:g} s.") from None
