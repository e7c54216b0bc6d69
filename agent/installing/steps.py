"""Installing the service and taking it away again: each step tells what it did, or what the owner has to do.

Doing it again changes nothing that is right already. What this user may not do (lingering, a task of Windows) does not
end the installation: it is said, with the one line that does it.
"""

from __future__ import annotations

import getpass
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec

from agent import program, wsl
from agent.credential import Credential
from agent.installing import logon
from agent.installing.unit import NAME, SYSTEM_UNIT, system_unit, systemctl, unit
from agent.settings import Settings
from agent.wsl import Wsl

TASK_FILE = "keep-alive.xml"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    """What was done, is to be seen, or would be done."""
    result: str = "done"
    """`done`, `would` (a dry run), `note` (the owner should do something), `failed` (so it will not work)."""
    cure: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is installed, and how."""

    settings: Settings
    units: Path
    """The folder of the owner's units."""
    config: Path | None
    """The settings file in use."""
    distribution: str | None
    """What WSL_DISTRO_NAME says."""
    dry: bool = False
    system: bool = False
    """For the whole machine, as a user of its own, instead of for its owner."""
    root: Path = Path("/")

    @property
    def unit_file(self) -> Path:
        return self.root / SYSTEM_UNIT.relative_to("/") if self.system else self.units / NAME


async def install(place: Place, credential: Credential) -> AsyncGenerator[Step, None]:
    facts = await _wsl(place)
    if facts is not None and not facts.systemd_runs:
        cure = "Put `[boot]` and `systemd=true` into /etc/wsl.conf, `wsl --shutdown` in PowerShell, and come again."
        yield Step(what="WSL2 runs without systemd", result="failed", cure=cure)
        return
    containers = any(card.comfyui_image is not None for card in place.settings.cards)
    if place.system and containers:
        cure = "The system's unit is too closed for Podman. Leave --system away: the owner's own can do it."
        yield Step(what="ComfyUI is to run in a container", result="failed", cure=cure)
        return
    own = unit(credential.url, place.settings.dir, place.config, containers=containers)
    text = system_unit() if place.system else own
    yield _written(place, place.unit_file, text.encode(), text)
    async for step in _started(place):
        yield step
        if step.result == "failed":
            return
    if not place.system:
        yield await _lingering(place)
    if facts is not None:
        yield await _kept_alive(place, facts)


async def remove(place: Place) -> AsyncGenerator[Step, None]:
    facts = await _wsl(place)
    if place.unit_file.exists():
        yield await _told_systemd(place, "disable", "--now", NAME)
        if not place.dry:
            place.unit_file.unlink(missing_ok=True)
        yield Step(what=f"removed {place.unit_file}", result=_would(place))
        yield await _told_systemd(place, "daemon-reload")
    else:
        yield Step(what=f"there is no {place.unit_file}", result="done")
    if facts is not None:
        yield await _task_removed(place, facts)
    if not place.system:
        cure = f"Nothing else needs it? loginctl disable-linger {getpass.getuser()}"
        yield Step(what="lingering is left as it is", result="note", cure=cure)


async def _wsl(place: Place) -> Wsl | None:
    return await wsl.look(place.distribution, place.root) if wsl.is_wsl(place.root) else None


def _would(place: Place) -> str:
    return "would" if place.dry else "done"


def _written(place: Place, path: Path, content: bytes, shown: str) -> Step:
    if place.dry:
        return Step(what=f"write {path}:\n{shown}", result="would")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.chmod(0o644 if place.system else 0o600)
    fresh.replace(path)
    return Step(what=f"wrote {path}")


async def _started(place: Place) -> AsyncGenerator[Step, None]:
    """Looked over by systemd where it has the tool, then enabled and started anew."""
    if not place.dry:
        try:
            whose = () if place.system else ("--user",)
            looked = await program.ask("systemd-analyze", "verify", *whose, str(place.unit_file))
        except program.Missing:
            pass
        else:
            if NAME in looked.said:
                yield Step(what=f"systemd says of the unit: {looked.first_line}", result="note")
    yield await _told_systemd(place, "daemon-reload")
    yield await _told_systemd(place, "enable", NAME)
    yield await _told_systemd(place, "restart", "--no-block", NAME)


async def _told_systemd(place: Place, *words: str) -> Step:
    return await _ran(place, *systemctl(*words, system=place.system))


async def _ran(place: Place, *command: str) -> Step:
    shown = " ".join(command)
    if place.dry:
        return Step(what=shown, result="would")
    try:
        answer = await program.ask(*command)
    except program.Missing as error:
        return Step(what=f"{shown}: {error}", result="failed", cure="This needs a Linux with systemd.")
    if answer.well:
        return Step(what=shown)
    cure = "Log in as this user itself (not by su or sudo), so that systemd has a session for it, and come again."
    if place.system:
        cure = "systemctl status tessera-agent says more. For one user alone: without --system."
    return Step(what=f"{shown}: {answer.first_line}", result="failed", cure=cure)


async def _lingering(place: Place) -> Step:
    """Without it the service ends when its owner logs out, and starts only with the next login."""
    user = getpass.getuser()
    step = await _ran(place, "loginctl", "enable-linger", user)
    if step.result != "failed":
        return step
    return Step(what=step.what, result="note", cure=f"To start without a login: sudo loginctl enable-linger {user}")


async def _kept_alive(place: Place, facts: Wsl) -> Step:
    """The Windows task, registered through interop, or the line that does it."""
    name = facts.distribution or "Ubuntu"
    by_hand = f"Paste this into PowerShell in Windows: {logon.powershell(name)}"
    unknown = "" if facts.distribution else " (check the distribution's name: wsl -l)"
    if not facts.interop or facts.distribution is None:
        return Step(what=f"Windows cannot be told from here{unknown}", result="note", cure=by_hand)
    try:
        user = (await program.ask("whoami.exe")).first_line
        file = place.settings.dir / TASK_FILE
        content = logon.xml(facts.distribution, user)
        written = _written(place, file, content, content.decode("utf-16"))
        if place.dry:
            return Step(what=f"{written.what}\nschtasks.exe /Create /F /TN {logon.task_name(name)!r}", result="would")
        return await _registered(file, logon.task_name(facts.distribution), by_hand)
    except program.Missing as error:
        return Step(what=f"Windows cannot be told from here: {error}", result="note", cure=by_hand)


async def _registered(file: Path, name: str, by_hand: str) -> Step:
    """Raises `program.Missing`."""
    path = (await program.ask("wslpath", "-w", str(file))).first_line
    made = await program.ask("schtasks.exe", "/Create", "/F", "/TN", name, "/XML", path)
    if not made.well:
        return Step(what=f"Windows refused the task: {made.first_line}", result="note", cure=by_hand)
    run = await program.ask("schtasks.exe", "/Run", "/TN", name)
    if not run.well:
        return Step(what=f"the task {name!r} begins with the next logon: {run.first_line}", result="note")
    return Step(what=f"registered the Windows task {name!r}, which keeps this distribution alive")


async def _task_removed(place: Place, facts: Wsl) -> Step:
    name = facts.distribution or "Ubuntu"
    by_hand = f"Paste this into PowerShell in Windows: {logon.powershell_removal(name)}"
    if place.dry:
        return Step(what=f"schtasks.exe /Delete /F /TN {logon.task_name(name)!r}", result="would")
    (place.settings.dir / TASK_FILE).unlink(missing_ok=True)
    if not facts.interop or facts.distribution is None:
        return Step(what="Windows cannot be told from here", result="note", cure=by_hand)
    try:
        gone = await program.ask("schtasks.exe", "/Delete", "/F", "/TN", logon.task_name(name))
    except program.Missing as error:
        return Step(what=f"Windows cannot be told from here: {error}", result="note", cure=by_hand)
    if gone.well:
        return Step(what=f"removed the Windows task {logon.task_name(name)!r}")
    return Step(what=f"Windows did not remove the task: {gone.first_line}", result="note", cure=by_hand)
