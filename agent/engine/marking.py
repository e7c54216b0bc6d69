"""Our own words in a file: an XMP packet where each format keeps it.

A file is cleaned first, so that it says what we say and nothing else. Pictures are written anew around their pixels; a
film gets a box or an element at its end, so that no table that points into it has to move. What an engine has made goes
through here before it is announced; a control plane takes no file without the mark. Sources: XMP specification part 3
(ISO 16684), PNG 3rd ed. (W3C), RFC 9649 (WebP), ISO/IEC 14496-12 (MP4), RFC 9559 (WebM).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from agent.engine.cleaning import PNG, Broken, clean, ebml, png_chunk

_JPEG_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_MP4_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_WEBP_XMP, _WEBP_ALPHA = 0b0000_0100, 0b0001_0000
_SEGMENT, _TAGS, _TAG, _TARGETS, _SIMPLE_TAG, _TAG_NAME, _TAG_STRING = (
    *(0x18538067, 0x1254C367, 0x7373, 0x63C0),
    *(0x67C8, 0x45A3, 0x4487),
)


def mark(path: Path, mime_type: str, packet: bytes) -> None:
    """The file with this packet and no other notes. Raises `Broken`."""
    clean(path, mime_type)
    try:
        match mime_type:
            case "image/png":
                path.write_bytes(_png(path.read_bytes(), packet))
            case "image/jpeg":
                path.write_bytes(_jpeg(path.read_bytes(), packet))
            case "image/webp":
                path.write_bytes(_webp(path.read_bytes(), packet))
            case "video/mp4":
                with path.open("r+b") as file:
                    _mp4(file, path.stat().st_size, packet)
            case "video/webm":
                with path.open("r+b") as file:
                    _webm(file, path.stat().st_size, packet)
    except (struct.error, IndexError) as error:
        raise Broken("The file is cut off.") from error


def _png(data: bytes, packet: bytes) -> bytes:
    """Right behind the header, which always is 25 bytes long."""
    at = len(PNG) + 25
    return data[:at] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet) + data[at:]


def _jpeg(data: bytes, packet: bytes) -> bytes:
    """The first segment, or the second where JFIF's stands, which has to be the first."""
    at = 4 + struct.unpack_from(">H", data, 4)[0] if data[2:4] == b"\xff\xe0" else 2
    body = _JPEG_NAME + packet
    return data[:at] + struct.pack(">2sH", b"\xff\xe1", len(body) + 2) + body + data[at:]


def _webp(data: bytes, packet: bytes) -> bytes:
    chunks = data[12:]
    if chunks[:4] == b"VP8X":
        chunks = chunks[:8] + bytes([chunks[8] | _WEBP_XMP]) + chunks[9:]
    else:
        chunks = _webp_header(chunks) + chunks
    chunks += struct.pack("<4sI", b"XMP ", len(packet)) + packet + b"\0" * (len(packet) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def _webp_header(chunks: bytes) -> bytes:
    """What a file needs that was nothing but its pixels, as the pixels themselves say it."""
    if chunks[:4] == b"VP8L":
        bits: int = struct.unpack_from("<I", chunks, 9)[0]
        width, height, flags = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, _WEBP_ALPHA * (bits >> 28 & 1)
    elif chunks[:4] == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", chunks, 14))
        flags = 0
    else:
        raise Broken("The WebP does not begin with a picture.")
    if not width or not height:
        raise Broken("The WebP says that it has no pixels.")
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return struct.pack("<4sIB3x", b"VP8X", 10, flags | _WEBP_XMP) + sides


def _mp4(file: BinaryIO, end: int, packet: bytes) -> None:
    """At the end; a last box that reaches to the end of the file is given its length first."""
    at = 0
    while at < end:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 0:
            length = end - at
            file.seek(at)
            file.write(struct.pack(">I4s", length, kind))
        elif length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        at += length
    file.seek(end)
    file.write(struct.pack(">I4s", 24 + len(packet), b"uuid") + _MP4_XMP + packet)


def _webm(file: BinaryIO, end: int, packet: bytes) -> None:
    """The last element of the segment, whose length says so, if it says anything."""
    tag = _element(_SIMPLE_TAG, _element(_TAG_NAME, b"XMP") + _element(_TAG_STRING, packet))
    tags = _element(_TAGS, _element(_TAG, _element(_TARGETS, b"") + tag))
    at, body = next((at, body) for at, kind, body, _ in ebml(file, 0, end) if kind == _SEGMENT)
    file.seek(at + 4)
    size = file.read(body - at - 4)
    unknown = (1 << (7 * len(size))) - 1
    length = int.from_bytes(size, "big") & unknown
    if length != unknown:
        if body + length != end or length + len(tags) >= unknown:
            raise Broken("The WebM has no room for a tag.")
        file.seek(at + 4)
        file.write((1 << (7 * len(size)) | length + len(tags)).to_bytes(len(size), "big"))
    file.seek(end)
    file.write(tags)


def _element(kind: int, body: bytes) -> bytes:
    """An EBML element, its length in eight bytes."""
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + (1 << 56 | len(body)).to_bytes(8, "big") + body
