"""Files are cleaned of every note in every format that ComfyUI writes, and still show what they showed."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from agent.engine.comfyui.looks import Memory, Ugly, glimpse, judge
from agent.engine.comfyui.metadata import Broken, clean
from control_plane.probe import media

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
    clean(path, FORMATS[suffix], {"Source": "sd15, seed 7"})
    assert SECRET.encode() not in path.read_bytes()
    assert _seen(path, FORMATS[suffix]) == before
    with path.open("rb") as file:
        assert media(file, path.stat().st_size).mime_type == FORMATS[suffix]
    once = path.read_bytes()
    clean(path, FORMATS[suffix], {"Source": "sd15, seed 7"})
    assert path.read_bytes() == once


def test_a_png_says_who_made_it(tmp_path: Path) -> None:
    path = _made(tmp_path, "png")
    clean(path, "image/png", {"Source": "sd15, seed 7"})
    with Image.open(path) as image:
        assert image.info == {"Software": "Tessera", "Source": "sd15, seed 7"}


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
    try:
        clean(path, FORMATS[suffix], {})
    except Broken:
        return
    assert path.exists()


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
