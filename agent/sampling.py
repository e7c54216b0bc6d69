"""Looking at the GPUs, about once a second: watts for the meters of what runs, gauges for heartbeats, and whether
somebody else wants a GPU.

The loop never waits for a card longer than a read may take. When cards cannot be read, everything that depends on them
is unknown, and they are looked for again now and then: a driver that hangs may come back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import structlog

from agent import clock
from agent.duty import Duty
from agent.engine import Tenant
from agent.gpu import MIB_PER_GIB, NoCards, Reading, card_of, gauges, smi
from agent.gpu.contention import Limits, Seen, Watch, follow
from agent.gpu.nvml import Nvml
from agent.slot import Slot
from agent.work import Work

LOOK_SECONDS = 1.0
BLIND_SECONDS = 15.0
"""Until cards that could not be read are looked for again."""
SETTLE_SECONDS = 1.5
"""What a card says of its use is an average over the last second: so long after a run it may be ours."""

log = structlog.get_logger()


async def watch(duty: Duty) -> None:
    """Keeps looking until cancelled."""
    eye, looks = Eye(), [Look(duty, slot) for slot in duty.slots]
    while True:
        begun = clock.now()
        cards = await eye.read()
        seen = [(look, card_of(cards, look.device, look.slot.number)) for look in looks]
        runs = Counter(card.uuid for look, card in seen if card is not None for _ in _running(look.slot))
        for look, card in seen:
            await look.take(card, begun, runs[card.uuid] if card is not None else 0)
        await asyncio.sleep(max(0.0, begun + (LOOK_SECONDS if cards else BLIND_SECONDS) - clock.now()))


class Eye:
    """Reads the cards by NVML where its library is, else by nvidia-smi."""

    def __init__(self) -> None:
        self._nvml: Nvml | None = None
        with suppress(NoCards):
            self._nvml = Nvml()
        self._sees = False
        self._complaint = ""

    async def read(self) -> list[Reading]:
        """No card when they cannot be read; why not is logged once."""
        try:
            cards = await self._read()
        except NoCards as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.info("gpu.unknown", reason=str(error))
            self._sees = False
            return []
        if not self._sees:
            self._sees, self._complaint = True, ""
            log.info("gpu.found", cards=[card.name for card in cards])
        return cards

    async def _read(self) -> list[Reading]:
        """A library that is there but does not find the driver may have to do without it, as in WSL2."""
        if self._nvml is None:
            return await smi.read()
        try:
            return await self._nvml.read()
        except NoCards:
            return await smi.read()


class Look:
    """What is seen of one slot's card, from look to look."""

    def __init__(self, duty: Duty, slot: Slot) -> None:
        self.slot = slot
        cards = duty.settings.cards
        self.device = cards[slot.number].device if slot.number < len(cards) else None
        self._duty = duty
        self._watch = Watch()
        self._last_at = clock.now()
        self._limits = Limits(
            memory_mib=duty.settings.yield_memory_gib * MIB_PER_GIB, quiet_seconds=duty.settings.yield_quiet_seconds
        )

    async def take(self, card: Reading | None, at: float, sharing: int) -> None:
        """`sharing`: how many runs use the card at the moment; each is charged its part of the watts."""
        self.slot.gauges = gauges(card) if card is not None else {}
        watts = card.power_watts if card is not None else None
        for work in _running(self.slot):
            if work.meter is not None:
                work.meter.add(at, None if watts is None else watts / max(1, sharing))
        engine = self.slot.engine
        if isinstance(engine, Tenant) and self._duty.settings.yield_gpu != "off":
            await self._judge(card, engine, at)
        self._last_at = at

    async def _judge(self, card: Reading | None, engine: Tenant, at: float) -> None:
        """An engine that starts takes memory that it never speaks of (a context, kernels): what is usual is learnt
        when it is ready, having drawn its canary."""
        if not (self.slot.ready or self._watch.busy):
            self._watch = Watch()
            return
        works = self.slot.worked_since(self._last_at - SETTLE_SECONDS)
        seen = Seen(
            at=at,
            utilisation_percent=card.utilisation_percent if card is not None else None,
            memory_used_mib=card.memory_used_mib if card is not None else None,
            ours_mib=await engine.held_mib() if card is not None else None,
            engine_works=works or self.slot.worked_since(at),
        )
        self._watch = follow(self._watch, seen, self._limits)
        self.slot.contend(self._watch.busy)


def _running(slot: Slot) -> list[Work]:
    return [work for work in slot.works if work.started_at is not None and work.ended_at is None]
