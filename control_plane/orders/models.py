"""The models that are offered, as the table says, remembered for a second by each process.

A model that is made of workflows is offered for the tasks that a worker of ours can do (`models.list`), within the
limits of the workflow for the task.
"""

from __future__ import annotations

import asyncio
import time

from msgspec.structs import asdict

from control_plane.database import Database, Query
from control_plane.errors import NoSuchModel
from control_plane.orders.manifests import Facts
from control_plane.orders.shelf import Shelf
from control_plane.wire.job import JobKind, Task
from control_plane.wire.model import ModelLicence
from control_plane.wire.problem import Fault
from control_plane.wire.workflow import Manifest

REMEMBERED_SECONDS = 1.0


class ModelRow(Facts, frozen=True, kw_only=True):
    """As it stands in the table, and how it is served."""

    paused: bool
    feasible_now: bool
    """A live slot serves it."""
    tasks: list[Task]
    """What it is for."""
    upscales: list[int]
    """How many times longer it makes sides, for the task of that name."""
    languages: list[str]
    """In which it reads prompts, the best one first."""
    run_tokens: list[float] = []
    """Of recent runs, the newest first; and in the same order:"""
    run_seconds: list[float] = []
    task: str = ""
    """What an order that leaves everything out is for, where each task has a lane of its own; else empty."""


class Model(ModelRow, frozen=True, kw_only=True):
    workflows: dict[Task, Manifest] = {}
    """By what it is made, task by task; empty for what is built in."""
    licences: list[ModelLicence] = []

    def lane(self, task: Task) -> tuple[int, str]:
        """VRAM class and task of the lane in which such orders wait."""
        manifest = self.workflows.get(task)
        return (self.vram_gib, "") if manifest is None else (manifest.vram_gib, task)


LIST = Query("models.list", ModelRow)


class Catalogue:
    """The offered models, in the operator's order."""

    def __init__(self, database: Database, live_seconds: float, shelf: Shelf) -> None:
        self._database = database
        self._shelf = shelf
        self._live_seconds = live_seconds
        self._models: list[Model] = []
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def models(self) -> list[Model]:
        """As of a second ago; while one reads anew, the others go on with what they have."""
        if self._is_fresh() or (self._models and self._reading.locked()):
            return self._models
        async with self._reading:
            if not self._is_fresh():
                rows = await self._database.many(LIST, {"live_seconds": self._live_seconds})
                self._models = [model for row in rows if (model := self._made(row)).tasks]
                self._read_at = time.monotonic()
        return self._models

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at <= REMEMBERED_SECONDS

    def _made(self, row: ModelRow) -> Model:
        """With its workflows, as far as this process knows them."""
        if not row.task:
            return Model(**asdict(row))
        known = self._shelf.manifests(row.kind, row.name)
        workflows = {task: known[task] for task in row.tasks if task in known}
        licences = self._shelf.licences(row.kind, row.name)
        return Model(**{**asdict(row), "tasks": list(workflows)}, workflows=workflows, licences=licences)

    async def find(self, kind: JobKind, name: str | None) -> Model:
        """The model of this name, or the first of its kind. Raises `NoSuchModel`."""
        for model in await self.models():
            if model.kind == kind and name in (None, model.name):
                return model
        sentence = f"No {kind} model {name!r} is offered here; GET /api/v1/models lists what is."
        if name is not None and self._shelf.manifests(kind, name):
            sentence = f"{name} is set up here, but no worker of this service can make it."
        if name is None:
            sentence = f"No model makes a job of kind {kind!r} here; GET /api/v1/models lists what there is."
        raise NoSuchModel(sentence, errors=[Fault(pointer="/model", code="unknown", detail=sentence)])
