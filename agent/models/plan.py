"""What is here, what is missing for which workflow, how large that is and whether it fits: decided without a look.

Everything here is a function of what others have found out, so every sentence that a plan says can be tested. A
workflow is *complete* when each of its files is here with the listed size, and its hash, where that was ever read,
is the listed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from control_plane.wire.weights import Commercial, WeightFile, Weights

State = Literal["here", "part", "missing", "other"]
"""`part`: some of it was loaded; `other`: a file of this name, but not the listed one."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow, as far as files matter."""

    workflow: str
    model: str
    vram_gib: int
    files: list[str]
    """`folder/name`."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A file as the disk has it."""

    bytes: int | None = None
    """None: not there."""
    part_bytes: int = 0
    """Of a part, what need not be loaded again."""
    disk: str = ""
    """Where it is, or would be."""
    sha256: str | None = None
    """If that is known without reading it."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    file: str
    state: State
    bytes: int
    left_bytes: int
    """To be loaded still."""
    disk: str
    licence: str | None
    """None: in no list of weights, so it cannot be loaded from here."""
    commercial: Commercial | None
    gated: bool
    hashed: bool
    vram_gib: int
    workflows: list[str]
    hosts: list[str] = []
    """Of its sources, the one that is asked first at the front."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """One workflow."""

    workflow: str
    model: str
    vram_gib: int
    lacks: list[str]
    left_bytes: int


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """One disk. `reserve_bytes` stay free, since with less the agent asks for no work."""

    disk: str
    free_bytes: int
    needed_bytes: int
    reserve_bytes: int

    @property
    def short_bytes(self) -> int:
        return max(0, self.needed_bytes + self.reserve_bytes - self.free_bytes) if self.needed_bytes else 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    files: list[Row]
    workflows: list[Course]
    disks: list[Room]
    left_bytes: int
    licences: list[str]
    """Of what is to be loaded."""

    @property
    def fits(self) -> bool:
        return not any(room.short_bytes for room in self.disks)

    @property
    def unlisted(self) -> list[Row]:
        return [row for row in self.files if row.licence is None and row.state != "here"]


class UnknownName(Exception):
    """Nothing is called so; the message says what there is."""


def named(names: Iterable[str], needs: Sequence[Need], weights: Weights) -> set[str]:
    """The files that are meant: by a workflow, by a model, by `folder/name` or by the name alone."""
    files = {file for need in needs for file in need.files} | set(weights.files)
    chosen: set[str] = set()
    for name in names:
        found = {f for need in needs if name in (need.workflow, need.model) for f in need.files}
        found |= {file for file in files if name in (file, file.partition("/")[2])}
        if not found:
            known = ", ".join(sorted({need.workflow for need in needs} | {need.model for need in needs}))
            raise UnknownName(f"There is no workflow, model or file {name!r}. There are {known}, and their files.")
        chosen |= found
    return chosen


def plan(
    needs: Sequence[Need],
    weights: Weights,
    found: Mapping[str, Found],
    free_bytes: Mapping[str, int],
    reserve_bytes: int,
    chosen: set[str] | None = None,
) -> Plan:
    """`found`: for each file of a list or a workflow; `free_bytes`: by disk; `chosen`: files, or None for all that
    workflows need."""
    needed = {file for need in needs for file in need.files}
    rows = [_row(file, needs, weights, found.get(file, Found())) for file in sorted(chosen or needed)]
    left = {row.file: row.left_bytes for row in rows if row.state != "here"}
    courses = [_course(need, left) for need in needs if set(need.files) & {row.file for row in rows}]
    return Plan(
        files=rows,
        workflows=courses,
        disks=[_room(disk, rows, free, reserve_bytes) for disk, free in sorted(free_bytes.items())],
        left_bytes=sum(row.left_bytes for row in rows),
        licences=sorted({row.licence for row in rows if row.licence is not None and row.left_bytes}),
    )


def removable(
    needs: Sequence[Need], found: Mapping[str, Found], leaving: set[str] | None, weights: Weights
) -> list[str]:
    """Files that are here and that nothing needs any more.

    `leaving`: files that shall go, with every workflow that cannot do without them; None: what no complete workflow
    needs. A file that another complete workflow needs stays. Files that no list and no workflow names are the owner's.
    """
    listed = {file for need in needs for file in need.files} | set(weights.files)
    here = {file for file in listed if (entry := found.get(file)) is not None and _is_there(entry)}
    complete = [
        need for need in needs if all(_state(file, weights, found.get(file, Found())) == "here" for file in need.files)
    ]
    if leaving is None:
        going = here
    else:
        going = here & leaving
        complete = [need for need in complete if not set(need.files) <= leaving]
    return sorted(going - {file for need in complete for file in need.files})


def telling(whole: Plan) -> tuple[Literal["ok", "note"], str, str]:
    """For a check-up: a verdict, what was found, and what to do. To be given a plan for everything."""
    ready = [course.workflow for course in whole.workflows if not course.lacks]
    nearest = min((c for c in whole.workflows if c.lacks), key=lambda c: (c.left_bytes, c.workflow), default=None)
    found = f"{len(ready)} of {len(whole.workflows)} workflows have all their files"
    found += f": {', '.join(ready)}" if ready else ""
    if nearest is None:
        return "ok", found, ""
    cure = f"tessera-agent models pull {nearest.workflow} loads {gib(nearest.left_bytes)} for {nearest.workflow}."
    return ("ok" if ready else "note"), found, "" if ready else cure


def gib(count: int) -> str:
    """For people."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**29 else f"{count / 2**20:.1f} MiB"


def _row(file: str, needs: Sequence[Need], weights: Weights, found: Found) -> Row:
    listed = weights.files.get(file)
    state = _state(file, weights, found)
    return Row(
        file=file,
        state=state,
        bytes=listed.bytes if listed is not None else found.bytes or 0,
        left_bytes=_left(listed, state, found),
        disk=found.disk,
        licence=listed.licence if listed is not None else None,
        commercial=weights.licences[listed.licence].commercial if listed is not None else None,
        gated=listed is not None and listed.gated,
        hashed=listed is not None and listed.sha256 is not None,
        vram_gib=listed.vram_gib if listed is not None else 0,
        workflows=[need.workflow for need in needs if file in need.files],
        hosts=list(dict.fromkeys(urlsplit(url).netloc for url in listed.sources)) if listed is not None else [],
    )


def _state(file: str, weights: Weights, found: Found) -> State:
    listed = weights.files.get(file)
    if found.bytes is None:
        return "part" if found.part_bytes else "missing"
    if listed is None:
        return "here"
    differs = None not in (found.sha256, listed.sha256) and found.sha256 != listed.sha256
    return "other" if differs or found.bytes != listed.bytes else "here"


def _left(listed: WeightFile | None, state: State, found: Found) -> int:
    return 0 if listed is None or state == "here" else max(0, listed.bytes - found.part_bytes)


def _is_there(found: Found) -> bool:
    return found.bytes is not None or found.part_bytes > 0


def _course(need: Need, left: Mapping[str, int]) -> Course:
    lacks = [file for file in need.files if file in left]
    return Course(
        workflow=need.workflow,
        model=need.model,
        vram_gib=need.vram_gib,
        lacks=lacks,
        left_bytes=sum(left[file] for file in set(lacks)),
    )


def _room(disk: str, rows: Sequence[Row], free_bytes: int, reserve_bytes: int) -> Room:
    needed = sum(row.left_bytes for row in rows if row.disk == disk)
    return Room(disk=disk, free_bytes=free_bytes, needed_bytes=needed, reserve_bytes=reserve_bytes)
