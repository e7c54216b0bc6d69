"""The program that makes a small picture of a file, for one file: a decoder with nothing in its hands.

It is run by `thumbnails.py` as a process of its own, without an environment, with the file as standard input, and
writes a WebP to standard output. Before the first byte is decoded it gives up most of what a process may do: memory,
time on the processor, writing and opening files. Whatever a file makes a decoder do, it does it here.
Only Pillow and (for films) PyAV are needed; nothing of this service is imported.
"""

from __future__ import annotations

import io
import os
import resource
import sys
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:  # decoders are imported behind the limits
    from PIL.Image import Image

SIDE_MAX = 512
QUALITY = 80
EFFORT = 4
"""Of the WebP encoder, 0 to 6."""
PIXELS_MAX = 64 * 1024**2
"""What may be stored has no more; a film could still hold larger frames than it says."""
MEMORY_BYTES_MAX = 1024**3
CPU_SECONDS_MAX = 10
FILES_MAX = 32
NICENESS = 5
UNFIT = 3
"""Exit status: no small picture can be made of this file, now or later."""
FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "video/mp4": "mp4", "video/webm": "webm"}

MARK = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType='
    b'"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)
"""The small picture says too that it was made by a machine, in IPTC's words; nothing else is taken over."""


def main() -> int:
    _give_up()
    try:
        made = thumbnail(sys.stdin.buffer, sys.argv[1])
    except Exception:  # a decoder may raise anything; MemoryError is one of them
        return UNFIT
    sys.stdout.buffer.write(made)
    return 0


def _give_up() -> None:
    limits = {
        resource.RLIMIT_AS: MEMORY_BYTES_MAX,
        resource.RLIMIT_CPU: CPU_SECONDS_MAX,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: FILES_MAX,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in limits.items():
        resource.setrlimit(which, (most, most))
    os.nice(NICENESS)


def thumbnail(file: BinaryIO, mime_type: str) -> bytes:
    """A WebP of the picture, or of the first frame of the film. Raises whatever the decoder does."""
    from PIL import Image

    image = _frame(file, mime_type) if mime_type.startswith("video/") else _picture(file, mime_type)
    image.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.LANCZOS, reducing_gap=2.0)
    image.info.clear()
    out = io.BytesIO()
    image.save(out, "WEBP", quality=QUALITY, method=EFFORT, xmp=MARK)
    return out.getvalue()


def _picture(file: BinaryIO, mime_type: str) -> Image:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = PIXELS_MAX // 2  # an error is raised beyond twice this number
    opened = Image.open(file, formats=[FORMATS[mime_type]])
    opened.draft("RGB", (2 * SIDE_MAX, 2 * SIDE_MAX))  # a large JPEG is decoded small
    opened.load()
    if opened.mode in ("RGB", "RGBA", "L"):
        return opened
    return opened.convert("RGBA" if opened.has_transparency_data else "RGB")


def _frame(file: BinaryIO, mime_type: str) -> Image:
    import av

    with av.open(file, "r", format=FORMATS[mime_type]) as film:
        stream = film.streams.video[0]
        stream.thread_type = "NONE"
        frame = next(film.decode(stream))
        if frame.width * frame.height > PIXELS_MAX:
            raise ValueError("too many pixels")
        scale = min(1.0, 2 * SIDE_MAX / max(frame.width, frame.height))
        small = frame.reformat(max(1, round(frame.width * scale)), max(1, round(frame.height * scale)), "rgb24")
        made: Image = small.to_image()  # type: ignore[no-untyped-call]
        return made


if __name__ == "__main__":
    raise SystemExit(main())
