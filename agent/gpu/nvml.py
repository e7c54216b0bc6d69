"""The cards by NVML, the library behind nvidia-smi: a thousandth of a second instead of a process.

It is used where `nvidia-ml-py` is installed (`import pynvml`). A question that a driver does not answer raises, and is
then not known. Calls block and may hang with the driver, so they are made in a thread that is never waited for longer
than `ANSWER_SECONDS` and does not hold up the program's end; while one hangs no other is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

from agent.gpu import NoCards, Reading

ANSWER_SECONDS = 4.0
MIB = 1024**2
MILLIWATTS = 1_000.0
T = TypeVar("T")


class Nvml:
    """The library. Raises `NoCards` when it is not installed."""

    def __init__(self) -> None:
        try:
            import pynvml  # type: ignore[import-not-found,unused-ignore]  # an owner may have installed it
        except ImportError as error:
            raise NoCards("The package nvidia-ml-py is not installed.") from error
        self._nvml: Any = pynvml
        self._asked: Future[list[Reading]] | None = None
        self._open = False

    async def read(self, *, seconds: float = ANSWER_SECONDS) -> list[Reading]:
        """Every card at this moment. Raises `NoCards`."""
        if self._asked is None or self._asked.done():
            self._asked = Future()
            Thread(target=self._answer, args=(self._asked,), name="nvml", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(asyncio.wrap_future(self._asked))
        except TimeoutError:
            raise NoCards(f"NVML did not answer in {seconds:g} s: the driver hangs.") from None
        except self._nvml.NVMLError as error:
            raise NoCards(f"NVML failed: {error}.") from error

    def _answer(self, asked: Future[list[Reading]]) -> None:
        try:
            asked.set_result(self._cards())
        except Exception as error:  # it is whoever asked that is to know
            asked.set_exception(error)

    def _cards(self) -> list[Reading]:
        if not self._open:
            self._nvml.nvmlInit()
            self._open = True
        driver = str(self._nvml.nvmlSystemGetDriverVersion())
        return [self._card(index, driver) for index in range(self._nvml.nvmlDeviceGetCount())]

    def _card(self, index: int, driver: str) -> Reading:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = self._told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        use = self._told(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        power = self._told(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        warmth = self._told(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        return Reading(
            uuid=str(nvml.nvmlDeviceGetUUID(handle)),
            index=index,
            name=str(nvml.nvmlDeviceGetName(handle)),
            driver=driver,
            memory_used_mib=None if memory is None else memory.used // MIB,
            memory_total_mib=None if memory is None else memory.total // MIB,
            utilisation_percent=None if use is None else float(use.gpu),
            temperature_celsius=None if warmth is None else float(warmth),
            power_watts=None if power is None else power / MILLIWATTS,
            processes_mib=self._processes(handle),
        )

    def _processes(self, handle: Any) -> dict[int, int | None] | None:
        """Those that compute and those that draw, which is what games do."""
        found = [
            self._told(lambda ask=ask: ask(handle))  # type: ignore[misc]
            for ask in (
                self._nvml.nvmlDeviceGetComputeRunningProcesses,
                self._nvml.nvmlDeviceGetGraphicsRunningProcesses,
            )
        ]
        if all(not each for each in found):
            return None
        return {
            process.pid: None if process.usedGpuMemory is None else process.usedGpuMemory // MIB
            for each in found
            for process in each or ()
        }

    def _told(self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except self._nvml.NVMLError:
            return None
