"""Is what is here what it should be, and what of it can go?"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Literal

import msgspec

from agent.models import plan as planning
from agent.models.depot import Depot
from agent.models.part import Busy, Part, note_path, part_path
from agent.models.plan import gib
from agent.models.progress import Progress
from agent.models.safetensors import NotSafetensors, check_file
from agent.settings import ConfigurationError

SIGNS = {"right": "ok   ", "wrong": "WRONG", "unknown": "?    ", "missing": "     "}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    result: Literal["right", "wrong", "unknown", "missing"]
    """`unknown`: it could be anything, for nobody has published its hash."""
    sha256: str | None = None
    found: str = ""


async def verify(place: Depot, names: list[str], *, again: bool, as_json: bool) -> bool:
    """False: a file is wrong."""
    files = sorted(place.named(names)) if names else [file for file in place.files if place.folders.find(file)]
    verdicts = []
    for file in files:
        verdict = await asyncio.to_thread(_verdict, place, file, again)
        verdicts.append(verdict)
        if not as_json:
            print(f"{SIGNS[verdict.result]}  {file}{f': {verdict.found}' if verdict.found else ''}", flush=True)
    if as_json:
        print(msgspec.json.encode(verdicts).decode())
    wrong = [verdict.file for verdict in verdicts if verdict.result == "wrong"]
    if wrong and not as_json:
        print(f"Load anew: tessera-agent models pull {' '.join(wrong)} --replace", file=sys.stderr)
    return not wrong


def remove(place: Depot, names: list[str], *, yes: bool, as_json: bool) -> bool:
    """False: somebody is just loading one of them, or the owner thought better of it."""
    leaving = place.named(names) if names else None
    found = place.folders.survey(place.files, place.weights, place.hashes)
    going = planning.removable(place.needs, found, leaving, place.weights)
    paths = {file: _paths(place, file) for file in going}
    size = sum(path.stat().st_size for files in paths.values() for path in files)
    if going and not yes and not _agrees(going, size):
        return False
    kept = [file for file in going if not _delete(place.folders.target(file), paths[file])]
    gone = [file for file in going if file not in kept]
    if as_json:
        print(msgspec.json.encode({"removed": gone, "kept": kept, "bytes": size}).decode())
        return not kept
    for file in kept:
        print(f"{file} is being loaded just now; it stays.", file=sys.stderr)
    print(f"Removed {len(gone)} files, {gib(size)}." if gone else "There is nothing that could go.")
    return not kept


def _verdict(place: Depot, file: str, again: bool) -> Verdict:
    listed, path = place.weights.files.get(file), place.folders.find(file)
    if path is None:
        return Verdict(file=file, result="missing", found="is not here")
    try:
        check_file(path)
        sha256 = (None if again else place.hashes.known(path)) or _read(place, path, file)
    except NotSafetensors as error:
        return Verdict(file=file, result="wrong", found=f"is no safetensors file: {error}")
    except OSError as error:
        return Verdict(file=file, result="wrong", found=f"cannot be read: {error.strerror}")
    if listed is None or listed.sha256 is None or sha256 is None:
        why = "was changed while it was read" if sha256 is None else f"nobody has published its hash ({sha256})"
        return Verdict(file=file, result="unknown", sha256=sha256, found=why)
    if sha256 == listed.sha256:
        return Verdict(file=file, result="right", sha256=sha256)
    return Verdict(file=file, result="wrong", sha256=sha256, found=f"has the hash {sha256} instead of {listed.sha256}")


def _read(place: Depot, path: Path, file: str) -> str | None:
    total = max(1, path.stat().st_size)
    progress = Progress(file, total, "bar" if sys.stderr.isatty() else "lines", sys.stderr.write)

    def going_on(done: int) -> bool:
        progress(done)
        return True

    try:
        return place.hashes.read(path, going_on)
    finally:
        progress.end()


def _paths(place: Depot, file: str) -> list[Path]:
    """The file and what is left of loading it."""
    target = place.folders.target(file)
    return [path for path in (target, part_path(target), note_path(target)) if path.is_file()]


def _delete(target: Path, paths: list[Path]) -> bool:
    """False: somebody is writing it."""
    part = Part(target, 0, None)
    try:
        part.open()
    except Busy:
        return False
    for path in paths:
        path.unlink(missing_ok=True)
    part.close()
    return True


def _agrees(going: list[str], size: int) -> bool:
    for file in going:
        print(f"  {file}", file=sys.stderr)
    if not sys.stdin.isatty():
        raise ConfigurationError(f"These files would be deleted ({gib(size)}). To do it, add --yes.")
    print(f"Delete these {len(going)} files, {gib(size)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
