"""What a picture is by its bytes: its size, and how Telegram makes a photo of it."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

PHOTO_SIDE_MAX = 2560
PHOTO_QUALITY = 87


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height, or None when these bytes are no picture."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None


def shrunk(data: bytes) -> bytes:
    """As a photo arrives: a JPEG of at most PHOTO_SIDE_MAX pixels a side, whatever was sent; a small one as it was."""
    with Image.open(io.BytesIO(data)) as picture:
        if max(picture.size) <= PHOTO_SIDE_MAX:
            return data
        picture.thumbnail((PHOTO_SIDE_MAX, PHOTO_SIDE_MAX))
        out = io.BytesIO()
        picture.convert("RGB").save(out, "JPEG", quality=PHOTO_QUALITY)
        return out.getvalue()
