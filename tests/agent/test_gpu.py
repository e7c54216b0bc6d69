"""What a card says is read as it is; what it does not say is unknown, and none of it ever holds the agent up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agent.gpu import NoCards, card_of, gauges, in_words, smi
from tests.fixtures.machine import DRIVER_GONE, K80, RTX_2080, TITAN_PROCESSES, TITANS, WSL_2021, Programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(tmp_path / "bin")
    found.alone(monkeypatch)
    return found


async def test_a_card_is_read_with_all_that_it_says(programs: Programs) -> None:
    programs.nvidia_smi(RTX_2080)
    [card] = await smi.read()
    assert (card.name, card.driver, card.index) == ("GeForce RTX 2080", "440.64", 0)
    assert gauges(card) == {
        "power_watts": 176.98,
        "temperature_celsius": 45.0,
        "utilisation_percent": 86.0,
        "vram_used_gib": 6.38,
        "vram_total_gib": 7.79,
    }
    assert in_words(gauges(card)) == ["45 °C", "177 W", "86 %", "6.4 of 7.8 GiB"]
    assert len(programs.calls("nvidia-smi")) == 1


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (WSL_2021, {"power_watts": 3.0, "temperature_celsius": 48.0, "vram_used_gib": 0.16, "vram_total_gib": 8.0}),
        (K80, {"vram_used_gib": 0.5}),
    ],
)
async def test_what_a_card_does_not_say_is_unknown_and_not_zero(
    programs: Programs, told: str, known: dict[str, float]
) -> None:
    programs.nvidia_smi(told)
    [card] = await smi.read(processes=True)
    assert gauges(card) == known
    assert card.processes_mib is None


async def test_several_cards_come_in_the_order_of_their_indices_with_their_processes(programs: Programs) -> None:
    programs.nvidia_smi(TITANS, TITAN_PROCESSES)
    first, second = await smi.read(processes=True)
    assert (first.index, first.processes_mib) == (0, {48448: 4000, 153223: 4000})
    assert (second.power_watts, second.processes_mib) == (None, {194826: None})


async def test_a_slot_has_the_card_that_was_named_else_that_of_its_number(programs: Programs) -> None:
    programs.nvidia_smi(TITANS)
    cards = await smi.read()
    assert card_of(cards, cards[1].uuid, 0) is cards[1]
    assert card_of(cards, "0", 1) is card_of(cards, "cuda:0", 1) is cards[0]
    assert card_of(cards, None, 1) is cards[1]
    assert card_of(cards, None, 2) is None
    assert card_of(cards[:1], None, 2) is cards[0], "the only card there is"
    assert card_of(cards, "GPU-other", 0) is None


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (f"print({DRIVER_GONE!r}); sys.exit(9)", r"failed \(9\): NVIDIA-SMI has failed"),
        ("print('No devices were found')", "names no card"),
        ("sys.exit(0)", "names no card"),
        ("print('a,b\\n' * 3)", "names no card"),
        ("sys.stdout.buffer.write(bytes(range(256)))", "names no card"),
    ],
)
async def test_without_an_answer_that_makes_sense_no_card_is_known(programs: Programs, script: str, told: str) -> None:
    programs.add("nvidia-smi", script)
    with pytest.raises(NoCards, match=told):
        await smi.read()


async def test_where_there_is_no_driver_it_is_said(programs: Programs) -> None:
    with pytest.raises(NoCards, match="There is no nvidia-smi"):
        await smi.read()


async def test_a_driver_that_hangs_holds_up_neither_the_loop_nor_the_reader_and_leaves_no_process(
    programs: Programs,
) -> None:
    programs.add("nvidia-smi", f"Path({str(programs.folder / 'pid')!r}).write_text(str(os.getpid()))\ntime.sleep(600)")
    turns, begun = 0, time.monotonic()

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        turning = group.create_task(turn())
        with pytest.raises(NoCards, match="the driver hangs"):
            await smi.read(seconds=0.3)
        turning.cancel()
    assert time.monotonic() - begun < 3
    assert turns > 10
    assert not Path("/proc", (programs.folder / "pid").read_text()).exists()
