from __future__ import annotations

import io
import random
import struct
import time
from fractions import Fraction
from typing import Literal

import av
import pytest
from PIL import Image

from control_plane.media.probe import READS_MAX, SIDE_MAX, Media, UnknownMedia, media


def probe(data: bytes) -> Media:
    return media(io.BytesIO(data), len(data))


def picture(form: str, size: tuple[int, int] = (48, 32), **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, form, **options)
    return out.getvalue()


def video(container: str, codec: Literal["mpeg4", "libvpx"], **options: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container, options=options) as target:
        stream = target.add_stream(codec, rate=Fraction(8))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(4):
            target.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        target.mux(stream.encode())
    return out.getvalue()


def mp4(**options: str) -> bytes:
    return video("mp4", "mpeg4", **options)


def webm() -> bytes:
    return video("webm", "libvpx")


SAMPLES = {
    "png": picture("PNG"),
    "jpeg": picture("JPEG"),
    "progressive jpeg": picture("JPEG", progressive=True, comment=b"\xff\xc0" * 20),
    "webp": picture("WEBP"),
    "lossless webp": picture("WEBP", lossless=True),
    "extended webp": picture("WEBP", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_pictures_are_known_by_content_with_their_size(name: str) -> None:
    found = probe(SAMPLES[name])
    assert (found.mime_type, found.width, found.height) == (f"image/{name.split()[-1]}", 48, 32)


def test_videos_are_known_by_content_with_their_size() -> None:
    assert probe(mp4()) == Media("video/mp4", 64, 48)
    assert probe(mp4(movflags="frag_keyframe+empty_moov")) == Media("video/mp4", 64, 48)
    assert probe(webm()) == Media("video/webm", 64, 48)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89",
        b"<html><script>alert(1)</script>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        picture("GIF"),
        picture("BMP"),
        picture("TIFF"),
        b"%PDF-1.7",
        b"\x00" * 1000,
        b"\x1f\x8b" + b"\x00" * 100,
    ],
)
def test_everything_else_is_refused(data: bytes) -> None:
    with pytest.raises(UnknownMedia):
        probe(data)


@pytest.mark.parametrize("name", ["png", "webp", "lossless webp", "extended webp"])
def test_a_picture_that_was_cut_off_is_refused_wherever_it_was_cut(name: str) -> None:
    whole = SAMPLES[name]
    for length in range(len(whole)):
        with pytest.raises(UnknownMedia):
            probe(whole[:length])


def test_a_video_that_was_cut_off_is_refused() -> None:
    whole = mp4()
    for length in range(0, len(whole), 7):
        with pytest.raises(UnknownMedia):
            probe(whole[:length])


def test_a_picture_with_html_behind_it_is_refused() -> None:
    with pytest.raises(UnknownMedia):
        probe(SAMPLES["png"] + b"<script>alert(1)</script>")


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (50_000, 50_000), (SIDE_MAX, SIDE_MAX), (2**32 - 1, 1)])
def test_a_picture_of_too_many_pixels_or_none_is_refused(width: int, height: int) -> None:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\x00\x00\x00" + b"crc!"
    with pytest.raises(UnknownMedia, match="pixels"):
        probe(head + b"\x00\x00\x00\x00IEND\xae\x42\x60\x82")


def box(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


FTYP = box(b"ftyp", b"isom\x00\x00\x00\x00")

HOSTILE = {
    "a box that is smaller than its header": FTYP + struct.pack(">I4s", 7, b"moov"),
    "a box that reaches beyond the file": FTYP + struct.pack(">I4s", 2**31, b"moov"),
    "a box of 64 bits that wraps around": FTYP + struct.pack(">I4sQ", 1, b"moov", 2**64 - 8),
    "a box of 64 bits that is smaller than its header": FTYP + struct.pack(">I4sQ", 1, b"moov", 8),
    "boxes without end": FTYP + box(b"free") * (READS_MAX + 1),
    "tracks without end": FTYP + box(b"moov", box(b"trak", box(b"free")) * READS_MAX),
    "a track header without room for a size": FTYP + box(b"moov", box(b"trak", box(b"tkhd", b"1234"))),
    "a movie without a track": FTYP + box(b"moov"),
    "sound only": FTYP + box(b"moov", box(b"trak", box(b"tkhd", b"\x00" * 84))),
    "JPEG segments without end": b"\xff\xd8" + b"\xff\xe0\x00\x02" * (READS_MAX + 1),
    "JPEG padding without end": b"\xff\xd8" + b"\xff" * (READS_MAX + 10),
    "a JPEG segment shorter than its length": b"\xff\xd8\xff\xe0\x00\x01" + b"\x00" * 32,
    "a JPEG that ends at once": b"\xff\xd8\xff\xd9",
    "a WebP chunk of an unknown kind": b"RIFF\x18\x00\x00\x00WEBPEVIL" + b"\x00" * 16,
    "an EBML header without end": b"\x1a\x45\xdf\xa3\x01" + b"\xff" * 7,
    "an EBML integer that is too long": b"\x1a\x45\xdf\xa3\x00" + b"\x00" * 32,
    "Matroska that is not WebM": b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska",
    "EBML elements without end": b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm" + b"\xec\x80" * READS_MAX,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_headers_that_lead_nowhere_are_refused_quickly(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(UnknownMedia):
        probe(HOSTILE[name])
    assert time.monotonic() - began < 2


def test_no_damage_to_a_file_does_more_than_refuse_it() -> None:
    chance = random.Random(7)
    refused = 0
    for whole in [*SAMPLES.values(), mp4(), webm()]:
        for _ in range(300):
            damaged = bytearray(whole)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(min(len(damaged), 400))] = chance.randrange(256)
            try:
                probe(bytes(damaged))
            except UnknownMedia:
                refused += 1
    assert refused > 500
