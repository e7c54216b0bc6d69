"""A ComfyUI that the agent starts itself: started, cured, renewed and ended, with real processes that misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from msgspec import structs

from agent import clock
from agent.engine import EngineError
from agent.engine.comfyui import ComfyUI, guardian
from agent.engine.comfyui.launch import launch
from agent.engine.comfyui.restarts import Wear
from agent.engine.comfyui.ward import Ward
from agent.metrics import Histogram
from agent.settings import Card, Settings
from agent.slot import Slot
from control_plane.wire.job import Progress
from tests.fixtures.comfyui import QUICK, WORKFLOWS, fails, order, ran, still_works
from tests.standins.comfyui.execution import Fault
from tests.standins.comfyui.program import Installed, Whims, install

LONG_STEPS = 80
SLOW = Whims(step_seconds=0.05)
PATIENT = structs.replace(QUICK, launch=15.0, step=1.0, load=1.0)
SECONDS_MAX = 15.0


def _card(installed: Installed) -> Card:
    return Settings(comfyui_dir=installed.folder, device="1", comfyui_args=["--lowvram"]).cards[0]


def _engine(tmp_path: Path, installed: Installed, new_wear: Callable[[], Wear] | None = None) -> ComfyUI:
    house = tmp_path / "house"
    ward = Ward(lambda port: launch(_card(installed), 0, house, port, os.environ), house, linger_seconds=1.0)
    return ComfyUI("", WORKFLOWS, PATIENT, ward=ward, new_wear=new_wear or (lambda: Wear(0, 0)))


@asynccontextmanager
async def _supervising(
    tmp_path: Path, new_wear: Callable[[], Wear] | None = None, whims: Whims | None = None
) -> AsyncIterator[tuple[Slot, Installed]]:
    installed = install(tmp_path / "comfyui")
    installed.next_life(whims or Whims())
    slot = Slot(0, _engine(tmp_path, installed, new_wear), Histogram())
    try:
        await slot.ready_engine()
        yield slot, installed
    finally:
        await slot.stop_engine()
    assert [pid for pid in installed.lives() if psutil.pid_exists(pid)] == []
    assert not (tmp_path / "house" / guardian.SOCKET).exists()


def _comfyui(slot: Slot) -> ComfyUI:
    assert isinstance(slot.engine, ComfyUI)
    return slot.engine


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():
            await asyncio.sleep(0.01)


async def _sampling(engine: ComfyUI, folder: Path) -> asyncio.Task[EngineError]:
    """A long run that is under way, and will fail."""
    run = asyncio.ensure_future(fails(engine, folder, seed=7, steps=LONG_STEPS))
    async with asyncio.timeout(SECONDS_MAX):
        while not (await engine._ready().server.queue()).running:
            assert not run.done()
            await asyncio.sleep(0.01)
    return run


async def test_it_is_started_with_our_arguments_and_ended_with_everything_it_has_started(tmp_path: Path) -> None:
    installed = install(tmp_path / "comfyui")
    installed.next_life(Whims(leaves_a_child=True))
    slot = Slot(0, _engine(tmp_path, installed), Histogram())
    await slot.ready_engine()
    pids = installed.lives()
    assert len(pids) == 2
    comfyui = psutil.Process(pids[0])
    assert {"--lowvram", "--disable-metadata", "--disable-auto-launch", "127.0.0.1"} <= set(comfyui.cmdline())
    environment = comfyui.environ()
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert not [name for name in environment if name.startswith("TESSERA_")]
    assert [kept.laddr.ip for kept in comfyui.net_connections() if kept.status == psutil.CONN_LISTEN] == ["127.0.0.1"]
    await still_works(_comfyui(slot), tmp_path / "a")
    assert list((tmp_path / "house" / "output").rglob("*.png")) == []
    assert slot.offer.disks == [tmp_path / "house" / "output", tmp_path / "house" / "input"]
    await slot.stop_engine()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    log = tmp_path / "house" / "comfyui.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert "Starting server" in log.read_text()
    assert "ended, as the agent wished" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_one_that_dies_in_a_run_fails_it_and_is_started_again(tmp_path: Path, number: signal.Signals) -> None:
    async with _supervising(tmp_path, whims=SLOW) as (slot, installed):
        run = await _sampling(_comfyui(slot), tmp_path / "a")
        os.kill(installed.lives()[-1], number)
        assert (await run).cause == "engine_crash"
        slot.ready = False
        await slot.ready_engine()
        assert len(installed.lives()) == 2
        await still_works(_comfyui(slot), tmp_path / "b")


async def test_one_that_dies_while_nobody_looks_costs_no_order(tmp_path: Path) -> None:
    async with _supervising(tmp_path) as (slot, installed):
        os.kill(installed.lives()[-1], signal.SIGKILL)
        await _until(slot.engine.worn)
        assert "memory runs out" in str(slot.engine.worn())
        await slot.ready_engine()
        await still_works(_comfyui(slot), tmp_path / "a")


@pytest.mark.parametrize("sickness", ["frozen", "dead thread", "device lost", "black"])
async def test_one_that_lives_and_does_not_work_is_ended_and_started_anew(tmp_path: Path, sickness: str) -> None:
    async with _supervising(tmp_path, whims=SLOW) as (slot, installed):
        engine = _comfyui(slot)
        faults = {
            "dead thread": [Fault("KSampler", "KeyboardInterrupt", "", fatal=True)],
            "device lost": [Fault("KSampler", "torch.AcceleratorError", "CUDA error: an illegal memory access")],
        }.get(sickness, [])
        if faults:
            (installed.folder / "faults.json").write_bytes(_encoded(faults))
            await _until(lambda: not (installed.folder / "faults.json").exists())
        if sickness == "black":
            (installed.folder / "paint").write_text("black")
            await _until(lambda: not (installed.folder / "paint").exists())
            error = await fails(engine, tmp_path / "a", seed=8)
        elif sickness == "frozen":
            run = await _sampling(engine, tmp_path / "a")
            engine._ready().server.answer_seconds = 0.3
            os.kill(installed.lives()[-1], signal.SIGSTOP)
            error = await run
        else:
            error = await fails(engine, tmp_path / "a", seed=8)
        assert error.cause == "engine_crash"
        slot.ready = False
        await slot.ready_engine()
        assert len(installed.lives()) == 2
        await still_works(engine, tmp_path / "b")


def _encoded(faults: list[Fault]) -> bytes:
    import msgspec

    return msgspec.json.encode(faults)


async def test_one_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    installed = install(tmp_path / "comfyui")
    installed.next_life(Whims(ignores_sigterm=True))
    slot = Slot(0, _engine(tmp_path, installed), Histogram())
    await slot.ready_engine()
    began = clock.now()
    await slot.stop_engine()
    assert not psutil.pid_exists(installed.lives()[0])
    assert guardian.OBEY_SECONDS <= clock.now() - began < guardian.OBEY_SECONDS + 3


async def test_one_that_does_not_start_is_tried_with_pauses_and_its_owner_told_where_to_look(tmp_path: Path) -> None:
    installed = install(tmp_path / "comfyui")
    slot = Slot(0, _engine(tmp_path, installed), Histogram())
    for _ in range(2):
        installed.next_life(Whims(exit_code=3))
        with pytest.raises(EngineError, match="exit code 3"):
            await slot.ready_engine()
    assert "comfyui.log" in str(slot.trouble)
    assert "No module named 'torch'" in (tmp_path / "house" / "comfyui.log").read_text()
    ward = _comfyui(slot)._ward
    assert ward is not None
    assert ward.restarts.in_a_row == 1  # the second is counted when the third is tried
    for _ in range(8):
        ward.restarts.ended(clock.now(), 1.0)
    with pytest.raises(EngineError, match=r"failed \d+ times in a row and is started again in \d+ s"):
        await slot.ready_engine()
    assert len(installed.lives()) == 2
    await slot.stop_engine()


async def test_one_that_is_no_comfyui_is_told_in_a_sentence(tmp_path: Path) -> None:
    card = Settings(comfyui_dir=tmp_path).cards[0]
    ward = Ward(lambda port: launch(card, 0, tmp_path / "h", port, {}), tmp_path / "h")
    with pytest.raises(EngineError, match=r"no main\.py"):
        await ward.start()
    installed = install(tmp_path / "comfyui")
    (installed.folder / "venv" / "bin" / "python").unlink()
    ward = Ward(lambda port: launch(_card(installed), 0, tmp_path / "h", port, {}), tmp_path / "h")
    with pytest.raises(EngineError, match="comfyui_python"):
        await ward.start()


@pytest.mark.parametrize("why", ["jobs", "memory"])
async def test_one_that_is_worn_is_renewed_between_two_runs(tmp_path: Path, why: str) -> None:
    wear = (lambda: Wear(2, 0)) if why == "jobs" else (lambda: Wear(0, 100 * 1024**2))
    async with _supervising(tmp_path, wear) as (slot, installed):
        (installed.folder / "leaks").write_text(str(40 * 1024**2 if why == "memory" else 0))
        runs = 0
        while slot.engine.worn() is None:
            runs += 1
            assert len(installed.lives()) == 1
            assert runs < 12
            await still_works(_comfyui(slot), tmp_path / str(runs), seed=runs)
        assert runs == 2 if why == "jobs" else runs > 3
        assert ("GiB more" in str(slot.engine.worn())) == (why == "memory")
        with slot.using_engine():
            renewing = asyncio.ensure_future(slot.ready_engine())
            await asyncio.sleep(0.2)
            assert len(installed.lives()) == 1
        await renewing
        assert len(installed.lives()) == 2
        await still_works(_comfyui(slot), tmp_path / "after")
        ward = _comfyui(slot)._ward
        assert ward is not None
        assert ward.restarts.in_a_row == 0


async def test_an_agent_that_is_killed_leaves_it_to_its_successor_or_takes_it_along(tmp_path: Path) -> None:
    installed = install(tmp_path / "comfyui")
    first = _engine(tmp_path, installed)
    await first.start()
    (tmp_path / "a").mkdir()
    events = first.run(order(seed=9, steps=40), tmp_path / "a")
    async for event in events:
        if isinstance(event, Progress) and event.step > 0:
            break
    _cut_the_leash(first)
    second = _engine(tmp_path, installed)
    await second.start()
    assert len(installed.lives()) == 1
    told = await ran(second, order(seed=9, steps=40), tmp_path / "b")
    assert len(told.outputs) == 1
    await events.aclose()
    _cut_the_leash(second)
    await _until(lambda: not psutil.pid_exists(installed.lives()[0]))
    await _until(lambda: "the agent has died" in (tmp_path / "house" / "comfyui.log").read_text())
    await first.stop()
    await second.stop()


def _cut_the_leash(engine: ComfyUI) -> None:
    """As the kernel does when the process dies."""
    assert engine._ward is not None
    assert engine._ward._leash is not None
    engine._ward._leash.shutdown(socket.SHUT_RDWR)


async def test_a_successor_with_other_settings_starts_its_own(tmp_path: Path) -> None:
    installed, other = install(tmp_path / "comfyui"), install(tmp_path / "other")
    first, second = _engine(tmp_path, installed), _engine(tmp_path, other)
    await first.start()
    await second.start()
    assert not psutil.pid_exists(installed.lives()[0])
    assert psutil.pid_exists(other.lives()[0])
    await first.stop()
    await second.stop()


async def test_a_guardian_that_is_killed_takes_its_comfyui_along(tmp_path: Path) -> None:
    async with _supervising(tmp_path) as (slot, installed):
        ward = _comfyui(slot)._ward
        assert ward is not None
        os.kill(ward._hello["guardian"], signal.SIGKILL)
        await _until(lambda: not psutil.pid_exists(installed.lives()[0]))
        await _until(slot.engine.worn)
        await slot.ready_engine()
        await still_works(_comfyui(slot), tmp_path / "a")


def test_what_it_says_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = guardian.Log(1_000)
    for number in range(100):
        log.write(f"line {number}".ljust(100, ".").encode())
    log._file.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["comfyui.log", "comfyui.log.1", "comfyui.log.2", "comfyui.log.3"]
    assert all(path.stat().st_size <= 1_000 for path in tmp_path.iterdir())
    assert "line 99" in (tmp_path / "comfyui.log").read_text()


async def test_a_container_gets_its_card_its_folders_and_nothing_else_and_is_removed(tmp_path: Path) -> None:
    """By a stand-in for Podman, which notes how it is called and runs what is the image here."""
    installed = install(tmp_path / "comfyui")
    podman = tmp_path / "bin" / "podman"
    podman.parent.mkdir()
    main, calls = str(installed.folder / "main.py"), tmp_path / "calls"
    podman.write_text(PODMAN.format(calls=str(calls), python=sys.executable, main=main))
    podman.chmod(0o755)
    card = Settings(comfyui_image="localhost/comfyui:1", comfyui_models=tmp_path / "models", device="GPU-1").cards[0]
    house = tmp_path / "house"
    environment = {**os.environ, "PATH": f"{podman.parent}:{os.environ['PATH']}"}
    engine = ComfyUI("", WORKFLOWS, PATIENT, ward=Ward(lambda port: launch(card, 0, house, port, environment), house))
    await engine.start()
    await still_works(engine, tmp_path / "a")
    await engine.stop()
    run, removal = (line.split() for line in calls.read_text().splitlines())
    assert {"--device=nvidia.com/gpu=GPU-1", "--cap-drop=all", f"--volume={house}:{house}"} <= set(run)
    assert any(word.startswith("--publish=127.0.0.1:") for word in run)
    assert f"--volume={tmp_path}/models:/opt/comfyui/models:ro" in run
    assert removal[:2] == ["rm", "--force"]
    assert removal[-1] in " ".join(run)
    assert not psutil.pid_exists(installed.lives()[0])


PODMAN = """#!{python}
import os, re, sys
with open({calls!r}, "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "run":
    port = re.search(r"127.0.0.1:(\\d+):", " ".join(sys.argv))[1]
    inside = sys.argv[sys.argv.index("localhost/comfyui:1") + 1:]
    inside[inside.index("--port") + 1] = port
    os.execv(sys.executable, [sys.executable, {main!r}, *inside])
"""
