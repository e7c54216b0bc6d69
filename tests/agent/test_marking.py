"""Files say that they were made by AI, and how if they may, and nothing else; and they still show what they showed."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from agent.engine.cleaning import Broken, clean
from agent.engine.comfyui.looks import Memory, Ugly, glimpse, judge
from agent.engine.marking import mark
from agent.engine.packet import MADE_BY_AI, packet
from control_plane.media.marking import is_marked
from control_plane.media.probe import media
from control_plane.wire.job import JobSpec
from control_plane.wire.provenance import ModelFile, Provenance

SEED = 20_260_101_777
OURS = "https://tessera.invalid/ns/1/"
MADE = Provenance(
    engine="comfyui", workflow="a-workflow", models=[ModelFile(name="sd15.safetensors", sha256="f" * 64)], seeds=[SEED]
)
SECRET = "what the customer typed"
FORMATS = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg", "mp4": "video/mp4", "webm": "video/webm"}


def _picture() -> Image.Image:
    return Image.merge("RGB", [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.linear_gradient("L")])


def _made(folder: Path, suffix: str) -> Path:
    """A file with the secret in every place that the format has for it."""
    path = folder / f"made.{suffix}"
    if suffix in ("mp4", "webm"):
        _film(path, suffix)
        return path
    notes = PngInfo()
    notes.add_text("prompt", SECRET)
    notes.add_text("workflow", SECRET * 50, zip=False)
    notes.add_itxt("parameters", SECRET)
    exif = Image.Exif()
    exif[0x010E] = SECRET
    more: dict[str, object] = {"pnginfo": notes} if suffix == "png" else {"xmp": SECRET.encode()}
    if suffix == "jpg":
        more |= {"comment": SECRET}
    _picture().save(path, exif=exif, **more)  # type: ignore[arg-type]
    return path


def _frame(image: Image.Image) -> av.VideoFrame:
    frame: av.VideoFrame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
    return frame


def _film(path: Path, suffix: str) -> None:
    options = {"movflags": "use_metadata_tags"} if suffix == "mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata["prompt"] = SECRET
        container.metadata["comment"] = SECRET
        stream = container.add_stream("libx264" if suffix == "mp4" else "libvpx-vp9", rate=8)
        stream.width, stream.height, stream.pix_fmt = 128, 128, "yuv420p"
        stream.metadata["title"] = SECRET
        for _ in range(4):
            container.mux(stream.encode(_frame(_picture().resize((128, 128)))))
        container.mux(stream.encode())


def _seen(path: Path, mime_type: str) -> list[bytes]:
    if mime_type.startswith("image/"):
        with Image.open(path) as image:
            return [image.tobytes()]
    with av.open(str(path)) as container:
        return [bytes(frame.planes[0]) for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_every_note_goes_and_every_pixel_stays(tmp_path: Path, suffix: str) -> None:
    path = _made(tmp_path, suffix)
    assert SECRET.encode() in path.read_bytes()
    before = _seen(path, FORMATS[suffix])
    clean(path, FORMATS[suffix])
    assert SECRET.encode() not in path.read_bytes()
    assert _seen(path, FORMATS[suffix]) == before
    with path.open("rb") as file:
        assert media(file, path.stat().st_size).mime_type == FORMATS[suffix]
    once = path.read_bytes()
    clean(path, FORMATS[suffix])
    assert path.read_bytes() == once


def _order(prompt: str = SECRET, **fields: Any) -> JobSpec:
    return JobSpec(kind="image", model="sd15", prompt=prompt, width=64, height=64, steps=3, seed=SEED, **fields)


def _is_marked(path: Path, suffix: str) -> bool:
    with path.open("rb") as file:
        return is_marked(file, path.stat().st_size, FORMATS[suffix])


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_a_file_carries_the_mark_and_its_recipe_and_shows_what_it_showed(tmp_path: Path, suffix: str) -> None:
    path = _made(tmp_path, suffix)
    before = _seen(path, FORMATS[suffix])
    assert not _is_marked(path, suffix)
    mark(path, FORMATS[suffix], packet(_order(), MADE))
    assert _is_marked(path, suffix)
    assert _seen(path, FORMATS[suffix]) == before
    for said in (SECRET, f'"seed":{SEED}', "sd15", MADE.workflow or "", "f" * 64):
        assert said.encode() in path.read_bytes()
    with path.open("rb") as file:
        assert media(file, path.stat().st_size).mime_type == FORMATS[suffix]


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_who_opts_out_leaves_nothing_in_the_file_but_the_mark(tmp_path: Path, suffix: str) -> None:
    path = _made(tmp_path, suffix)
    mark(path, FORMATS[suffix], packet(_order(embed_metadata=False), MADE))
    assert _is_marked(path, suffix)
    for hidden in (SECRET, str(SEED), "sd15", MADE.workflow or "", "f" * 64, "order", "provenance"):
        assert hidden.encode() not in path.read_bytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_of_nothing_but_pixels_gets_a_header_that_fits(tmp_path: Path, mode: str, lossless: bool) -> None:
    path = tmp_path / "bare.webp"
    picture = _picture().convert(mode)
    picture.putpixel((1, 1), (1, 2, 3, 4)[: len(mode)])
    picture.save(path, lossless=lossless)
    before = _seen(path, "image/webp")
    mark(path, "image/webp", packet(_order(), MADE))
    assert _is_marked(path, "webp")
    assert _seen(path, "image/webp") == before
    with Image.open(path) as image:
        assert (image.size, image.mode) == ((256, 256), mode)


@settings(max_examples=300, deadline=None)
@given(prompt=st.text(max_size=200), negative=st.text(max_size=50))
@example(prompt="\uffff", negative="\ufffe")
def test_whatever_is_typed_is_said_back_by_the_packet(prompt: str, negative: str) -> None:
    root = ElementTree.fromstring(packet(_order(prompt, negative_prompt=negative), MADE))
    [said] = [json.loads(element.text or "") for element in root.iter(f"{{{OURS}}}order")]
    assert (said["prompt"], said["negative_prompt"], said["seed"]) == (prompt, negative, SEED)
    assert MADE_BY_AI in {element.text for element in root.iter()}


def test_a_recipe_that_has_no_room_is_left_out_and_the_mark_is_not(tmp_path: Path) -> None:
    path = _made(tmp_path, "jpg")
    mark(path, "image/jpeg", packet(_order("&" * 4_000, negative_prompt="<" * 4_000, sampler="x" * 30_000), MADE))
    assert _is_marked(path, "jpg")
    assert b"&amp;" not in path.read_bytes()


def test_a_packet_that_only_mentions_the_mark_or_brings_entities_is_none(tmp_path: Path) -> None:
    path = _made(tmp_path, "png")
    right = packet(_order(embed_metadata=False), MADE)
    wrong = (
        right.replace(MADE_BY_AI.encode(), b"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"),
        packet(_order(MADE_BY_AI), MADE).replace(b"DigitalSourceType", b"DigitalSource"),
        b"<!DOCTYPE x [<!ENTITY y 'z'>]>" + right.partition(b"?>")[2],
        b"not XML",
    )
    for content in wrong:
        mark(path, "image/png", content)
        assert not _is_marked(path, "png"), content
    mark(path, "image/png", right)
    assert _is_marked(path, "png")


@pytest.mark.parametrize("at", [12, 15])
def test_a_webp_that_has_lost_its_header_gets_none_from_what_is_no_picture(tmp_path: Path, at: int) -> None:
    path = _made(tmp_path, "webp")
    whole = bytearray(path.read_bytes())
    assert whole[12:16] == b"VP8X"
    whole[at : at + 1] = b"\0"
    path.write_bytes(whole)
    with pytest.raises(Broken, match="begin with a picture"):
        mark(path, "image/webp", packet(_order(), MADE))


@pytest.mark.parametrize("side", [0, 1])
def test_a_webp_of_no_size_is_broken(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bare.webp"
    _picture().save(path)
    whole = bytearray(path.read_bytes())
    assert whole[12:16] == b"VP8 "
    assert whole[26 + 2 * side : 28 + 2 * side] == (256).to_bytes(2, "little")
    whole[26 + 2 * side : 28 + 2 * side] = b"\0\0"
    path.write_bytes(whole)
    with pytest.raises(Broken, match="no pixels"):
        mark(path, "image/webp", packet(_order(), MADE))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_broken_file_is_called_broken_or_cleaned_but_never_more(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    path = _made(tmp_path_factory.mktemp("broken"), suffix)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at : at + 4] = data.draw(st.binary(min_size=1, max_size=8))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    _is_marked(path, suffix)  # answers, whatever it is given
    try:
        mark(path, FORMATS[suffix], packet(_order(), MADE))
    except Broken:
        return
    assert path.exists()


def test_a_film_whose_notes_claim_to_be_longer_than_the_file_is_broken_and_stays_as_small(tmp_path: Path) -> None:
    path = _made(tmp_path, "webm")
    tags = (0x1254C367).to_bytes(4, "big")
    whole = path.read_bytes()
    path.write_bytes(whole + tags + struct.pack(">Q", 1 << 56 | 1 << 40))
    size = path.stat().st_size
    with pytest.raises(Broken):
        clean(path, "video/webm")
    assert path.stat().st_size == size


def test_one_colour_is_no_picture_and_a_dark_night_is_one(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    for image, fault in ((Image.new("RGB", (64, 64)), "black"), (Image.new("RGB", (64, 64), "gray"), "one colour")):
        image.save(path)
        with pytest.raises(Ugly, match=fault):
            judge(path, "image/png")
    night = Image.new("RGB", (64, 64))
    night.putpixel((3, 3), (90, 90, 90))
    night.save(path)
    assert judge(path, "image/png")


def test_a_black_film_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(_frame(Image.new("RGB", (64, 64)))))
        container.mux(stream.encode())
    with pytest.raises(Ugly, match="black"):
        judge(path, "video/mp4")


def test_a_file_that_another_order_has_brought_is_noticed_and_the_same_order_may_bring_it_again() -> None:
    memory = Memory()
    memory.compare("digest", "order 1")
    memory.compare("digest", "order 1")
    with pytest.raises(Ugly):
        memory.compare("digest", "order 2")


def test_previews_of_any_size_become_small_and_others_are_left_out() -> None:
    large = io.BytesIO()
    _picture().resize((2048, 1024)).save(large, "PNG")
    small = glimpse(large.getvalue())
    assert small is not None
    with Image.open(io.BytesIO(small)) as image:
        assert (image.format, image.size) == ("JPEG", (320, 160))
    assert glimpse(b"no picture") is None
