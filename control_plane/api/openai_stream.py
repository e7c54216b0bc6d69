"""The pictures of an order as OpenAI's server-sent events: previews while it runs, then each finished picture.

The connection is the interest: when it is gone, what has not started is canceled (see `openai`). Comments keep
proxies from taking silence for death.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from typing import Literal

import msgspec
from litestar.types import Receive, Scope, Send

from control_plane.api import openai_answers, openai_errors
from control_plane.api.following import followed
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing
from control_plane.api.presence import watched
from control_plane.errors import TesseraError
from control_plane.events.feed import Listener
from control_plane.media.probe import image_type
from control_plane.states import TERMINAL
from control_plane.wire.job import JobView
from control_plane.wire.openai import EditRequest, ErrorBody, EventType, ImageEvent, ImageRequest

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would collect events otherwise
]
KEEP_ALIVE_SECONDS = 15.0

Family = Literal["image_generation", "image_edit"]
TYPES: dict[tuple[Family, bool], EventType] = {
    ("image_generation", True): "image_generation.partial_image",
    ("image_generation", False): "image_generation.completed",
    ("image_edit", True): "image_edit.partial_image",
    ("image_edit", False): "image_edit.completed",
}
"""What was asked for and whether it is a preview → how OpenAI calls it."""
KEEP_ALIVE = b": keep-alive\n\n"

_encode = msgspec.json.Encoder().encode


class Stream:
    """An order on its way to becoming pictures. `stays`: the client may come back for the job."""

    def __init__(self, call: Call[Person, ImageRequest, Nothing], job: JobView, *, stays: bool) -> None:
        self._call = call
        self._family: Family = "image_edit" if isinstance(call.body, EditRequest) else "image_generation"
        self._job = job
        self._stays = stays
        self._previews = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listener = Listener(self._call.context.dispatcher.feed)
        with watched(self._call.context.tasks, receive, listener.leave) as gone:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            async for frame in self._frames(listener):
                await send({"type": "http.response.body", "body": frame, "more_body": True})
            if gone.is_set() or self._job.status not in TERMINAL:
                await openai_answers.leave(self._call, self._job, stays=self._stays)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _frames(self, listener: Listener) -> AsyncIterator[bytes]:
        context, said_at = self._call.context, time.monotonic()
        wait_seconds, wanted = context.settings.images_wait_seconds, self._call.body.partial_images or 0
        try:
            with context.dispatcher.feed.held(self._call.who.user_id):
                story = followed(self._call, self._job.id, listener, wait_seconds, previews=wanted > 0)
                async for seen in story:
                    self._job = seen.job
                    if seen.preview is not None and self._previews < wanted:
                        said_at = time.monotonic()
                        yield self._partial(seen.preview)
                    elif time.monotonic() - said_at > KEEP_ALIVE_SECONDS:
                        said_at = time.monotonic()
                        yield KEEP_ALIVE
            if self._job.status in TERMINAL or not listener.closed:
                async for frame in self._ending():
                    yield frame
        except TesseraError as error:
            yield _frame("error", openai_errors.body(error))

    def _partial(self, preview: bytes) -> bytes:
        index, self._previews = self._previews, self._previews + 1
        shown = self._event(base64.b64encode(preview).decode(), image_type(preview), index)
        return _frame(shown.type, shown)

    async def _ending(self) -> AsyncIterator[bytes]:
        if fault := openai_answers.ended(self._job, stays=self._stays):
            shown, sentence = fault
            yield _frame("error", openai_errors.detail(sentence, shown))
            return
        for artifact in self._job.artifacts:
            content = await openai_answers.inline(self._call.context, self._job, artifact)
            completed = self._event(content, artifact.mime_type)
            yield _frame(completed.type, completed)

    def _event(self, content: str, mime_type: str, preview: int | None = None) -> ImageEvent:
        is_preview = preview is not None
        return ImageEvent(
            type=TYPES[self._family, is_preview],
            b64_json=content,
            created_at=int(self._job.created_at.timestamp()),
            output_format=mime_type.removeprefix("image/"),
            size=f"{self._job.width}x{self._job.height}",
            background="opaque",
            quality=self._call.body.quality or "auto",
            job_id=str(self._job.id),
            partial_image_index=preview,
            usage=None if is_preview else openai_answers.usage(self._job),
        )


def _frame(name: str, body: ImageEvent | ErrorBody) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _encode(body) + b"\n\n"
