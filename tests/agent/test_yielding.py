"""Stepping aside for the owner: pauses, quiet hours, and another program that uses the GPU."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.cli import _describe
from agent.console import NotUnderstood, ask
from agent.engine import Tenant
from agent.hours import QuietHours, quiet_hours
from tests.fixtures.agent import FakeEngine, Rig, rig
from tests.fixtures.comfyui import driving, order, ran
from tests.fixtures.machine import Programs
from tests.standins.comfyui.server import standing_in

PATIENCE_SECONDS = 15.0
YIELD_SECONDS = 5.0
HELD_MIB = 4_000


class TenantEngine(FakeEngine):
    """One that holds memory of the GPU until it is told to free it."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.held = HELD_MIB
        self.freed_at: list[float] = []

    async def held_mib(self) -> int | None:
        return self.held

    async def free(self) -> None:
        self.held = 0
        self.freed_at.append(time.monotonic())


def card(use: int, used_mib: int, index: int = 0) -> str:
    return f"GPU-{index}, {index}, NVIDIA GeForce RTX 4090, 560.94, {used_mib}, 24564, {use}, 61, {212.5 + index}"


async def until(condition: Callable[[], object], what: str) -> float:
    """Seconds until it came true."""
    begun = time.monotonic()
    while not condition():  # what is waited for is a process that is asked each second
        assert time.monotonic() - begun < PATIENCE_SECONDS, what
        await asyncio.sleep(0.02)
    return time.monotonic() - begun


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(tmp_path / "bin")
    found.first(monkeypatch)
    found.nvidia_smi(card(0, HELD_MIB + 1_000))
    return found


def gauges(it: Rig) -> dict[str, float]:
    """Of the last heartbeat."""
    found: dict[str, float] = it.plane.seen("heartbeat")[-1].detail.slots[0].gpu
    return found


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["now", "finish"])
async def test_a_game_gets_the_gpu_within_seconds_and_the_gpu_comes_back_when_it_is_over(
    tmp_path: Path, programs: Programs, policy: str
) -> None:
    settings = {"yield_gpu": policy, "yield_quiet_seconds": 5.0}
    async with rig(tmp_path, patient=True, settings=settings, engine=TenantEngine) as it:  # type: ignore[arg-type]
        engine, duty = it.engine, it.agent.duty
        assert isinstance(engine, TenantEngine)
        assert isinstance(engine, Tenant)
        job_id = await it.order("ours")
        await it.running("ours")
        await until(lambda: len(programs.calls("nvidia-smi")) > 3, "the usual is known")
        assert not duty.slots[0].yielded
        programs.say(card(100, HELD_MIB + 1_000 + 3_000))
        noticed = await until(lambda: duty.slots[0].yielded, "the game is noticed")
        if policy == "finish":
            assert not engine.freed_at
            it.engine.finish("ours")
        freed = await until(lambda: engine.freed_at, "the GPU is given back")
        assert noticed + freed < YIELD_SECONDS
        await it.plane.until(lambda: it.plane.seen("complete" if policy == "finish" else "release", job_id))
        if policy == "now":
            assert it.plane.seen("release", job_id)[0].detail.reason == "yield"
        await it.plane.until(lambda: it.plane.seen("heartbeat")[-1].detail.draining)
        status = await ask(duty.settings, "status")
        assert (status.state, status.paused_why, status.slots[0].paused) == ("paused", "gpu busy", "gpu busy")
        assert "61 °C, 212 W, 100 %, 7.8 of 24.0 GiB, gpu busy" in _describe(status, duty.settings)
        assert gauges(it)["yielded"] == 1.0
        programs.say(card(0, 1_000))
        back = await until(lambda: not duty.slots[0].yielded, "the GPU comes back")
        assert back > 3
        waiting = await it.order("later")
        await it.running("later")
        it.engine.finish("later")
        await it.plane.until(lambda: it.plane.seen("complete", waiting))
        assert "yielded" not in gauges(it)


async def test_of_several_cards_only_the_one_that_is_wanted_is_given_up(tmp_path: Path, programs: Programs) -> None:
    programs.nvidia_smi("\n".join(card(0, HELD_MIB + 500, index) for index in (1, 0)))
    async with rig(tmp_path, slots=2, engine=TenantEngine, intervals={"poll": 0.1}) as it:
        first, second = it.agent.duty.slots
        await until(lambda: first.gauges and second.gauges, "both are looked at")
        assert (first.gauges["power_watts"], second.gauges["power_watts"]) == (212.5, 213.5)
        programs.say("\n".join([card(0, HELD_MIB + 500, 0), card(97, HELD_MIB + 500, 1)]))
        assert await until(lambda: second.yielded, "the game is noticed by its use") < YIELD_SECONDS
        assert not first.yielded
        await it.plane.until(lambda: it.plane.seen("heartbeat")[-1].detail.slots[1].gpu.get("yielded"))
        job_id = await it.order("ours")
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        assert not it.plane.seen("heartbeat")[-1].detail.draining, "there is a slot that works"
        status = await ask(it.agent.duty.settings, "status")
        assert (status.paused_why, [slot.paused for slot in status.slots]) == (None, [None, "gpu busy"])


async def test_a_run_is_charged_with_the_energy_that_it_took(tmp_path: Path, programs: Programs) -> None:
    async with rig(tmp_path, patient=True) as it:
        job_id = await it.order("a lighthouse")
        await it.running("a lighthouse")
        begun, before = time.monotonic(), len(programs.calls("nvidia-smi"))
        await until(lambda: len(programs.calls("nvidia-smi")) > before + 3, "it was looked at")
        lasted = time.monotonic() - begun
        it.engine.finish("a lighthouse")
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        took = it.plane.seen("complete", job_id)[0].detail.joules
        assert took == pytest.approx(212.5 * lasted, rel=0.25)
        assert gauges(it)["temperature_celsius"] == 61.0


async def test_where_no_card_can_be_read_work_goes_on_and_energy_is_unknown(tmp_path: Path, programs: Programs) -> None:
    programs.add("nvidia-smi", "time.sleep(600)")
    async with rig(tmp_path, engine=TenantEngine) as it:
        job_id = await it.order("a lighthouse")
        await it.plane.until(lambda: it.plane.seen("complete", job_id))
        assert it.plane.seen("complete", job_id)[0].detail.joules is None
        assert gauges(it) == {}


async def test_a_pause_ends_by_itself_outlives_a_restart_and_says_until_when(tmp_path: Path) -> None:
    async with rig(tmp_path / "first") as it:
        await it.plane.until(lambda: it.plane.seen("asked"))
        settings = it.agent.duty.settings
        with pytest.raises(NotUnderstood, match="neither a time"):
            await ask(settings, "pause", "soon")
        status = await ask(settings, "pause", "2h")
        assert (status.state, status.paused_why) == ("paused", "owner")
        assert status.paused_until is not None
        assert abs(status.paused_until - datetime.now(UTC) - timedelta(hours=2)) < timedelta(seconds=30)
        told = status.paused_until.astimezone(settings.time_zone)
        assert f"paused (owner, until {told:%a %d %b %H:%M})" in _describe(status, settings)
        kept = settings.pause_file.read_bytes()
    second = tmp_path / "second" / "agent"
    async with rig(tmp_path / "second", files={"pause.json": kept}) as it:
        await it.plane.until(lambda: it.plane.seen("heartbeat"))
        assert it.plane.seen("heartbeat")[-1].detail.draining
        it.agent.duty.pause(datetime.now(UTC) + timedelta(seconds=1))
        await until(lambda: not it.agent.duty.paused, "the pause is over")
        await it.plane.until(lambda: it.plane.seen("asked"))
        assert not (second / "pause.json").exists()
        status = await ask(it.agent.duty.settings, "pause")
        assert "(owner, until: tessera-agent resume)" in _describe(status, it.agent.duty.settings)
        assert (await ask(it.agent.duty.settings, "resume")).state == "waiting"


def around_now(zone: ZoneInfo) -> QuietHours:
    now = datetime.now(zone)
    begin, end = now - timedelta(minutes=2), now + timedelta(minutes=10)
    return quiet_hours([f"{begin:%H:%M}-{end:%H:%M}"])


async def test_in_quiet_hours_no_work_is_taken_unless_the_owner_says_so(tmp_path: Path) -> None:
    zone = ZoneInfo("Asia/Kathmandu")
    settings = {"quiet_hours": around_now(zone), "time_zone": zone}
    async with rig(tmp_path, settings=settings) as it:  # type: ignore[arg-type]
        await it.plane.until(lambda: it.plane.seen("heartbeat"))
        status = await ask(it.agent.duty.settings, "status")
        assert (status.state, status.paused_why) == ("paused", "quiet hours")
        assert status.paused_until is not None
        assert not it.plane.seen("asked")
        assert (await ask(it.agent.duty.settings, "resume")).state == "waiting"
        await it.plane.until(lambda: it.plane.seen("asked"))
        await asyncio.sleep(1.2)  # the clock has been looked at once more
        assert not it.agent.duty.paused


async def test_comfyui_says_what_it_holds_frees_it_and_runs_again(tmp_path: Path) -> None:
    async with standing_in(tmp_path / "comfyui") as machine, driving(machine.url) as engine:
        assert isinstance(engine, Tenant)
        await ran(engine, order(seed=1), tmp_path / "first")
        assert engine.loaded() is not None
        assert await engine.held_mib() == 3 * 1_024
        await engine.free()
        assert engine.loaded() is None, "the next claim must not count on it"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await engine.held_mib() != 0:  # it is done after what is running
                await asyncio.sleep(0.01)
        told = await ran(engine, order(seed=2), tmp_path / "second")
        assert len(told.outputs) == 1
        machine.freeze()
        begun = time.monotonic()
        assert await engine.held_mib() is None, "unknown, and soon so"
        assert time.monotonic() - begun < 3
        machine.thaw()
