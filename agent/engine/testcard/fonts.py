"""Fonts for any prompt: Pillow's own first, then what the system happens to have, at last a tile.

Pillow cannot say whether a font has a character, so we look: a character that is drawn exactly like one that no
font has is missing. Nothing is downloaded; a Latin prompt looks the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from unicodedata import category, normalize

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansSC-Regular.otf",
    "WenQuanYiMicroHei.ttf",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "Arial Unicode.ttf",
    "Hiragino Sans GB.ttc",
    "AppleGothic.ttf",
    "segoeui.ttf",
    "msyh.ttc",
    "malgun.ttf",
)
UNASSIGNED = "\U0010ffff"
"""A code point that no font has, drawn as the font draws what it lacks."""
INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))


def readable(text: str) -> str:
    """The text on one line: composed, single spaces, without control and format characters."""
    spaced = "".join(" " if char.isspace() or category(char)[0] == "Z" else char for char in normalize("NFC", text))
    shown = "".join(char for char in spaced if category(char) not in INVISIBLE and not "\ufe00" <= char <= "\ufe0f")
    return " ".join(shown.split())


@lru_cache(maxsize=16)
def font(size: int, face: int = 0) -> Font | None:
    """Face 0 is Pillow's own, the others are `SYSTEM_FONTS` in order; None where this machine lacks it."""
    if face == 0:
        own = ImageFont.load_default(size)
        return own if isinstance(own, Font) else None
    try:
        return ImageFont.truetype(SYSTEM_FONTS[face - 1], size)
    except OSError:
        return None


def runs(text: str, size: int) -> Iterator[tuple[str, Font | None]]:
    """The text in pieces of one font each; None stands for characters that no font here has."""
    piece, face = "", 0
    for char in text:
        wanted = face if char == " " else face_of(char)
        if wanted != face and piece:
            yield piece, _sized(size, face)
            piece = ""
        piece, face = piece + char, wanted
    if piece:
        yield piece, _sized(size, face)


@lru_cache(maxsize=2048)
def face_of(char: str) -> int:
    """The first face that has the character, -1 when none does."""
    return next((face for face in range(len(SYSTEM_FONTS) + 1) if _has(face, char)), -1)


def _sized(size: int, face: int) -> Font | None:
    return font(size, face) if face >= 0 else None


def _has(face: int, char: str) -> bool:
    if face and not _installed(face):
        return False
    probe = font(PROBE_SIZE, face)
    if probe is None:
        return False
    return bytes(probe.getmask(char)) != _missing(face)


PROBE_SIZE = 16


@lru_cache(maxsize=32)
def _installed(face: int) -> bool:
    # Remembered apart from the fonts: a search through the font folders is too slow to repeat.
    return font(PROBE_SIZE, face) is not None


@lru_cache(maxsize=32)
def _missing(face: int) -> bytes:
    probe = font(PROBE_SIZE, face)
    return bytes(probe.getmask(UNASSIGNED)) if probe else b""
