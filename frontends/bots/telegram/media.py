"""Files up and pictures down.

A file goes up in parts, becomes a photo, video or document of Telegram's own, and is then sent by its id: what must be
sent again is not uploaded again. It is read from where it lies, half a megabyte at a time.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import structlog
from pyrogram.errors import RPCError
from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl

from control_plane.wire.input import INPUT_BYTES_MAX
from frontends.bots.dialogue.screen import Artifact, Glimpse, Media
from frontends.bots.errands import Errands
from frontends.bots.outbox import Flooded
from frontends.bots.telegram import refusals
from frontends.bots.telegram.line import Line
from frontends.client import full_jitter
from frontends.problems import ClientError, ProblemDocument, Refused

PART_BYTES = 512 * 1024
PARTS_AT_ONCE = 3
BIG_BYTES = 10 * 1024**2
"""Larger files go up another way."""
PART_SECONDS = 30.0
PROCESS_SECONDS, PROCESS_BYTES_PER_SECOND = 8.0, 1e6
"""For Telegram to make a photo or a video of a file."""
FETCH_SECONDS = 120.0

log = structlog.get_logger()


class Files:
    """Of one bot."""

    def __init__(self, line: Line, errands: Errands) -> None:
        self._line = line
        self._errands = errands

    async def up(self, chat: str, media: Media, *, spoiler: bool) -> Any | None:
        """A file, as it is sent (`InputMedia`); None when there is no preview any more. Raises `RPCError`, or `Refused`
        when the file is gone."""
        if isinstance(media, Glimpse):
            preview = await self._errands.glimpse(media)
            return None if preview is None else await self._preview(chat, preview, spoiler)
        attempt = 0
        while True:
            try:
                return await self._artifact(chat, media, spoiler)
            except Refused:
                raise
            except ClientError as error:  # the service is away: its file can wait
                attempt += 1
                log.info("file.delayed", error=type(error).__name__)
                await asyncio.sleep(full_jitter(attempt))

    async def down(self, reference: str, folder: Path) -> Path:
        """The picture of a message. Raises `OSError` when it cannot be had, `Refused` when it is too large."""
        chat, _, number = reference.partition("/")
        client = self._line.client
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                message = await client.get_messages(int(chat), int(number), replies=0)
                found = message.photo or message.document
                if found is None:
                    raise FileNotFoundError("the message has no picture any more")
                if (found.file_size or 0) > INPUT_BYTES_MAX:
                    raise Refused(413, ProblemDocument(code="too-large"), repeatable=False, retry_after=None)
                path = Path(await client.download_media(message, file_name=str(folder / "picture")))
        except (RPCError, ValueError, AttributeError) as error:
            raise FileNotFoundError(f"the picture cannot be fetched: {type(error).__name__}") from error
        if found.file_size and _size(path) != found.file_size:
            raise ConnectionError("the picture came only in part")
        return path

    async def _artifact(self, chat: str, artifact: Artifact, spoiler: bool) -> Any:
        """A file of a job; it goes up anew when Telegram has lost it, or may have taken it and nobody heard of it."""
        seconds = PROCESS_SECONDS + artifact.bytes / PROCESS_BYTES_PER_SECOND
        async with self._errands.file(artifact) as path:
            while True:
                uploaded = _described(artifact, await self._uploaded(path))
                try:
                    return await self._made(chat, uploaded, spoiler, seconds)
                except OSError:
                    continue
                except RPCError as error:
                    if not refusals.name(error).endswith("_MISSING"):  # a part of it
                        raise

    async def _preview(self, chat: str, preview: bytes, spoiler: bool) -> Any:
        number = secrets.randbits(63)
        await self._line.ask(fn.upload.SaveFilePart(file_id=number, file_part=0, bytes=preview), media=True)
        file = tl.InputFile(id=number, parts=1, name="preview.jpg", md5_checksum="")
        try:
            return await self._made(chat, tl.InputMediaUploadedPhoto(file=file), spoiler, PROCESS_SECONDS)
        except OSError:
            return None  # there will be another one

    async def _uploaded(self, path: Path) -> Any:
        """All parts of a file."""
        size, number = _size(path), secrets.randbits(63)
        count, big = -(-size // PART_BYTES), size > BIG_BYTES
        parts = iter(range(count))

        async def work() -> None:
            with path.open("rb") as file:
                for part in parts:
                    file.seek(part * PART_BYTES)
                    data = file.read(PART_BYTES)
                    await self._patiently(_part(number, part, count if big else None, data), PART_SECONDS, media=True)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(count, PARTS_AT_ONCE)):
                    group.create_task(work())
        except ExceptionGroup as refused:
            raise refused.exceptions[0] from None  # one reason is enough, and it is looked for by its kind
        if big:
            return tl.InputFileBig(id=number, parts=count, name=path.name)
        return tl.InputFile(id=number, parts=count, name=path.name, md5_checksum="")

    async def _made(self, chat: str, uploaded: Any, spoiler: bool, seconds: float) -> Any:
        """Telegram's own of an uploaded file, by its id. Raises `OSError` when there is no answer in time."""
        query = fn.messages.UploadMedia(peer=await self._line.peer(chat), media=uploaded)
        made = await self._patiently(query, seconds, again=False)
        if isinstance(made, tl.MessageMediaPhoto):
            return tl.InputMediaPhoto(id=_reference(tl.InputPhoto, made.photo), spoiler=spoiler or None)
        return tl.InputMediaDocument(id=_reference(tl.InputDocument, made.document), spoiler=spoiler or None)

    async def _patiently(self, query: Any, seconds: float, *, media: bool = False, again: bool = True) -> Any:
        """What is no message is not in the outbox, so it waits by itself."""
        while True:
            try:
                return await self._line.ask(query, media=media, seconds=seconds, again=again)
            except Flooded as flood:
                await asyncio.sleep(flood.seconds)


def _size(path: Path) -> int:
    return path.stat().st_size


def _described(artifact: Artifact, file: Any) -> Any:
    """What an uploaded file is to be."""
    if artifact.shown_as == "photo":
        return tl.InputMediaUploadedPhoto(file=file)
    attributes = [tl.DocumentAttributeFilename(file_name=artifact.file_name)]
    is_video = artifact.shown_as == "video"
    if is_video:
        shape = {"w": artifact.width, "h": artifact.height, "duration": artifact.seconds}
        attributes.append(tl.DocumentAttributeVideo(**shape, supports_streaming=True, nosound=True))
    return tl.InputMediaUploadedDocument(
        file=file,
        mime_type=artifact.mime_type,
        attributes=attributes,
        nosound_video=is_video or None,  # else a film without sound would be made an animation
        force_file=None if is_video else True,
    )


def _part(number: int, part: int, count: int | None, data: bytes) -> Any:
    if count is None:
        return fn.upload.SaveFilePart(file_id=number, file_part=part, bytes=data)
    return fn.upload.SaveBigFilePart(file_id=number, file_part=part, file_total_parts=count, bytes=data)


def _reference(kind: Any, file: Any) -> Any:
    return kind(id=file.id, access_hash=file.access_hash, file_reference=file.file_reference)
