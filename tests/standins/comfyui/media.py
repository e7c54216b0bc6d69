"""What a run of the stand-in draws: noise in the size that was ordered, with the graph in its notes as ComfyUI does."""

from __future__ import annotations

import io
import json
import random
from functools import cache
from pathlib import Path
from typing import Any, Literal

import av
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Paint = Literal["noise", "black", "grey", "same", "garbage"]
PREVIEW_SIDE = 256


def _noise(seed: str, width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3))


def draw(paint: Paint, seed: str, width: int, height: int) -> Image.Image:
    match paint:
        case "black":
            return Image.new("RGB", (width, height))
        case "grey":
            return Image.new("RGB", (width, height), (127, 127, 127))
        case "same":
            return _noise("always the same", width, height)
        case _:
            return _noise(seed, width, height)


@cache
def preview(step: int) -> bytes:
    """A JPEG of the size that the genuine server sends."""
    encoded = io.BytesIO()
    _noise(str(step), PREVIEW_SIDE, PREVIEW_SIDE).save(encoded, "JPEG", quality=95)
    return encoded.getvalue()


def save_picture(path: Path, paint: Paint, seed: str, size: tuple[int, int], graph: dict[str, Any]) -> None:
    if paint == "garbage":
        path.write_bytes(b"\x89PNG\r\n\x1a\nnot really")
        return
    notes = PngInfo()
    notes.add_text("prompt", json.dumps(graph))
    draw(paint, seed, *size).save(path, "PNG", pnginfo=notes, compress_level=1)


def save_film(path: Path, paint: Paint, seed: str, size: tuple[int, int], frames: int, graph: dict[str, Any]) -> None:
    """An MP4 with the graph among its tags, as SaveVideo writes it."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata["prompt"] = json.dumps(graph)
        stream = container.add_stream("libx264", rate=8, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            picture = draw(paint, f"{seed} {number}", *size)
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))  # type: ignore[no-untyped-call]
        container.mux(stream.encode())
