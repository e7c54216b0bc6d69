"""Whether what came out is a picture at all. A machine that draws nothing must not be paid for it.

Numbers that overflow on the way make a decoder put out one colour everywhere, black or grey; and a file that is the
same for two orders that differ was not drawn for the second. Films are judged by their first frame, where a decoder
is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections import OrderedDict
from pathlib import Path

from PIL import Image, UnidentifiedImageError

SPREAD_MIN = 2
"""Of the brightest and the darkest value of a channel; a picture of one colour, compressed, spreads no further."""
REMEMBERED_MAX = 64
GLIMPSE_SIDE = 320
GLIMPSE_QUALITY = 70


class Ugly(Exception):
    """What came out is not what was ordered; the message says why."""


class Memory:
    """What was drawn last, and for which orders."""

    def __init__(self) -> None:
        self._drawn: OrderedDict[str, str] = OrderedDict()

    def compare(self, digest: str, order: str) -> None:
        """Raises `Ugly` when another order has brought the very same file."""
        if self._drawn.setdefault(digest, order) != order:
            raise Ugly("The engine has put out the same file for another order.")
        self._drawn.move_to_end(digest)
        while len(self._drawn) > REMEMBERED_MAX:
            self._drawn.popitem(last=False)


def judge(path: Path, mime_type: str) -> str:
    """The digest of what is to be seen; raises `Ugly`. Reads the whole file, so call it in a thread."""
    if mime_type.startswith("video/"):
        frame = _first_frame(path) if importlib.util.find_spec("av") else None
        if frame is not None:
            _is_a_picture(frame)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    try:
        with Image.open(path) as image:
            image.load()
            _is_a_picture(image)
            return hashlib.sha256(image.tobytes()).hexdigest()
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise Ugly(f"The engine has put out a broken file ({type(error).__name__}).") from error


def glimpse(preview: bytes) -> bytes | None:
    """A preview small enough to travel; ComfyUI's are of any size, and one that cannot be read is left out."""
    try:
        with Image.open(io.BytesIO(preview)) as image:
            image.thumbnail((GLIMPSE_SIDE, GLIMPSE_SIDE))
            encoded = io.BytesIO()
            image.convert("RGB").save(encoded, "JPEG", quality=GLIMPSE_QUALITY)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
    return encoded.getvalue()


def _is_a_picture(image: Image.Image) -> None:
    channels = [band.getextrema() for band in image.convert("RGB").split()]
    least, most = ([float(extrema[side]) for extrema in channels] for side in (0, 1))  # type: ignore[arg-type]
    if all(high - low < SPREAD_MIN for low, high in zip(least, most, strict=True)):
        colour = "black" if max(most) < SPREAD_MIN else "of one colour"
        raise Ugly(f"The engine has put out a picture that is {colour} all over.")


def _first_frame(path: Path) -> Image.Image:
    import av

    try:
        with av.open(str(path)) as container:
            frame: Image.Image = next(container.decode(video=0)).to_image()  # type: ignore[no-untyped-call]
            return frame
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise Ugly(f"The engine has put out a broken film ({type(error).__name__}).") from error
