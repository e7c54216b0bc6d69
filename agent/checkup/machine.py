"""Python, the GPUs and the driver: what the machine brings along."""

from __future__ import annotations

import sys

from agent.checkup import Check
from agent.gpu import NoCards, Reading, gauges, in_words, smi
from agent.settings import Settings

PYTHON_MIN = (3, 11)
HOT_CELSIUS = 87.0
FOREIGN_MIB_MIN = 1_024
"""Less is a desktop."""


def python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= PYTHON_MIN:
        return Check(name="python", result="ok", found=version)
    wanted = ".".join(map(str, PYTHON_MIN))
    return Check(name="python", result="bad", found=version, cure=f"Install Python {wanted} or newer.")


async def gpus(settings: Settings, *, wsl: bool) -> list[Check]:
    """Each card, and for each slot that names a card whether it is there."""
    wanted = [card.device for card in settings.cards if card.device is not None]
    try:
        cards = await smi.read(processes=True, seconds=10.0)
    except NoCards as error:
        return [Check(name="gpu", result="bad" if wanted else "note", found=str(error), cure=_no_card(wsl))]
    checks = [_card(card) for card in cards]
    for device in wanted:
        name = device.removeprefix("cuda:")
        if not any(name in (card.uuid, str(card.index)) for card in cards):
            cure = "`nvidia-smi -L` names the cards; set `device` to one of them."
            checks.append(Check(name="gpu", result="bad", found=f"there is no card {device}", cure=cure))
    return checks


def _card(card: Reading) -> Check:
    facts = ", ".join([f"{card.name}, driver {card.driver}", *in_words(gauges(card))])
    if card.temperature_celsius is not None and card.temperature_celsius >= HOT_CELSIUS:
        return Check(name="gpu", result="note", found=facts, cure="It is hot: clean its fans, give it air.")
    foreign = [f"process {pid}: {mib} MiB" for pid, mib in (card.processes_mib or {}).items() if mib]
    taken = sum(mib or 0 for mib in (card.processes_mib or {}).values())
    if taken >= FOREIGN_MIB_MIN:
        cure = "Right if that is ComfyUI; else close it, or expect less room for models."
        return Check(name="gpu", result="note", found=f"{facts} ({', '.join(foreign)})", cure=cure)
    return Check(name="gpu", result="ok", found=facts)


def _no_card(wsl: bool) -> str:
    if wsl:
        return (
            "Install NVIDIA's driver in Windows, not in Linux, then `wsl --shutdown` in PowerShell."
            " Without a GPU only the built-in test engine works."
        )
    return "Install NVIDIA's driver and look at `nvidia-smi`. Without a GPU only the built-in test engine works."
