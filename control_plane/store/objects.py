"""The store that is a bucket: S3 and what speaks like it, Google Cloud Storage, Azure.

A file on its way in lies in an unnamed file on local disk until it was hashed and looked at, and is put under its key
only then; so a wrong one never reaches the bucket. Nothing waits for the bucket without a limit, and a bucket that
does not answer is `Unavailable` to whoever asked. Credentials come from the environment as obstore takes them and are
never in a URL or a log; addresses are signed by them on this machine. Such an address is good for so short a time
because a file that is withdrawn must not be reachable for longer: nobody but its own end takes it back.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from control_plane.errors import Internal, Unavailable
from control_plane.store.contract import Address, Found, Label
from control_plane.store.direct import Direct
from control_plane.store.keys import STAGING, checked, is_key
from control_plane.store.staged import BUFFER_BYTES, Staged, disk_errors, in_thread

if TYPE_CHECKING:
    from obstore import HTTP_METHOD

Bucket = S3Store | GCSStore | AzureStore

ADDRESS_SECONDS = 5
"""How long a signed address opens a file: what is withdrawn is out of reach within five seconds."""
STAGING_SECONDS = 60
"""Within which an upload to a signed address must begin."""
CALL_SECONDS = 30.0
BYTES_PER_SECOND_MIN = 1_000_000
"""A bucket slower than this is given up."""
PART_BYTES = 4 * 1024**2
"""Fetched by one request, so that no connection to the bucket waits for a slow client."""
PUT_PART_BYTES = 8 * 1024**2
PUT_PARTS_AT_ONCE = 2
LISTED_AT_ONCE = 1_000
RETRY_AFTER_SECONDS = 10
AZURE_PUT_HEADERS = {"x-ms-blob-type": "BlockBlob"}
"""Required of every Put Blob (Azure Storage REST API)."""
CACHE = "private, max-age=5"

log = structlog.get_logger()


class OpenedObject:
    """Read in parts; a file that is deleted meanwhile ends in the middle."""

    def __init__(self, bucket: Bucket, key: str, bytes: int) -> None:
        self._bucket = bucket
        self._key = key
        self.local: int | None = None
        self.bytes = bytes

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `end`."""
        for at in range(start, end, PART_BYTES):
            part = await self._part(at, min(end, at + PART_BYTES))
            for offset in range(0, len(part), BUFFER_BYTES):
                yield bytes(part[offset : offset + BUFFER_BYTES])

    async def _part(self, start: int, end: int) -> memoryview:
        try:
            with bucket_errors("read"):
                async with asyncio.timeout(CALL_SECONDS):
                    part = memoryview(await obstore.get_range_async(self._bucket, self._key, start=start, end=end))
        except FileNotFoundError as error:
            raise Internal("A stored file went away while it was read.") from error
        if len(part) != end - start:
            raise Internal("A stored file is shorter than it was.")
        return part

    def close(self) -> None:
        """Nothing is held."""


class ObjectStore:
    """Objects in a bucket, below a prefix that belongs to this service alone."""

    def __init__(self, bucket: Bucket, where: str, spool: Path, *, direct: bool = True) -> None:
        self._bucket = bucket
        self._spool = spool
        self._put_headers = AZURE_PUT_HEADERS if isinstance(bucket, AzureStore) else {}
        self._direct = Direct(self.signed) if direct else None
        self.where = where

    @asynccontextmanager
    async def stage(self, key: str) -> AsyncIterator[Staged]:
        """Room for a new file; whatever happens inside, nothing stays unless it was kept."""
        path = checked(key)
        with disk_errors():
            file = await in_thread(self._unnamed)
        with file:
            yield Staged(file, lambda label: self._put(path, file, label))

    async def open(self, key: str) -> OpenedObject | None:
        """The file; None when it is not there."""
        path = checked(key)
        try:
            with bucket_errors("head"):
                async with asyncio.timeout(CALL_SECONDS):
                    found = await obstore.head_async(self._bucket, path)
        except FileNotFoundError:
            return None
        return OpenedObject(self._bucket, path, found["size"])

    async def delete(self, *keys: str) -> None:
        """Afterwards none of the files is there."""
        paths = [checked(key) for key in keys]
        for start in range(0, len(paths), LISTED_AT_ONCE):
            await self._delete(paths[start : start + LISTED_AT_ONCE])

    async def delete_temporary(self, *keys: str) -> None:
        """What agents put here and nobody collected."""
        await self.delete(*keys)

    async def files(self) -> AsyncIterator[Found]:
        """Everything here that has a name of our making, the temporary ones too."""
        now = datetime.now(UTC)  # the bucket stamps by its own clock; what is swept is hours old
        listed = aiter(obstore.list(self._bucket, chunk_size=LISTED_AT_ONCE))
        while True:
            with bucket_errors("list"):
                async with asyncio.timeout(CALL_SECONDS):
                    batch = await anext(listed, None)
            if batch is None:
                return
            for meta in batch:
                key = meta["path"]
                if is_key(key):
                    yield Found(key, (now - meta["last_modified"]).total_seconds(), temporary=key.startswith(STAGING))

    async def address(self, key: str) -> Address | None:
        """Where to fetch this file without us, for `ADDRESS_SECONDS`; None when that does not work."""
        return await self._address("GET", key, ADDRESS_SECONDS)

    async def staging_address(self, key: str) -> Address | None:
        """Where to PUT a file, to be collected from under this staging key; None when that does not work."""
        return await self._address("PUT", key, STAGING_SECONDS)

    async def indirect(self) -> str | None:
        """Why customers and agents are not sent to the bucket; None when they are. Tried anew."""
        if self._direct is None:
            return "TESSERA_ARTIFACTS_URL says direct=no"
        return await self._direct.fault()

    async def signed(self, method: str, key: str, seconds: int = ADDRESS_SECONDS) -> Address:
        """An address that lets its bearer do this one thing. Raises `Unavailable`."""
        with bucket_errors("sign"):
            async with asyncio.timeout(CALL_SECONDS):
                url = await obstore.sign_async(
                    self._bucket, cast("HTTP_METHOD", method), checked(key), timedelta(seconds=seconds)
                )
        return Address(url=url, headers=self._put_headers if method == "PUT" else {})

    async def _address(self, method: str, key: str, seconds: int) -> Address | None:
        if self._direct is None or not await self._direct.works():
            return None
        return await self.signed(method, key, seconds)

    def _unnamed(self) -> BinaryIO:
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cast(BinaryIO, tempfile.TemporaryFile("w+b", buffering=0, dir=self._spool))

    async def _put(self, path: str, file: BinaryIO, label: Label | None) -> None:
        size = await in_thread(file.seek, 0, os.SEEK_END)
        await in_thread(file.seek, 0)
        attributes = {} if label is None else {
            "Content-Type": label.mime_type,
            "Content-Disposition": label.disposition,
            "Cache-Control": CACHE,
        }  # fmt: skip
        with bucket_errors("put"):
            async with asyncio.timeout(CALL_SECONDS + size / BYTES_PER_SECOND_MIN):
                await obstore.put_async(
                    self._bucket,
                    path,
                    file,
                    attributes=attributes,
                    chunk_size=PUT_PART_BYTES,
                    max_concurrency=PUT_PARTS_AT_ONCE,
                )

    async def _delete(self, paths: list[str]) -> None:
        with bucket_errors("delete"):
            async with asyncio.timeout(CALL_SECONDS):
                try:
                    await obstore.delete_async(self._bucket, paths)
                except FileNotFoundError:  # some of them were gone; not every bucket takes away the others then
                    for path in paths:
                        with suppress(FileNotFoundError):
                            await obstore.delete_async(self._bucket, path)


@contextmanager
def bucket_errors(doing: str) -> Iterator[None]:
    """Whatever is wrong with the bucket is `Unavailable`; that an object is not there is said as it is, but where one
    is to be put it means that there is no bucket."""
    try:
        yield
    except (BaseError, TimeoutError, FileNotFoundError) as error:
        if isinstance(error, FileNotFoundError) and doing not in ("put", "list"):
            raise
        log.warning("store.failed", doing=doing, error=type(error).__name__)
        message = "The store that holds the files does not answer. Try again later."
        raise Unavailable(message, retry_after=RETRY_AFTER_SECONDS) from error
