"""Who used the CPUs: processes of ours by name, strangers, and the hypervisor.

A rate on a busy machine says little; CPU seconds per job say much. Figures come from /proc and are in cores (CPU
seconds per second of wall clock); a process counts with its children, also those that have ended and were waited for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

TICK = os.sysconf("SC_CLK_TCK")
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 1024**2
LOOK_SECONDS = 0.4
QUIET_CORES = 0.2


class Load(msgspec.Struct):
    """What one measured stretch cost."""

    seconds: float = 0.0
    cores: dict[str, float] = {}
    """Of each watched process tree."""
    foreign: float = 0.0
    steal: float = 0.0

    def per_job(self, jobs: float) -> dict[str, float]:
        """CPU microseconds for one job, by process tree."""
        return {name: 1e6 * used * self.seconds / max(jobs, 1) for name, used in self.cores.items()}

    def told(self, jobs: float) -> str:
        used = ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in self.per_job(jobs).items())
        return f"CPU µs/job: {used}; others took {self.foreign:.2f} cores, the hypervisor {self.steal:.2f}"


@contextmanager
def metered(trees: Mapping[str, int]) -> Iterator[Load]:
    """Fills the `Load` when the block ends. `trees` are names and process ids; our own process is `client`."""
    load = Load()
    started, used_before, (busy_before, steal_before) = time.monotonic(), _used(trees), _machine()
    yield load
    load.seconds = time.monotonic() - started
    used, (busy, steal) = _used(trees), _machine()
    load.cores = {name: (used[name] - used_before[name]) / load.seconds for name in used}
    load.steal = (steal - steal_before) / load.seconds
    load.foreign = max(0.0, (busy - busy_before) / load.seconds - load.steal - sum(load.cores.values()))


def wait_for_quiet(seconds: float) -> None:
    """Until strangers leave the machine alone, for at most so long: a stretch that begins in their noise is lost."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with metered({}) as load:
            time.sleep(LOOK_SECONDS)
        if load.foreign + load.steal < QUIET_CORES:
            return


def _used(trees: Mapping[str, int]) -> dict[str, float]:
    own = os.times()
    client = own.user + own.system + own.children_user + own.children_system
    return {**{name: cpu_seconds(pid) for name, pid in trees.items()}, "client": client}


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, its descendants, and those of them that were waited for."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        total += ticks.get(one, 0)
        waiting += children.get(one, [])
    return total / TICK


def own_cpu_seconds(pid: int) -> float:
    """CPU seconds of this process alone."""
    fields = _stat(pid)
    return sum(map(int, fields[11:13])) / TICK if fields else 0.0


def resident_mib(pid: int) -> float:
    """Resident memory of one process, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MIB


def together_mib(pids: Iterable[int]) -> float:
    """Resident memory of some processes: what each has for itself, and each page of a file that they map once."""
    own, shared = 0, dict[tuple[str, str], int]()
    for pid in pids:
        place, resident = ("", ""), 0
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            fields = line.split()
            if not fields[0].endswith(":"):
                place = (" ".join(fields[5:]), fields[2])
            elif fields[0] == "Rss:":
                resident = int(fields[1])
            elif fields[0] == "Anonymous:":
                own += int(fields[1])
                shared[place] = max(shared.get(place, 0), resident - int(fields[1]))
    return (own + sum(shared.values())) / 1024


def children(pid: int) -> list[int]:
    """The living children of a process."""
    found = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [one for one in found if (fields := _stat(one)) and int(fields[1]) == pid]


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the name: state, ppid, …"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _machine() -> tuple[float, float]:
    """Busy and stolen CPU seconds of the whole machine."""
    values = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(values) - values[3] - values[4]) / TICK, values[7] / TICK
