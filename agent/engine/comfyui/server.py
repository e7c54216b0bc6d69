"""What ComfyUI answers over HTTP, typed, and the three ways in which it may not answer.

`Gone`: nobody listens, or the connection broke, so the process ended. `Silent`: the connection stands but nothing
comes, so the process is frozen or very busy. `Refused`: it does not like the graph. Answers are decoded by the
standard library where numbers may be NaN, which ComfyUI writes although JSON has none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from control_plane.wire.workflow import Graph

ANSWER_SECONDS = 20.0
"""For one answer; a model that is being loaded delays answers by half a second, a node that holds the GIL by more."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024
HISTORY_LOOKED_AT_MAX = 200


class Gone(Exception):
    """Nothing listens there, or it hung up: the process has ended."""


class Silent(Exception):
    """Connected, but no answer came in time."""


class Refused(Exception):
    """ComfyUI will not run this graph; `errors` is what it said about each node."""

    def __init__(self, status: int, kind: str, message: str, errors: dict[str, Any]) -> None:
        super().__init__(f"{status} {kind}: {message}")
        self.kind = kind
        self.message = message
        self.errors = errors


class Status(msgspec.Struct, frozen=True):
    status_str: str
    completed: bool
    messages: list[tuple[str, dict[str, Any]]]


class Entry(msgspec.Struct, frozen=True):
    """What the history says of a run that has ended."""

    outputs: dict[str, dict[str, Any]]
    status: Status | None = None

    @property
    def last(self) -> tuple[str, dict[str, Any]]:
        return self.status.messages[-1] if self.status and self.status.messages else ("", {})

    def at(self, number: int) -> float | None:
        """When this message was written, in seconds of the server's clock."""
        messages = self.status.messages if self.status else []
        return float(messages[number][1].get("timestamp", 0)) / 1_000 if messages else None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and self.status.completed

    @property
    def interrupted(self) -> bool:
        """Only the last message tells a run that was interrupted from one that failed."""
        return self.last[0] == "execution_interrupted"


class Queue(msgspec.Struct, frozen=True):
    running: list[str]
    pending: list[str]

    def __contains__(self, prompt_id: object) -> bool:
        return prompt_id in self.running or prompt_id in self.pending


class Device(msgspec.Struct, frozen=True):
    name: str = ""
    type: str = ""
    vram_total: int = 0
    vram_free: int = 0
    torch_vram_total: int = 0
    """What its process has taken of it."""


class System(msgspec.Struct, frozen=True):
    comfyui_version: str = ""
    pytorch_version: str = ""
    argv: list[str] = []


class Stats(msgspec.Struct, frozen=True):
    system: System
    devices: list[Device] = []


class Server:
    """One ComfyUI. Every call raises `Gone` or `Silent` when there is no answer."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self.session = session
        self.answer_seconds = ANSWER_SECONDS

    async def stats(self) -> Stats:
        return msgspec.convert(await self._json("GET", "/system_stats"), Stats)

    async def object_info(self) -> dict[str, Any]:
        return dict(await self._json("GET", "/object_info"))

    async def models(self, folder: str) -> list[str]:
        """Names of the files in one of its folders of models."""
        return msgspec.convert(await self._json("GET", f"/models/{quote(folder)}"), list[str])

    async def folder_paths(self) -> dict[str, list[str]]:
        """Where models lie on the server's disk; empty where it does not tell."""
        try:
            return msgspec.convert(await self._json("GET", "/internal/folder_paths"), dict[str, list[str]])
        except (Refused, msgspec.ValidationError):
            return {}

    async def submit(self, graph: Graph, prompt_id: str, client_id: str, extra: dict[str, Any]) -> None:
        """Queue the graph. Not idempotent: the same id posted twice runs twice. Raises `Refused`."""
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id, "extra_data": extra}
        answer = await self._json("POST", "/prompt", body)
        if answer.get("node_errors"):
            await self.unqueue(prompt_id)
            raise Refused(200, "partly_valid", "Only a part of the graph is valid.", answer["node_errors"])

    async def queue(self) -> Queue:
        answer = await self._json("GET", "/queue")
        return Queue(*([str(item[1]) for item in answer[key]] for key in ("queue_running", "queue_pending")))

    async def entry(self, prompt_id: str) -> Entry | None:
        answer = await self._json("GET", f"/history/{quote(prompt_id, safe='')}")
        return msgspec.convert(answer[prompt_id], Entry) if prompt_id in answer else None

    async def remembered(self) -> dict[str, bool]:
        """Ids of the last runs that have ended, and whether they ended well."""
        answer = await self._json("GET", f"/history?max_items={HISTORY_LOOKED_AT_MAX}")
        return {prompt_id: msgspec.convert(told, Entry).succeeded for prompt_id, told in answer.items()}

    async def unqueue(self, prompt_id: str) -> None:
        """Takes a waiting run out of the queue; a running one goes on."""
        await self._call("POST", "/queue", {"delete": [prompt_id]})

    async def interrupt(self, prompt_id: str) -> None:
        """Wishes the run to stop; lost when it has not quite begun."""
        await self._call("POST", "/interrupt", {"prompt_id": prompt_id})

    async def forget(self, prompt_id: str) -> None:
        """Out of the history, which holds the graph and so what the customer typed."""
        await self._call("POST", "/history", {"delete": [prompt_id]})

    async def free(self) -> None:
        """Unload every model, after what is running now."""
        await self._call("POST", "/free", {"unload_models": True, "free_memory": True})

    async def upload(self, path: Path, subfolder: str) -> str:
        """Returns the name under which a graph may use it."""
        form = aiohttp.FormData()
        form.add_field("image", await asyncio.to_thread(path.read_bytes), filename=path.name)
        form.add_field("subfolder", subfolder)
        answer = json.loads(await self._call("POST", "/upload/image", form=form))
        return f"{answer['subfolder']}/{answer['name']}" if answer["subfolder"] else str(answer["name"])

    @asynccontextmanager
    async def view(self, query: dict[str, str], headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """A file that a run has made, as a stream; the caller looks at the status."""
        with _no_answer():
            async with self.session.get(f"{self.url}/view", params=query, headers=headers) as response:
                yield response

    async def _json(self, method: str, path: str, body: object = None) -> Any:
        answer = await self._call(method, path, body)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise Refused(200, "no_json", f"{path} answered something else than JSON.", {}) from error

    async def _call(self, method: str, path: str, body: object = None, form: aiohttp.FormData | None = None) -> bytes:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data: Any = form if body is None else msgspec.json.encode(body)
        with _no_answer():
            async with (
                asyncio.timeout(self.answer_seconds),
                self.session.request(method, self.url + path, data=data, headers=headers) as response,
            ):
                answer = await _read(response)
        if response.status != 200:
            raise _refused(response.status, answer)
        return answer


class _no_answer:
    """Turns what aiohttp raises into `Gone` and `Silent`."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        match error:
            case TimeoutError():
                raise Silent("no answer in time") from error
            case aiohttp.ClientError() | OSError() | RuntimeError():  # the last: we have closed the session ourselves
                raise Gone(str(error) or type(error).__name__) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError("the answer is too large")
    return bytes(answer)


def _refused(status: int, answer: bytes) -> Refused:
    """Of JSON, of text (which comes with 500), or of nothing at all."""
    try:
        told = json.loads(answer)
        error = told["error"]
        return Refused(status, str(error["type"]), str(error["message"]), told.get("node_errors") or {})
    except (KeyError, TypeError, ValueError):
        return Refused(status, "unguarded", "The server did not understand the request.", {})
