"""A job followed to its end: by its stream of events where there is one, else by looking.

A stream that breaks is taken up again by the id of the last frame. One that tells nothing (an older service, a proxy
that keeps answers back, too many streams open) is no failure: the job is looked at instead, and the stream is tried
again later, ever more rarely.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import aiohttp
import msgspec

from control_plane.wire.event import EventView
from control_plane.wire.job import JobView, Progress
from frontends.problems import ClientError, Refused

LOOK_FIRST_SECONDS = 0.3
LOOK_MAX_SECONDS = 2.0
LOOK_GROWTH = 1.25

FINISHED = frozenset({"succeeded", "failed", "canceled", "expired"})

Open = Callable[[UUID, str], AbstractAsyncContextManager[aiohttp.ClientResponse]]
"""The stream of a job behind a frame, from its beginning if that is empty."""
Look = Callable[[UUID], Awaitable[JobView]]


class Frame(msgspec.Struct, frozen=True):
    """One event of a stream, as it came."""

    name: str
    data: bytes
    id: str


async def follow(job: JobView, open_stream: Open, look: Look) -> AsyncIterator[JobView]:
    """The job as it is at each news, until it is over. Raises what `look` raises."""
    pause, last = LOOK_FIRST_SECONDS, ""
    yield job
    while job.status not in FINISHED:
        try:
            async with open_stream(job.id, last) as response:
                async for frame in frames(response):
                    last = frame.id or last
                    if (fresh := after(job, frame)) is not None:
                        job, pause = fresh, LOOK_FIRST_SECONDS
                        yield job
        except (ClientError, aiohttp.ClientError, TimeoutError, OSError, ValueError, msgspec.MsgspecError) as error:
            if isinstance(error, Refused) and error.status in (401, 403):
                raise
        if job.status in FINISHED:
            return
        await asyncio.sleep(pause)
        pause = min(pause * LOOK_GROWTH, LOOK_MAX_SECONDS)
        job = await look(job.id)
        yield job


def after(job: JobView, frame: Frame) -> JobView | None:
    """What a frame makes of the job; None when it tells nothing about it. Raises `msgspec.MsgspecError`."""
    if frame.name == "snapshot":
        return msgspec.json.decode(frame.data, type=JobView)
    if frame.name == "progress":
        return msgspec.structs.replace(job, progress=msgspec.json.decode(frame.data, type=Progress))
    if frame.name.startswith("job."):
        return msgspec.json.decode(frame.data, type=EventView).job
    return None


async def frames(response: aiohttp.ClientResponse) -> AsyncIterator[Frame]:
    """Server-Sent Events as they come (WHATWG HTML, section 9.2); ends with the stream."""
    fields: dict[str, bytes] = {}
    while line := await response.content.readline():
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        if name:
            fields[name.decode("latin-1")] = value.removeprefix(b" ")
        elif not line.strip():
            if "data" in fields:
                yield Frame(fields.get("event", b"").decode(), fields["data"], fields.get("id", b"").decode())
            fields = {}
