"""The painter: a child process that makes the files, so that the agent stays small and never waits for a picture.

It reads orders from standard input and tells the news on standard output, one order after the other.
"""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import msgspec
from PIL import Image

from agent.engine.marking import mark
from agent.engine.packet import packet
from agent.engine.testcard import picture
from agent.engine.testcard.origin import provenance
from agent.engine.testcard.original import original
from agent.engine.testcard.studio import Pace, Stopped, Studio, settle
from agent.engine.testcard.talk import Begun, Ended, Glimpse, Made, Paint, Ready
from control_plane.wire.job import JobSpec

GLIMPSES_AT = (0.15, 0.35, 0.6, 0.85)
GLIMPSE_SIDE = 256
GLIMPSE_QUALITY = 75

Work = Generator[tuple[float, Image.Image], None, None]
"""How far a file is, up to 1 when it is whole, and what there is to see of it."""


def main() -> None:
    settle(agent_pid=int(sys.argv[1]))
    studio = Studio()
    studio.tell(Ready())
    while True:
        order = studio.next_order()
        if isinstance(order, Paint):
            studio.tell(Begun())
            studio.tell(_outcome(studio, order))


def _outcome(studio: Studio, order: Paint) -> Ended:
    try:
        paint(studio, order)
    except Stopped:
        return Ended()
    except MemoryError:
        return Ended("oom", "The picture does not fit into the memory of this machine.")
    except OSError as error:
        return Ended("engine_crash", f"The file could not be written: {error.strerror or type(error).__name__}.")
    except Exception as error:
        # Told without its text, which may hold what a person typed.
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        return Ended("engine_crash", f"The painter failed: {type(error).__name__} in {where}.")
    return Ended()


def paint(studio: Studio, order: Paint) -> None:
    """Makes every file of an order; one appears under its name when it is whole."""
    spec, folder = order.spec, Path(order.folder)
    pace = Pace(studio, order.seconds, spec.steps * spec.count)
    suffix, mime_type = (".mp4", "video/mp4") if spec.kind == "video" else (".png", "image/png")
    for index in range(spec.count):
        start = original(spec, folder)
        part = folder / f".{index}{suffix}.part"
        try:
            with closing(_work(spec, spec.seed + index, part, start)) as work:
                _follow(studio, pace, work, index, spec.count)
            _mark(part, mime_type, spec, spec.seed + index)
            part.rename(folder / f"{index}{suffix}")
        finally:
            part.unlink(missing_ok=True)
        studio.tell(Made(index, f"{index}{suffix}", mime_type))


def _mark(part: Path, mime_type: str, spec: JobSpec, seed: int) -> None:
    made = provenance(spec, seed)
    mark(part, mime_type, packet(msgspec.structs.replace(spec, seed=seed, count=1), made))


def _work(spec: JobSpec, seed: int, part: Path, start: Image.Image | None) -> Work:
    if spec.kind == "image":
        return _still(spec, seed, part, start)
    from agent.engine.testcard.film import film  # With its encoder: only the painters of films need the memory.

    return film(spec, seed, part, start)


def _still(spec: JobSpec, seed: int, part: Path, start: Image.Image | None) -> Work:
    for share, canvas in picture.paint(spec, seed, start):
        if share == 1.0:
            canvas.save(part, "PNG", compress_level=1)
        yield share, canvas


def _follow(studio: Studio, pace: Pace, work: Work, index: int, count: int) -> None:
    """Keeps to the pace, with a glimpse now and then."""
    glimpses = list(GLIMPSES_AT)
    for share, canvas in work:
        if glimpses and share >= glimpses[0]:
            glimpses = [at for at in glimpses if at > share]
            studio.tell(Glimpse(_glimpse(canvas)))
        pace.reach((index + share) / count)


def _glimpse(canvas: Image.Image) -> bytes:
    factor = -(-max(canvas.size) // GLIMPSE_SIDE)
    encoded = io.BytesIO()
    canvas.reduce(factor).save(encoded, "JPEG", quality=GLIMPSE_QUALITY)
    return encoded.getvalue()


if __name__ == "__main__":
    main()
