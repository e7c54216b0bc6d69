"""One graph on its way through ComfyUI: posted under an id of ours, followed to its entry in the history, or stopped.

    post ─► queue ─► running ─► history
              └── cancel: as long as the id is in the queue, delete it there and interrupt it where it runs ──┘

The id is ours before the post, so a lost answer loses nothing: the id is in the queue, in the history, or it was
never there. An id that is in neither any more was lost by a restart. A closed websocket does not stop a run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import structlog

from agent import clock
from agent.engine import Done, EngineError, Preview
from agent.engine.comfyui.feed import Cached, Ended, Executing, Feed, Glimpse, Stepped
from agent.engine.comfyui.looks import glimpse
from agent.engine.comfyui.progress import Meter
from agent.engine.comfyui.server import Entry, Gone, Server, Silent
from agent.engine.comfyui.watch import Patience, Watch
from control_plane.wire.job import Progress
from control_plane.wire.workflow import Graph

LOOK_SECONDS = 2.0
"""Between looks at the history while the websocket tells what happens."""
BLIND_LOOK_SECONDS = 0.25
"""The same without it."""
PREVIEW_SECONDS = 0.5
"""Between two previews."""
LATE_SECONDS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Between looks when the run has ended and the history does not know yet; it was seen to need 400 ms."""
CANCEL_SECONDS = 0.02
"""Between rounds of a cancellation; rises to ten times that."""
POSTS_MAX = 3

log = structlog.get_logger()


class Sick(EngineError):
    """ComfyUI needs a restart: nothing it is given now will end well."""

    def __init__(self, message: str) -> None:
        super().__init__("engine_crash", message)


class Trip:
    def __init__(self, server: Server, feed: Feed, patience: Patience, graph: Graph, prompt_id: str) -> None:
        self._server = server
        self._feed = feed
        self._patience = patience
        self.graph = graph
        self.prompt_id = prompt_id
        self.entry: Entry | None = None
        """How it ended."""
        self.posted = False
        """It may be in ComfyUI's hands."""
        self.begun_at: float | None = None
        self._watch = Watch(patience, graph)
        self._reports_to = ""
        """The client id that the run sends its events to."""
        self._ended = 0
        """One more than the looks at the history since the websocket told of the end."""
        self._shown_at = float("-inf")
        self._looked_at = clock.now()
        self._answered_at = clock.now()
        self._gone_at: float | None = None

    async def follow(self, extra: dict[str, Any], *, known: bool) -> AsyncGenerator[Progress | Preview | Done, None]:
        """Until `entry` is there; raises `Refused`, `Sick` or `EngineError`. `known`: ComfyUI may have it already.

        `Done` comes as soon as nothing is left but to save, so that the next graph is in the queue when this one ends.
        """
        with self._feed.tray(self.prompt_id):
            await self._feed.connect()
            await self._post(extra, look_first=known)
            meter, told, saving = Meter(self.graph), None, False
            while self.entry is None:
                match event := None if self._ended else await self._feed.next(self.prompt_id, max(0.0, self._pause())):
                    case Glimpse():
                        self._watch.moved()
                        if (small := await self._shrunk(event.image)) is not None:
                            yield Preview(small)
                    case Stepped() | Cached() | Executing():
                        self._begin(event)
                        if meter.take(event):
                            self._watch.moved()
                            if (progress := meter.progress()) != told:
                                yield (told := progress)
                        if not saving and (saving := meter.only_saving()):
                            yield Done()
                    case Ended():
                        self._ended = 1
                if self._ended or self._pause() <= 0:
                    await self._look()

    async def _shrunk(self, preview: bytes) -> bytes | None:
        """A preview comes with every step, more often than anybody looks."""
        if clock.now() - self._shown_at < PREVIEW_SECONDS:
            return None
        self._shown_at = clock.now()
        return await asyncio.to_thread(glimpse, preview)

    @property
    def _seeing(self) -> bool:
        """The websocket that the run reports to is there."""
        return self._feed.live and self._feed.client_id == self._reports_to

    async def _post(self, extra: dict[str, Any], *, look_first: bool) -> None:
        for attempt in range(POSTS_MAX):
            if (look_first or attempt) and await self._arrived():
                self._reports_to = self._feed.client_id if attempt else ""
                return None
            self.posted, self._reports_to = True, self._feed.client_id
            try:
                return await self._server.submit(self.graph, self.prompt_id, self._reports_to, extra)
            except (Gone, Silent) as error:
                log.warning("trip.unanswered", prompt_id=self.prompt_id, problem=str(error))
        raise Sick("ComfyUI takes no order.")

    async def _arrived(self) -> bool:
        try:
            self.entry = await self._server.entry(self.prompt_id)
            self.posted = self.entry is not None or self.prompt_id in await self._server.queue()
        except (Gone, Silent) as error:
            raise EngineError("engine_crash", f"ComfyUI is not there ({error}).") from error
        return self.posted

    def _begin(self, event: Stepped | Cached | Executing) -> None:
        if self.begun_at is None:
            self.begun_at = clock.now()
            self._watch.moved()
        if isinstance(event, Executing):
            if event.node is None:
                self._ended = self._ended or 1
            elif event.node != self._watch.node:
                self._watch.node = event.node
                self._watch.moved()

    def _pause(self) -> float:
        """How long to listen before the next look at the history."""
        every = LOOK_SECONDS if self._seeing else BLIND_LOOK_SECONDS
        return self._looked_at + every - clock.now()

    async def _look(self) -> None:
        """At the truth: is it in the history, in the queue, or nowhere any more?"""
        if self._ended:
            await asyncio.sleep(LATE_SECONDS[min(self._ended, len(LATE_SECONDS)) - 1])
            self._ended += 1
        self._looked_at = clock.now()
        try:
            self.entry = await self._server.entry(self.prompt_id)
            if self.entry is None and (not self._ended or self._ended > len(LATE_SECONDS)):
                await self._look_at_queue()
            self._answered_at, self._gone_at = clock.now(), None
        except Silent:
            if clock.now() - self._answered_at > self._patience.frozen:
                raise Sick("ComfyUI is frozen: it takes connections but answers nothing.") from None
        except Gone as error:
            await self._believe_gone(error)
        if self.entry is None and self._watch.stalled(begun=self.begun_at is not None, seeing=self._seeing):
            await self._give_up()

    async def _believe_gone(self, error: Gone) -> None:
        """One refused connection may be an accident; nobody there for a while is a process that has ended."""
        self._gone_at = self._gone_at or clock.now()
        if clock.now() - self._gone_at >= self._patience.gone:
            raise EngineError("engine_crash", "ComfyUI has ended in the middle of the run.") from error
        self._looked_at = 0.0
        await asyncio.sleep(self._patience.gone / 4)

    async def _look_at_queue(self) -> None:
        queue = await self._server.queue()
        if self.prompt_id in queue.running:
            self.begun_at = self.begun_at or clock.now()
        elif self.prompt_id in queue.pending:
            self._watch.waits_behind(queue.running[0] if queue.running else None)
        else:
            self.entry = await self._server.entry(self.prompt_id)
            if self.entry is None:
                raise EngineError("engine_crash", "ComfyUI has lost the run; it must have been restarted.")

    async def _give_up(self) -> None:
        """It stands still. A thread that is alive obeys an interruption sooner or later; a dead one never does."""
        try:
            if await cancel(self._server, self.prompt_id, self._patience.interrupt):
                raise EngineError("timeout", "The run stood still and was stopped.")
        except (Gone, Silent) as error:
            raise Sick(f"ComfyUI stands still and does not answer ({error}).") from error
        raise Sick("ComfyUI's execution thread is dead: it answers, but nothing moves.")


async def cancel(server: Server, prompt_id: str, seconds: float) -> bool:
    """Whether the run is out of ComfyUI's queue within so long. Proven against a server that loses interrupts."""
    until = clock.now() + seconds
    pause = CANCEL_SECONDS
    while True:
        queue = await server.queue()
        if prompt_id not in queue:
            return True
        if prompt_id in queue.pending:
            await server.unqueue(prompt_id)
        if prompt_id in queue.running[:1]:  # a server that ignores the id would hit whatever runs
            await server.interrupt(prompt_id)
        if clock.now() + pause > until:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, CANCEL_SECONDS * 10)
