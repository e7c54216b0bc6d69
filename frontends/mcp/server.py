"""The tools: `generate`, `status`, `cancel`, `list`, `models`.

`generate` waits and tells how it goes; a picture comes in the answer, a small one of it when it is large, every file by
its address.
A call that the person stops cancels its job, like Ctrl-C of `tessera generate`; one whose patience ends leaves the job
to go on. What goes wrong is a sentence that says what to do, never a traceback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal
from uuid import UUID

import anyio
import msgspec
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ImageContent, TextContent, ToolAnnotations
from pydantic import Field

from control_plane.wire.job import ArtifactView, JobView, SubmitRequest
from frontends.client import Client, connect
from frontends.mcp import words
from frontends.problems import ClientError

IMAGE_BYTES_MAX = 1024**2
"""Of a picture in an answer; assistants take little more than that. Of a larger one, and of a film, a small picture."""
PICTURES = frozenset({"image/png", "image/jpeg", "image/webp"})
WAIT_SECONDS = 120
WAIT_SECONDS_MAX = 600
POLL_FIRST_SECONDS = 0.3
POLL_MAX_SECONDS = 2.0
POLL_GROWTH = 1.25
CANCEL_SECONDS = 5.0
"""How long a canceled call may still take to cancel its job."""
LIST_DEFAULT, LIST_MAX = 10, 50

INSTRUCTIONS = """\
Makes pictures and short videos on the GPU machines of a Tessera service.

Call `generate` with a prompt in words; it waits and returns the picture and its address. Give the addresses to the
person, they open in a browser. A job that has not ended in time goes on by itself: call `status` with its id later.
`models` lists what can be made and what it costs; when a model is not named, the service's first one is used. Every
order costs tokens of the person's account, so order what was asked for and no more. The same seed with the same words
makes the same picture again; change the seed for another one."""

Content = list[TextContent | ImageContent]
JobId = Annotated[str, Field(description="The id of a job, as `generate` and `list` tell it.")]


async def serve(url: str, key: str) -> None:
    """Over standard input and output, until the other side closes them."""
    async with connect(url, key) as client:
        await server(client).run_stdio_async()


def server(client: Client) -> MCPServer[Any]:
    """The server with all its tools."""
    tools = Tools(client)
    made: MCPServer[Any] = MCPServer("tessera", title="Tessera", instructions=INSTRUCTIONS, log_level="WARNING")
    looks = ToolAnnotations(read_only_hint=True)
    stops = ToolAnnotations(destructive_hint=True, idempotent_hint=True)
    orders = ToolAnnotations(destructive_hint=False, idempotent_hint=False)
    made.add_tool(tools.generate, annotations=orders, structured_output=False)
    made.add_tool(tools.status, annotations=looks, structured_output=False)
    made.add_tool(tools.cancel, annotations=stops, structured_output=False)
    made.add_tool(tools.list, annotations=looks, structured_output=False)
    made.add_tool(tools.models, annotations=looks, structured_output=False)
    return made


class Tools:
    """What an assistant may do with one account."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def generate(
        self,
        context: Context[Any, Any],
        prompt: Annotated[str, Field(description="What to make, in words.")],
        kind: Annotated[Literal["image", "video"], Field(description="What to make.")] = "image",
        model: Annotated[str | None, Field(description="A name that `models` lists.")] = None,
        negative_prompt: Annotated[str | None, Field(description="What to keep out of it, in words.")] = None,
        width: Annotated[int | None, Field(description="Pixels, a multiple of 8.")] = None,
        height: Annotated[int | None, Field(description="Pixels, a multiple of 8.")] = None,
        steps: Annotated[int | None, Field(description="More is finer, slower and dearer.")] = None,
        guidance: Annotated[float | None, Field(description="How closely to follow the prompt.")] = None,
        seed: Annotated[int | None, Field(description="The same seed makes the same again.")] = None,
        count: Annotated[int | None, Field(description="How many, 1 to 4.")] = None,
        frames: Annotated[int | None, Field(description="Video: number of frames.")] = None,
        fps: Annotated[int | None, Field(description="Video: frames per second.")] = None,
        wait_seconds: Annotated[
            int, Field(ge=1, le=WAIT_SECONDS_MAX, description="How long to wait for the result.")
        ] = WAIT_SECONDS,
    ) -> Content:
        """Make pictures or videos from words, and wait for them. Costs tokens."""
        words_of_order = {"prompt": prompt, "kind": kind, "model": model, "negative_prompt": negative_prompt}
        numbers = {"width": width, "height": height, "steps": steps, "guidance": guidance, "seed": seed}
        order = _order({**words_of_order, **numbers, "count": count, "frames": frames, "fps": fps})
        with _sentences():
            job = await self._client.submit(order)
            try:
                job = await self._waited(context, job, wait_seconds)
                return await self._told(job)
            except asyncio.CancelledError:
                await self._stopped(job)
                raise

    async def status(self, job_id: JobId) -> Content:
        """Look at a job: how it goes, or its files once it is done."""
        with _sentences():
            return await self._told(await self._client.job(_uuid(job_id)))

    async def cancel(self, job_id: JobId) -> Content:
        """Stop a job. One that has not started costs nothing; one that runs costs what was done of it."""
        with _sentences():
            return [_text(words.job(await self._client.cancel(_uuid(job_id))))]

    async def list(
        self,
        limit: Annotated[int, Field(ge=1, le=LIST_MAX, description="How many.")] = LIST_DEFAULT,
        cursor: Annotated[str | None, Field(description="From the answer before, to read on.")] = None,
    ) -> Content:
        """List the latest jobs of the account, the newest first."""
        with _sentences():
            return [_text(words.jobs(await self._client.jobs(limit=limit, cursor=cursor)))]

    async def models(self) -> Content:
        """List the models that can be ordered, with their limits and prices."""
        with _sentences():
            return [_text(words.models(await self._client.models()))]

    async def _waited(self, context: Context[Any, Any], job: JobView, wait_seconds: float) -> JobView:
        """Until the job is over or patience is; each change is told."""
        until, pause, told = time.monotonic() + wait_seconds, POLL_FIRST_SECONDS, _Told(context)
        while job.status not in words.FINISHED and (left := until - time.monotonic()) > 0:
            await told.tell(job)
            await asyncio.sleep(min(pause, left))
            before, job = job, await self._client.job(job.id)
            moved = (before.status, before.progress) != (job.status, job.progress)
            pause = POLL_FIRST_SECONDS if moved else min(pause * POLL_GROWTH, POLL_MAX_SECONDS)
        return job

    async def _told(self, job: JobView) -> Content:
        pictures = [await self._picture(one) for one in job.artifacts]
        return [_text(words.job(job)), *[picture.to_image_content() for picture in pictures if picture is not None]]

    async def _picture(self, artifact: ArtifactView) -> Image | None:
        """The file itself if it is small enough, else a small one in its place."""
        if artifact.mime_type not in PICTURES or artifact.bytes > IMAGE_BYTES_MAX:
            small = await self._client.thumbnail(artifact)
            return Image(data=small, format="webp") if small is not None else None
        with TemporaryDirectory(prefix="tessera-") as folder:
            target = Path(folder) / "picture"
            await self._client.download(artifact, target)
            content = await asyncio.to_thread(target.read_bytes)
        return Image(data=content, format=artifact.mime_type.removeprefix("image/"))

    async def _stopped(self, job: JobView) -> None:
        """The person does not want it any more; this call may not wait for long now."""
        with anyio.CancelScope(shield=True), suppress(ClientError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._client.cancel(job.id)


class _Told:
    """What the other side was told of a job; a progress must grow with every notification, says the protocol."""

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context = context
        self._value = 0.0
        self._words = ""

    async def tell(self, job: JobView) -> None:
        value, said = job.progress.value if job.progress else 0.0, words.doing(job)
        if said == self._words and value <= self._value:
            return
        self._value, self._words = max(value, self._value + 1e-6), said
        await self._context.report_progress(self._value, 1.0, said)


def _order(wanted: Mapping[str, object]) -> SubmitRequest:
    given = {name: value for name, value in wanted.items() if value is not None}
    try:
        return msgspec.convert(given, SubmitRequest)
    except msgspec.ValidationError as error:
        raise ToolError(f"This cannot be ordered: {error}. Change it and call `generate` again.") from None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ToolError(f"{text!r} is not the id of a job. `list` shows the ids.") from None


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


@contextmanager
def _sentences() -> Iterator[None]:
    """What the service refused, or why it could not be asked, as the answer of the tool."""
    try:
        yield
    except ClientError as error:
        raise ToolError(error.sentence) from None
