"""What files say about themselves goes, whoever wrote it: it may hold the graph and the customer's words.

Pictures are written anew without their notes; nothing is compressed again. In films the boxes with notes are blanked
where they are, because moving a byte would break the tables that point into the file. What we say ourselves comes after
(`marking`). Sources: PNG 3rd ed. (W3C), RFC 9649 (WebP), ITU-T T.81 (JPEG), ISO/IEC 14496-12 (MP4), RFC 9559 (Matroska,
WebM).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PNG = b"\x89PNG\r\n\x1a\n"
_PNG_NOTES = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"})
_WEBP_NOTES = frozenset({b"EXIF", b"XMP "})
_WEBP_FLAGS = 0b0000_1100
"""Of VP8X: EXIF and XMP are there."""
_MP4_NOTES = frozenset({b"udta", b"meta", b"uuid"})
_MP4_NESTED = frozenset({b"moov", b"trak", b"mdia"})
_EBML_VOID = 0xEC
_EBML_SHORT_MAX = 0x7F
"""A length of one byte says less."""
_EBML_NESTED = frozenset({0x18538067, 0x1549A966, 0x1654AE6B, 0xAE})
"""Segment, Info, Tracks, TrackEntry."""
_EBML_NOTES = frozenset({0x1254C367, 0x1941A469, 0x1043A770, 0x7BA9, 0x536E})
"""Tags, Attachments, Chapters, Title, Name."""
_JPEG_NOTES = frozenset({*range(0xE1, 0xF0), 0xFE}) - {0xE2, 0xEE}
"""APP1 to APP15 and comments, less the colour profile (APP2) and Adobe's colour transform (APP14)."""


class Broken(Exception):
    """The file is cut off or is not what its name says."""


def clean(path: Path, mime_type: str) -> None:
    """Takes every note out of the file. Raises `Broken`."""
    try:
        match mime_type:
            case "image/png":
                path.write_bytes(_png(path.read_bytes()))
            case "image/webp":
                path.write_bytes(_webp(path.read_bytes()))
            case "image/jpeg":
                path.write_bytes(_jpeg(path.read_bytes()))
            case "video/mp4":
                with path.open("r+b") as file:
                    _blank_mp4(file, 0, path.stat().st_size)
            case "video/webm":
                with path.open("r+b") as file:
                    _blank_webm(file, 0, path.stat().st_size)
            case _:
                raise Broken(f"{mime_type} cannot be cleaned.")
    except (struct.error, IndexError) as error:
        raise Broken("The file is cut off.") from error


def _png(data: bytes) -> bytes:
    if not data.startswith(PNG):
        raise Broken("This is no PNG.")
    kept: list[tuple[bytes, bytes]] = []
    at = len(PNG)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if len(body) != length:
            raise Broken("The PNG is cut off.")
        if kind not in _PNG_NOTES:
            kept.append((kind, body))
        at += 12 + length
    if not kept or kept[0][0] != b"IHDR" or kept[-1][0] != b"IEND":
        raise Broken("The PNG is cut off.")
    return PNG + b"".join(png_chunk(*chunk) for chunk in kept)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _webp(data: bytes) -> bytes:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise Broken("This is no WebP.")
    chunks = b""
    at = 12
    while at + 8 <= len(data):
        kind, (length,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        chunk = data[at : at + 8 + length + length % 2]
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_FLAGS]) + chunk[9:]
        if kind not in _WEBP_NOTES:
            chunks += chunk
        at += 8 + length + length % 2
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def _jpeg(data: bytes) -> bytes:
    if data[:2] != b"\xff\xd8":
        raise Broken("This is no JPEG.")
    kept, at = data[:2], 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:  # the picture itself follows the start of scan
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] not in _JPEG_NOTES:
            kept += data[at : at + 2 + length]
        at += 2 + length
    return kept + data[at:]


def _blank_mp4(file: BinaryIO, start: int, end: int) -> None:
    """Boxes with notes become free space."""
    at = start
    while at + 8 <= end:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
            header = 16
        length = length or end - at
        if length < header or at + length > end:
            raise Broken("The MP4 is cut off.")
        if kind in _MP4_NOTES:
            file.seek(at + 4)
            file.write(b"free")
            _blank(file, at + header, length - header)
        elif kind in _MP4_NESTED:
            _blank_mp4(file, at + header, at + length)
        at += length


def _blank_webm(file: BinaryIO, start: int, end: int) -> None:
    """Elements with notes become void."""
    for at, kind, body, length in ebml(file, start, end):
        if kind in _EBML_NESTED:
            _blank_webm(file, body, min(end, body + length))
        elif kind in _EBML_NOTES:
            whole = body + length - at
            short = whole - 2 < _EBML_SHORT_MAX
            head = (
                bytes([_EBML_VOID, 0x80 | (whole - 2)])
                if short
                else struct.pack(">BQ", _EBML_VOID, 1 << 56 | whole - 9)
            )
            file.seek(at)
            file.write(head)
            _blank(file, at + len(head), whole - len(head))


def ebml(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Where an element begins, its id, where its content begins, and how long that is."""
    at = start
    while at + 2 <= end:
        file.seek(at)
        head = file.read(16)
        id_length = 9 - head[0].bit_length()
        size_length = 9 - head[id_length].bit_length()
        kind = int.from_bytes(head[:id_length], "big")
        raw = int.from_bytes(head[id_length : id_length + size_length], "big")
        unknown = (1 << (7 * size_length)) - 1
        length = raw & unknown
        body = at + id_length + size_length
        length = end - body if length == unknown else length
        if body + length > end:
            raise Broken("An element is longer than what it is in.")
        yield at, kind, body, length
        at = body + length


def _blank(file: BinaryIO, at: int, length: int) -> None:
    file.seek(at)
    while length > 0:
        piece = min(length, 1 << 16)
        file.write(bytes(piece))
        length -= piece
