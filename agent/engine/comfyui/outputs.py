"""The files that a run has made: found in the history whatever key they are under, and brought in piece by piece.

Nodes file their results under `images`, `gifs`, `audio` and whatever they like, a film among the images; so every
list of every key is searched for things with a file name, and the extension says what they are. A download that
breaks goes on where it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import structlog

from agent.engine import EngineError
from agent.engine.comfyui.server import Gone, Server, Silent
from control_plane.wire.worker import ARTIFACT_BYTES_MAX

MIME_TYPES = {
    ".png": "image/png",
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
CHUNK_BYTES = 256 * 1024
CHUNK_SECONDS = 30.0
"""For the next piece of a download."""
TRIES_MAX = 5
"""In a row without a single byte."""
AGAIN_SECONDS = 0.2

log = structlog.get_logger()


class File(msgspec.Struct, frozen=True):
    """As ComfyUI names it."""

    filename: str
    subfolder: str = ""
    type: str = "output"

    @property
    def suffix(self) -> str:
        return Path(self.filename).suffix.lower()

    @property
    def mime_type(self) -> str:
        return MIME_TYPES[self.suffix]


class Missing(Exception):
    """The history names a file that is not there any more."""


def found(outputs: Mapping[str, Mapping[str, Any]]) -> list[File]:
    """What is to be delivered, in the order of the nodes. Temporary files count only where there is nothing else."""
    files: list[File] = []
    for node in outputs.values():
        for entries in node.values():
            for entry in entries if isinstance(entries, list) else []:
                if isinstance(entry, dict) and isinstance(entry.get("filename"), str):
                    files.append(msgspec.convert(entry, File, strict=False))
    wanted = [file for file in files if file.suffix in MIME_TYPES]
    return [file for file in wanted if file.type == "output"] or wanted


async def bring(server: Server, file: File, path: Path) -> None:
    """The whole file at `path`; raises `Missing` or `EngineError`."""
    empty = 0
    while True:
        before = _size(path)
        try:
            if await _bring_more(server, file, path, before):
                return
        except (Gone, Silent) as error:
            log.warning("output.interrupted", problem=str(error), bytes=before)
        empty = 0 if _size(path) > before else empty + 1
        if empty == TRIES_MAX:
            raise EngineError("engine_crash", "ComfyUI does not hand over what it has made.")
        await asyncio.sleep(AGAIN_SECONDS * empty)


async def _bring_more(server: Server, file: File, path: Path, start: int) -> bool:
    """Whether the file is whole now."""
    query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
    headers = {"Range": f"bytes={start}-"} if start else {}
    async with server.view(query, headers) as response:
        if response.status == 404:
            raise Missing(file.filename)
        if response.status == 416:
            return True
        if response.status not in (200, 206):
            raise EngineError("engine_crash", f"ComfyUI answered {response.status} when asked for its file.")
        if (response.content_length or 0) > ARTIFACT_BYTES_MAX:
            raise EngineError("upload", f"The file is larger than {ARTIFACT_BYTES_MAX} bytes.")
        mode = "ab" if response.status == 206 else "wb"
        try:
            with path.open(mode) as target:
                while chunk := await _chunk(response):
                    await asyncio.to_thread(target.write, chunk)
        except aiohttp.ClientPayloadError as error:
            raise Gone(str(error)) from error
    return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def _chunk(response: aiohttp.ClientResponse) -> bytes:
    async with asyncio.timeout(CHUNK_SECONDS):
        return await response.content.read(CHUNK_BYTES)
