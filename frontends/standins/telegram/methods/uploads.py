"""Files up in parts, and down by their location."""

from __future__ import annotations

from typing import Any

from pyrogram.raw import types as tl

from frontends.standins.telegram.calls import Call, Method
from frontends.standins.telegram.layer import BOOL_TRUE


async def save_part(call: Call) -> Any:
    call.telegram.files.save_part(call.request.file_id, call.request.file_part, call.request.bytes)
    return BOOL_TRUE


async def file(call: Call) -> Any:
    found, start = call.telegram.files.at(call.request.location), call.request.offset
    return tl.upload.File(
        type=tl.storage.FileUnknown(), mtime=found.at, bytes=found.data[start : start + call.request.limit]
    )


async def media(call: Call) -> Any:
    """A file that is uploaded for later: of an album, or for an edit."""
    if not isinstance(call.request.peer, tl.InputPeerSelf):
        call.writable(call.request.peer)
    return call.telegram.files.sent(call.request.media, int(call.now)).to_tl()


METHODS: dict[str, Method] = {
    "upload.SaveFilePart": save_part,
    "upload.SaveBigFilePart": save_part,
    "upload.GetFile": file,
    "messages.UploadMedia": media,
}
