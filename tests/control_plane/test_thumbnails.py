"""Small pictures: of every kind of file, made once, reachable like the file, and never a danger."""

from __future__ import annotations

import asyncio
import io
import struct
import time
import zlib
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import av
import pytest
from PIL import Image

from control_plane import audit
from control_plane.conduct import quarantine
from control_plane.errors import Gone, NotFound
from control_plane.media.marking import is_marked
from control_plane.media.thumbnails import Thumbnails
from control_plane.settings import Settings
from control_plane.store import Store, new_key, open_store, thumbnail_key
from control_plane.sweeper import Sweeper
from tests.fixtures.bucket import Bucket
from tests.fixtures.marks import marked, picture
from tests.fixtures.worker import Json, Service, serving


@pytest.fixture(params=["folder", "bucket"])
async def service(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    where = {} if request.param == "folder" else {"artifacts_url": request.getfixturevalue("bucket").url}
    async with serving(database_url, tmp_path, **where) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(Settings(data_dir=tmp_path))


@pytest.fixture
def thumbnails(store: Store, tmp_path: Path) -> Thumbnails:
    return Thumbnails(store, tmp_path / "spool")


def encoded(kind: str, size: tuple[int, int], mode: str = "RGB") -> bytes:
    """A picture that is red at the left and blue at the right."""
    image, out = Image.new("RGB", size, "red"), io.BytesIO()
    image.paste((0, 0, 255), (size[0] // 2, 0, *size))
    image.convert(mode).save(out, kind)
    return out.getvalue()


def film(size: tuple[int, int] = (640, 360), kind: str = "mp4") -> bytes:
    """Its first frame is green, all others are black."""
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as target:
        stream = target.add_stream("mpeg4" if kind == "mp4" else "libvpx", rate=Fraction(8))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(8):
            image = Image.new("RGB", size, (0, 200, 0) if number == 0 else "black")
            target.mux(stream.encode(_raw(image)))
        target.mux(stream.encode())
    return out.getvalue()


def _raw(image: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
    return frame


async def small(service: Service, job: Json, index: int = 0) -> Image.Image:
    answered = await service.get(job["artifacts"][index]["thumbnail_url"])
    assert (answered.status, answered.headers["Content-Type"]) == (200, "image/webp"), answered.body
    assert is_marked(io.BytesIO(answered.body), len(answered.body), "image/webp"), "it says that a machine made it"
    return Image.open(io.BytesIO(answered.body), formats=["WEBP"])


async def keep(store: Store, data: bytes) -> str:
    key = new_key(uuid4(), 1, 0)
    async with store.stage(key) as staged:
        await staged.write(data)
        await staged.keep()
    return key


async def still_there() -> None:
    """It is."""


async def test_every_kind_of_file_has_a_small_picture_that_is_kept(service: Service) -> None:
    kinds = {
        "PNG": (encoded("PNG", (1600, 800)), (512, 256)),
        "PNG in a palette": (encoded("PNG", (300, 900), "P"), (171, 512)),
        "JPEG": (encoded("JPEG", (2000, 1000)), (512, 256)),
        "WebP": (encoded("WEBP", (100, 60)), (100, 60)),
        "MP4": (film(), (512, 288)),
        "WebM": (film((320, 640), "webm"), (256, 512)),
    }
    for name, (data, size) in kinds.items():
        mime_type = {"JPEG": "image/jpeg", "WebP": "image/webp", "MP4": "video/mp4", "WebM": "video/webm"}.get(name)
        job = await service.done(marked(data, mime_type or "image/png"))
        made = await small(service, job)
        assert made.size == size, name
        left, right = made.convert("RGB").getpixel((3, 3)), made.convert("RGB").getpixel((size[0] - 4, size[1] - 4))
        assert isinstance(left, tuple)
        assert isinstance(right, tuple)
        if name in ("MP4", "WebM"):
            assert left[1] > 120 > max(left[0], left[2]), "the first frame is the green one"
        else:
            assert left[0] > 200 > left[2], name
            assert right[2] > 200 > right[0], name
    found = [file.key async for file in service.context.store.files()]
    assert len(found) == 2 * len(kinds)


async def test_its_address_opens_it_and_not_the_file(service: Service) -> None:
    job = await service.done()
    [artifact] = job["artifacts"]
    url, large = artifact["thumbnail_url"], artifact["url"]
    sent = await service.as_customer(f"/api/v1/jobs/{job['id']}/artifacts/0/thumbnail")
    assert (sent.status, urlsplit(sent.headers["Location"]).path) == (302, f"/artifacts/{job['id']}/0/thumbnail")
    got = await service.get(sent.headers["Location"])
    assert got.status == 200
    assert got.headers["Content-Disposition"].startswith("inline; ")
    assert got.headers["Cache-Control"].startswith("private, max-age=")
    assert (await service.get(url, **{"If-None-Match": got.headers["ETag"]})).status == 304
    assert got.headers["ETag"] != (await service.get(large, "HEAD")).headers["ETag"]
    assert (await service.get(url.replace("/thumbnail", ""))).status == 403
    assert (await service.get(large.replace("?", "/thumbnail?"))).status == 403
    assert (await service.get(url.replace("/0/", "/1/"))).status == 403


async def test_it_is_withdrawn_and_erased_with_its_file(service: Service) -> None:
    one, two = await service.done(picture("red")), await service.done(picture("blue"))
    urls = [job["artifacts"][0]["thumbnail_url"] for job in (one, two)]
    assert [(await service.get(url)).status for url in urls] == [200, 200]
    await quarantine.quarantine(service.context.database, UUID(one["id"]), 0, audit.OPERATOR)
    assert (await service.get(urls[0])).status == 410
    assert (await service.as_customer(f"/api/v1/jobs/{one['id']}/artifacts/0/thumbnail")).status == 410
    assert (await service.as_customer(f"/api/v1/jobs/{two['id']}/artifacts", "DELETE")).status == 204
    assert (await service.get(urls[1])).status == 410
    left = [file.key async for file in service.context.store.files()]
    assert len(left) == 2
    assert all(one["id"] in key for key in left)


async def test_the_sweep_of_orphans_knows_it_by_its_file(service: Service) -> None:
    context, jobs = service.context, [await service.done(picture(colour)) for colour in ("red", "blue", "teal")]
    for job in jobs:
        await small(service, job)
    lost = new_key(uuid4(), 1, 0)
    async with context.store.stage(thumbnail_key(lost)) as staged:
        await staged.write(b"x")
        await staged.keep()
    sweeper = Sweeper(context.database, context.store, context.signing_keys, context.settings)
    sweeper.orphan_seconds = -60.0
    assert await sweeper.orphan_files() == 1
    assert len([file async for file in context.store.files()]) == 6


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bombs() -> dict[str, tuple[str, bytes]]:
    """Small files that are broken, or that a decoder would make a mountain of."""
    packer = zlib.compressobj(9)
    black = b"".join(packer.compress(bytes(2**20)) for _ in range(1_500)) + packer.flush()
    return {
        "a mountain of pixels": ("image/png", png(20_000, 20_000, black)),
        "a lie about the size": ("image/png", png(2**31 - 1, 1, zlib.compress(b"x"))),
        "no pixels": ("image/png", png(64, 64, b"")),
        "half a picture": ("image/jpeg", encoded("JPEG", (640, 480))[:3_000]),
        "another format": ("image/png", encoded("JPEG", (64, 64))),
        "no film": ("video/mp4", film()[:400]),
        "nothing at all": ("image/webp", b""),
    }


async def test_a_bomb_or_a_broken_file_has_none_and_costs_its_decoder_once(
    thumbnails: Thumbnails, store: Store
) -> None:
    for name, (mime_type, data) in bombs().items():
        key = await keep(store, data)
        started = time.monotonic()
        with pytest.raises(NotFound, match="no small picture"):
            await thumbnails.get(key, mime_type, still_there)
        assert time.monotonic() - started < 15, name
        started = time.monotonic()
        with pytest.raises(NotFound, match="no small picture"):
            await thumbnails.get(key, mime_type, still_there)
        assert time.monotonic() - started < 0.1, f"{name} was decoded again"


async def test_the_largest_picture_that_may_be_stored_has_one(thumbnails: Thumbnails, store: Store) -> None:
    data = io.BytesIO()
    Image.new("RGBA", (8_192, 8_192), (200, 30, 30, 255)).save(data, "PNG", compress_level=1)
    made = await thumbnails.get(await keep(store, data.getvalue()), "image/png", still_there)
    assert Image.open(io.BytesIO(made)).size == (512, 512)


async def test_many_who_ask_at_once_get_the_same(thumbnails: Thumbnails, store: Store) -> None:
    key = await keep(store, encoded("PNG", (800, 600)))
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(thumbnails.get(key, "image/png", still_there)) for _ in range(12)]
    assert len({one.result() for one in asked}) == 1


async def test_what_is_withdrawn_while_it_is_made_leaves_nothing(thumbnails: Thumbnails, store: Store) -> None:
    async def withdrawn() -> None:
        raise Gone("withdrawn")

    key = await keep(store, picture())
    with pytest.raises(Gone):
        await thumbnails.get(key, "image/png", withdrawn)
    assert [file.key async for file in store.files()] == [key]


async def test_what_has_none_says_so(thumbnails: Thumbnails, store: Store, bucket: Bucket) -> None:
    with pytest.raises(NotFound):
        await thumbnails.get(await keep(store, b"x"), "application/octet-stream", still_there)
    with pytest.raises(NotFound, match="not there any more"):
        await thumbnails.get(new_key(uuid4(), 1, 0), "image/png", still_there)
