"""How pictures come in: received, judged, decoded at a distance, written anew, kept.

A picture is received onto local disk and hashed, judged by its headers (`probe`) before anything is decoded, decoded
and written anew by a process on a short leash (`normalise`), and only what that wrote is kept. What arrived is never
stored. The same file sent again is the same input. A result of one's own can be named in an order too: it takes the
same way in, once.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import msgspec
import structlog

from control_plane.conduct.judgement import Conduct
from control_plane.database import Database, Query
from control_plane.errors import DeadlineExceeded, InputsFull, Invalid, TooLarge, TooManyWaiting
from control_plane.files import inputs
from control_plane.files.inputs import Digest, Input
from control_plane.media import normalise, probe
from control_plane.store import BUFFER_BYTES, Store, new_input_key
from control_plane.store.disk import Disk
from control_plane.store.staged import disk_errors, in_thread
from control_plane.wire.input import INPUT_BYTES_MAX, INPUT_PIXELS_MAX, INPUT_TYPES, InputReference

KEEP_SECONDS = 86_400.0
INPUTS_MAX = 500
"""Of one user in a day."""
INPUTS_BYTES_MAX = 2 * 1024**3
"""The same, as they are kept."""
UPLOAD_SECONDS = 600.0
IDLE_SECONDS = 30.0
"""An upload of which nothing arrives for this long is given up."""
RECEIVING_MAX = 32
"""Of one process at once."""
RECEIVING_PER_USER_MAX = 4
DECODERS_MAX = 2
"""Each may need a gigabyte and a processor."""
POINTER = "/file"
ACCEPTED = "PNG, JPEG and WebP"

log = structlog.get_logger()


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """An id for what comes next, and what this user has uploaded in the last day."""

    id: UUID
    count: int
    bytes: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a job that has succeeded."""

    key: str
    mime_type: str
    bytes: int
    adult: bool


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Of which result an input was made, and whether that is adult content."""

    job_id: UUID | None = None
    index: int | None = None
    adult: bool = False


ROOM = Query("inputs.room", Room)
RENEW = Query("inputs.renew", Input)
LOCK_USER: Query[None] = Query("inputs.lock_user")
ADD = Query("inputs.add", Input)
OF_RESULT = Query("inputs.of_result", Input)
RESULT = Query("inputs.result", Result)


UPLOADED = Origin()


class Intake:
    """What comes in to this process, bounded for each user and altogether."""

    def __init__(self, database: Database, store: Store, disk: Disk, conduct: Conduct, scratch: Path) -> None:
        """`scratch`: a folder on local disk for what is on its way; nothing in it has a name."""
        self._database = database
        self._store = store
        self._disk = disk
        self._conduct = conduct
        self._scratch = scratch
        self._receiving: dict[UUID, int] = {}
        self._decoders = asyncio.Semaphore(DECODERS_MAX)
        self.idle_seconds = IDLE_SECONDS

    async def receive(self, user_id: UUID, chunks: AsyncIterator[bytes], origin: Origin = UPLOADED) -> Input:
        """Take in one picture; the same file again is the same input.

        Raises `Invalid` when it is no picture that can be used, `TooLarge`, `ModeratedInput`, `InputsFull`, `DiskLow`,
        `TooManyWaiting`, `DeadlineExceeded`.
        """
        with self._place(user_id):
            room = await self._room(user_id)
            self._disk.check(INPUT_BYTES_MAX)
            with self._file() as received, self._file() as made:
                received_sha256 = await self._copy(chunks, received)
                self._conduct.check_input(POINTER, received_sha256.hex())
                if known := await self._known(user_id, received_sha256, origin):
                    return known
                normalised = await self._normalise(received, made)
                return await self._keep(user_id, room.id, normalised, made, received_sha256, origin)

    async def found(self, user_id: UUID, wanted: UUID | InputReference) -> Input:
        """What an order refers to. Raises `Invalid` when this user has no such picture, and as `receive` does."""
        reference = InputReference(id=wanted) if isinstance(wanted, UUID) else wanted
        if (reference.id is None) == (reference.job_id is None):
            sentence = "Name either the `id` of an upload or the `job_id` of a result."
            raise Invalid.at("/input_image", sentence, "unclear")
        found = await self._found(user_id, reference)
        if found is None:
            sentence = "You have no such picture here: it was never uploaded, was deleted, or its time is over."
            raise Invalid.at("/input_image", sentence, "unknown")
        self._conduct.check_input("/input_image", found.sha256.hex(), found.received_sha256.hex())
        return found

    @contextmanager
    def _place(self, user_id: UUID) -> Iterator[None]:
        mine = self._receiving.get(user_id, 0)
        if mine >= RECEIVING_PER_USER_MAX or sum(self._receiving.values()) >= RECEIVING_MAX:
            raise TooManyWaiting("Too many uploads at once. Finish one, then start the next.", retry_after=1)
        self._receiving[user_id] = mine + 1
        try:
            yield
        finally:
            self._receiving[user_id] -= 1
            if not self._receiving[user_id]:
                del self._receiving[user_id]

    async def _room(self, user_id: UUID) -> Room:
        """Refuse before the body is read what would be refused after it."""
        room = await self._database.one(ROOM, {"user_id": user_id})
        assert room is not None, "a count is a row"
        if room.count >= INPUTS_MAX or room.bytes >= INPUTS_BYTES_MAX:
            raise _full()
        return room

    @contextmanager
    def _file(self) -> Iterator[BinaryIO]:
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._scratch, buffering=0) as file:
            yield file

    async def _copy(self, chunks: AsyncIterator[bytes], file: BinaryIO) -> Digest:
        """The file as it arrives; its hash."""
        digest, size, buffer = hashlib.sha256(), 0, bytearray()
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                while (data := await self._next(chunks)) is not None:
                    size += len(data)
                    if size > INPUT_BYTES_MAX:
                        raise TooLarge(
                            f"A picture may have at most {INPUT_BYTES_MAX} bytes.", bytes_max=INPUT_BYTES_MAX
                        )
                    buffer += data
                    if len(buffer) >= BUFFER_BYTES:
                        digest.update(buffer)
                        await in_thread(_append, file, bytes(buffer))
                        buffer.clear()
        except TimeoutError as error:
            raise DeadlineExceeded("The upload stalled and was given up. Send the picture again.") from error
        digest.update(buffer)
        await in_thread(_append, file, bytes(buffer))
        return digest.digest()

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        async with asyncio.timeout(self.idle_seconds):
            return await anext(chunks, None)

    async def _known(self, user_id: UUID, received_sha256: Digest, origin: Origin) -> Input | None:
        same = {"user_id": user_id, "received_sha256": received_sha256, "adult": origin.adult}
        return await self._database.one(RENEW, {**same, "keep_seconds": KEEP_SECONDS})

    async def _normalise(self, received: BinaryIO, made: BinaryIO) -> normalise.Normalised:
        media = judge(received)
        async with self._decoders:
            try:
                return await normalise.normalise(received, media.mime_type, made)
            except normalise.Undecodable as error:
                raise Invalid.at(POINTER, str(error), "broken") from error

    async def _keep(
        self,
        user_id: UUID,
        input_id: UUID,
        normalised: normalise.Normalised,
        made: BinaryIO,
        received_sha256: Digest,
        origin: Origin,
    ) -> Input:
        key = new_input_key(user_id, input_id)
        made.seek(0)
        async with self._store.stage(key) as staged:
            while data := await in_thread(made.read, BUFFER_BYTES):
                await staged.write(data)
            sha256 = await staged.sha256()
            self._conduct.check_input(POINTER, sha256.hex())
            await staged.keep()
        row = {
            "id": input_id,
            "user_id": user_id,
            "key": key,
            "bytes": staged.bytes,
            "sha256": sha256,
            "received_sha256": received_sha256,
            "keep_seconds": KEEP_SECONDS,
            "count_max": INPUTS_MAX,
            "bytes_max": INPUTS_BYTES_MAX,
        }
        async with self._database.transaction() as connection:
            await LOCK_USER.run(connection, {"user_id": user_id})
            values = {**row, **msgspec.structs.asdict(normalised), **msgspec.structs.asdict(origin)}
            added = await ADD.one(connection, values)
        if added is None:
            await self._store.delete(key)
            raise _full()
        log.info("input.stored", input_id=added.id, user_id=user_id, bytes=added.bytes)
        return added

    async def _found(self, user_id: UUID, reference: InputReference) -> Input | None:
        if reference.job_id is None:
            return await self._database.one(inputs.GET, {"user_id": user_id, "id": reference.id})
        place = {"user_id": user_id, "job_id": reference.job_id, "index": reference.index}
        if known := await self._database.one(OF_RESULT, place):
            return known
        result = await self._database.one(RESULT, place)
        if result is None:
            return None
        if result.mime_type not in INPUT_TYPES or result.bytes > INPUT_BYTES_MAX:
            raise Invalid.at("/input_image", "This result is no picture that can be started from.", "not_allowed")
        opened = await self._store.open(result.key)
        if opened is None:
            return None
        try:
            origin = Origin(job_id=reference.job_id, index=reference.index, adult=result.adult)
            return await self.receive(user_id, opened.read(0, opened.bytes), origin)
        except Invalid as error:
            raise Invalid.at("/input_image", f"This result cannot be started from. {error.detail}", "broken") from error
        finally:
            opened.close()


def _append(file: BinaryIO, data: bytes) -> None:
    """All of it. Raises `DiskLow`."""
    rest = memoryview(data)
    with disk_errors():
        while rest:
            rest = rest[file.write(rest) :]


def judge(file: BinaryIO) -> probe.Media:
    """What the headers of a received file promise, before anything of it is decoded. Raises `Invalid`."""
    size = file.seek(0, 2)
    if not size:
        raise Invalid.at(POINTER, f"The file is empty. Send a picture: {ACCEPTED} are taken.", "missing")
    try:
        media = probe.media(file, size)
    except probe.UnknownMedia as error:
        sentence = f"This is no picture that can be used: {ACCEPTED} are taken, by content, whole. {error}"
        raise Invalid.at(POINTER, sentence, "not_a_picture") from error
    if media.mime_type not in INPUT_TYPES:
        raise Invalid.at(POINTER, f"This is {media.mime_type}; {ACCEPTED} are taken.", "not_a_picture")
    if media.width * media.height > INPUT_PIXELS_MAX:
        sentence = f"The picture has {media.width} x {media.height} pixels; at most {INPUT_PIXELS_MAX} are taken."
        raise Invalid.at(POINTER, sentence, "too_large")
    return media


def _full() -> InputsFull:
    return InputsFull(
        f"At most {INPUTS_MAX} pictures and {INPUTS_BYTES_MAX} bytes are taken of one person in a day. Delete some.",
        retry_after=3_600,
    )
