"""The cards by `nvidia-smi`, which every driver brings along, in WSL2 too.

A hanging driver makes it hang, so it has `ANSWER_SECONDS` and is then killed. Its answers are read column by column:
whatever is not a number (`[N/A]`, `[Not Supported]`, `[Unknown Error]`, `[GPU requires reset]`) is not known.
"""

from __future__ import annotations

import asyncio
import csv
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from agent.gpu import NoCards, Reading

ANSWER_SECONDS = 4.0
OUTPUT_BYTES_MAX = 256 * 1024
CARDS_MAX = 64
WSL_PROGRAM = Path("/usr/lib/wsl/lib/nvidia-smi")
"""Where WSL2 puts it; a service's PATH does not always lead there."""

COLUMNS = "uuid,index,name,driver_version,memory.used,memory.total,utilization.gpu,temperature.gpu,power.draw"
PROCESS_COLUMNS = "gpu_uuid,pid,used_gpu_memory"
FORMAT = "--format=csv,noheader,nounits"


def program() -> str | None:
    """Where nvidia-smi is; None when there is none."""
    return shutil.which("nvidia-smi") or (str(WSL_PROGRAM) if WSL_PROGRAM.exists() else None)


async def read(*, processes: bool = False, seconds: float = ANSWER_SECONDS) -> list[Reading]:
    """Every card at this moment; `processes` costs a second call. Raises `NoCards`."""
    cards = parsed(await _ask(f"--query-gpu={COLUMNS}", seconds))
    if not cards:
        raise NoCards("nvidia-smi names no card.")
    if not processes:
        return cards
    with suppress(NoCards):
        return with_processes(cards, await _ask(f"--query-compute-apps={PROCESS_COLUMNS}", seconds))
    return cards


async def _ask(query: str, seconds: float) -> str:
    path = program()
    if path is None:
        raise NoCards("There is no nvidia-smi.")
    try:
        process = await asyncio.create_subprocess_exec(
            path, query, FORMAT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        raise NoCards(f"nvidia-smi cannot be run: {error.strerror}.") from error
    return await _answer(process, seconds)


async def _answer(process: asyncio.subprocess.Process, seconds: float) -> str:
    """What it printed; whatever happens, it does not outlive this call."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            said = await process.stdout.read(OUTPUT_BYTES_MAX)
            while len(said) < OUTPUT_BYTES_MAX and (more := await process.stdout.read(OUTPUT_BYTES_MAX - len(said))):
                said += more
            code = await process.wait()
    except TimeoutError:
        raise NoCards(f"nvidia-smi did not answer in {seconds:g} s: the driver hangs.") from None
    finally:
        if process.returncode is None:
            process.kill()
            with suppress(TimeoutError):  # stuck in the kernel it dies when the driver lets it
                async with asyncio.timeout(1.0):
                    await process.wait()
    if code:
        first = said.decode(errors="replace").strip().partition("\n")[0][:200]
        raise NoCards(f"nvidia-smi failed ({code}): {first or 'it said nothing'}")
    return said.decode(errors="replace")


def parsed(text: str) -> list[Reading]:
    """The cards of an answer to `COLUMNS`, in the order of their indices; lines of another shape are left out."""
    cards = []
    for row in _rows(text, len(COLUMNS.split(","))):
        uuid, index, name, driver, used, total, use, warmth, power = row
        if not index.isdecimal():
            continue
        cards.append(
            Reading(
                uuid=uuid,
                index=int(index),
                name=name,
                driver=driver,
                memory_used_mib=_whole(used),
                memory_total_mib=_whole(total),
                utilisation_percent=_number(use),
                temperature_celsius=_number(warmth),
                power_watts=_number(power),
            )
        )
    return sorted(cards, key=lambda card: card.index)[:CARDS_MAX]


def with_processes(cards: list[Reading], text: str) -> list[Reading]:
    """Each card with its processes; a card that is not named keeps None, since WSL2 names none at all."""
    found: dict[str, dict[int, int | None]] = {}
    for uuid, pid, used in _rows(text, 3):
        if pid.isdecimal():
            found.setdefault(uuid, {})[int(pid)] = _whole(used)
    return [replace(card, processes_mib=found.get(card.uuid)) for card in cards]


def _rows(text: str, width: int) -> Iterator[list[str]]:
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        cells = [cell.strip() for cell in row]
        if len(cells) == width:
            yield cells


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None


def _whole(cell: str) -> int | None:
    value = _number(cell)
    return None if value is None else round(value)
