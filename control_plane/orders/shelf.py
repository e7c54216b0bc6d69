"""The workflows in force: what the operator's folders hold is put into the database, and what stands there is sold.

    folder ──(changed)──► database ──(each process, every two seconds)──► shelf ──► agents, orders

The database is what counts, so every control plane sells the same, and nothing has to be restarted: whichever process
sees its folder change puts in force what is sound there. A workflow whose files became unsound stays as it was; one
whose files are gone is withdrawn. Several machines want the same folder; should theirs differ, the one that changed
last is right. With the workflows goes what the lists of weights say of their files, so that the owners of agents can
load them; where a list became unsound, that stays as it was too.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection, IntegrityError

from control_plane.database import Database, Query, columns
from control_plane.errors import Unavailable
from control_plane.orders import manifests
from control_plane.orders.manifests import Found, Stamps
from control_plane.wire.job import JobKind, Task
from control_plane.wire.model import ModelLicence
from control_plane.wire.weights import Entry
from control_plane.wire.workflow import Manifest, Workflow, WorkflowError, parse, sent

LOOK_SECONDS = 2.0
"""How often folder and database are looked at."""
LOCK_KEY = 0x7E55E7B

log = structlog.get_logger()
_decode = msgspec.json.Decoder(list[ModelLicence]).decode
_decode_weights = msgspec.json.Decoder(list[Entry]).decode


class Version(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str
    licences: str
    weights_sha256: str
    manifest_sha256: str
    """It may say of a model what makes no other version of it, as which languages it reads."""


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    manifest: str
    graph: str
    licences: str
    weights: str


class Put(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: JobKind
    model: str
    task: Task
    vram_gib: int
    version: str
    manifest: str
    graph: str
    licences: str
    weights: str

    @property
    def weights_sha256(self) -> str:
        return hashlib.sha256(self.weights.encode()).hexdigest()

    @property
    def manifest_sha256(self) -> str:
        return hashlib.sha256(self.manifest.encode()).hexdigest()


LOCK: Query[None] = Query("workflows.lock")
VERSIONS = Query("workflows.versions", Version)
IN_FORCE = Query("workflows.in_force", InForce)
WITHDRAW = Query("workflows.withdraw", str)
PUT_MODELS: Query[None] = Query("workflows.put_models")
PUT: Query[None] = Query("workflows.put")


class Shelf:
    """What is in force, as this process knows. `changed` is awaited before anybody is told of something new."""

    def __init__(self, database: Database, own: Path, changed: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._folders = manifests.folders(own)
        self._changed = changed
        self._stamps: Stamps | None = None
        self._versions: list[Version] = []
        self.revision = ""
        self.encoded = msgspec.json.encode(sent([]))
        """The answer to an agent that asks for the workflows."""
        self._manifests: dict[tuple[JobKind, str], dict[Task, Manifest]] = {}
        self._licences: dict[tuple[JobKind, str], list[ModelLicence]] = {}

    def manifests(self, kind: JobKind, model: str) -> dict[Task, Manifest]:
        """The workflows in force of a model, by task."""
        return self._manifests.get((kind, model), {})

    def licences(self, kind: JobKind, model: str) -> list[ModelLicence]:
        """Of the weights of a model, each once."""
        return self._licences.get((kind, model), [])

    async def run(self) -> None:
        """For ever: follows folder and database."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (Unavailable, psycopg.Error) as error:
                log.warning("workflows.not_read", error=type(error.__cause__ or error).__name__)

    async def look(self) -> None:
        """Puts in force what has changed in the folder, then learns what is in force."""
        seen = await asyncio.to_thread(manifests.stamps, self._folders)
        if seen != self._stamps:
            found = await asyncio.to_thread(manifests.examine, self._folders)
            for name, reasons in found.faults.items():
                log.error("workflow.refused", workflow=name, reasons=reasons)
            try:
                await publish(self._database, found)
            except IntegrityError as error:  # what is there but unsound stands in the way of what is new
                log.error("workflows.not_published", reason=str(error).splitlines()[0])
            self._stamps = seen
        versions = await self._database.many(VERSIONS)
        if versions != self._versions:
            await self._adopt(await self._database.many(IN_FORCE))
            self._versions = versions

    async def _adopt(self, rows: Sequence[InForce]) -> None:
        workflows: list[Workflow] = []
        weights: list[Entry] = []
        by_model: dict[tuple[JobKind, str], dict[Task, Manifest]] = {}
        licences: dict[tuple[JobKind, str], dict[ModelLicence, None]] = {}
        for row in rows:
            try:
                workflow = parse(row.name, row.manifest.encode(), row.graph.encode(), as_toml=False)
            except WorkflowError as error:  # put in force by a newer Tessera
                log.warning("workflow.not_understood", workflow=row.name, reason=str(error))
                continue
            key = workflow.manifest.kind, workflow.manifest.model
            workflows.append(workflow)
            weights += _known_weights(row)
            by_model.setdefault(key, {})[workflow.manifest.task] = workflow.manifest
            licences.setdefault(key, {}).update(dict.fromkeys(_decode(row.licences)))
        await self._changed()
        whole = sent(workflows, weights)
        self.revision, self.encoded = whole.revision, msgspec.json.encode(whole)
        self._manifests, self._licences = by_model, {key: list(found) for key, found in licences.items()}
        log.info("workflows.adopted", workflows=len(workflows), weights=len(whole.weights), revision=self.revision)
        if left := len({entry.file.path for entry in weights}) - len(whole.weights):
            log.error("weights.not_sent", files=left, reason="the entries are more than agents are sent")


def _known_weights(row: InForce) -> list[Entry]:
    try:
        return _decode_weights(row.weights)
    except msgspec.DecodeError as error:  # put in force by a newer Tessera
        log.warning("weights.not_understood", workflow=row.name, reason=str(error))
        return []


async def publish(database: Database, found: Found) -> list[str]:
    """Puts what was found in force, and withdraws what is gone; the names of what was withdrawn. What is there but
    unsound stays as it was."""
    put = [_row(workflow, found.licences[name], found.weights[name]) for name, workflow in found.workflows.items()]
    async with database.transaction() as connection:
        await LOCK.run(connection, {"key": LOCK_KEY})
        known = {row.name: row for row in await VERSIONS.many(connection)}
        withdrawn = await WITHDRAW.many(connection, {"kept": [*found.workflows, *found.faults]})
        listed = manifests.LISTS not in found.faults
        new = [row for row in put if not _is_known(row, known.get(row.name), listed=listed)]
        if new:
            await _put(connection, new, found)
    if new or withdrawn:
        log.info("workflows.published", put=[row.name for row in new], withdrawn=withdrawn)
    return withdrawn


def _is_known(row: Put, known: Version | None, *, listed: bool) -> bool:
    """`listed`: the lists of weights could be read."""
    if known is None or (known.version, known.manifest_sha256) != (row.version, row.manifest_sha256):
        return False
    return not listed or (known.licences, known.weights_sha256) == (row.licences, row.weights_sha256)


async def _put(connection: AsyncConnection[Any], new: Sequence[Put], found: Found) -> None:
    """A workflow that takes another's place must not meet it, so those that move are withdrawn first."""
    moving = [row.name for row in new]
    kept = [name for name in [*found.workflows, *found.faults] if name not in moving]
    await WITHDRAW.run(connection, {"kept": kept})
    models = manifests.models(found.workflows.values())
    await PUT_MODELS.run(connection, columns(models))
    await PUT.run(connection, columns(new))


def _row(workflow: Workflow, licences: list[ModelLicence], weights: list[Entry]) -> Put:
    manifest = workflow.manifest
    return Put(
        name=workflow.name,
        kind=manifest.kind,
        model=manifest.model,
        task=manifest.task,
        vram_gib=manifest.vram_gib,
        version=workflow.version,
        manifest=msgspec.json.encode(manifest).decode(),
        graph=msgspec.json.encode(workflow.graph).decode(),
        licences=msgspec.json.encode(licences).decode(),
        weights=msgspec.json.encode(weights).decode(),
    )
