"""One order, from the upload of its input to the last file, on a ComfyUI that is ready.

    upload ─► post, follow ─► (engine free) ─► bring files in ─► judge, clean ─► announce        finally: wipe

Out of memory: everything is unloaded and the graph tried once more. A file that the history names but that is gone
(ComfyUI answers a graph it knows from its cache): posted once more. Whatever happens, the run leaves ComfyUI's queue,
its history and its folders.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import msgspec
import structlog

from agent.engine import Done, EngineError, Output, Preview, input_path
from agent.engine.cleaning import Broken, clean
from agent.engine.comfyui import errors, looks, outputs, places
from agent.engine.comfyui.outputs import File
from agent.engine.comfyui.render import Unfit, render
from agent.engine.comfyui.server import Entry, Gone, Refused, Silent
from agent.engine.comfyui.trip import Sick, Trip, cancel
from agent.engine.comfyui.workbench import Workbench
from agent.engine.marking import mark
from agent.engine.packet import packet
from control_plane.wire.job import JobSpec, Progress
from control_plane.wire.provenance import Provenance
from control_plane.wire.workflow import Graph, Workflow

TRIES_MAX = 2
FREE_SECONDS = 0.5
"""ComfyUI unloads when it finds nothing in its queue, so the next run must not be there yet."""

log = structlog.get_logger()


class Errand:
    def __init__(self, workbench: Workbench, workflow: Workflow, spec: JobSpec, folder: Path) -> None:
        self._workbench = workbench
        self._workflow = workflow
        self._spec = spec
        self._folder = folder
        self._image: str | None = None
        self.prompt_id = workbench.begin(self._identity())
        self._trip: Trip | None = None
        self._announced = False
        self._done = False
        """The engine has been told to be free."""

    async def run(self, first: int, *, last: bool) -> AsyncGenerator[Progress | Preview | Done | Output, None]:
        """`first`: the number of its first artifact. `last`: nothing of the order comes after it."""
        try:
            await self._workbench.clear(self.prompt_id)
            await self._upload()
            for attempt in range(TRIES_MAX):
                async with aclosing(self._attempt(first, again=attempt > 0, last=last)) as events:
                    async for event in events:
                        yield event
                if self._announced:
                    return
            raise EngineError("engine_crash", "ComfyUI names a file that it does not have.")
        except Sick:
            self._workbench.stuck.add(self.prompt_id)
            raise
        except (Gone, Silent) as error:
            raise EngineError("engine_crash", f"ComfyUI does not answer ({error}).") from error
        finally:
            await self._leave()

    async def _attempt(
        self, first: int, *, again: bool, last: bool
    ) -> AsyncGenerator[Progress | Preview | Done | Output, None]:
        """Ends without a file when it is worth another try."""
        graph = self._graph(f"{places.folder(self.prompt_id)}/{uuid4().hex[:8]}")
        known = not again and self.prompt_id in self._workbench.inherited
        trip = self._trip = Trip(
            self._workbench.server, self._workbench.feed, self._workbench.patience, graph, self.prompt_id
        )
        async with aclosing(trip.follow(self._workbench.extra, known=known)) as events:
            try:
                async for event in events:
                    if not isinstance(event, Done) or (last and not known and self._let_go()):
                        yield event
            except Refused as refused:
                raise self._failed(errors.of_refusal(refused)) from refused
        assert trip.entry is not None
        if not trip.entry.succeeded:
            await self._mend(trip.entry, again=again)
            return
        log.debug("run.drawn", workflow=self._workflow.name, began=trip.entry.at(0), ended=trip.entry.at(-1))
        self._workbench.loaded = self._workflow.capability
        if last and not known and self._let_go():
            yield Done()
        files = outputs.found(trip.entry.outputs)
        if not files:
            raise EngineError("engine_crash", "The run ended well but has made no file.")
        try:
            made = [await self._bring(file, first + number) for number, file in enumerate(files)]
        except outputs.Missing:
            await self._workbench.server.forget(self.prompt_id)
            return
        self._announced = True
        for output in made:
            yield output

    def _let_go(self) -> bool:
        """Whether this is the moment to say so; it is said once."""
        first, self._done = not self._done, True
        return first

    async def _mend(self, entry: Entry, *, again: bool) -> None:
        """After a run that failed: raises, unless it is worth another try."""
        if entry.interrupted:
            raise EngineError("engine_crash", "The run was interrupted at the worker.")
        failure = errors.of_run(entry)
        log.warning("run.failed", cause=failure.cause, exception=entry.last[1].get("exception_type"), node=failure.node)
        if failure.remedy == "free" and not again:
            self._workbench.loaded = None
            await self._workbench.server.free()
            await self._workbench.server.forget(self.prompt_id)
            await asyncio.sleep(FREE_SECONDS)
            return
        raise self._failed(failure)

    def _failed(self, failure: errors.Failure) -> EngineError:
        if failure.remedy != "none":
            self._workbench.loaded = None
        if failure.cause == "missing_model":
            files = self._workflow.manifest.files
            to_blame = [file.name for file in files if failure.node and file.at.startswith(f"{failure.node}.")]
            self._workbench.withdrawn.update(to_blame or [file.name for file in files])
        return EngineError(failure.cause, failure.message)

    async def _upload(self) -> None:
        if self._workflow.wants_image:
            image = input_path(self._spec, self._folder)
            if image is None or not image.is_file():
                raise EngineError("invalid_input", "The input image is not there.")
            try:
                self._image = await self._workbench.server.upload(image, places.folder(self.prompt_id))
            except Refused as refused:
                raise EngineError("invalid_input", "The input image is too large for this worker.") from refused

    def _graph(self, prefix: str) -> Graph:
        try:
            return render(self._workflow, self._spec, prefix=prefix, input_image=self._image)
        except Unfit as error:
            raise EngineError("invalid_input", str(error)) from error

    async def _bring(self, file: File, number: int) -> Output:
        path = self._folder / f"{number:03d}{file.suffix}"
        await outputs.bring(self._workbench.server, file, path)
        try:
            await asyncio.to_thread(self._judge_and_mark, path, file.mime_type)
        except (looks.Ugly, Broken) as error:
            path.unlink(missing_ok=True)
            self._workbench.loaded = None
            raise EngineError("engine_crash", str(error)) from error
        return Output(number, path, file.mime_type, self._made())

    def _judge_and_mark(self, path: Path, mime_type: str) -> None:
        if mime_type.startswith("video/"):  # its notes would make any two films differ
            clean(path, mime_type)
        digest = looks.judge(path, mime_type)
        if self._spec.strength != 0 and self._spec.upscale is None:  # else nothing was drawn over the input
            self._workbench.memory.compare(digest, f"{self._spec.seed} {self._identity()}")
        mark(path, mime_type, packet(self._spec, self._made()))

    def _made(self) -> Provenance:
        """What the files of this run are made with."""
        return msgspec.structs.replace(
            self._workbench.made,
            workflow=self._workflow.name,
            workflow_version=self._workflow.version,
            models=self._workbench.weights.of(self._workflow),
            seeds=[self._spec.seed],
        )

    def _identity(self) -> str:
        """Two orders with one identity are one and the same picture."""
        image = input_path(self._spec, self._folder) if self._workflow.wants_image else None
        content = image.read_bytes() if image is not None and image.is_file() else b""
        # what the input is called does not matter, nor what the file says
        spec = msgspec.structs.replace(self._spec, input_image=None, embed_metadata=True)
        parts = (msgspec.json.encode(self._workflow.graph), msgspec.json.encode(spec), content)
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]

    async def _leave(self) -> None:
        """Out of the queue, the history and the folders; what does not end at once is left to the next run."""
        server, running = self._workbench.server, self._trip
        gone = False
        try:
            if running is not None and running.posted and running.entry is None:
                gone = True
                if not await cancel(server, self.prompt_id, self._workbench.patience.cancel):
                    self._workbench.strays.add(self.prompt_id)
                    log.info("run.leaves_late", prompt_id=self.prompt_id)
            if running is not None and running.posted:
                await server.forget(self.prompt_id)
        except (Gone, Silent, Refused) as error:
            if gone:
                self._workbench.strays.add(self.prompt_id)
            log.info("run.not_tidied", prompt_id=self.prompt_id, problem=str(error))
        finally:
            await self._workbench.end(self.prompt_id, made_files=self._announced)
