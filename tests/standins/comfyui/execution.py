"""The execution thread of the stand-in: takes one prompt after the other, walks its graph and tells what happens.

It keeps the habits of the genuine one that hurt: the interrupt flag is cleared when a run begins and looked at only
between nodes and sampler steps; a graph it has just run is answered from the cache with the old file's name; an
exception that is no `Exception` ends the thread while everything else goes on; the history may come late.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from tests.standins.comfyui import media

if TYPE_CHECKING:
    from tests.standins.comfyui.server import Process

Item = tuple[float, str, dict[str, Any], dict[str, Any], list[str]]
SAMPLERS = {"KSampler", "SamplerCustom"}
LOADERS = {"CheckpointLoaderSimple", "CLIPLoader", "LoraLoader", "UNETLoader", "UpscaleModelLoader", "VAELoader"}


@dataclass
class Shape:
    width: int = 64
    height: int = 64
    batch: int = 1
    frames: int = 1


@dataclass
class Fault:
    """What happens when a node of this class is executed next."""

    node: str
    exception_type: str
    message: str
    fatal: bool = False
    """Ends the thread."""
    hang: bool = False
    """Neither ends nor obeys an interruption."""


class Interrupted(Exception):
    pass


class Raised(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class ThreadDied(Exception):
    pass


@dataclass
class Executor:
    process: Process
    faults: list[Fault]
    interrupt: bool = False
    free: bool = False
    cache: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """Of the last prompt: signature → node and what it put out."""

    async def work(self) -> None:
        try:
            while True:
                if self.free and not self.process.pending:
                    self.cache, self.free = {}, False
                item = await self.process.take()
                if item is not None:
                    await self._one(item)
        except ThreadDied:
            return

    async def _one(self, item: Item) -> None:
        _, prompt_id, graph, extra, _ = item
        client = extra.get("client_id")
        await asyncio.sleep(self.process.begin_seconds)
        self.interrupt = False
        messages: list[Any] = []

        async def tell(kind: str, data: dict[str, Any]) -> None:
            data = {**data, "prompt_id": prompt_id, "timestamp": int(time.time() * 1000)}
            messages.append([kind, data])
            await self.process.send(kind, data, client)

        await tell("execution_start", {})
        outputs: dict[str, Any] = {}
        success = False
        try:
            outputs = await self._walk(item, tell)
            success = True
            await tell("execution_success", {})
        except Interrupted:
            await tell("execution_interrupted", {"node_id": self.process.at, "node_type": "", "executed": []})
        except Raised as raised:
            self.cache = {} if "OutOfMemory" in raised.fault.exception_type else self.cache
            await tell("execution_error", self._error(raised.fault, graph))
        status = {"status_str": "success" if success else "error", "completed": success, "messages": messages}
        if self.process.history_late_seconds:
            await asyncio.sleep(self.process.history_late_seconds)
        self.process.finish(item, {"outputs": outputs if success else {}, "status": status, "meta": {}})
        if client is not None:
            await self.process.send("executing", {"node": None, "prompt_id": prompt_id}, client)

    async def _walk(self, item: Item, tell: Any) -> dict[str, Any]:
        _, prompt_id, graph, extra, outputs_to_execute = item
        order = _order(graph, outputs_to_execute)
        signatures = {name: self._signature(graph, name) for name in order}
        cached = [name for name in order if signatures[name] in self.cache]
        await tell("execution_cached", {"nodes": cached})
        states: dict[str, Any] = {}
        outputs: dict[str, Any] = {}
        cache: dict[str, tuple[str, dict[str, Any]]] = {}
        for name in order:
            class_type = graph[name]["class_type"]
            saves = self.process.nodes[class_type]["output_node"]
            self.process.at = name
            if name in cached:
                made = self.cache[signatures[name]][1]
            else:
                self._obey()
                await self._progress(prompt_id, states, name, 0, 1, extra)
                data: dict[str, Any] = {"node": name, "display_node": name, "prompt_id": prompt_id}
                await self.process.send("executing", data, extra.get("client_id"))
                await self._fail(class_type)
                made = await self._execute(item, name, states, signatures[name])
                states[name]["state"] = "finished"
                await self._progress(prompt_id, states, name, states[name]["max"], states[name]["max"], extra)
            cache[signatures[name]] = (name, made)
            self.cache[signatures[name]] = (name, made)
            if saves and made:
                outputs[name] = made
                data = {"node": name, "display_node": name, "output": made, "prompt_id": prompt_id}
                await self.process.send("executed", data, extra.get("client_id"))
        self.cache = cache
        return outputs

    async def _execute(self, item: Item, name: str, states: dict[str, Any], signature: str) -> dict[str, Any]:
        _, prompt_id, graph, extra, _ = item
        node = graph[name]
        if node["class_type"] in LOADERS:
            self.process.loads += 1
            await asyncio.sleep(self.process.load_seconds)
        if node["class_type"] in SAMPLERS:
            for step in range(1, self._steps(graph, node) + 1):
                self._obey()
                await asyncio.sleep(self.process.step_seconds)
                await self._progress(prompt_id, states, name, step, self._steps(graph, node), extra)
                if extra.get("preview_method") != "none":
                    await self.process.send_preview(prompt_id, name, media.preview(step), extra.get("client_id"))
        if node["class_type"] in ("SaveImage", "SaveVideo", "SaveWEBM", "SaveAnimatedWEBP", "PreviewImage"):
            return await asyncio.to_thread(self._save, graph, name, signature)
        return {}

    def _save(self, graph: dict[str, Any], name: str, signature: str) -> dict[str, Any]:
        node = graph[name]
        shape = self._shape(graph, name)
        folder, _, prefix = node["inputs"].get("filename_prefix", "temp").rpartition("/")
        target = self.process.output / folder
        target.mkdir(parents=True, exist_ok=True)
        film = node["class_type"] == "SaveVideo"
        files = []
        seed = self._signature(graph, next(iter(link[0] for link in node["inputs"].values() if isinstance(link, list))))
        for number in range(1 if film else shape.batch):
            path = target / f"{prefix}_{len(list(target.iterdir())) + 1:05}_.{'mp4' if film else 'png'}"
            size = (shape.width, shape.height)
            if film:
                media.save_film(path, self.process.paint, f"{seed} {number}", size, min(shape.frames, 9), graph)
            else:
                media.save_picture(path, self.process.paint, f"{seed} {number}", size, graph)
            files.append({"filename": path.name, "subfolder": folder, "type": "output"})
        return {"images": files, "animated": [True]} if film else {"images": files}

    async def _fail(self, class_type: str) -> None:
        if not self.faults or self.faults[0].node != class_type:
            return
        fault = self.faults.pop(0)
        if fault.hang:
            await asyncio.Event().wait()
        if fault.fatal:
            raise ThreadDied
        raise Raised(fault)

    def _obey(self) -> None:
        if self.interrupt:
            self.interrupt = False
            raise Interrupted

    async def _progress(
        self, prompt_id: str, states: dict[str, Any], name: str, value: float, most: float, extra: dict[str, Any]
    ) -> None:
        known = states.setdefault(name, {"state": "running", "node_id": name, "prompt_id": prompt_id})
        known |= {"value": value, "max": most, "display_node_id": name, "parent_node_id": None, "real_node_id": name}
        data = {"prompt_id": prompt_id, "nodes": json.loads(json.dumps(states))}
        await self.process.send("progress_state", data, extra.get("client_id"))

    def _error(self, fault: Fault, graph: dict[str, Any]) -> dict[str, Any]:
        return {
            "node_id": self.process.at,
            "node_type": graph[self.process.at]["class_type"],
            "executed": [],
            "exception_message": fault.message,
            "exception_type": fault.exception_type,
            "traceback": ['File "/srv/comfy/ComfyUI/execution.py", line 518, in execute'],
            "current_inputs": {"text": ["what the customer typed"]},
            "current_outputs": [],
        }

    def _signature(self, graph: dict[str, Any], name: str) -> str:
        node = graph[name]
        parts = [
            f"{key}=({self._signature(graph, value[0])})[{value[1]}]" if isinstance(value, list) else f"{key}={value!r}"
            for key, value in sorted(node["inputs"].items())
        ]
        if node["class_type"] == "LoadImage":
            parts.append(hashlib.sha256((self.process.input / node["inputs"]["image"]).read_bytes()).hexdigest())
        return hashlib.sha256(f"{node['class_type']} {parts}".encode()).hexdigest()

    def _steps(self, graph: dict[str, Any], node: dict[str, Any]) -> int:
        if "steps" in node["inputs"]:
            return int(node["inputs"]["steps"])
        return int(graph[node["inputs"]["sigmas"][0]]["inputs"]["steps"])

    def _shape(self, graph: dict[str, Any], name: str) -> Shape:
        """Of what a node puts out: its own numbers, else those of what it is linked to."""
        node = graph[name]
        inputs = node["inputs"]
        above = [self._shape(graph, value[0]) for value in inputs.values() if isinstance(value, list)]
        largest = max(above, key=lambda shape: shape.width * shape.height * shape.batch * shape.frames, default=Shape())
        shape = Shape(largest.width, largest.height, largest.batch, largest.frames)
        if node["class_type"] == "LoadImage":
            shape.width, shape.height = _size(self.process.input / inputs["image"])
        if isinstance(inputs.get("width"), int):
            shape.width, shape.height = inputs["width"], inputs["height"]
        if node["class_type"] == "ImageUpscaleWithModel":
            shape.width, shape.height = shape.width * 4, shape.height * 4
        shape.batch *= inputs.get("batch_size", inputs.get("amount", 1))
        shape.frames = inputs.get("length", shape.frames)
        return shape


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def _order(graph: dict[str, Any], outputs: list[str]) -> list[str]:
    done: list[str] = []

    def visit(name: str) -> None:
        if name not in done:
            for value in graph[name]["inputs"].values():
                if isinstance(value, list):
                    visit(value[0])
            done.append(name)

    for name in outputs:
        visit(name)
    return done
