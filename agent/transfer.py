"""Files on their way up: measured and hashed first, then read in pieces, so that no file is ever in memory whole."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

CHUNK_BYTES = 256 * 1024


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
