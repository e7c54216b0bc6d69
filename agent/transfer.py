"""Files on their way up: measured and hashed first, then read in pieces, so that no file is ever in memory whole.

A large file goes straight to the store of the control plane when there is one that can be reached from here, and the
control plane collects it from there. Whatever goes wrong on that way, the file then goes through the control plane,
and for a while all others do.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import structlog

from agent import clock
from agent.client import Client, NoAnswer, Problem
from agent.engine import Output
from agent.retry import Verdict, persist, verdict
from control_plane.wire.worker import DIRECT_BYTES_MIN, DirectRequest, Lease

CHUNK_BYTES = 256 * 1024
DETOUR_SECONDS = 600.0
"""After a failure, the direct way is not tried for so long."""

log = structlog.get_logger()


class Measure(msgspec.Struct, frozen=True):
    bytes: int
    sha256: str


async def measure(path: Path) -> Measure:
    """Length and SHA-256, both of which the control plane verifies before the job may succeed."""
    return await asyncio.to_thread(_measure, path)


async def chunks(path: Path) -> AsyncIterator[bytes]:
    """The file, piece by piece."""
    with path.open("rb") as file:  # in a thread it could outlive a cancellation
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


def _measure(path: Path) -> Measure:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Measure(bytes=file.tell(), sha256=digest)


class Uploads:
    """The way that files take; the direct one is closed for a while after a failure."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._detour_until = 0.0

    async def send(self, lease: Lease, output: Output) -> int:
        """One file, once; how many bytes it had. Raises `Problem` or `NoAnswer` like any call."""
        found = await measure(output.path)
        ordinary = found.bytes < DIRECT_BYTES_MIN or clock.now() < self._detour_until
        if ordinary or not await self._directly(lease, output, found):
            await self._through(lease, output, found)
        return found.bytes

    async def _through(self, lease: Lease, output: Output, found: Measure) -> None:
        await self._client.upload(
            lease,
            output.index,
            chunks(output.path),
            length=found.bytes,
            sha256=found.sha256,
            mime_type=output.mime_type,
        )

    async def _directly(self, lease: Lease, output: Output, found: Measure) -> bool:
        """False: this way is closed, and nothing came of it."""
        announced = DirectRequest(bytes=found.bytes, sha256=found.sha256)
        try:
            place = await self._client.direct(lease, output.index, announced)
            if place.url is None:
                return False
            await self._client.put(place.url, place.headers, chunks(output.path), found.bytes)
            await persist(lambda: self._client.collect(lease, output.index, announced), "collect")
        except (Problem, NoAnswer) as error:
            if verdict(error) in (Verdict.LOST, Verdict.FATAL):
                raise
            log.warning("upload.detoured", job_id=str(lease.job_id), problem=str(error))
            self._detour_until = clock.now() + DETOUR_SECONDS
            return False
        return True
