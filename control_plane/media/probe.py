"""What a file is, by its content: type, width and height from the headers, with nothing decoded.

Only what engines make and browsers show is known: PNG, JPEG, WebP, MP4, WebM. Everything else is refused, and so are
a picture of more pixels than `PIXELS_MAX`, a file cut off in the middle (where the format can tell), and headers
that lead nowhere: every length is checked against the file, every step of every loop reads, reads are counted, and
nothing larger than a box's header is ever read into memory. Sources: PNG 3rd ed. (W3C), ITU-T T.81, RFC 9649 (WebP),
ISO/IEC 14496-12 (MP4), RFC 8794 and 9559 (EBML and Matroska, of which WebM is a profile).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp", "video/mp4", "video/webm")
SIDE_MAX = 16_384
PIXELS_MAX = 64 * 1024**2
READS_MAX = 20_000
"""Of one file, all together; a long video in fragments needs a few thousand."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"
_EBML = b"\x1a\x45\xdf\xa3"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers: all of C0 to CF but DHT, JPG and DAC."""
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""


class Media(msgspec.Struct, frozen=True):
    mime_type: str
    width: int
    height: int


class UnknownMedia(Exception):
    """The content is of no type that is accepted, or is broken; the message says which."""


def media(file: BinaryIO, bytes: int) -> Media:
    """What the file of `bytes` bytes holds; raises `UnknownMedia`."""
    try:
        found = _recognised(Window(Reader(file), 0, bytes))
    except (struct.error, CutOffError) as error:
        raise UnknownMedia("The file is cut off or its headers are broken.") from error
    if not (0 < found.width <= SIDE_MAX and 0 < found.height <= SIDE_MAX):
        raise UnknownMedia(f"Sides must be from 1 to {SIDE_MAX} pixels.")
    if found.width * found.height > PIXELS_MAX:
        raise UnknownMedia(f"At most {PIXELS_MAX} pixels are accepted.")
    return found


class CutOffError(Exception):
    """A length leads beyond the end of the file, or too many reads were needed."""


class Reader:
    """The file and how many reads of it are left."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads_left = READS_MAX

    def read(self, at: int, length: int) -> bytes:
        self._reads_left -= 1
        self._file.seek(at)
        data = self._file.read(length)
        if len(data) != length or self._reads_left < 0:
            raise CutOffError
        return data


class Window:
    """A part of the file, from `start` to `end`; reading outside of it is an error."""

    def __init__(self, file: Reader, start: int, end: int) -> None:
        self._file = file
        self.start = start
        self.end = end

    def read(self, at: int, length: int) -> bytes:
        if at < self.start or at + length > self.end:
            raise CutOffError
        return self._file.read(at, length)

    def part(self, start: int, end: int) -> Window:
        if not self.start <= start <= end <= self.end:
            raise CutOffError
        return Window(self._file, start, end)


def image_type(data: bytes) -> str:
    """By the first bytes; what somebody says that a picture is, is never believed."""
    if data.startswith(_PNG):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else "application/octet-stream"


def _recognised(file: Window) -> Media:
    head = file.read(0, min(16, file.end))
    match image_type(head):
        case "image/png":
            return _png(file)
        case "image/jpeg":
            return _jpeg(file)
        case "image/webp":
            return _webp(file)
    if head[4:8] == b"ftyp":
        return _mp4(file)
    if head.startswith(_EBML):
        return _webm(file)
    raise UnknownMedia("The content is none of PNG, JPEG, WebP, MP4 and WebM.")


def _png(file: Window) -> Media:
    length, name, width, height = struct.unpack(">I4sII", file.read(8, 16))
    if name != b"IHDR" or length != 13 or file.read(file.end - len(_PNG_END), len(_PNG_END)) != _PNG_END:
        raise CutOffError
    return Media("image/png", width, height)


def _jpeg(file: Window) -> Media:
    at = 2
    while True:
        fill, marker = file.read(at, 2)
        if fill != 0xFF:
            raise CutOffError
        if marker == 0xFF:  # padding before a marker
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", file.read(at + 5, 4))
            return Media("image/jpeg", width, height)
        elif marker in (0xD9, 0xDA):  # the end, or pixels before any frame
            raise CutOffError
        else:
            at += 2 + _at_least(2, struct.unpack(">H", file.read(at + 2, 2))[0])


def _webp(file: Window) -> Media:
    riff_bytes = struct.unpack("<I", file.read(4, 4))[0]
    if file.end not in (riff_bytes + 8, riff_bytes + 8 + riff_bytes % 2):
        raise CutOffError
    name = file.read(12, 4)
    if name == b"VP8X":
        raw = file.read(24, 6)
        return Media("image/webp", _u24(raw[:3]) + 1, _u24(raw[3:]) + 1)
    if name == b"VP8L" and file.read(20, 1) == b"\x2f":
        bits = struct.unpack("<I", file.read(21, 4))[0]
        return Media("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if name == b"VP8 " and file.read(23, 3) == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", file.read(26, 4))
        return Media("image/webp", width & 0x3FFF, height & 0x3FFF)
    raise CutOffError


def _u24(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _at_least(least: int, value: int) -> int:
    if value < least:
        raise CutOffError
    return value


def _mp4(file: Window) -> Media:
    """The largest track that has a size; a whole file's boxes fill it to the last byte."""
    movies = [box for name, box in boxes(file) if name == b"moov"]
    sizes = [
        size
        for movie in movies
        for name, track in boxes(movie)
        if name == b"trak"
        for inner, header in boxes(track)
        if inner == b"tkhd" and (size := _track_size(header))
    ]
    if not sizes:
        raise UnknownMedia("The MP4 file has no video track.")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Media("video/mp4", width, height)


def boxes(within: Window) -> Iterator[tuple[bytes, Window]]:
    """(name, content) of each box: a size of 1 means that 64 bits of size follow, of 0 that it is the last."""
    at = within.start
    while at != within.end:
        size, name = struct.unpack(">I4s", within.read(at, 8))
        header = 8
        if size == 1:
            header, size = 16, struct.unpack(">Q", within.read(at + 8, 8))[0]
        elif size == 0:
            size = within.end - at
        yield name, within.part(at + header, at + _at_least(header, size))
        at += size


def _track_size(header: Window) -> tuple[int, int] | None:
    """The last eight bytes of a track header are its size as 16.16 fixed point; sound has none."""
    width, height = struct.unpack(">II", header.read(header.end - 8, 8))
    return (width >> 16, height >> 16) if width >> 16 and height >> 16 else None


_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_DOC_TYPE, _PIXEL_WIDTH, _PIXEL_HEIGHT = 0x4282, 0xB0, 0xBA


def _webm(file: Window) -> Media:
    """EBML header with DocType webm, then Segment / Tracks / TrackEntry / Video."""
    parts = elements(file)
    _, header = next(parts)
    kinds = [raw.read(raw.start, min(8, raw.end - raw.start)) for name, raw in elements(header) if name == _DOC_TYPE]
    if not kinds or kinds[0].rstrip(b"\x00") != b"webm":
        raise UnknownMedia("The Matroska file is not WebM.")
    video = _descend(file.part(header.end, file.end), (_SEGMENT, _TRACKS, _TRACK, _VIDEO))
    if video is None:
        raise UnknownMedia("The WebM file has no video track.")
    sizes = {name: int.from_bytes(raw.read(raw.start, min(8, raw.end - raw.start))) for name, raw in elements(video)}
    return Media("video/webm", sizes.get(_PIXEL_WIDTH, 0), sizes.get(_PIXEL_HEIGHT, 0))


def _descend(within: Window, path: tuple[int, ...]) -> Window | None:
    """The first element at `path`, looking into every branch of that name."""
    for name, content in elements(within):
        if name == path[0]:
            found = content if len(path) == 1 else _descend(content, path[1:])
            if found is not None:
                return found
    return None


def elements(within: Window) -> Iterator[tuple[int, Window]]:
    """(id, content) of each element; one of unknown size, as live muxers write, lasts to the end of its parent."""
    at = within.start
    while at != within.end:
        name, at = _vint(within, at, keep_marker=True)
        size, at = _vint(within, at, keep_marker=False)
        end = within.end if size < 0 else at + size
        yield name, within.part(at, end)
        at = end


def _vint(within: Window, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """(value, where it ends) of a variable-length integer; -1 for the size that means unknown."""
    first = within.read(at, 1)[0]
    length = 9 - first.bit_length()
    if length > 8:
        raise CutOffError
    value = int.from_bytes(within.read(at, length))
    if keep_marker:
        return value, at + length
    value &= (1 << 7 * length) - 1
    return (-1 if value == (1 << 7 * length) - 1 else value), at + length
