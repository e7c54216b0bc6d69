"""How a machine gets the agent: from here, without any credential, and always the one that fits this control plane.

Nothing of it is a secret: it is the program's own code, and who may work is decided by the enrolment token.
"""

from __future__ import annotations

import asyncio

import structlog
from litestar.types import ASGIApp

from control_plane.api import answers, guards
from control_plane.api.operation import Call, Nothing, operation
from control_plane.errors import NotFound, Unavailable
from control_plane.release.handout import Handout, authority, handout
from control_plane.release.wheel import Unpackable
from control_plane.settings import Settings
from control_plane.wire.release import AgentRelease

SHELL = "text/x-shellscript; charset=utf-8"
WHEEL = "application/zip"
PEM = "application/x-pem-file"
FOREVER = "public, max-age=31536000, immutable"
"""The name of a wheel says what is in it."""

log = structlog.get_logger()


@operation(
    "GET",
    "/install/agent.sh",
    guard=guards.PUBLIC,
    answers={200: "text/x-shellscript"},
    problems=(Unavailable,),
    tag="Install",
)
async def get_installer(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The installer of the agent, for `sh`; it knows where it came from. `sh -s -- --help` tells what it takes."""
    script = (await _handout()).script(call.context.settings)
    return answers.Answer(script, media_type=SHELL, cache="no-cache")


@operation(
    "GET",
    "/install/agent.json",
    guard=guards.PUBLIC,
    answers={200: AgentRelease},
    problems=(Unavailable,),
    tag="Install",
)
async def get_agent_release(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Which agent belongs to this control plane, and the hashes of its files."""
    return answers.json((await _handout()).release, cache="no-cache")


@operation(
    "GET",
    "/install/requirements.txt",
    guard=guards.PUBLIC,
    answers={200: "text/plain"},
    problems=(Unavailable,),
    tag="Install",
)
async def get_agent_requirements(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """Every library that the agent needs, with version and hashes, for `pip install --require-hashes`."""
    return answers.Answer((await _handout()).requirements, media_type=answers.TEXT, cache="no-cache")


@operation(
    "GET",
    "/install/ca.pem",
    guard=guards.PUBLIC,
    answers={200: PEM},
    problems=(NotFound, Unavailable),
    tag="Install",
)
async def get_authority(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The private authority behind the certificate of this service, if it has one, for those who want to trust it.

    Whoever fetches it compares its SHA-256 with what they were told on another way, as the enrolment token does.
    """
    pem = _authority(call.context.settings)
    if not pem:
        raise NotFound("The certificate of this service comes from no authority of its own.")
    return answers.Answer(pem.encode(), media_type=PEM, cache="no-cache")


@operation(
    "GET",
    "/install/{wheel:str}",
    guard=guards.PUBLIC,
    answers={200: WHEEL},
    problems=(NotFound, Unavailable),
    tag="Install",
)
async def get_agent_wheel(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The agent as a wheel, under the name that `agent.json` says."""
    wheel = (await _handout()).wheel
    if call.path("wheel") != wheel.name:
        raise NotFound("There is another agent by now. `/install/agent.json` names it.")
    return answers.Answer(wheel.content, media_type=WHEEL, cache=FOREVER)


async def _handout() -> Handout:
    """Raises `Unavailable`, with what the operator has to do."""
    try:
        return await asyncio.to_thread(handout)
    except Unpackable as error:
        raise _unavailable(error) from error


def _authority(settings: Settings) -> str:
    try:
        return authority(settings)
    except Unpackable as error:
        raise _unavailable(error) from error


def _unavailable(error: Unpackable) -> Unavailable:
    log.error("agent.not_packed", reason=str(error))
    return Unavailable(str(error))
