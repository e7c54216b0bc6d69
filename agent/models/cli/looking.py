"""What is here and what is not: tables for people, structs for programs."""

from __future__ import annotations

import msgspec

from agent.models.depot import Depot
from agent.models.plan import Course, Plan, Row, gib

SIGNS = {"here": "here ", "part": "part ", "missing": "     ", "other": "OTHER"}
SOLD = {
    "yes": "may be sold",
    "no": "NOT FOR SALE",
    "conditional": "may be sold under conditions",
    None: "nothing known",
}


def show(place: Depot, *, as_json: bool) -> bool:
    """Every file of every list and workflow."""
    whole = place.plan(set(place.files))
    if as_json:
        print(msgspec.json.encode(whole.files).decode())
        return True
    for row in whole.files:
        uses = ", ".join(row.workflows) or "no workflow"
        print(f"{SIGNS[row.state]}  {gib(row.bytes):>11}  {row.file}")
        print(f"{'':20}{_licence(place, row)}; {row.vram_gib} GiB of VRAM; for {uses}")
    return True


def tell_plan(place: Depot, names: list[str], *, as_json: bool) -> bool:
    """False: it does not fit."""
    whole = place.plan(place.named(names) if names else None)
    if as_json:
        print(msgspec.json.encode(whole).decode())
        return whole.fits
    for course in whole.workflows:
        print(_course(course))
    for row in whole.files:
        if row.state != "here":
            print(f"  {SIGNS[row.state]} {gib(row.left_bytes):>11}  {row.file}{_remark(row)}")
    print("\n".join([*_licences(place, whole), *told_room(whole)]))
    return whole.fits


def told_room(whole: Plan) -> list[str]:
    """Does it fit, disk by disk."""
    lines = []
    for room in whole.disks:
        if not room.needed_bytes:
            continue
        about = f"{gib(room.needed_bytes)} to load onto {room.disk}, {gib(room.free_bytes)} free"
        if room.short_bytes:
            kept = f"{gib(room.reserve_bytes)} must stay free for the agent's work"
            lines.append(f"Does NOT fit: {about} ({kept}); {gib(room.short_bytes)} are lacking.")
        else:
            lines.append(f"Fits: {about}.")
    return lines or ["Nothing is to be loaded."]


def told_licence(place: Depot, key: str) -> list[str]:
    """What somebody should know who accepts it."""
    found = place.weights.licences[key]
    lines = [f"{found.name} ({found.version}): {SOLD[found.commercial]}", f"  {found.url}"]
    return [*lines, f"  {found.conditions}"] if found.conditions else lines


def _course(course: Course) -> str:
    state = f"lacks {gib(course.left_bytes)}" if course.lacks else "complete"
    return f"{course.workflow:<16} {state:<18} {course.model}, {course.vram_gib} GiB of VRAM"


def _remark(row: Row) -> str:
    if row.licence is None:
        return "  (in no list of weights: put it there yourself)"
    if row.state == "other":
        return "  (a file of this name is here, but not this one: pull --replace)"
    marks = [text for text, true in (("gated", row.gated), ("no known hash: pull --pin", not row.hashed)) if true]
    return f"  ({', '.join([f'from {row.hosts[0]}', *marks])})"


def _licence(place: Depot, row: Row) -> str:
    if row.licence is None:
        return "in no list of weights"
    return f"{place.weights.licences[row.licence].name} [{row.licence}], {SOLD[row.commercial]}"


def _licences(place: Depot, whole: Plan) -> list[str]:
    return [f"licence {key}: {line}" for key in whole.licences for line in told_licence(place, key)[:1]]
