"""The models that are offered, as the table says, remembered for a second by each process."""

from __future__ import annotations

import asyncio
import time

import msgspec

from control_plane.database import Database, Query
from control_plane.errors import NoSuchModel
from control_plane.wire.job import JobKind, Task
from control_plane.wire.problem import Fault

REMEMBERED_SECONDS = 1.0


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model of one kind: its defaults, its limits, and what its lane needs."""

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
    paused: bool
    feasible_now: bool
    """A live slot serves it."""
    tasks: list[Task]
    """What it is for."""
    upscales: list[int]
    """How many times longer it makes sides, for the task of that name."""
    run_tokens: list[float] = []
    """Of recent runs, the newest first; and in the same order:"""
    run_seconds: list[float] = []


LIST = Query("models.list", Model)


class Catalogue:
    """The offered models, in the operator's order."""

    def __init__(self, database: Database, live_seconds: float) -> None:
        self._database = database
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
                self._models = await self._database.many(LIST, {"live_seconds": self._live_seconds})
                self._read_at = time.monotonic()
        return self._models

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at <= REMEMBERED_SECONDS

    async def find(self, kind: JobKind, name: str | None) -> Model:
        """The model of this name, or the first of its kind. Raises `NoSuchModel`."""
        for model in await self.models():
            if model.kind == kind and name in (None, model.name):
                return model
        sentence = f"No {kind} model {name!r} is offered here; GET /api/v1/models lists what is."
        if name is None:
            sentence = f"No model makes a job of kind {kind!r} here; GET /api/v1/models lists what there is."
        raise NoSuchModel(sentence, errors=[Fault(pointer="/model", code="unknown", detail=sentence)])
