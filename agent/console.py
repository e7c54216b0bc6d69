"""How the commands talk to a running agent: over its control socket."""

from __future__ import annotations

import asyncio
import os
from typing import Literal

import aiohttp
import msgspec

from agent.local import Status, socket_path
from agent.settings import Settings

Verb = Literal["status", "drain", "pause", "resume"]
ANSWER_SECONDS = 5.0


class NotRunning(Exception):
    """No agent runs with this state folder."""


class NotUnderstood(Exception):
    """The agent has refused what was asked; the message says why."""


async def ask(settings: Settings, verb: Verb, until: str | None = None) -> Status:
    """What the running agent says; raises `NotRunning` or `NotUnderstood`. `until`: of a pause, as it was typed."""
    try:
        folder = os.open(settings.dir, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise NotRunning(_sentence(settings)) from error
    try:
        connector = aiohttp.UnixConnector(socket_path(settings.socket_file, folder))
        async with asyncio.timeout(ANSWER_SECONDS), aiohttp.ClientSession(connector=connector) as session:
            method = "GET" if verb == "status" else "POST"
            params = {} if until is None else {"until": until}
            async with session.request(method, f"http://agent/{verb}", params=params) as response:
                if response.status == 422:
                    raise NotUnderstood((await response.json())["detail"])
                return msgspec.json.decode(await response.read(), type=Status)
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
        raise NotRunning(_sentence(settings)) from error
    finally:
        os.close(folder)


def _sentence(settings: Settings) -> str:
    return f"No agent is running with {settings.dir}. Start it with: tessera-agent run"
