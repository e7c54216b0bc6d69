"""What the engine and its painter say to each other: length-prefixed MessagePack over a pipe.

A painter says `Ready` once. A `Paint` is answered by `Begun` at once, by any number of `Step`, `Glimpse` and `Made`,
and by one `Ended`. A `Stop` only makes the `Ended` come sooner; one that comes too late is ignored.
"""

from __future__ import annotations

import struct

import msgspec

from control_plane.wire.job import JobSpec
from control_plane.wire.worker import FailCause

LENGTH = struct.Struct(">I")
UNHEARD_BYTES_MAX = 4 << 20
"""More than a whole run tells, so that a painter never waits for somebody who no longer listens."""


class Paint(msgspec.Struct, frozen=True, tag=True):
    """To the painter: make the files of this spec, taking at least so long."""

    spec: JobSpec
    folder: str
    seconds: float


class Stop(msgspec.Struct, frozen=True, tag=True):
    """To the painter: give up what is at hand."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The painter has loaded what it draws with."""


class Begun(msgspec.Struct, frozen=True, tag=True):
    """The painter has read the order."""


class Step(msgspec.Struct, frozen=True, tag=True):
    value: float
    step: int
    steps: int


class Glimpse(msgspec.Struct, frozen=True, tag=True):
    image: bytes


class Made(msgspec.Struct, frozen=True, tag=True):
    index: int
    name: str
    """Inside the folder of the order."""
    mime_type: str


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The painter is idle again; what it announced before is whole, everything else is gone."""

    cause: FailCause | None = None
    message: str = ""


Order = Paint | Stop
News = Ready | Begun | Step | Glimpse | Made | Ended

_encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_news = msgspec.msgpack.Decoder(News).decode


def frame(message: Order | News) -> bytes:
    body = _encode(message)
    return LENGTH.pack(len(body)) + body
