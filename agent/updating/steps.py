"""An update in order, each step told as it is done; see the package. Whatever ends it early, the old agent goes on."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from itertools import pairwise
from pathlib import Path

import msgspec

from agent import program
from agent.client import agent_version
from agent.credential import Credential
from agent.homes import WHOLE, Home
from agent.installing.steps import Step
from agent.installing.unit import SYSTEM_USER, is_of_system
from agent.settings import Settings
from agent.updating import UpdateFailed, build, fetch, pulse
from control_plane.wire.release import AgentRelease

CANARY_SECONDS = 1_800.0
"""A ComfyUI of our own has to start and to load a model for it."""
AS_USER = ("setpriv", f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--init-groups", "--")
"""What draws, draws as it will in force; root only puts it there."""


class Update(msgspec.Struct, frozen=True, kw_only=True):
    settings: Settings
    credential: Credential
    home: Home
    environ: Mapping[str, str]
    """For the programs that are started: the index of pip, the settings file of the agent."""
    dry: bool = False


async def update(plan: Update) -> AsyncGenerator[Step, None]:
    """Raises `UpdateFailed`; by then everything is as before."""
    wanted = await fetch.release(plan.credential)
    yield Step(what=f"the control plane has {wanted.version}, this is {agent_version()}")
    if wanted.version == agent_version():
        return
    old, new = plan.home.current, plan.home.environment(wanted.version)
    if plan.dry:
        for what in _told(wanted, new):
            yield Step(what=what, result="would")
        return
    if not (new / WHOLE).exists():
        await _built(plan, wanted, new)
    yield Step(what=f"built {new}")
    async with aclosing(_in_force(plan, wanted, old, new)) as going:
        async for step in going:
            yield step


async def _built(plan: Update, wanted: AgentRelease, new: Path) -> None:
    try:
        await fetch.files(plan.credential, wanted, build.begin(new))
        await build.finish(new, wanted, plan.environ)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


async def _in_force(plan: Update, wanted: AgentRelease, old: Path, new: Path) -> AsyncGenerator[Step, None]:
    """From the old agent to the new one, and back if that does not work."""
    was_running, service = await pulse.running(plan.settings) is not None, await pulse.is_service()
    done = False
    try:
        if was_running:
            await pulse.drain(plan.settings)
            yield Step(what="the old agent has finished what it held")
        yield Step(what=f"canary: {await _canary(plan, new)}")
        plan.home.switch(new)
        yield Step(what=f"{wanted.version} is in force")
        if service:
            await pulse.start()
            await pulse.heard(plan.settings, wanted.version)
            yield Step(what="the new agent runs, and the control plane has answered it")
        done = True
    except UpdateFailed as error:
        if was_running and not service:
            raise UpdateFailed(f"{error} Start it again: tessera-agent run") from error
        raise
    finally:
        if not done:
            await _back(plan, old, new, service=service)
    plan.home.tidy(old, new)
    if was_running and not service:
        yield Step(what="the agent is not running", result="note", cure="Start it: tessera-agent run")


async def _canary(plan: Update, new: Path) -> str:
    """What the new agent says of itself, by its own code in its own environment. Raises `UpdateFailed`."""
    whose = AS_USER if is_of_system() else ()
    python = str(new / "bin" / "python")
    command = (*whose, python, "-P", "-m", "agent", "canary", "--dir", str(plan.settings.dir))
    try:
        answer = await program.ask(*command, seconds=CANARY_SECONDS, environ=plan.environ)
    except program.Missing as error:
        raise UpdateFailed(f"The canary of the new agent failed: {error}. The old one is still in force.") from error
    lines = [line.strip() for line in answer.said.splitlines() if line.strip()]
    if not answer.well:
        raise UpdateFailed(f"The canary of the new agent failed: {_worst(lines)}. The old one is still in force.")
    return " ".join(lines[-1].split()) if lines else "drawn"


def _worst(lines: list[str]) -> str:
    """The first check that was bad, with its cure."""
    for said, then in pairwise([*lines, ""]):
        if said.startswith("BAD"):
            return " ".join(f"{said} {then if then.startswith('→') else ''}".split()).rstrip(".")
    return lines[-1] if lines else "it said nothing"


async def _back(plan: Update, old: Path, new: Path, *, service: bool) -> None:
    """The old agent as it was."""
    if plan.home.current != old:
        plan.home.switch(old)
    if service:
        with suppress(UpdateFailed):
            await pulse.start()
    shutil.rmtree(new, ignore_errors=True)


def _told(wanted: AgentRelease, new: Path) -> list[str]:
    return [
        f"fetch {wanted.wheel} (sha256 {wanted.wheel_sha256}) and its requirements",
        f"build {new}",
        "let the running agent finish what it holds and end",
        f"run {new}/bin/python -P -m agent canary",
        f"put {wanted.version} in force, start it, and go back if the control plane does not hear it",
    ]
