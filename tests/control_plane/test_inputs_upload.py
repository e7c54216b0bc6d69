"""Pictures on their way in, over HTTP: what is taken, what is made of it, and what is refused without harm."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import AsyncIterator
from fractions import Fraction

import av
import pytest
from PIL import Image, ImageCms

from control_plane.files import intake
from control_plane.wire.input import INPUT_BYTES_MAX, INPUT_PIXELS_MAX, INPUT_SIDE_MAX
from tests.fixtures.pictures import colour, decoded, drawn, encoded
from tests.fixtures.uploads import form, in_pieces, upload, uploaded
from tests.fixtures.worker import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = b"52.5200 N 13.4050 E"


def photograph() -> bytes:
    """As a telephone held sideways takes it: turned by EXIF, with a place, a comment and a profile."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return encoded(drawn(), "JPEG", quality=95, exif=exif, comment=SECRET, icc_profile=profile)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *more: bytes, pixels: bytes = b"") -> bytes:
    """One bit for each pixel; what it says and what it holds need not agree."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + body + chunk(b"IEND", b"")


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("evil.txt", "evil" * 100)
    return out.getvalue()


def film() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as target:
        stream = target.add_stream("mpeg4", rate=Fraction(8))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        target.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        target.mux(stream.encode())
    return out.getvalue()


WHOLE = encoded(drawn((400, 300)))
JPEG = encoded(Image.effect_noise((400, 300), 60).convert("RGB"), "JPEG")
WEBP = encoded(drawn((400, 300)), "WEBP")
BOMB = zlib.compress(bytes(50_000_000))
MALFORMED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "missing"),
    "text": (b"hello", "not_a_picture"),
    "a page": (b"<html><script>alert(1)</script></html>", "not_a_picture"),
    "a drawing in XML": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not_a_picture"),
    "a GIF": (encoded(drawn(), "GIF"), "not_a_picture"),
    "a TIFF": (encoded(drawn(), "TIFF"), "not_a_picture"),
    "a film": (film(), "not_a_picture"),
    "an archive": (archive(), "not_a_picture"),
    "a program that holds a picture": (b"MZ" + WHOLE, "not_a_picture"),
    "a PNG without its end": (WHOLE[: len(WHOLE) // 2], "not_a_picture"),
    "a PNG with an archive behind it": (WHOLE + archive(), "not_a_picture"),
    "a PNG with holes": (WHOLE[:60] + bytes(20) + WHOLE[80:], "broken"),
    "a PNG without pixels": (png(64, 64), "broken"),
    "a PNG of a size that it has not": (png(5_000, 5_000, pixels=b"\0" * 100), "broken"),
    "a PNG with a profile that unfolds": (png(64, 64, chunk(b"iCCP", b"x\0\0" + BOMB), pixels=bytes(9 * 64)), "broken"),
    "a PNG larger than all": (png(60_000, 60_000), "not_a_picture"),
    "a PNG of too many pixels": (png(7_500, 7_500, pixels=bytes(939 * 7_500)), "too_large"),
    "a JPEG cut in the middle": (JPEG[: len(JPEG) // 2], "broken"),
    "a JPEG that ends before it begins": (JPEG[:20], "not_a_picture"),
    "a WebP cut in the middle": (WEBP[: len(WEBP) // 2], "not_a_picture"),
    "a WebP of nothing": (b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8L\x0a\0\0\0\x2f" + bytes(9), "broken"),
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_picture_comes_in_and_can_be_looked_at(service: Service, kind: str) -> None:
    data = encoded(
        drawn(), kind, **({"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {})
    )
    view = await uploaded(service, data)
    got = await service.get(view["url"])
    assert (got.status, got.headers["Content-Type"]) == (200, view["mime_type"])
    assert view["mime_type"] == ("image/jpeg" if kind == "JPEG" else "image/png")
    assert view["received_sha256"] == hashlib.sha256(data).hexdigest()
    assert (view["sha256"], view["bytes"]) == (hashlib.sha256(got.body).hexdigest(), len(got.body))
    shown = decoded(got.body)
    assert shown.size == (view["width"], view["height"]) == (96, 64)
    for at, wanted in (((10, 30), (220, 20, 60)), ((80, 30), (0, 0, 128))):
        assert max(abs(a - b) for a, b in zip(colour(shown, at), wanted, strict=True)) <= (6 if kind == "JPEG" else 0)


async def test_what_is_kept_is_upright_and_says_nothing_of_where_it_comes_from(service: Service) -> None:
    data = photograph()
    assert SECRET in data
    assert b"ICC_PROFILE" in data
    view = await uploaded(service, data)
    body = (await service.get(view["url"])).body
    assert (view["width"], view["height"]) == (64, 96)
    shown = decoded(body)
    assert colour(shown, (30, 10))[0] > 200, "what was left is above now"
    for trace in (b"Exif", SECRET, b"ICC_PROFILE"):
        assert trace not in body
    assert not shown.getexif()
    assert set(shown.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


async def test_modes_that_engines_do_not_know_become_ones_that_they_do(service: Service) -> None:
    grey = Image.new("I;16", (16, 16), 65_535 // 2)
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 90))
    printed = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    shown = [
        decoded((await service.get((await uploaded(service, data))["url"])).body)
        for data in (encoded(grey), encoded(clear), encoded(printed, "JPEG"), encoded(drawn().convert("P")))
    ]
    assert [image.mode for image in shown] == ["RGB", "RGBA", "RGB", "RGB"]
    assert shown[0].getpixel((8, 8)) == (127, 127, 127)
    assert shown[1].getpixel((8, 8)) == (255, 0, 0, 90)
    assert colour(shown[2], (8, 8))[0] > 200


async def test_a_picture_larger_than_any_job_is_made_smaller(service: Service) -> None:
    view = await uploaded(service, encoded(Image.new("L", (6_000, 3_000), 90), "JPEG"))
    assert (view["width"], view["height"]) == (INPUT_SIDE_MAX, INPUT_SIDE_MAX // 2)
    assert INPUT_PIXELS_MAX > 6_000 * 3_000


async def test_raw_or_as_a_form_and_whatever_it_is_called_it_is_the_same_input(service: Service) -> None:
    data = encoded(drawn((50, 50)))
    views = [
        await upload(service, data),
        await upload(service, data, **{"Content-Type": "text/html"}),
        await upload(service, data, **{"Content-Type": "application/x-www-form-urlencoded"}),
        await upload(service, in_pieces(data, 11)),
        await upload(service, form(data)),
    ]
    assert {view.status for view in views} == {201}
    assert len({view.json["id"] for view in views}) == 1
    assert views[0].headers["Location"].endswith(views[0].json["id"])


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_picture_is_refused_with_a_reason_and_leaves_nothing(service: Service, name: str) -> None:
    data, code = MALFORMED[name]
    for sent in (data, form(data)):
        answered = await upload(service, sent)
        assert (answered.status, answered.code) == (422, "invalid"), answered.body
        [fault] = answered.json["errors"]
        assert (fault["pointer"], fault["code"]) == ("/file", code), fault
        if code == "not_a_picture":
            assert "PNG, JPEG and WebP" in fault["detail"]
    assert (await service.as_customer("/api/v1/inputs")).json["data"] == []
    assert not list((service.context.store.root / "inputs").rglob(f"{service.user_id}/*"))  # type: ignore[attr-defined]


async def test_what_hangs_behind_a_photograph_is_not_kept(service: Service) -> None:
    """Telephones put films there, others archives or pages; none of it gets further than the decoder."""
    for tail in (archive(), b"<script>alert(1)</script>", film()):
        view = await uploaded(service, JPEG + tail)
        body = (await service.get(view["url"])).body
        assert tail[:24] not in body
        assert body.endswith(b"\xff\xd9")


@pytest.mark.parametrize("broken", ["no boundary", "cut", "no file", "two files", "another field"])
async def test_a_form_that_cannot_be_used_says_why(service: Service, broken: str) -> None:
    data = encoded(drawn())
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n\r\n' + data
    one, fields = {"Content-Type": "multipart/form-data; boundary=b"}, form(data, title="x")
    sent = {
        "no boundary": (await upload(service, head + b"\r\n--b--\r\n", **{"Content-Type": "multipart/form-data"}), 400),
        "cut": (await upload(service, head, **one), 400),
        "no file": (await upload(service, b"--b--\r\n", **one), 422),
        "two files": (await upload(service, head + b"\r\n" + head + b"\r\n--b--\r\n", **one), 422),
        "another field": (await upload(service, fields), 422),
    }
    answered, status = sent[broken]
    assert answered.status == status, answered.body
    assert answered.code == ("malformed" if status == 400 else "invalid")


async def test_a_file_that_is_too_large_is_refused_before_and_while_it_is_read(service: Service) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        yield b"\x89PNG\r\n\x1a\n"
        while True:
            read += 1_000_000
            yield b"\0" * 1_000_000

    async def nothing() -> AsyncIterator[bytes]:
        yield b"never asked for"

    announced = await upload(service, nothing(), **{"Content-Length": str(INPUT_BYTES_MAX * 2), "Connection": "close"})
    assert (announced.status, announced.json["bytes_max"]) == (413, INPUT_BYTES_MAX)
    streamed = await upload(service, endless())
    assert (streamed.status, streamed.code) == (413, "too-large")
    assert INPUT_BYTES_MAX <= read < 2 * INPUT_BYTES_MAX


async def test_one_person_uploads_only_so_much_in_a_day(service: Service) -> None:
    view = await uploaded(service)
    more = (
        "insert into inputs (id, user_id, key, mime_type, width, height, bytes, sha256, received_sha256, expires_at)"
        " select uuid7(), user_id, key || number, mime_type, width, height, %s, sha256, sha256, expires_at"
        " from inputs, generate_series(1, %s) as number where id = %s"
    )
    less = "delete from inputs where id <> %s and user_id = %s"
    async with service.context.database.connection() as connection:
        for size, count in ((1, intake.INPUTS_MAX - 1), (intake.INPUTS_BYTES_MAX - view["bytes"], 1)):
            await connection.execute(more, (size, count, view["id"]))
            full = await upload(service, encoded(drawn((20, 20))))
            assert (full.status, full.code) == (429, "inputs-full")
            await connection.execute(less, (view["id"], service.user_id))
    assert (await upload(service, encoded(drawn((20, 20))))).status == 201
