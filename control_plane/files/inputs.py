"""Inputs: the pictures that orders start from, as they are kept; `intake.py` is how they come in.

An input is kept for a day, and longer for as long as a job that is not over, or whose results are still kept, starts
from it. Which jobs do is written by the database together with their specs, so no order is ever without. What is asked
for a person names that person; the bearer of a signed address and the holder of a live lease need no more than that.
"""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec
import structlog

from control_plane.database import Database, Query
from control_plane.errors import Forbidden, Gone, InputNeeded, LeaseLost, NotFound, Suspended
from control_plane.files import discards
from control_plane.queue.statements import Fence
from control_plane.signing import ROUNDING, SigningKeys
from control_plane.store import Store
from control_plane.store.staged import in_thread
from control_plane.wire.input import Picture

PAGE_MAX = 100

Digest = bytes
"""A SHA-256, 32 bytes; fields below are called `bytes`, so the type needs another name."""

log = structlog.get_logger()


class Input(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    key: str
    mime_type: str
    width: int
    height: int
    bytes: int
    sha256: Digest
    received_sha256: Digest
    created_at: datetime
    expires_at: datetime
    adult: bool
    """Made of a result that is adult content, so what starts from it is, too."""

    @property
    def picture(self) -> Picture:
        """As an order carries it."""
        return Picture(
            id=self.id,
            mime_type=self.mime_type,
            width=self.width,
            height=self.height,
            bytes=self.bytes,
            sha256=self.sha256.hex(),
        )


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be handed out."""

    key: str
    mime_type: str
    bytes: int
    sha256: Digest
    suspended: bool


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder of a lease may fetch; nothing when the job has no input any more."""

    key: str | None
    mime_type: str | None
    bytes: int | None
    sha256: Digest | None
    received_sha256: Digest | None

    @property
    def hashes(self) -> list[str]:
        return [digest.hex() for digest in (self.sha256, self.received_sha256) if digest is not None]


GET = Query("inputs.get", Input)
PAGE = Query("inputs.page", Input)
SIGNED = Query("inputs.signed", Content)
LOCK = Query("inputs.lock", bool)
DISCARD = Query("inputs.discard", str)
OF_ATTEMPT = Query("inputs.of_attempt", Fetched)


async def get(database: Database, user_id: UUID, input_id: UUID) -> Input:
    """An input of this user. Raises `NotFound`."""
    found = await database.one(GET, {"user_id": user_id, "id": input_id})
    if found is None:
        raise not_found()
    return found


async def page(database: Database, user_id: UUID, before: UUID | None, most: int) -> tuple[list[Input], bool]:
    """A user's inputs, the newest first, from below a given one; and whether there are more."""
    found = await database.many(PAGE, {"user_id": user_id, "before": before, "most": most + 1})
    return found[:most], len(found) > most


async def fetch(database: Database, fence: Fence, index: int) -> Fetched:
    """An input of a job, for whoever holds its lease. Raises `LeaseLost`, and `NotFound` when there is none."""
    found = await database.one(OF_ATTEMPT, msgspec.structs.asdict(fence))
    if found is None:
        raise LeaseLost("The lease of this attempt is no longer yours; nothing was changed. Stop the work.")
    if index != 0 or found.key is None:
        raise NotFound("This job has no such input, or it was deleted.")
    return found


async def lay(database: Database, store: Store, fence: Fence, picture: Picture, folder: Path) -> None:
    """Puts the input of a job into a folder, for an engine of our own.

    Raises `LeaseLost`, and `NotFound` or `Gone` when there is none any more.
    """
    found = await fetch(database, fence, 0)
    opened = await store.open(found.key or "")
    if opened is None:
        raise gone()
    try:
        with (folder / picture.file_name).open("wb") as file:
            async for data in opened.read(0, opened.bytes):
                await in_thread(file.write, data)
    finally:
        opened.close()


async def delete(database: Database, store: Store, user_id: UUID, input_id: UUID) -> None:
    """Takes an input away. Raises `NotFound`, and `InputNeeded` while a job that is not over starts from it."""
    mine = {"id": input_id, "user_id": user_id}
    async with database.transaction() as connection:
        needed = await LOCK.one(connection, mine)
        if needed is None:
            raise not_found()
        if needed:
            raise InputNeeded("A job that is not over starts from this input. Cancel it, or wait for its end.")
        keys = await DISCARD.many(connection, mine)
    await discards.soon(database, store, keys)
    log.info("input.deleted", input_id=input_id)


async def content(database: Database, input_id: UUID) -> Content:
    """Anybody's input, for the bearer of a signed address. Raises `Gone`, `Suspended`."""
    found = await database.one(SIGNED, {"id": input_id})
    if found is None:
        raise gone()
    if found.suspended:
        raise Suspended("The account that this file belongs to is suspended.")
    return found


def url(keys: SigningKeys, public_url: str, input_id: UUID, lifetime_seconds: float) -> str:
    """An address of an input for whoever holds it, good for about so long; the same one for a while."""
    step = max(1, int(lifetime_seconds) // ROUNDING)
    expires = math.ceil((keys.now() + lifetime_seconds) / step) * step
    signature = keys.digest(_message(input_id, expires)).hex()
    return f"{public_url}/inputs/{input_id}?expires={expires}&signature={signature}"


def check_url(keys: SigningKeys, input_id: UUID, expires: int, signature: str) -> None:
    """Raises `Forbidden` unless the address was signed by us, as it stands, and has not expired."""
    if len(signature) != 64 or not keys.proves(_message(input_id, expires), bytes.fromhex(signature)):
        raise Forbidden("This address was not made here or has been changed. Ask for the input again to get a new one.")
    if keys.now() >= expires:
        raise Forbidden("This address has expired. Ask for the input again to get a new one.")


def _message(input_id: UUID, expires: int) -> bytes:
    return f"input/{input_id}/{expires}".encode()


def gone() -> Gone:
    return Gone("This input is gone: it was deleted, or its time was over.")


def not_found() -> NotFound:
    return NotFound("You have no such input.")
