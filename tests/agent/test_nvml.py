"""The cards by NVML: a library in the place of pynvml that says what drivers say, hangs, or is not there."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.gpu import NoCards, gauges
from agent.gpu.nvml import Nvml

LIBRARY = """
import time
from pathlib import Path
from types import SimpleNamespace as Space

FOLDER = Path(__file__).parent
NVML_TEMPERATURE_GPU = 0

class NVMLError(Exception):
    pass

def nvmlInit():
    if (FOLDER / "no driver").exists():
        raise NVMLError("Driver Not Loaded")

def nvmlSystemGetDriverVersion():
    while (FOLDER / "hang").exists():
        time.sleep(0.01)
    return "560.94"

def nvmlDeviceGetCount():
    return 2

def nvmlDeviceGetHandleByIndex(index):
    return index

def nvmlDeviceGetUUID(handle):
    return f"GPU-{handle}"

def nvmlDeviceGetName(handle):
    return "NVIDIA GeForce RTX 4090"

def nvmlDeviceGetMemoryInfo(handle):
    return Space(used=8_000 * 1024**2, total=24_564 * 1024**2)

def unsupported(handle, *arguments):
    raise NVMLError("Not Supported")

def nvmlDeviceGetUtilizationRates(handle):
    return Space(gpu=97, memory=40) if handle == 0 else unsupported(handle)

def nvmlDeviceGetPowerUsage(handle):
    return 212_500 if handle == 0 else unsupported(handle)

def nvmlDeviceGetTemperature(handle, sensor):
    return 61 if handle == 0 else unsupported(handle)

def nvmlDeviceGetComputeRunningProcesses(handle):
    return [Space(pid=100, usedGpuMemory=5_000 * 1024**2)] if handle == 0 else unsupported(handle)

def nvmlDeviceGetGraphicsRunningProcesses(handle):
    return [Space(pid=7, usedGpuMemory=None)] if handle == 0 else unsupported(handle)
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "pynvml.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    yield folder
    sys.modules.pop("pynvml", None)


async def test_everything_that_the_driver_says_is_known_and_the_rest_is_not(library: Path) -> None:
    nvml = Nvml()
    first, second = await nvml.read()
    assert (first.uuid, first.index, first.driver) == ("GPU-0", 0, "560.94")
    assert gauges(first) == {
        "power_watts": 212.5,
        "temperature_celsius": 61.0,
        "utilisation_percent": 97.0,
        "vram_used_gib": 7.81,
        "vram_total_gib": 23.99,
    }
    assert first.processes_mib == {100: 5_000, 7: None}
    assert gauges(second) == {"vram_used_gib": 7.81, "vram_total_gib": 23.99}
    assert second.processes_mib is None


async def test_a_driver_that_hangs_is_not_waited_for_and_answers_again_when_it_is_well(library: Path) -> None:
    nvml = Nvml()
    (library / "hang").touch()
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(NoCards, match="the driver hangs"):
            await nvml.read(seconds=0.2)
    assert time.monotonic() - begun < 2
    (library / "hang").unlink()
    assert len(await nvml.read()) == 2


async def test_without_a_driver_it_is_said(library: Path) -> None:
    (library / "no driver").touch()
    nvml = Nvml()
    with pytest.raises(NoCards, match="Driver Not Loaded"):
        await nvml.read()
    (library / "no driver").unlink()
    assert len(await nvml.read()) == 2
