"""The engine: one ComfyUI, the workflows that it can run, and one order after the other.

Ready means that a small picture was drawn, not that a port is open. An engine that was torn out of a run, or whose
run failed by its own fault, starts again: it asks ComfyUI anew what it has and draws another canary. A ComfyUI in our
care (`ward.py`) is ended with its engine, so that a new start is the cure for everything.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
import msgspec
import structlog

from agent import clock
from agent.engine import Done, EngineError, Inventory, Offer, Output, Preview
from agent.engine.comfyui import inventory, places
from agent.engine.comfyui.errand import Errand
from agent.engine.comfyui.inventory import Listing, Taken, take
from agent.engine.comfyui.looks import Memory
from agent.engine.comfyui.render import artifact
from agent.engine.comfyui.restarts import Wear
from agent.engine.comfyui.server import Gone, Refused, Server, Silent, Stats, System
from agent.engine.comfyui.ward import Ward
from agent.engine.comfyui.watch import Patience
from agent.engine.comfyui.workbench import Workbench
from agent.engine.origin import installed_version
from agent.hashes import Hashes
from control_plane.wire.job import JobKind, JobSpec, Progress, Task
from control_plane.wire.provenance import Provenance
from control_plane.wire.worker import LANES_PER_SLOT_MAX, Capability
from control_plane.wire.workflow import Workflow

GIB = 1024**3
MIB = 1024**2
STATS_SECONDS = 1.5
"""For what it holds: who asks often does not wait long."""
KNOCK_SECONDS = 0.5
"""Between tries to reach a ComfyUI that is starting."""
CANARY_SIDE = 256
CANARY_STEPS = 2

log = structlog.get_logger()


class ComfyUI:
    """One per slot."""

    name = "comfyui"

    def __init__(
        self,
        url: str,
        workflows: list[Workflow],
        patience: Patience | None = None,
        *,
        previews: bool = True,
        ward: Ward | None = None,
        new_wear: Callable[[], Wear] = lambda: Wear(0, 0),
        hashes: Hashes | None = None,
    ) -> None:
        """`ward`: the ComfyUI that we start ourselves, instead of the one at `url`."""
        self._url = url
        self._ward = ward
        self._new_wear = new_wear
        self._wear = new_wear()
        self._workflows = workflows
        self._patience = patience or Patience()
        self._previews = previews
        self._memory = Memory()
        self._hashes = hashes or Hashes()
        self._stuck: set[str] = set()
        self._strays: set[str] = set()
        self._session: aiohttp.ClientSession | None = None
        self._workbench: Workbench | None = None
        self._taken: Taken | None = None
        """What there was at the last look."""
        self._listing: Listing | None = None
        """The model files that lay there when it was decided what fits; None: that is to be decided anew."""
        self._stats = Stats(System())

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), trust_env=False)
        if self._ward is not None:
            self._url, self._wear = await self._ward.start(), self._new_wear()
            self._stuck, self._strays = set(), set()
        server = Server(self._url, self._session)
        try:
            stats = await self._knock(server)
            self._listing = await self._list(server)
            taken = self._taken = await take(server, stats, self._workflows, self._listing, self._hashes)
            workbench = Workbench(
                server,
                await places.find(server, stats),
                self._patience,
                previews=self._previews,
                memory=self._memory,
                weights=taken.weights,
                made=_made(stats),
            )
            workbench.stuck, workbench.strays = self._stuck, self._strays
            await workbench.inherit()
        except (Gone, Silent, Refused, msgspec.ValidationError) as error:
            raise EngineError("engine_crash", f"There is no ComfyUI at {self._url} ({error}).") from error
        if not taken.possible:
            raise EngineError(
                "missing_model", "No workflow fits this ComfyUI. What is missing: tessera-agent workflows"
            )
        self._workbench = workbench
        self._stats = stats
        workbench.weights.start()
        if not workbench.adopted():
            await self._draw_canary()

    async def offer(self) -> Offer:
        disks = [path for path in (self._ready().places.output, self._ready().places.input) if path and path.is_dir()]
        return _described(self._serving(), self._stats, disks)

    def learn(self, workflows: list[Workflow]) -> None:
        self._workflows, self._listing = workflows, None

    async def look(self) -> bool:
        workbench = self._ready()
        server = workbench.server
        try:
            listing = await self._list(server)
            if listing == self._listing:
                return False
            taken = await take(server, self._stats, self._workflows, listing, self._hashes)
        except (Gone, Silent, Refused, msgspec.ValidationError) as error:
            raise EngineError("engine_crash", f"ComfyUI does not say what it has ({error}).") from error
        if workbench is not self._workbench:  # started anew meanwhile, with all that is new
            return False
        await asyncio.to_thread(workbench.weights.stop)
        taken.weights.start()
        workbench.weights, self._taken, self._listing = taken.weights, taken, listing
        workbench.withdrawn.clear()
        return True

    async def inventory(self) -> Inventory | None:
        taken, withdrawn = self._taken, self._workbench.withdrawn if self._workbench is not None else set()
        return await asyncio.to_thread(inventory.inventory, taken, set(withdrawn)) if taken is not None else None

    async def _list(self, server: Server) -> Listing:
        folders = {file.folder for workflow in self._workflows for file in workflow.manifest.files}
        found: Listing = {}
        for folder in sorted(folders):
            try:
                found[folder] = await server.models(folder)
            except Refused:  # it has no such folder
                found[folder] = []
        return found

    def loaded(self) -> Capability | None:
        return self._workbench.loaded if self._workbench is not None else None

    async def run(self, spec: JobSpec, folder: Path) -> AsyncGenerator[Progress | Preview | Done | Output, None]:
        workflow = self._workflow(spec)
        parts = [spec] if workflow.in_batches else [artifact(spec, index) for index in range(spec.count)]
        made = 0
        for number, part in enumerate(parts):
            errand = Errand(self._ready(), workflow, part, folder)
            async with aclosing(errand.run(made, last=number == len(parts) - 1)) as events:
                async for event in events:
                    if isinstance(event, Progress):
                        event = _of_all(event, number, len(parts))
                    made += isinstance(event, Output)
                    yield event
        if self._ward is not None:
            self._wear.add(spec.model, self._ward.held_bytes())
        yield Progress(value=1.0, step=spec.steps * len(parts), steps=spec.steps * len(parts))

    def worn(self) -> str | None:
        if self._ward is None:
            return None
        return self._ward.fate() or self._wear.reason()

    async def stop(self) -> None:
        """What a ComfyUI that is not ours still has of our orders stays there, for an agent that comes back."""
        workbench, self._workbench = self._workbench, None
        if workbench is not None:
            await asyncio.to_thread(workbench.weights.stop)
            await workbench.feed.close()
        if self._session is not None:
            await self._session.close()
        if self._ward is not None:
            await self._ward.end(badly=self._wear.reason() is None)

    async def held_mib(self) -> int | None:
        """What ComfyUI has taken of the GPU, by its own word: WSL2 does not tell processes apart."""
        if self._workbench is None:
            return None
        try:
            async with asyncio.timeout(STATS_SECONDS):
                stats = await self._workbench.server.stats()
        except (Gone, Silent, TimeoutError, msgspec.ValidationError):
            return None
        return stats.devices[0].torch_vram_total // MIB if stats.devices else None

    async def free(self) -> None:
        """Every model leaves the GPU; the next run loads its own again."""
        workbench = self._ready()
        try:
            await workbench.server.free()
        except (Gone, Silent, Refused) as error:
            raise EngineError("engine_crash", f"ComfyUI did not free the GPU ({error}).") from error
        workbench.loaded = None

    def _ready(self) -> Workbench:
        if self._workbench is None:
            raise EngineError("engine_crash", "The engine was not started.")
        return self._workbench

    def _serving(self) -> list[Workflow]:
        """Those whose files are still believed in."""
        withdrawn = self._ready().withdrawn
        return [w for w in self._possible() if not any(file.name in withdrawn for file in w.manifest.files)]

    def _possible(self) -> list[Workflow]:
        return self._taken.possible if self._taken is not None else []

    def _workflow(self, spec: JobSpec) -> Workflow:
        wanted = (spec.kind, spec.model)
        serving = [w for w in self._serving() if (w.manifest.kind, w.manifest.model) == wanted]
        if not serving:
            raise EngineError("missing_model", f"This worker cannot run {spec.model} now.")
        alike = [workflow for workflow in serving if workflow.wants_image == (spec.input_image is not None)]
        fitting = [workflow for workflow in alike if workflow.manifest.upscale == spec.upscale]
        if not fitting:
            needs = "needs an input image" if serving[0].wants_image else "cannot start from an image"
            if alike:
                needs = "only enlarges" if spec.upscale is None else f"cannot enlarge {spec.upscale} times"
            raise EngineError("invalid_input", f"{spec.model} {needs}.")
        return fitting[0]

    async def _knock(self, server: Server) -> Stats:
        """Until it answers: a ComfyUI that was restarted needs some seconds, one that we start may need minutes."""
        until = clock.now() + (self._patience.start if self._ward is None else self._patience.launch)
        while True:
            try:
                return await server.stats()
            except (Gone, Silent):
                if clock.now() + KNOCK_SECONDS > until:
                    raise
            if self._ward is not None and (fate := self._ward.fate()) is not None:
                raise EngineError(
                    "engine_crash", f"ComfyUI does not start: {fate}. Its log says why: {self._ward.log_file}"
                )
            await asyncio.sleep(KNOCK_SECONDS)

    async def _draw_canary(self) -> None:
        """Raises `EngineError` when ComfyUI does not draw. A model whose file is broken only loses its turn."""
        drawable = [workflow for workflow in self._possible() if not workflow.wants_image]
        for workflow in sorted(drawable, key=lambda workflow: workflow.manifest.price_weight):
            began = clock.now()
            try:
                await self._draw(workflow)
            except EngineError as error:
                if error.cause != "missing_model" or not self._serving():
                    raise
                log.warning("canary.failed", workflow=workflow.name, problem=error.message)
            else:
                log.info("canary.drawn", workflow=workflow.name, seconds=round(clock.now() - began, 3))
                return
        log.warning("canary.skipped", reason="no workflow here draws without an input image")

    async def _draw(self, workflow: Workflow) -> None:
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="tessera-canary-"))
        try:
            async with aclosing(Errand(self._ready(), workflow, _canary(workflow), folder).run(0, last=True)) as events:
                async for _ in events:
                    pass
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _described(workflows: list[Workflow], stats: Stats, disks: list[Path]) -> Offer:
    tasks: dict[tuple[JobKind, str], list[Task]] = {}
    for workflow in workflows:
        manifest = workflow.manifest
        tasks.setdefault((manifest.kind, manifest.model), []).append(manifest.task)
    capabilities = [Capability(kind=kind, model=model, tasks=tuple(can)) for (kind, model), can in tasks.items()]
    device = stats.devices[0] if stats.devices else None
    return Offer(
        capabilities=capabilities[:LANES_PER_SLOT_MAX],
        vram_gib=round(device.vram_total / GIB) if device else 0,
        device=_device_name(device.name if device else ""),
        disks=disks,
    )


def _made(stats: Stats) -> Provenance:
    return Provenance(
        engine=ComfyUI.name,
        engine_version=stats.system.comfyui_version,
        agent_version=installed_version(),
        libraries={"pytorch": stats.system.pytorch_version} if stats.system.pytorch_version else {},
        device=_device_name(stats.devices[0].name if stats.devices else ""),
    )


def _device_name(told: str) -> str:
    """`cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync` as people say it."""
    name = told.partition(" : ")[0]
    return (name.partition(" ")[2] or name) if ":" in name.partition(" ")[0] else name.upper() or "unknown"


def _canary(workflow: Workflow) -> JobSpec:
    slots = workflow.manifest.slots

    def least(field: str, wanted: int) -> int:
        slot = next((slot for name, slot in slots.items() if name == field), None)
        return max(wanted, int(slot.min or 0)) if slot else wanted

    return JobSpec(
        kind=workflow.manifest.kind,
        model=workflow.manifest.model,
        prompt="a canary",
        width=least("width", CANARY_SIDE),
        height=least("height", CANARY_SIDE),
        steps=least("steps", CANARY_STEPS),
        guidance=1.0,
        seed=random.getrandbits(32),
        frames=least("frames", 1) if "frames" in slots else None,
    )


def _of_all(progress: Progress, number: int, parts: int) -> Progress:
    value = (number + progress.value) / parts
    return Progress(value=value, step=number * progress.steps + progress.step, steps=progress.steps * parts)
