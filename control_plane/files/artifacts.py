"""Files of jobs: taken in from agents, found for customers, erased on demand.

An upload is streamed into the store under a temporary name, counted and hashed on the way, and becomes a row only
when length, SHA-256 and content are right and the fence still holds in the very statement that inserts it. A row is
seen by nobody until its job succeeds in that same attempt, so a stale agent can at worst leave rubbish, which is
swept. Large files may be put into the object store by the agent itself, under a staging key that nothing is served
from; they are collected from there, and from then on are an upload like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import BinaryIO
from uuid import UUID

import msgspec
import structlog

from control_plane.database import Database, Query
from control_plane.errors import (
    ArtifactMismatch,
    DeadlineExceeded,
    Gone,
    Invalid,
    LeaseLost,
    LegalHold,
    NotFinished,
    NotFound,
    Suspended,
    TooLarge,
    TooManyWaiting,
    Unavailable,
    Unmarked,
    UnsupportedMediaType,
)
from control_plane.files import discards
from control_plane.media.marking import is_marked
from control_plane.media.probe import Media, UnknownMedia, media
from control_plane.states import TERMINAL, State
from control_plane.store import Address, Label, Staged, Store, new_key, staging_key
from control_plane.store.disk import Disk
from control_plane.wire.worker import ARTIFACT_BYTES_MAX, DIRECT_BYTES_MIN, Uploaded

IDLE_SECONDS = 30.0
"""An upload of which nothing arrives for this long is given up."""
UPLOAD_SECONDS = 3_600.0
"""However steadily it trickles."""
UPLOADS_PER_WORKER_MAX = 8
UPLOADS_MAX = 128
"""Of one process at once; each holds a buffer of the store's and two open files."""

INLINE = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "video/mp4": "mp4"}
"""Shown in the browser under a name with this ending; anything else is offered for saving."""

Digest = bytes
"""A SHA-256, 32 bytes; fields below are called `bytes`, so the type needs another name."""

log = structlog.get_logger()


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent announces: the fence, the place, the length and the hash."""

    job_id: UUID
    attempt: int
    token: UUID
    worker_id: UUID
    index: int
    bytes: int
    sha256: Digest


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """How many files a fence may upload, and whether this one has arrived already."""

    count: int
    there: bool


class Added(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: Digest


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """A file for a customer, or what is left of it: without `key` it has been deleted."""

    key: str | None
    mime_type: str | None
    bytes: int | None
    sha256: Digest | None
    count: int
    suspended: bool
    """Whether its owner is; nothing of theirs is handed out."""


class Erasable(msgspec.Struct, frozen=True, kw_only=True):
    state: State
    legal_hold: bool


ANNOUNCED = Query("artifacts.announced", Announced)
THERE = Query("artifacts.there", Added)
ADD = Query("artifacts.add", Added)
VISIBLE = Query("artifacts.visible", Located)
OWNED = Query("artifacts.owned", Located)
LOCK_JOB = Query("artifacts.lock_job", Erasable)
DISCARD_OF_JOB = Query("artifacts.discard_of_job", str)
ERASE_SPEC: Query[None] = Query("artifacts.erase_spec")
ERASE_RENDERED: Query[None] = Query("artifacts.erase_rendered")
ERASE_MESSAGES: Query[None] = Query("artifacts.erase_messages")
ERASE_PROGRESS: Query[None] = Query("artifacts.erase_progress")


class Uploads:
    """The uploads of this process: bounded for each worker and altogether."""

    def __init__(self, database: Database, store: Store, disk: Disk, bytes_max: int) -> None:
        self._database = database
        self._store = store
        self._disk = disk
        self._bytes_max = min(bytes_max, ARTIFACT_BYTES_MAX)
        self._running: dict[UUID, int] = {}
        self.idle_seconds = IDLE_SECONDS

    async def receive(self, upload: Upload, chunks: AsyncIterator[bytes]) -> Uploaded:
        """Store one file; the same file again gets the same answer.

        Raises `LeaseLost` at whatever moment the fence turns out to be stale, `ArtifactMismatch` when bytes and
        announcement differ, `UnsupportedMediaType`, `TooLarge`, `DiskLow`, `TooManyWaiting`, `DeadlineExceeded`.
        """
        self._check_size(upload)
        with self._place(upload.worker_id):
            already = await self._announce(upload)
            if already is not None:
                return already
            self._disk.check_result(upload.bytes)
            key = new_key(upload.job_id, upload.attempt, upload.index)
            async with self._store.stage(key) as staged:
                await self._copy(upload, chunks, staged)
                found = await _verified(upload, staged)
                shown = disposition(upload.job_id, upload.index, found.mime_type)
                await staged.keep(Label(mime_type=found.mime_type, disposition=shown))
            return await self._add(upload, key, found)

    async def direct(self, upload: Upload) -> Address | None:
        """Where the agent may put this file itself, to have it collected; None: it goes through here.

        Raises what `receive` raises before it reads a body.
        """
        self._check_size(upload)
        if await self._announce(upload) is not None or upload.bytes < DIRECT_BYTES_MIN:
            return None
        self._disk.check_result(upload.bytes)
        return await self._store.staging_address(_staging_key(upload))

    async def collect(self, upload: Upload) -> Uploaded:
        """Takes in what the agent has put there: read, hashed and looked at like any upload, and only then kept under
        its own key, to which no agent ever had an address. Raises what `receive` raises."""
        key = _staging_key(upload)
        try:
            async with aclosing(self._fetched(key)) as chunks:
                collected = await self.receive(upload, chunks)
        except (ArtifactMismatch, UnsupportedMediaType):
            await self._forget(key)
            raise
        await self._forget(key)
        return collected

    async def _fetched(self, key: str) -> AsyncGenerator[bytes, None]:
        opened = await self._store.open(key)
        if opened is None:
            raise ArtifactMismatch("Nothing was put where this file was to be collected. Send it through here.")
        try:
            async for data in opened.read(0, opened.bytes):
                yield data
        finally:
            opened.close()

    async def _forget(self, key: str) -> None:
        with suppress(Unavailable):  # it is swept in two hours
            await self._store.delete_temporary(key)

    def _check_size(self, upload: Upload) -> None:
        if upload.bytes > self._bytes_max:
            raise TooLarge(f"A file may have at most {self._bytes_max} bytes.", bytes_max=self._bytes_max)

    @contextmanager
    def _place(self, worker_id: UUID) -> Iterator[None]:
        mine = self._running.get(worker_id, 0)
        if mine >= UPLOADS_PER_WORKER_MAX or sum(self._running.values()) >= UPLOADS_MAX:
            raise TooManyWaiting("Too many uploads at once. Finish one, then start the next.", retry_after=1)
        self._running[worker_id] = mine + 1
        try:
            yield
        finally:
            self._running[worker_id] -= 1
            if not self._running[worker_id]:
                del self._running[worker_id]

    async def _announce(self, upload: Upload) -> Uploaded | None:
        """Refuse before the body is read what would be refused after it; the answer, if the file is there already."""
        found = await self._database.one(ANNOUNCED, msgspec.structs.asdict(upload))
        if found is None:
            raise _lease_lost()
        if upload.index >= found.count:
            raise Invalid.at("index", f"This job has {found.count} files; their indexes begin at 0.", "out_of_range")
        if not found.there:
            return None
        there = await self._database.one(THERE, msgspec.structs.asdict(upload))
        return _same(upload, there) if there is not None else None

    async def _copy(self, upload: Upload, chunks: AsyncIterator[bytes], staged: Staged) -> None:
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                while (data := await self._next(chunks)) is not None:
                    if staged.bytes + len(data) > upload.bytes:
                        raise ArtifactMismatch(f"More than the announced {upload.bytes} bytes arrived.")
                    await staged.write(data)
        except TimeoutError as error:
            raise DeadlineExceeded("The upload stalled and was given up. Send the file again.") from error

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        async with asyncio.timeout(self.idle_seconds):
            return await anext(chunks, None)

    async def _add(self, upload: Upload, key: str, found: Media) -> Uploaded:
        """Whether the statement went through is not known when it raises: then the file stays, and is swept if not."""
        added = await self._database.one(
            ADD, {**msgspec.structs.asdict(upload), "key": key, **msgspec.structs.asdict(found)}
        )
        if added is None or added.key != key:
            await self._store.delete(key)
        if added is None:
            raise _lease_lost()
        answer = _same(upload, added)
        log.info("artifact.stored", job_id=upload.job_id, attempt=upload.attempt, bytes=upload.bytes)
        return answer


def _staging_key(upload: Upload) -> str:
    return staging_key(upload.job_id, upload.attempt, upload.index, upload.token, upload.sha256)


def disposition(job_id: UUID, index: int, mime_type: str) -> str:
    """Of the file as a browser is told (RFC 6266): shown, or offered for saving, and under which name."""
    ending = INLINE.get(mime_type)
    name = f"tessera-{str(job_id)[-12:]}-{index}.{ending or mime_type.partition('/')[2]}"
    return f'{"inline" if ending else "attachment"}; filename="{name}"'


async def _verified(upload: Upload, staged: Staged) -> Media:
    if staged.bytes != upload.bytes:
        raise ArtifactMismatch(f"Of {upload.bytes} announced bytes {staged.bytes} arrived. Send the file again.")
    if await staged.sha256() != upload.sha256:
        raise ArtifactMismatch("The SHA-256 of what arrived is not the announced one. Send the file again.")
    try:
        found, marked = await staged.inspect(_looked_at)
    except UnknownMedia as error:
        raise UnsupportedMediaType(str(error)) from error
    if not marked:
        raise Unmarked("The file does not say in its XMP metadata that it was made by AI. Update the agent.")
    return found


def _looked_at(file: BinaryIO, size: int) -> tuple[Media, bool]:
    """What the file is, and whether it carries the mark."""
    found = media(file, size)
    return found, is_marked(file, size, found.mime_type)


def _same(upload: Upload, there: Added) -> Uploaded:
    if there.sha256 != upload.sha256:
        raise ArtifactMismatch("Another file was uploaded under this index already; it cannot be replaced.")
    return Uploaded(
        index=upload.index,
        mime_type=there.mime_type,
        width=there.width,
        height=there.height,
        bytes=there.bytes,
        sha256=there.sha256.hex(),
    )


def _lease_lost() -> LeaseLost:
    return LeaseLost("The lease of this attempt is no longer yours; nothing was changed. Stop the work.")


async def locate(database: Database, job_id: UUID, index: int, *, user_id: UUID | None = None) -> Located:
    """A visible file: of anybody's job to the bearer of a signed address, else of this user's only.

    Raises `NotFound`, `Gone` when it was there once (a quarantined file is gone), `Suspended` when its owner is.
    """
    parameters = {"job_id": job_id, "index": index}
    if user_id is None:
        found = await database.one(VISIBLE, parameters)
    else:
        found = await database.one(OWNED, {**parameters, "user_id": user_id})
    if found is None or index >= found.count:
        raise NotFound("There is no such file.")
    if found.suspended:
        raise Suspended("The account that this file belongs to is suspended.")
    if found.key is None:
        raise gone()
    return found


def gone() -> Gone:
    return Gone("This file is gone: it was deleted, its time was over (see your plan), or it was withdrawn.")


async def erase(database: Database, store: Store, user_id: UUID, job_id: UUID) -> None:
    """Takes away the files and the prompt of a job that has ended; what it cost stays. Idempotent.

    Raises `NotFound`, `NotFinished`, `LegalHold`.
    """
    job = {"job_id": job_id}
    async with database.transaction() as connection:
        found = await LOCK_JOB.one(connection, {**job, "user_id": user_id})
        if found is None:
            raise NotFound("There is no such job.")
        if found.state not in TERMINAL:
            raise NotFinished("This job has not ended. Cancel it or wait; then its files can be erased.")
        if found.legal_hold:
            raise LegalHold("Files of this job are kept for a legal reason and cannot be erased.")
        keys = await DISCARD_OF_JOB.many(connection, job)
        for query in (ERASE_SPEC, ERASE_RENDERED, ERASE_MESSAGES, ERASE_PROGRESS):
            await query.run(connection, job)
    await discards.soon(database, store, keys)
    log.info("job.erased", job_id=job_id)
