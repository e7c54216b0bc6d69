"""The painter: a child process that draws, so that the agent stays small and never waits for a picture.

It reads orders from standard input and tells the news on standard output. Between two layers, and while it keeps to
the pace that it was given, it looks whether it is to stop. It ends with its parent: at the end of its input, or by the
kernel's signal should the parent be killed in the middle of a picture.
"""

from __future__ import annotations

import ctypes
import io
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from agent.engine.testcard import talk
from agent.engine.testcard.talk import Ended, Glimpse, Made, News, Order, Paint, Step, Stop
from control_plane.wire.job import JobSpec

NEWS_SECONDS = 0.1
"""Steps are told at most this often."""
GLIMPSES_AT = (0.15, 0.35, 0.6, 0.85)
GLIMPSE_SIDE = 256
PR_SET_PDEATHSIG = 1


class Stopped(Exception):
    """The order at hand was given up."""


class Studio:
    """The pipe to the engine, and the time."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def tell(self, news: News) -> None:
        sys.stdout.buffer.write(talk.frame(news))
        sys.stdout.buffer.flush()

    def next_order(self) -> Order:
        """Waits for the next order; ends the process when there will be none."""
        while (order := self._parsed()) is None:
            self._read()
        return order

    def pause(self, seconds: float) -> None:
        """Lets time pass, at least a look; raises `Stopped` as soon as that is what the engine wants."""
        until = time.monotonic() + seconds
        while True:
            left = max(0.0, until - time.monotonic())
            readable, _, _ = select.select([0], [], [], left)
            if readable:
                self._read()
                if isinstance(self._parsed(), Stop):
                    raise Stopped
            elif left == 0.0:
                return

    def _read(self) -> None:
        received = os.read(0, 1 << 16)
        if not received:
            sys.exit(0)
        self._buffer += received

    def _parsed(self) -> Order | None:
        if len(self._buffer) < talk.LENGTH.size:
            return None
        end = talk.LENGTH.size + talk.LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[talk.LENGTH.size : end])
        del self._buffer[:end]
        order: Order = talk.decode_order(body)
        return order


class Pace:
    """Spreads a run over its seconds and tells how far it is."""

    def __init__(self, studio: Studio, seconds: float, steps: int) -> None:
        self._studio = studio
        self._seconds = seconds
        self._steps = steps
        self._began = time.monotonic()
        self._told_at = 0.0

    def reach(self, value: float) -> None:
        """Come to this point of the run: look for a stop, wait until it is due, telling the steps on the way."""
        self._studio.pause(0)
        due = self._began + self._seconds * value
        while (left := due - time.monotonic()) > 0:
            self._studio.pause(min(left, NEWS_SECONDS))
            self._tell(min(value, (time.monotonic() - self._began) / self._seconds))
        self._tell(value)

    def _tell(self, value: float) -> None:
        now = time.monotonic()
        if value >= 1.0 or now - self._told_at >= NEWS_SECONDS:
            self._told_at = now
            self._studio.tell(Step(value, min(self._steps, round(value * self._steps)), self._steps))


def paint(studio: Studio, order: Paint) -> None:
    """Makes every picture of an order; a file appears under its name when it is whole."""
    pace = Pace(studio, order.seconds, order.spec.steps * order.spec.count)
    for index in range(order.spec.count):
        for share in _draw(studio, order.spec, index, Path(order.folder)):
            pace.reach(min(1.0, (index + share) / order.spec.count))


def _draw(studio: Studio, spec: JobSpec, index: int, folder: Path) -> Iterator[float]:
    """One picture, yielding how far it is."""
    from agent.engine.testcard import picture

    glimpses = list(GLIMPSES_AT)
    canvas = None
    for share, canvas in picture.paint(spec, spec.seed + index):
        if glimpses and share >= glimpses[0]:
            glimpses = [at for at in glimpses if at > share]
            studio.tell(Glimpse(_thumbnail(canvas)))
        if share < 1.0:
            yield share
    assert canvas is not None
    path = folder / f"{index}.png"
    part = path.with_suffix(".part")
    try:
        canvas.save(part, "PNG", compress_level=1)
        yield 1.0
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    studio.tell(Made(index, str(path), "image/png"))


def _thumbnail(canvas: object) -> bytes:
    from PIL import Image

    assert isinstance(canvas, Image.Image)
    small = canvas.copy()
    small.thumbnail((GLIMPSE_SIDE, GLIMPSE_SIDE))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=70)
    return encoded.getvalue()


def end_with_parent() -> None:
    """Linux tells us when the parent dies, even by SIGKILL; elsewhere the end of the input has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to handle


def main() -> None:
    end_with_parent()
    studio = Studio()
    while True:
        order = studio.next_order()
        if isinstance(order, Paint):
            studio.tell(_outcome(studio, order))


def _outcome(studio: Studio, order: Paint) -> Ended:
    try:
        paint(studio, order)
    except Stopped:
        return Ended()
    except MemoryError:
        return Ended("oom", "The picture does not fit into the memory of this machine.")
    except OSError as error:
        return Ended("engine_crash", f"The picture could not be written: {error.strerror}.")
    return Ended()


if __name__ == "__main__":
    main()
