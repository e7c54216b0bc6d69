"""What one process knows about the lanes: clock, bound, offset, and who waits for work.

The table is the truth, the board a well-informed guess that makes claims cheap: `bound` says where the index scan
may start (under an old snapshot a scan from the front walks every dead entry), `clock` serves tagging, `tag_offset`
makes lanes comparable. A claim raises the bound only to the smallest tag that it saw, and not when a submit lowered
it meanwhile; submits and requeues lower it; once a second the smallest queued tag is read without any bound. So a
job below a stale bound waits at most that second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from control_plane.database import Database, Query
from control_plane.money import plans
from control_plane.queue.admission import Order
from control_plane.queue.statements import ClaimRow, LaneHint
from control_plane.wire.worker import Capability, ClaimRequest, SlotClaim, capabilities_sha256
from control_plane.workers.slots import LIVE_SECONDS

Offer = tuple[tuple[Capability, ...], int, Capability | None]
"""What a slot says of itself: capabilities, VRAM, what it has loaded."""

OFFERS_MAX = 1_024
"""Different things that slots may say of themselves before the board forgets what they meant."""
RUNS_KEPT = 200
"""How many recent runs a lane remembers for its ETA."""
PACE_KEPT = 0.98
"""Of what was learnt about the pace of the clocks: how much is kept at each claim, so the last fifty or so count."""


_encode = msgspec.json.Encoder().encode
ALONE_SECONDS = 3
"""For how many looks, one each second, nobody else was there before hints are no longer sent."""


class LaneRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    kind: str
    model: str
    vram_gib: int
    sandbox: bool
    task: str
    clock: float
    bound: float
    tag_offset: float
    paused: bool
    head_tag: float | None
    read_at: datetime


class WaitingRow(msgspec.Struct, frozen=True, kw_only=True):
    lane_id: int
    jobs: int


class PoolRow(msgspec.Struct, frozen=True, kw_only=True):
    lane_id: int
    plan: str
    tokens: float


ALL = Query("lanes.all", LaneRow)
POOLS = Query("lanes.pools", PoolRow)
SLOTS = Query("lanes.slots", int)
WAITING = Query("lanes.waiting", WaitingRow)
WRITE_DOWN: Query[None] = Query("lanes.write_down")
ENSURE = Query("lanes.ensure", int)


class Lane:
    """One lane on the board."""

    def __init__(self, row: LaneRow) -> None:
        self.id = row.id
        self.capability = (row.kind, row.model)
        self.vram_gib = row.vram_gib
        self.task = row.task
        """Empty: whoever serves the model serves all its tasks."""
        self.sandbox = row.sandbox
        """What test keys order; no agent is ever given it."""
        self.clock = row.clock
        self.bound = row.bound if row.head_tag is None else min(row.bound, row.head_tag)
        self.tag_offset = row.tag_offset
        self.paused = row.paused
        self.head_tag = row.head_tag
        self.lowered = 0
        """How often the bound was lowered: a claim that left before must not raise it afterwards."""
        self.pool_tokens: dict[str, float] = {}
        """Plan with a pool weight → tokens that all its users have in line."""
        self.served_at: datetime | str = "-infinity"
        """When a job of it was last claimed, by the database's clock."""
        self.changed = False
        self.new_runs: list[tuple[int, float]] = []
        """Tokens and seconds of runs that are not written down yet."""

    def lower(self, tag: float) -> None:
        self.lowered += 1
        self.bound = min(self.bound, tag)

    def raise_to(self, head_tag: float, lowered_before: int) -> None:
        if self.lowered == lowered_before and head_tag > self.bound:
            self.bound = head_tag

    def took(
        self, tag: float, clock: float, head_tag: float, key: float, claimed_at: datetime, lowered_before: int
    ) -> float:
        """Learn from a claim: the clock rises, the offset is what the lane was compared with. How far it rose."""
        self.raise_to(head_tag, lowered_before)
        rise = max(0.0, clock - self.clock)
        self.clock += rise
        self.tag_offset = key - tag
        self.served_at = claimed_at
        self.changed = True
        return rise

    def merge(self, row: LaneRow, lowered_before: int) -> None:
        """Learn from the table: the clock only rises, an offset of ours that is not written down yet stands."""
        if row.clock > self.clock:
            self.clock, self.served_at = row.clock, row.read_at
        if not self.changed:
            self.tag_offset = row.tag_offset
        self.paused = row.paused
        self.head_tag = row.head_tag
        if row.head_tag is not None:
            if row.head_tag < self.bound:
                self.lower(row.head_tag)
            else:
                self.raise_to(row.head_tag, lowered_before)


class Board:
    """All lanes of the service as this process knows them."""

    def __init__(self, database: Database, grew: Callable[[Iterable[int]], None] = lambda _: None) -> None:
        self._database = database
        self._grew = grew
        """Told when there is a new lane: those of the same model that there were before."""
        self.lanes: dict[int, Lane] = {}
        self._serving: dict[tuple[str, str], list[Lane]] = {}
        self._offers: dict[Offer, tuple[tuple[int, ...], int | None]] = {}
        self._capabilities: dict[str, list[Capability]] = {}
        """What slots can do, by its hash."""
        self.spent_plans: list[str] = []
        """Plans whose users together have used up their tokens of the day."""
        self.processes = 1
        self._alone_seconds = 0
        """How many control planes admit orders at present."""
        self.slots = 1
        """How many live at present."""
        self._tokens, self._tags = 1.0, 1.0
        """Served of late, and how far the clocks rose by it."""

    def pool_clock(self, lane_ids: Iterable[int]) -> float:
        """How far service has come in the furthest of these lanes, on the scale on which lanes are compared.

        Only lanes that share a slot are compared: a lane of other slots may be far ahead, and all of these would seem
        to lag alike.
        """
        return max(
            (lane.clock + lane.tag_offset for lane_id in lane_ids if (lane := self.lanes.get(lane_id))), default=0.0
        )

    @property
    def pace(self) -> float:
        """How far a clock comes when every slot serves a token: the slots over the weights of those who are served.

        A clock rises by what all processes serve, of which this one sees its part.
        """
        return self.slots * self._tags / (self._tokens * self.processes)

    async def refresh(self) -> None:
        """Read every lane and its smallest queued tag."""
        before = {lane.id: lane.lowered for lane in self.lanes.values()}
        for row in await self._database.many(ALL):
            if row.id in self.lanes:
                self.lanes[row.id].merge(row, before.get(row.id, -1))
            else:
                self._add(Lane(row))
        pools = await self._database.many(POOLS)
        for lane in self.lanes.values():
            lane.pool_tokens = {pool.plan: pool.tokens for pool in pools if pool.lane_id == lane.id}
        self.spent_plans = await self._database.many(plans.SPENT)
        self.processes = max(1, await self._database.one(plans.PROCESSES) or 1)
        self._alone_seconds = self._alone_seconds + 1 if self.processes == 1 else 0
        self.slots = max(1, await self._database.one(SLOTS, {"live_seconds": LIVE_SECONDS}) or 1)

    @property
    def is_alone(self) -> bool:
        """Whether there is nobody to give hints to. One that starts says so, and finds what it missed in a second."""
        return self._alone_seconds >= ALONE_SECONDS

    def accompanied(self) -> None:
        """Another process has started."""
        self._alone_seconds = 0

    def _add(self, lane: Lane) -> None:
        self.lanes[lane.id] = lane
        self._offers.clear()
        if lane.sandbox:
            return
        line = self._serving.setdefault(lane.capability, [])
        self._grew([like.id for like in line])
        line.append(lane)
        line.sort(key=lambda other: other.vram_gib)

    async def waiting(self, lane_ids: list[int], cap: int) -> list[WaitingRow]:
        """How many jobs wait in these lanes, counted up to `cap`."""
        bounds = [self.lanes[lane_id].bound for lane_id in lane_ids]
        return await self._database.many(WAITING, {"lane_id": lane_ids, "bound": bounds, "cap": cap})

    async def write_down(self) -> None:
        """Tell the table what was learnt since the last time."""
        changed = [lane for lane in self.lanes.values() if lane.changed or lane.new_runs]
        if not changed:
            return
        runs = {lane.id: lane.new_runs for lane in changed}
        for lane in changed:
            lane.changed, lane.new_runs = False, []
        try:
            await self._database.run(
                WRITE_DOWN,
                {
                    "lane_id": [lane.id for lane in changed],
                    "clock": [lane.clock for lane in changed],
                    "bound": [lane.bound for lane in changed],
                    "tag_offset": [lane.tag_offset for lane in changed],
                    "tokens": [_array(tokens for tokens, _ in runs[lane.id]) for lane in changed],
                    "seconds": [_array(seconds for _, seconds in runs[lane.id]) for lane in changed],
                    "kept": RUNS_KEPT,
                },
            )
        except BaseException:
            for lane in changed:
                lane.changed = True
            raise

    async def lane(self, kind: str, model: str, vram_gib: int, task: str = "") -> int:
        """The lane of such jobs, made on first sight."""
        for lane in self._serving.get((kind, model), ()):
            if lane.vram_gib == vram_gib and lane.task == task:
                return lane.id
        return await self._made(kind, model, vram_gib, task, sandbox=False)

    async def sandbox_lane(self, kind: str, model: str, vram_gib: int) -> int:
        """The lane of such jobs of test keys, made on first sight."""
        wanted = (kind, model), vram_gib
        for lane in self.sandbox_lanes():
            if (lane.capability, lane.vram_gib) == wanted:
                return lane.id
        return await self._made(kind, model, vram_gib, "", sandbox=True)

    def sandbox_lanes(self) -> list[Lane]:
        return [lane for lane in self.lanes.values() if lane.sandbox]

    async def _made(self, kind: str, model: str, vram_gib: int, task: str, *, sandbox: bool) -> int:
        parameters = {"kind": kind, "model": model, "vram_gib": vram_gib, "sandbox": sandbox, "task": task}
        lane_id = await self._database.one(ENSURE, parameters)
        assert lane_id is not None
        await self.refresh()
        return lane_id

    def placed(self, order: Order) -> Order:
        """The order with what its lane looks like from here."""
        lane = self.lanes[order.lane_id]
        pool_tokens = _encode(lane.pool_tokens).decode() if lane.pool_tokens else "{}"
        return msgspec.structs.replace(order, clock=lane.clock, pool_tokens=pool_tokens)

    def pooled(self, lane_id: int, pool: str | None, cost: int) -> None:
        """A job of such a plan was put in line. Until the table is read again, the others may have done as much."""
        if pool is not None and (lane := self.lanes.get(lane_id)):
            lane.pool_tokens[pool] = lane.pool_tokens.get(pool, 0) + cost * self.processes

    def offered(self, slot: SlotClaim) -> tuple[tuple[int, ...], int | None]:
        """The lanes that a slot serves, and which of them is loaded; slots say the same thing again and again."""
        offer: Offer = (tuple(slot.capabilities), slot.vram_gib, slot.loaded)
        if (found := self._offers.get(offer)) is None:
            if len(self._offers) >= OFFERS_MAX:
                self._offers.clear()
            lane_ids = self.serving(slot.capabilities, slot.vram_gib)
            found = self._offers[offer] = lane_ids, self.loaded(slot.loaded, lane_ids)
        return found

    def spelt_out(self, request: ClaimRequest) -> ClaimRequest | None:
        """The claim with all capabilities that it calls by their hash; None when one of them is not known here."""
        if not any(slot.capabilities_sha256 for slot in request.slots):
            return request
        slots = []
        for slot in request.slots:
            named = slot.capabilities_sha256
            if named is not None and slot.capabilities:
                self._remember(named, slot.capabilities)
            elif named is not None:
                if (known := self._capabilities.get(named)) is None:
                    return None
                slot = msgspec.structs.replace(slot, capabilities=known)
            slots.append(slot)
        return msgspec.structs.replace(request, slots=slots)

    def _remember(self, named: str, capabilities: list[Capability]) -> None:
        """Under the hash that we find ourselves: what one worker says must not be another's."""
        if named not in self._capabilities and capabilities_sha256(capabilities) == named:
            if len(self._capabilities) >= OFFERS_MAX:
                self._capabilities.clear()
            self._capabilities[named] = capabilities

    def serving(self, capabilities: Iterable[Capability], vram_gib: int) -> tuple[int, ...]:
        """The lanes that a slot with these capabilities and this much VRAM can serve."""
        return tuple(
            lane.id
            for capability in capabilities
            for lane in self._serving.get((capability.kind, capability.model), ())
            if lane.vram_gib <= vram_gib and _does(capability, lane.task)
        )

    def loaded(self, capability: Capability | None, lane_ids: tuple[int, ...]) -> int | None:
        """The lane of the model that a slot has loaded, when it serves it at all."""
        if capability is None:
            return None
        wanted = (capability.kind, capability.model)
        lanes = (self.lanes[lane_id] for lane_id in lane_ids)
        alike = (lane for lane in lanes if lane.capability == wanted and not lane.sandbox)
        return next((lane.id for lane in alike if _does(capability, lane.task)), None)

    def hints(self, lane_ids: tuple[int, ...]) -> list[LaneHint]:
        lanes = [self.lanes[lane_id] for lane_id in lane_ids]
        return [
            LaneHint(
                lane_id=lane.id,
                bound=lane.bound,
                clock=lane.clock,
                tag_offset=lane.tag_offset,
                served_at=lane.served_at,
            )
            for lane in lanes
        ]

    def learn(self, rows: Iterable[ClaimRow], lowered_before: dict[int, int]) -> None:
        """Take in what a batch of claims got."""
        for row in rows:
            if row.lane_id is None or row.tag is None:
                continue
            assert row.clock is not None
            assert row.head_tag is not None
            assert row.key is not None
            assert row.cost is not None
            rise = self.lanes[row.lane_id].took(
                row.tag, row.clock, row.head_tag, row.key, row.claimed_at, lowered_before[row.lane_id]
            )
            if not self.lanes[row.lane_id].sandbox:
                self._tokens = self._tokens * PACE_KEPT + row.cost
                self._tags = self._tags * PACE_KEPT + rise

    def lowered(self, lane_ids: Iterable[int]) -> dict[int, int]:
        return {lane_id: self.lanes[lane_id].lowered for lane_id in lane_ids}

    def lower(self, lane_id: int, tag: float) -> None:
        if lane := self.lanes.get(lane_id):
            lane.lower(tag)

    def ran(self, lane_id: int, seconds: float, cost: int) -> None:
        """A job of this lane ran for so long: what ETAs are learnt from."""
        if (lane := self.lanes.get(lane_id)) and len(lane.new_runs) < RUNS_KEPT:
            lane.new_runs.append((cost, seconds))


def _does(capability: Capability, task: str) -> bool:
    return not task or not capability.tasks or task in capability.tasks


def _array(values: Iterable[float]) -> str:
    return "{" + ",".join(f"{value:.6g}" for value in values) + "}"
