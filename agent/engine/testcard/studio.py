"""Where a painter works: the pipe to the engine, the time it is given, and its bond with the agent.

Between two strokes, and while it waits for its time, a painter looks whether it is to stop. It ends with its parent:
at the end of its input, or by the kernel's signal should the parent be killed in the middle of a picture. Other
signals are the agent's to handle: a service that is told to end may want its pictures finished first.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time

from agent.engine.testcard import talk
from agent.engine.testcard.talk import News, Order, Step, Stop

NEWS_SECONDS = 0.1
"""Steps are told at most this often."""
KEPT_BYTES_MAX = 256 * 1024
"""Larger pieces of memory go back to the system as soon as they are free."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h
M_MMAP_THRESHOLD = -3  # malloc.h of glibc


class Stopped(Exception):
    """The order at hand was given up."""


class Studio:
    """The pipe to the engine. Whoever uses it ends when the engine is gone."""

    def __init__(self) -> None:
        self._heard = bytearray()

    def tell(self, news: News) -> None:
        left = memoryview(talk.frame(news))
        try:
            while left:
                left = left[os.write(1, left) :]
        except BrokenPipeError:
            sys.exit(0)

    def next_order(self) -> Order:
        while (order := self._order()) is None:
            self._listen()
        return order

    def pause(self, seconds: float) -> None:
        """Lets time pass, at least for a look; raises `Stopped` as soon as that is what the engine wants."""
        until = time.monotonic() + seconds
        while True:
            if isinstance(self._order(), Stop):
                raise Stopped
            left = max(0.0, until - time.monotonic())
            if select.select([0], [], [], left)[0]:
                self._listen()
            elif left == 0.0:
                return

    def _listen(self) -> None:
        received = os.read(0, 1 << 16)
        if not received:
            sys.exit(0)
        self._heard += received

    def _order(self) -> Order | None:
        """The first whole order of what was heard."""
        if len(self._heard) < talk.LENGTH.size:
            return None
        end = talk.LENGTH.size + talk.LENGTH.unpack_from(self._heard)[0]
        if len(self._heard) < end:
            return None
        body = bytes(self._heard[talk.LENGTH.size : end])
        del self._heard[:end]
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
        self._tell(0.0)

    def reach(self, value: float) -> None:
        """Comes to this point of the run: looks for a stop, and waits until it is due, telling the steps on the way."""
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
            self._studio.tell(Step(value, int(value * self._steps + 1e-6), self._steps))


def settle(agent_pid: int) -> None:
    """Ties this process to the agent. Where there is no Linux, the end of the input has to do."""
    for meant_for_the_agent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(meant_for_the_agent, signal.SIG_IGN)
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent_pid:  # It died before the kernel was asked to tell.
        sys.exit(0)
    if hasattr(libc, "mallopt"):  # Not in musl, which gives back by itself.
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES_MAX)
