"""A ComfyUI for the agent's tests, built from what the genuine server was recorded to say.

`StandIn` is the machine: folders, an address, and faults to order. `Process` is one life of the server on it, whose
queue, history and cache die with it. What the genuine one enforces is enforced: graphs are validated, files are read
by name, a client id belongs to the newest socket. Its oddities are kept; they are what the tests are about.
"""

from __future__ import annotations

import asyncio
import copy
import heapq
import json
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from tests.standins.comfyui import media
from tests.standins.comfyui.execution import Executor, Fault, Item
from tests.standins.comfyui.pinned import PINNED_VERSION, every_model, object_info
from tests.standins.comfyui.validation import Validation

UPLOAD_BYTES_MAX = 104_857_600
GIB = 1024**3
LOADED_BYTES = 3 * GIB
"""What it holds of the GPU after a run, until it is told to free it."""


class Process:
    """One life of the server."""

    def __init__(self, machine: StandIn) -> None:
        self.machine = machine
        self.nodes = object_info(machine.models) | machine.custom
        self._models = copy.deepcopy(machine.models)
        self.output, self.input = machine.folder / "output", machine.folder / "input"
        self.pending: list[Item] = []
        self.running: Item | None = None
        self.history: dict[str, dict[str, Any]] = {}
        self.number = 0
        self.at = ""
        """The node that is executed."""
        self.loads = 0
        self.executor = Executor(self, machine.faults)
        self._filled = asyncio.Event()
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._flags: set[str] = set()
        """Clients whose previews say which run they belong to."""

    @property
    def begin_seconds(self) -> float:
        return self.machine.begin_seconds

    @property
    def history_late_seconds(self) -> float:
        return self.machine.history_late_seconds

    @property
    def load_seconds(self) -> float:
        return self.machine.load_seconds

    @property
    def step_seconds(self) -> float:
        return self.machine.step_seconds

    @property
    def paint(self) -> media.Paint:
        return self.machine.paint

    async def take(self) -> Item | None:
        """The next prompt; None when there is something else to do."""
        while not self.pending:
            self._filled.clear()
            await self._filled.wait()
            if self.executor.free:
                return None
        self.running = heapq.heappop(self.pending)
        await self._tell_status()
        return self.running

    def finish(self, item: Item, entry: dict[str, Any]) -> None:
        self.running = None
        self.history[item[1]] = {"prompt": list(item), **entry}

    async def send(self, kind: str, data: dict[str, Any], client: str | None) -> None:
        await self.machine.thawed.wait()
        for sid, socket in list(self._sockets.items()):
            if sid == client or (client is None and kind in ("status", "progress_state", "progress")):
                await _send(socket.send_str(json.dumps({"type": kind, "data": data})))

    async def send_preview(self, prompt_id: str, node: str, image: bytes, client: str | None) -> None:
        about = {"node_id": node, "display_node_id": node, "parent_node_id": None, "real_node_id": node}
        told = json.dumps({**about, "prompt_id": prompt_id, "image_type": "image/jpeg"}).encode()
        for sid, socket in list(self._sockets.items()):
            if sid == client:
                typed = struct.pack(">II", 4, len(told)) + told if sid in self._flags else struct.pack(">II", 1, 1)
                await _send(socket.send_bytes(typed + image))

    async def _tell_status(self) -> None:
        await self.send("status", {"status": {"exec_info": {"queue_remaining": self._remaining()}}}, None)

    def _remaining(self) -> int:
        return len(self.pending) + (self.running is not None)

    # What the addresses answer

    async def get_prompt(self, request: web.Request) -> web.Response:
        return web.json_response({"exec_info": {"queue_remaining": self._remaining()}})

    async def post_prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.machine.calls["prompt"] += 1
        number = float(body["number"]) if "number" in body else self.number
        self.number += 1
        if "prompt" not in body:
            error = {"type": "no_prompt", "message": "No prompt provided", "details": "No prompt provided"}
            return web.json_response({"error": {**error, "extra_info": {}}, "node_errors": {}}, status=400)
        uploads = {path.relative_to(self.input).as_posix() for path in self.input.rglob("*") if path.is_file()}
        validation = Validation(body["prompt"], self.nodes, uploads)
        refusal = validation.run()
        node_errors = validation.node_errors()
        if refusal is not None:
            return web.json_response({"error": refusal, "node_errors": node_errors}, status=400)
        prompt_id = str(body.get("prompt_id") or f"random-{self.number}")
        extra = dict(body.get("extra_data", {}))
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        heapq.heappush(self.pending, (number, prompt_id, body["prompt"], extra, validation.good))
        self._filled.set()
        await self._tell_status()
        if self.machine.lost_answers > 0 and request.transport is not None:
            self.machine.lost_answers -= 1
            request.transport.abort()
        return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": node_errors})

    async def get_queue(self, request: web.Request) -> web.Response:
        running = [list(self.running)] if self.running else []
        return web.json_response({"queue_running": running, "queue_pending": [list(item) for item in self.pending]})

    async def post_queue(self, request: web.Request) -> web.Response:
        body = await request.json()
        gone = set(body.get("delete", []))
        self.pending = [item for item in self.pending if item[1] not in gone and not body.get("clear")]
        heapq.heapify(self.pending)
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        most = int(request.query.get("max_items", "1000"))
        return web.json_response(dict(list(self.history.items())[-most:]))

    async def get_history_of(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["id"]
        return web.json_response({prompt_id: self.history[prompt_id]} if prompt_id in self.history else {})

    async def post_history(self, request: web.Request) -> web.Response:
        body = await request.json()
        for prompt_id in body.get("delete", []):
            self.history.pop(prompt_id, None)
        return web.Response()

    async def post_interrupt(self, request: web.Request) -> web.Response:
        self.machine.calls["interrupt"] += 1
        body = await request.json() if request.can_read_body else {}
        wanted = body.get("prompt_id")
        if wanted is None or (self.running is not None and self.running[1] == wanted):
            self.executor.interrupt = True
        return web.Response()

    async def post_free(self, request: web.Request) -> web.Response:
        self.machine.calls["free"] += 1
        body = await request.json()
        self.executor.free = bool(body.get("unload_models") or body.get("free_memory"))
        self._filled.set()
        return web.Response()

    async def get_view(self, request: web.Request) -> web.StreamResponse:
        name, folder = request.query.get("filename", ""), request.query.get("subfolder", "")
        root = {"output": self.output, "input": self.input}.get(request.query.get("type", "output"))
        if root is None or name.startswith("/") or ".." in name:
            return web.Response(status=400)
        if ".." in folder:
            return web.Response(status=403)
        path = root / folder / name
        if not name or not path.is_file():
            return web.Response(status=404)
        self.machine.calls["view"] += 1
        if self.machine.cut_views > 0:
            self.machine.cut_views -= 1
            return await _half(request, path)
        return web.FileResponse(path, headers={"Content-Disposition": f'filename="{name}"'})

    async def post_upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image, folder = form["image"], str(form.get("subfolder", ""))
        if ".." in folder or not isinstance(image, web.FileField):
            return web.Response(status=400)
        target = self.input / folder / image.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        content = image.file.read()
        while target.exists() and target.read_bytes() != content:
            target = target.with_stem(f"{target.stem} (1)")
        target.write_bytes(content)
        return web.json_response({"name": target.name, "subfolder": folder, "type": "input"})

    async def get_object_info(self, request: web.Request) -> web.Response:
        if self.machine.models != self._models:  # files come and go
            self.nodes = object_info(self.machine.models) | self.machine.custom
            self._models = copy.deepcopy(self.machine.models)
        return web.json_response(self.nodes)

    async def get_models(self, request: web.Request) -> web.Response:
        return web.json_response(self.machine.models.get(request.match_info["folder"], []))

    async def get_stats(self, request: web.Request) -> web.Response:
        total = int(self.machine.vram_gib * GIB)
        device = {"name": "cuda:0 Stand-in 3000 : native", "type": "cuda", "index": 0, "vram_total": total}
        argv = ["main.py", "--base-directory", str(self.machine.folder)]
        system = {"os": "posix", "comfyui_version": PINNED_VERSION, "pytorch_version": "2.9.0", "argv": argv}
        held = LOADED_BYTES if self.executor.cache else 0
        memory = {"vram_free": total - held, "torch_vram_total": held, "torch_vram_free": 0}
        return web.json_response({"system": system, "devices": [{**device, **memory}]})

    async def get_folder_paths(self, request: web.Request) -> web.Response:
        folder = self.machine.folder
        checkpoints = [f"{folder}/models/checkpoints", f"{folder}/output/checkpoints"]
        return web.json_response({"checkpoints": checkpoints, "custom_nodes": [f"{folder}/custom_nodes"]})

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        sid = request.query.get("clientId") or f"sid-{id(socket)}"
        self._sockets[sid] = socket
        status = {"status": {"exec_info": {"queue_remaining": self._remaining()}}, "sid": sid}
        await _send(socket.send_str(json.dumps({"type": "status", "data": status})))
        if self.running is not None and self.running[3].get("client_id") == sid:
            await _send(socket.send_str(json.dumps({"type": "executing", "data": {"node": self.at}})))
        first = True
        async for message in socket:
            await self.machine.thawed.wait()
            if message.type == WSMsgType.PING and not self.machine.half_open:
                await socket.pong(message.data)
            elif message.type == WSMsgType.TEXT:
                told = json.loads(message.data)
                if first and told.get("type") == "feature_flags":
                    self._flags.add(sid)
                    flags = {"supports_preview_metadata": True, "max_upload_size": UPLOAD_BYTES_MAX}
                    await _send(socket.send_str(json.dumps({"type": "feature_flags", "data": flags})))
                first = False
        self._sockets.pop(sid, None)  # also when a newer one of the same id is open: the genuine server does that
        return socket

    async def close_sockets(self) -> None:
        for socket in list(self._sockets.values()):
            await socket.close()

    async def mute_sockets(self) -> None:
        """They stay open and say nothing any more."""
        self._sockets = {}


class StandIn:
    """A machine with a ComfyUI on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = every_model()
        self.custom: dict[str, Any] = {}
        """Nodes that others have written, told of from the next life of the server or the next change of files."""
        self.requests = 0
        self.begin_seconds = 0.0
        """From the queue to where the interrupt flag is cleared: an interruption meanwhile is lost."""
        self.load_seconds = 0.02
        self.step_seconds = 0.01
        self.history_late_seconds = 0.0
        self.vram_gib = 23.6
        self.paint: media.Paint = "noise"
        self.faults: list[Fault] = []
        self.lost_answers = 0
        """So many prompts are taken, but nobody hears of it."""
        self.cut_views = 0
        self.half_open = False
        self.calls: Counter[str] = Counter()
        self.thawed = asyncio.Event()
        self.thawed.set()
        self.process = Process(self)
        self._runner: web.AppRunner | None = None
        self._thread: asyncio.Task[None] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        for name in ("output", "input"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        process = self.process = Process(self)
        app = web.Application(client_max_size=UPLOAD_BYTES_MAX, middlewares=[self._frozen])
        app.add_routes(
            [
                web.get("/ws", process.websocket),
                web.get("/prompt", process.get_prompt),
                web.post("/prompt", process.post_prompt),
                web.get("/queue", process.get_queue),
                web.post("/queue", process.post_queue),
                web.get("/history", process.get_history),
                web.post("/history", process.post_history),
                web.get("/history/{id}", process.get_history_of),
                web.post("/interrupt", process.post_interrupt),
                web.post("/free", process.post_free),
                web.get("/view", process.get_view),
                web.post("/upload/image", process.post_upload),
                web.get("/object_info", process.get_object_info),
                web.get("/models/{folder}", process.get_models),
                web.get("/system_stats", process.get_stats),
                web.get("/internal/folder_paths", process.get_folder_paths),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self._thread = asyncio.create_task(process.executor.work())

    async def kill(self) -> None:
        """The process ends, by whatever signal: clients see the same."""
        if self._thread is not None:
            self._thread.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        self._thread = self._runner = None

    def freeze(self) -> None:
        """Connections are taken and nothing is said any more."""
        self.thawed.clear()

    def thaw(self) -> None:
        self.thawed.set()

    @web.middleware
    async def _frozen(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests += 1
        await self.thawed.wait()
        response: web.StreamResponse = await handler(request)
        return response


async def _send(sending: Any) -> None:
    try:
        await sending
    except (ConnectionError, RuntimeError):
        return


async def _half(request: web.Request, path: Path) -> web.StreamResponse:
    """The first half of what was asked for, then the connection breaks."""
    start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    content = path.read_bytes()
    response = web.StreamResponse(status=206 if start else 200)
    response.content_length = len(content) - start
    await response.prepare(request)
    await response.write(content[start : start + (len(content) - start) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


@asynccontextmanager
async def standing_in(folder: Path, port: int = 0) -> AsyncIterator[StandIn]:
    """On this port, or on any."""
    machine = StandIn(folder)
    machine.port = port
    await machine.start()
    try:
        yield machine
    finally:
        machine.thaw()
        await machine.kill()
