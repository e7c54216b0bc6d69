"""Whether a file says, for machines, that it was made by AI: IPTC's `DigitalSourceType` in its XMP packet.

Agents write the mark when they make a file, since only there it can be written before the file is hashed, sent and put
into a bucket; here it is only looked for, and a file without it is refused, so that whatever an agent is, nothing
without the mark is ever delivered. The packet is searched where each format keeps it, with bounded reads and nothing
decoded: an `iTXt` before the picture of a PNG, `APP1` of a JPEG, the chunk `XMP ` of a WebP, the `uuid` box of an MP4,
a tag named `XMP` of a WebM. Sources: IPTC Photo Metadata Standard 2025.1, XMP specification part 3 (ISO 16684), RFC
9559.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree import ElementTree

from control_plane.media.probe import CutOffError, Reader, Window, boxes, elements

MADE_BY_AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PACKET_BYTES_MAX = 128 * 1024

_DIGITAL_SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
_RESOURCE = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}resource"
_PNG_KEYWORD = b"XML:com.adobe.xmp\0"
_JPEG_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_MP4_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG, _TAG_NAME, _TAG_STRING = 0x18538067, 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487


def is_marked(file: BinaryIO, bytes: int, mime_type: str) -> bool:
    """Whether the file of `bytes` bytes carries the mark."""
    try:
        return any(_says_so(packet) for packet in _packets(Window(Reader(file), 0, bytes), mime_type))
    except (struct.error, CutOffError):
        return False


def _says_so(packet: bytes) -> bool:
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return False
    try:
        root = ElementTree.fromstring(packet.strip(b"\0"))  # noqa: S314 -- without a DTD there are no entities
    except (ElementTree.ParseError, ValueError):
        return False
    said = [element.get(_DIGITAL_SOURCE_TYPE) for element in root.iter()]
    for element in root.iter(_DIGITAL_SOURCE_TYPE):
        said += [element.get(_RESOURCE), (element.text or "").strip()]
    return MADE_BY_AI in said


def _packets(file: Window, mime_type: str) -> Iterator[bytes]:
    match mime_type:
        case "image/png":
            yield from _png(file)
        case "image/jpeg":
            yield from _jpeg(file)
        case "image/webp":
            yield from _webp(file)
        case "video/mp4":
            yield from _mp4(file)
        case "video/webm":
            yield from _webm(file)


def _read(part: Window) -> bytes:
    return part.read(part.start, part.end - part.start) if part.end - part.start <= PACKET_BYTES_MAX else b""


def _png(file: Window) -> Iterator[bytes]:
    at = 8
    while True:
        length, kind = struct.unpack(">I4s", file.read(at, 8))
        if kind in (b"IDAT", b"IEND"):
            return
        body = _read(file.part(at + 8, at + 8 + length)) if kind == b"iTXt" else b""
        if body.startswith(_PNG_KEYWORD) and body[len(_PNG_KEYWORD) :][:1] == b"\0":  # not compressed
            yield body[len(_PNG_KEYWORD) + 2 :].split(b"\0", 2)[-1]
        at += 12 + length


def _jpeg(file: Window) -> Iterator[bytes]:
    at = 2
    while True:
        marker, length = struct.unpack(">HH", file.read(at, 4))
        if marker in (0xFFDA, 0xFFD9) or length < 2:
            return
        body = _read(file.part(at + 4, at + 2 + length)) if marker == 0xFFE1 else b""
        if body.startswith(_JPEG_NAME):
            yield body[len(_JPEG_NAME) :]
        at += 2 + length


def _webp(file: Window) -> Iterator[bytes]:
    at = 12
    while at + 8 <= file.end:
        kind, length = struct.unpack("<4sI", file.read(at, 8))
        if kind == b"XMP ":
            yield _read(file.part(at + 8, at + 8 + length))
        at += 8 + length + length % 2


def _mp4(file: Window) -> Iterator[bytes]:
    for name, box in boxes(file):
        if name == b"uuid" and box.end - box.start > 16 and box.read(box.start, 16) == _MP4_XMP:
            yield _read(box.part(box.start + 16, box.end))


def _webm(file: Window) -> Iterator[bytes]:
    """Simple tags lie three deep; whatever else a segment holds is stepped over."""
    inside = [file]
    for wanted in (_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG):
        inside = [content for part in inside for name, content in elements(part) if name == wanted]
    for tag in inside:
        said = {name: _read(content) for name, content in elements(tag) if name in (_TAG_NAME, _TAG_STRING)}
        if said.get(_TAG_NAME) == b"XMP":
            yield said.get(_TAG_STRING, b"")
