"""A stranger's picture made harmless: decoded by a child process on a short leash, and written anew from its pixels.

The child has limits of its own on memory, time of the processor and size of files, is given two open files and no path,
and is killed when it takes too long; whatever a decoder can be made to do, it does there. It decodes by the one format
that the headers were found to be, turns the picture upright (EXIF), brings its colours to sRGB, makes one of more than
`INPUT_SIDE_MAX` pixels along a side smaller, and writes pixels alone: no EXIF, no place where it was taken, no profile,
no comment, and nothing of what may hang behind the picture. A photograph that came as JPEG stays JPEG (quality 95, no
chroma subsampling): as PNG it would be ten times larger on its way to agents, to keep noise of its first compression.
All else becomes PNG, without loss.
"""

from __future__ import annotations

import asyncio
import os
import resource
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from control_plane.wire.input import INPUT_SIDE_MAX

if TYPE_CHECKING:
    from PIL import Image

MEMORY_BYTES_MAX = 1024**3
"""Address space of the child. The largest picture that is let in needs about 600 MB with its copies."""
PROCESSOR_SECONDS_MAX = 20
WALL_SECONDS_MAX = 60.0
WRITTEN_BYTES_MAX = 128 * 1024**2
OPEN_FILES_MAX = 16
ANSWER_BYTES_MAX = 4_096
JPEG_QUALITY = 95
NICENESS = 5
"""Others wait for the processor, too."""
ROOT = Path(__file__).parents[2]
FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
BROKEN = "The picture is broken: it cannot be decoded to its end."


class Normalised(msgspec.Struct, frozen=True):
    """What was written."""

    mime_type: str
    width: int
    height: int


class Undecodable(Exception):
    """The picture cannot be used; the message says why."""


class _Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    made: Normalised | None = None
    fault: str = ""


async def normalise(source: BinaryIO, mime_type: str, target: BinaryIO) -> Normalised:
    """Writes the picture in the file `source` anew into the file `target`. Raises `Undecodable`."""
    source.seek(0)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-s", "-m", "control_plane.media.normalise", mime_type, str(target.fileno())),
        stdin=source,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=[target.fileno()],
        cwd=ROOT,
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(WALL_SECONDS_MAX):
            told = await child.stdout.read(ANSWER_BYTES_MAX)
            await child.wait()
    except TimeoutError:
        raise Undecodable("Decoding the picture takes too long.") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return _made(told, child.returncode)


def _made(told: bytes, exit_code: int | None) -> Normalised:
    """A child that was stopped by its limits has told nothing."""
    try:
        answer = msgspec.json.decode(told, type=_Answer)
    except msgspec.DecodeError:
        raise Undecodable("Decoding the picture takes more than is allowed.") from None
    if answer.made is None or exit_code != 0:
        raise Undecodable(answer.fault or BROKEN)
    return answer.made


def main() -> None:
    """The child: standard input is the picture, the second argument the descriptor to write to."""
    _leash()
    mime_type, target = sys.argv[1], int(sys.argv[2])
    with os.fdopen(0, "rb") as source, os.fdopen(target, "wb") as written:
        try:
            answer = _Answer(made=_write(source, FORMATS[mime_type], written))
        except MemoryError:
            answer = _Answer(fault="Decoding the picture takes more memory than is allowed.")
        except Exception:  # of a decoder that met what it did not expect; its words mean nothing to the sender
            answer = _Answer(fault=BROKEN)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def _leash() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS_MAX, PROCESSOR_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN_BYTES_MAX, WRITTEN_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES_MAX, OPEN_FILES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)


def _write(source: BinaryIO, wanted: str, target: BinaryIO) -> Normalised:
    from PIL import Image, PngImagePlugin  # behind the leash

    Image.MAX_IMAGE_PIXELS = None  # the headers were judged before, by a rule of ours
    PngImagePlugin.MAX_TEXT_MEMORY = PngImagePlugin.MAX_TEXT_CHUNK
    with Image.open(source, formats=[wanted]) as opened:
        opened.load()
        image = _shrunk(_plain(_upright(opened)))
    image.info.clear()
    if wanted == "JPEG":
        image.save(target, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return Normalised("image/jpeg", image.width, image.height)
    image.save(target, "PNG", compress_level=3)
    return Normalised("image/png", image.width, image.height)


def _upright(image: Image.Image) -> Image.Image:
    """As the camera was held; EXIF that cannot be read says nothing."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except (ValueError, TypeError, KeyError, SyntaxError, OSError, struct.error, OverflowError):
        return image


def _plain(image: Image.Image) -> Image.Image:
    """Eight bits for each of red, green, blue and, where anything is transparent, alpha; in sRGB."""
    if image.mode.startswith(("I", "F")):  # 16 bits of grey, which Pillow would cut off instead of dividing
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return _srgb(image, mode) or image.convert(mode)


def _srgb(image: Image.Image, mode: str) -> Image.Image | None:
    """By the profile that the picture brings along, as telephones' do; None when there is none that can be used."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return None
    import io

    from PIL import ImageCms

    try:
        ours = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, ImageCms.getOpenProfile(io.BytesIO(profile)), ours, outputMode=mode)
    except (ImageCms.PyCMSError, ValueError, TypeError, OSError):
        return None


def _shrunk(image: Image.Image) -> Image.Image:
    from PIL import Image

    if max(image.size) > INPUT_SIDE_MAX:
        image.thumbnail((INPUT_SIDE_MAX, INPUT_SIDE_MAX), Image.Resampling.LANCZOS)
    return image


if __name__ == "__main__":
    main()
