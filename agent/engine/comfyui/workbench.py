"""What the runs of one engine share: the connection, what is known of ComfyUI's state, and what it still has of ours.

*Inherited* runs were ComfyUI's when the engine started: an agent that died and came back finds its work there again,
because the id of a run is made from the order. For a while they are left alone, finished or not, since the control
plane needs a moment to give the order anew. *Strays* are runs nobody waits for any more; they leave the queue before
the next run is posted. *Stuck* ones never will: only a restart of ComfyUI helps.
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

import structlog

from agent import clock
from agent.engine.comfyui.feed import Feed
from agent.engine.comfyui.looks import Memory
from agent.engine.comfyui.places import Places
from agent.engine.comfyui.server import Server
from agent.engine.comfyui.trip import Sick, cancel
from agent.engine.comfyui.watch import Patience
from agent.engine.comfyui.weights import Weights
from control_plane.wire.provenance import Provenance
from control_plane.wire.worker import Capability

OURS = "tessera-"
"""What the ids of our runs begin with."""

log = structlog.get_logger()


class Workbench:
    def __init__(
        self,
        server: Server,
        places: Places,
        patience: Patience,
        *,
        previews: bool,
        memory: Memory,
        weights: Weights,
        made: Provenance,
    ) -> None:
        self.server = server
        self.feed = Feed(server)
        self.places = places
        self.patience = patience
        self.memory = memory
        self.weights = weights
        self.made = made
        """What every file of this ComfyUI is made with."""
        self.extra = {"preview_method": "latent2rgb" if previews else "none"}
        self.loaded: Capability | None = None
        """What the last run that ended well has left in the GPU's memory."""
        self.inherited: set[str] = set()
        self._inherited_at = clock.now()
        self.strays: set[str] = set()
        self.stuck: set[str] = set()
        self.withdrawn: set[str] = set()
        """Names of model files that turned out to be broken or gone."""
        self._alive: set[str] = set()
        self._told_about_files = False

    async def inherit(self) -> None:
        """Takes stock of what ComfyUI has of ours; raises `Sick` when a run that stuck is there still."""
        queue = await self.server.queue()
        if self.stuck & {*queue.running, *queue.pending}:
            raise Sick("ComfyUI still holds a run that stands still. Restart ComfyUI.")
        self.stuck.clear()
        waiting = {prompt_id for prompt_id in [*queue.running, *queue.pending] if prompt_id.startswith(OURS)}
        ended = set()
        for prompt_id, succeeded in (await self.server.remembered()).items():
            if prompt_id.startswith(OURS) and succeeded:
                ended.add(prompt_id)
            elif prompt_id.startswith(OURS):
                await self.server.forget(prompt_id)
        self.inherited, self._inherited_at = waiting | ended, clock.now()
        self.strays &= waiting
        for prompt_id in set(self.places.left()) - self.inherited:
            await asyncio.to_thread(self.places.wipe, prompt_id)
        if self.inherited:
            log.info("runs.inherited", waiting=len(waiting), ended=len(ended))

    def begin(self, identity: str) -> str:
        """An id for a run of this identity. A twin that is at work already keeps the one that leads back to it."""
        prompt_id = OURS + identity
        if prompt_id in self._alive or prompt_id in self.strays:
            prompt_id = OURS + uuid4().hex
        self._alive.add(prompt_id)
        return prompt_id

    async def clear(self, prompt_id: str) -> None:
        """Nothing that nobody waits for stands before this run."""
        late = clock.now() - self._inherited_at >= self.patience.inherit
        abandoned = self.inherited - {prompt_id} - self._alive if late else set()
        for stray in sorted(self.strays | abandoned):
            if not await cancel(self.server, stray, self.patience.leftover):
                self.stuck.add(stray)
                raise Sick("ComfyUI does not let go of a run that was canceled.")
            self.strays.discard(stray)
            await self.server.forget(stray)
            await asyncio.to_thread(self.places.wipe, stray)
        self.inherited -= abandoned

    async def end(self, prompt_id: str, *, made_files: bool) -> None:
        self._alive.discard(prompt_id)
        self.inherited.discard(prompt_id)
        if made_files and not self._told_about_files and not self.places.has(prompt_id):
            self._told_about_files = True
            log.warning(
                "files.stay", reason="ComfyUI's folders are not on this machine, so it keeps what it has drawn."
            )
        await asyncio.to_thread(self.places.wipe, prompt_id)

    def adopted(self) -> bool:
        """ComfyUI has work of ours, so it is alive."""
        return bool(self.inherited)
