"""`tessera mcp`, asked by the official client over stdio: a real service, and a real agent that draws."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image

from tests.fixtures.api import API, eventually
from tests.fixtures.worker import Service, serving
from tests.fixtures.working import working

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30.0
SMALL = {"width": 128, "height": 64}


@asynccontextmanager
async def assistant(service: Service, folder: Path, **environ: str) -> AsyncIterator[Client]:
    """A client that has started the server by its command, as assistants do."""
    chosen = {"TESSERA_URL": service.url, "TESSERA_API_KEY": service.key, "TESSERA_DATA_DIR": str(folder / "none")}
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "control_plane", "mcp"],
        env={"PYTHONPATH": str(ROOT), **chosen, **environ},
        cwd=folder,
    )
    async with asyncio.timeout(PATIENCE_SECONDS), Client(command) as client:
        yield client


def said(result: CallToolResult) -> str:
    [text] = [part.text for part in result.content if isinstance(part, TextContent)]
    return text


def pictures(result: CallToolResult) -> list[Image.Image]:
    return [
        Image.open(io.BytesIO(base64.b64decode(part.data))) for part in result.content if isinstance(part, ImageContent)
    ]


async def test_an_assistant_orders_watches_and_gets_a_picture(database_url: str, tmp_path: Path) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with working(database_url, tmp_path, picture_seconds=1.5) as service, assistant(service, tmp_path) as client:
        assert client.instructions is not None
        assert "`generate`" in client.instructions
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"generate", "status", "cancel", "list", "models"}
        assert all(tool.description for tool in tools.values())
        assert tools["generate"].input_schema["required"] == ["prompt"]

        order = {"prompt": "a lighthouse", "seed": 7, "count": 2, **SMALL}
        made = await client.call_tool("generate", order, progress_callback=hear)
        assert not made.is_error, made
        assert [picture.size for picture in pictures(made)] == [(128, 64)] * 2
        assert "Seed 7 makes the same again" in said(made)
        addresses = re.findall(r"http://\S+", said(made))
        fetched = [await service.get(address) for address in addresses]
        assert [answer.headers["Content-Type"] for answer in fetched] == ["image/png"] * 2
        assert len(heard) >= 3
        assert [value for value, _ in heard] == sorted({value for value, _ in heard})
        assert any(words and "step" in words for _, words in heard)

        large = await client.call_tool("generate", {"prompt": "noise", "width": 1536, "height": 1536, "steps": 1})
        [small] = pictures(large)
        assert (small.format, max(small.size)) == ("WEBP", 512)
        [address] = re.findall(r"http://\S+", said(large))
        assert len((await service.get(address)).body) > 1024**2

        found = re.search(r"Job (\S+):", said(made))
        assert found
        looked = await client.call_tool("status", {"job_id": found[1]})
        assert pictures(looked)[0].tobytes() == pictures(made)[0].tobytes()
        listed = said(await client.call_tool("list", {}))
        assert found[1] in listed
        assert "'a lighthouse'" in listed
        assert "testcard (image): Test card picture" in said(await client.call_tool("models", {}))


async def test_a_wait_that_is_over_leaves_the_job_to_status_and_cancel(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path / "plane") as service, assistant(service, tmp_path) as client:
        late = said(await client.call_tool("generate", {"prompt": "x", "wait_seconds": 1, **SMALL}))
        [job] = (await service.as_customer(f"{API}/jobs")).json["data"]
        looked = said(await client.call_tool("status", {"job_id": job["id"]}))
        for told in (late, looked):
            assert told.startswith(f"Job {job['id']}: queued: ")
            assert "Call `status`" in told
        assert "canceled" in said(await client.call_tool("cancel", {"job_id": job["id"]}))


async def test_a_call_that_is_stopped_cancels_its_job(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path / "plane") as service, assistant(service, tmp_path) as client:

        async def statuses() -> list[str]:
            return [str(job["status"]) for job in (await service.as_customer(f"{API}/jobs")).json["data"]]

        call = asyncio.ensure_future(client.call_tool("generate", {"prompt": "x", **SMALL}))
        assert await eventually(statuses, bool) == ["queued"]
        call.cancel()
        assert await eventually(statuses, lambda seen: seen != ["queued"]) == ["canceled"]


async def test_what_goes_wrong_is_a_sentence_that_says_what_to_do(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path / "plane") as service:
        async with assistant(service, tmp_path) as client:
            for tool, arguments, words in (
                ("generate", {"prompt": "x", "width": 100}, "multiple of 8"),
                ("generate", {"prompt": "x", "model": "other"}, "GET /api/v1/models lists what is"),
                ("generate", {"prompt": "x", "width": 4096, "height": 4096}, "at most"),
                ("status", {"job_id": "nonsense"}, "`list` shows the ids"),
                ("status", {"job_id": "00000000-0000-0000-0000-000000000000"}, "no such job"),
                ("list", {"cursor": "x"}, "cursor"),
            ):
                failed = await client.call_tool(tool, arguments)
                assert failed.is_error
                assert words in said(failed), failed
        async with assistant(service, tmp_path, TESSERA_API_KEY="tsk_wrong") as client:
            assert "TESSERA_API_KEY" in said(await client.call_tool("list", {}))
        assert (await service.as_customer(f"{API}/jobs")).json["data"] == []


@pytest.mark.parametrize(
    ("hide", "code", "words"),
    [(False, 64, "Set TESSERA_URL to its address"), (True, 69, "pip install 'tessera[mcp]'")],
)
def test_it_says_what_is_missing(tmp_path: Path, hide: bool, code: int, words: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
    environ |= {"TESSERA_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    program = "import sys; from control_plane.cli import main; sys.exit(main(['mcp']))"
    if hide:  # as when the extra is not installed
        environ |= {"TESSERA_URL": "http://127.0.0.1:9", "TESSERA_API_KEY": "tsk_x"}
        program = "import sys; sys.modules['mcp'] = None; " + program
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (code, "")
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
