"""What lies in the operator's folders of workflows: which of it can be sold, under which licences, and what is wrong.

Two files and nothing else make a workflow; those that are unsound are left out, each with its reasons, and take none of
the others along. A model is what its workflows are together: one for each task, of which the first says what an order
gets that leaves everything out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from control_plane.wire import weights
from control_plane.wire.job import SIDE_MAX, JobKind, Task
from control_plane.wire.model import ModelLicence
from control_plane.wire.soundness import set_faults, structure_faults
from control_plane.wire.weights import Commercial, Entry, Weights, WeightsError
from control_plane.wire.workflow import (
    SHIPPED,
    WORKFLOWS_MAX,
    Field,
    Manifest,
    Workflow,
    WorkflowError,
    manifests,
    read,
)

FIRST: tuple[Task, ...] = (
    *("text-to-image", "image-to-image", "inpaint", "upscale"),
    *("text-to-video", "image-to-video"),
)
"""The task of a model that an order without anything else is for: the first of these that it has."""
LISTS = weights.FOLDER
"""Under this name stands what is wrong with the lists of weights."""

Stamps = tuple[tuple[str, int, int], ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    workflows: dict[str, Workflow]
    """The sound ones."""
    faults: dict[str, list[str]]
    """Of those that are not, by name."""
    licences: dict[str, list[ModelLicence]]
    """Of the files of each sound workflow, each once."""
    weights: dict[str, list[Entry]]
    """What the lists say of the files of each."""
    unlisted: dict[str, list[str]]
    """Files of each that no list of weights knows, so that nothing is known of their licences either."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Of a model of one kind: its defaults, its limits, and what its lane needs."""

    name: str
    kind: JobKind
    title: str
    vram_gib: int
    weight: float
    width: int
    height: int
    pixels_max: int
    steps: int
    steps_max: int
    guidance: float
    frames: int | None
    frames_max: int | None
    fps: int | None


class MadeModel(Facts, frozen=True, kw_only=True):
    """As it goes into the table. `tasks`, `upscales` and `languages` are arrays as PostgreSQL writes them."""

    position: int
    tasks: str
    upscales: str
    languages: str
    task: Task


def folders(own: Path) -> list[Path]:
    """The shipped ones first: a workflow of the operator's own stands in for a shipped one of the same name."""
    return [SHIPPED, own]


def stamps(places: Sequence[Path]) -> Stamps:
    """Tells one state of these folders from another, without reading the files."""
    patterns = ("*.toml", "*.json", f"{weights.FOLDER}/*.toml")
    paths = [path for place in places for pattern in patterns for path in place.glob(pattern)]
    return tuple(_stamp(path) for path in sorted(paths))


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:  # gone in this moment
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size


def examine(places: Sequence[Path]) -> Found:
    """Everything in these folders, a later one over an earlier one."""
    faults: dict[str, list[str]] = {}
    sound: dict[str, Workflow] = {}
    for name, path in manifests(*places).items():  # what conflicts with an earlier one is wrong
        try:
            workflow = read(path)
        except WorkflowError as error:
            faults[name] = [str(error)]
            continue
        if wrong := structure_faults(workflow):
            faults[name] = wrong
        else:
            sound[name] = workflow
    faults |= set_faults(sound.values())
    faults |= {name: [f"There may be at most {WORKFLOWS_MAX} workflows."] for name in list(sound)[WORKFLOWS_MAX:]}
    faults |= {path.stem: [f"{path}: its manifest ({path.stem}.toml) is missing."] for path in _lonely(places)}
    sound = {name: workflow for name, workflow in sound.items() if name not in faults}
    try:
        lists = weights.load(*places)
    except WeightsError as error:
        faults[LISTS], lists = [str(error)], weights.NOTHING
    return Found(
        workflows=sound,
        faults=faults,
        licences={name: licences(workflow.manifest, lists) for name, workflow in sound.items()},
        weights={name: lists.entries(_paths(workflow.manifest)) for name, workflow in sound.items()},
        unlisted={name: _unlisted(workflow.manifest, lists) for name, workflow in sound.items()},
    )


def _lonely(places: Sequence[Path]) -> list[Path]:
    return [path for place in places for path in sorted(place.glob("*.json")) if not path.with_suffix(".toml").exists()]


def licences(manifest: Manifest, lists: Weights) -> list[ModelLicence]:
    found = {lists.licence_of(file.folder, file.name): None for file in manifest.files}
    return [
        ModelLicence(name=one.name, url=one.url, commercial=one.commercial, conditions=one.conditions)
        for one in found
        if one is not None
    ]


def _unlisted(manifest: Manifest, lists: Weights) -> list[str]:
    return [path for path in _paths(manifest) if path not in lists.files]


def _paths(manifest: Manifest) -> list[str]:
    return [f"{file.folder}/{file.name}" for file in manifest.files]


def commercial(found: Iterable[ModelLicence], *, all_known: bool = True) -> Commercial | None:
    """Whether what is made may be sold when all of these licences hold; None: that is not known."""
    said = {licence.commercial for licence in found}
    if "no" in said:
        return "no"
    if not all_known:
        return None
    return "conditional" if "conditional" in said else "yes"


def models(workflows: Iterable[Workflow]) -> list[MadeModel]:
    """The models that these workflows make together."""
    grouped: dict[tuple[str, str], list[Manifest]] = {}
    for workflow in workflows:
        grouped.setdefault((workflow.manifest.model, workflow.manifest.kind), []).append(workflow.manifest)
    return [_model(grouped[key]) for key in sorted(grouped)]


def _model(of: list[Manifest]) -> MadeModel:
    of = sorted(of, key=lambda manifest: FIRST.index(manifest.task))
    first, video = of[0], of[0].kind == "video"
    steps = of[0].slots.get("steps")
    return MadeModel(
        name=first.model,
        kind=first.kind,
        title=first.title,
        position=first.position,
        vram_gib=first.vram_gib,
        weight=first.price_weight,
        width=default(first, "width", 1_024),
        height=default(first, "height", 1_024),
        pixels_max=max(pixels_max(manifest) for manifest in of),
        steps=default(first, "steps", 1),
        steps_max=int(steps.max) if steps is not None and steps.max is not None else 1,
        guidance=float(default(first, "guidance", 0)),
        frames=default(first, "frames", 1) if video else None,
        frames_max=max(int(manifest.slots["frames"].max or 1) for manifest in of) if video else None,
        fps=default(first, "fps", 1) if video else None,
        tasks="{" + ",".join(manifest.task for manifest in of) + "}",
        upscales="{" + ",".join(str(manifest.upscale) for manifest in of if manifest.upscale) + "}",
        languages="{" + ",".join(first.languages) + "}",
        task=first.task,
    )


def default(manifest: Manifest, field: Field, otherwise: int) -> int:
    slot = manifest.slots.get(field)
    return int(slot.default) if slot is not None and isinstance(slot.default, int | float) else otherwise


def pixels_max(manifest: Manifest) -> int:
    """Width times height of what may be ordered."""
    if manifest.pixels_max is not None:
        return manifest.pixels_max
    sides = [manifest.slots[field].max for field in ("width", "height") if field in manifest.slots]
    return int(sides[0] or SIDE_MAX) * int(sides[1] or SIDE_MAX) if len(sides) == 2 else SIDE_MAX * SIDE_MAX
