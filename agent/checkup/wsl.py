"""WSL2: the few things that keep an agent from working there for long."""

from __future__ import annotations

from agent import program
from agent.checkup import Check
from agent.installing.logon import task_name
from agent.wsl import Wsl

MEMORY_GIB_MIN = 12.0
SYSTEMD = "Put `[boot]` and `systemd=true` into /etc/wsl.conf, then `wsl --shutdown` in PowerShell."


async def checks(facts: Wsl, memory_gib: float) -> list[Check]:
    found = [_systemd(facts), _networking(facts), _memory(facts, memory_gib), await _kept_alive(facts)]
    return [Check(name="wsl", result="ok", found=f"distribution {facts.distribution or 'of unknown name'}"), *found]


def _systemd(facts: Wsl) -> Check:
    if facts.systemd_runs:
        return Check(name="wsl systemd", result="ok", found="runs")
    if facts.systemd_wanted:
        cure = "It is set but does not run: `wsl --shutdown` in PowerShell, and open Linux again."
        return Check(name="wsl systemd", result="note", found="set, but does not run", cure=cure)
    cure = f"Needed for install-service only. {SYSTEMD}"
    return Check(name="wsl systemd", result="note", found="off", cure=cure)


def _networking(facts: Wsl) -> Check:
    match facts.networking:
        case "mirrored" | "nat" | "virtioproxy":
            return Check(name="wsl network", result="ok", found=f"{facts.networking}; the agent only calls out")
        case "none":
            cure = "Set `networkingMode=mirrored` under `[wsl2]` in .wslconfig, then `wsl --shutdown`."
            return Check(name="wsl network", result="bad", found="networking is off", cure=cure)
        case _:
            cure = "Harmless. `wsl --update` in PowerShell brings a WSL that can say it."
            return Check(name="wsl network", result="note", found="this WSL does not say how", cure=cure)


def _memory(facts: Wsl, memory_gib: float) -> Check:
    limit = f", limited to {facts.memory_limit} in .wslconfig" if facts.memory_limit else ""
    found = f"{memory_gib:.1f} GiB for Linux{limit}"
    if memory_gib >= MEMORY_GIB_MIN:
        return Check(name="wsl memory", result="ok", found=found)
    cure = (
        "Large models are read through memory. Set `memory=24GB` (what you can spare) under `[wsl2]` in .wslconfig of"
        " your Windows user folder, then `wsl --shutdown`."
    )
    return Check(name="wsl memory", result="note", found=found, cure=cure)


async def _kept_alive(facts: Wsl) -> Check:
    """Whether the logon task is there that keeps the distribution alive."""
    name = task_name(facts.distribution or "")
    if not facts.interop or facts.distribution is None:
        cure = (
            "Windows programs cannot be run from here, so it cannot be looked up: see `tessera-agent install-service`."
        )
        return Check(name="wsl stays", result="note", found="unknown", cure=cure)
    try:
        answer = await program.ask("schtasks.exe", "/Query", "/TN", name)
    except program.Missing as error:
        return Check(name="wsl stays", result="note", found=str(error), cure="Is /mnt/c/Windows/System32 on PATH?")
    if answer.well:
        return Check(name="wsl stays", result="ok", found=f"task {name!r} keeps the distribution alive")
    cure = "Windows ends Linux soon after its last window is closed. Run: tessera-agent install-service"
    return Check(name="wsl stays", result="note", found="no logon task keeps the distribution alive", cure=cure)
