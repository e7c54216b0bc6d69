"""The cards by NVML, the library behind nvidia-smi: a thousandth of a second instead of a process.

It is used where `nvidia-ml-py` is installed (`import pynvml`). A question that a driver does not answer raises, and is
then not known. Calls block and may hang with the driver, so they are made in a thread of their own that is never waited
for longer than `ANSWER_SECONDS`; while one hangs no other is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from agent.gpu import NoCards, Reading

ANSWER_SECONDS = 4.0
MIB = 1024**2
MILLIWATTS = 1_000.0
T = TypeVar("T")


class Nvml:
    """One open library. Raises `NoCards` when it cannot be opened."""

    def __init__(self) -> None:
        try:
            import pynvml  # type: ignore[import-not-found,unused-ignore]  # an owner may have installed it
        except ImportError as error:
            raise NoCards("The package nvidia-ml-py is not installed.") from error
        self._nvml: Any = pynvml
        self._thread = ThreadPoolExecutor(1, "nvml")
        self._asked: Future[list[Reading]] | None = None
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise NoCards(f"NVML does not start: {error}.") from error

    async def read(self) -> list[Reading]:
        """Every card at this moment. Raises `NoCards`."""
        if self._asked is None or self._asked.done():
            self._asked = self._thread.submit(self._cards)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(self._asked))
        except TimeoutError:
            raise NoCards(f"NVML did not answer in {ANSWER_SECONDS:g} s: the driver hangs.") from None
        except self._nvml.NVMLError as error:
            raise NoCards(f"NVML failed: {error}.") from error

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _cards(self) -> list[Reading]:
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
