"""What the graphics cards of this machine say of themselves, and what follows from it.

    nvml | smi ─► Reading ─┬─► energy (joules of a run)
                           └─► contention (does somebody else want the card?)

Reading is bounded and never in the event loop: NVML in a thread, where its library is installed, else a short-lived
`nvidia-smi`. What a card does not say (`[N/A]`, in WSL2 all that concerns single processes) is None, never 0.
"""

from __future__ import annotations

import msgspec

MIB_PER_GIB = 1024


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One card at one moment."""

    uuid: str
    """`GPU-…`; stays the same whatever the order of the cards."""
    index: int
    name: str
    driver: str
    memory_used_mib: int | None = None
    memory_total_mib: int | None = None
    utilisation_percent: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    processes_mib: dict[int, int | None] | None = None
    """Memory by process; None where the system does not tell processes apart."""


class NoCards(Exception):
    """The cards cannot be read; the message says why. Whether that will change, nobody knows."""


def gauges(card: Reading) -> dict[str, float]:
    """What travels with heartbeats and is shown to the operator: only what is known."""
    known = {
        "power_watts": card.power_watts,
        "temperature_celsius": card.temperature_celsius,
        "utilisation_percent": card.utilisation_percent,
        "vram_used_gib": _gib(card.memory_used_mib),
        "vram_total_gib": _gib(card.memory_total_mib),
    }
    return {name: float(value) for name, value in known.items() if value is not None}


def in_words(known: dict[str, float]) -> list[str]:
    """Gauges as people read them: `61 °C`, `220 W`, `8.1 of 24.0 GiB`, `97 %`."""
    words = [
        f"{known[name]:.0f} {unit}"
        for name, unit in (("temperature_celsius", "°C"), ("power_watts", "W"), ("utilisation_percent", "%"))
        if name in known
    ]
    if "vram_used_gib" in known and "vram_total_gib" in known:
        words.append(f"{known['vram_used_gib']:.1f} of {known['vram_total_gib']:.1f} GiB")
    return words


def card_of(cards: list[Reading], device: str | None, slot: int) -> Reading | None:
    """The card on which a slot works: the one of this UUID or index, else the one of the slot's number."""
    if device is None:
        return cards[slot] if slot < len(cards) else cards[0] if len(cards) == 1 else None
    wanted = device.removeprefix("cuda:")
    return next((card for card in cards if wanted in (card.uuid, str(card.index))), None)


def _gib(mib: int | None) -> float | None:
    return None if mib is None else round(mib / MIB_PER_GIB, 2)
