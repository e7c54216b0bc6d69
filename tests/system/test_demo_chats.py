"""`tessera up --demo-chats`: anybody chats with the bots in a browser, and a picture comes; nothing is left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from frontends.standins.telegram import Telegram
from tests.fixtures.chromium import tab
from tests.system.processes import Program, left_of, wait_until
from tests.system.test_up import stop, up

pytestmark = pytest.mark.slow

ORDER = "/generate a lighthouse, 64x64, 1 step"
ANN = {"id": 1001, "name": "Ann", "language": "de"}
RESULT_SECONDS = 30.0
SAYS = """(() => {
  const column = document.querySelector("[data-platform=PLATFORM]")
  const text = column.querySelector("textarea")
  text.value = "TEXT"
  text.dispatchEvent(new Event("input"))
  column.querySelector("form").requestSubmit()
})()"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    data_dir = tmp_path_factory.mktemp("demo") / "data"
    with up(data_dir, "--demo-chats") as it:
        yield it
        stop(it)
    assert left_of(data_dir) == []
    assert (data_dir / "demo_chats" / "credentials" / "api_key").stat().st_mode & 0o077 == 0


@pytest.fixture(scope="module")
def page(running: Program) -> str:
    return str(running.saying(r"Chat with the bots in a browser: (http://127\.0\.0\.1:\d+)/\n")[1])


async def acts(session: aiohttp.ClientSession, page: str, name: str, **wanted: Any) -> Any:
    async with session.post(f"{page}/{name}", json={"who": ANN, **wanted}, headers={"Origin": page}) as response:
        return await response.json()


async def told(stream: aiohttp.ClientResponse, event: str, holds: Any) -> Any:
    """The next data of this event for which this is true."""
    kind = ""
    async with asyncio.timeout(RESULT_SECONDS):
        async for line in stream.content:
            if line.startswith(b"event: "):
                kind = line[7:].decode().strip()
            elif line.startswith(b"data: ") and kind == event and holds(data := json.loads(line[6:])):
                return data
    raise AssertionError(f"no {event} any more")


def is_result(message: Any, platform: str) -> bool:
    return message["platform"] == platform and bool(message["media"]) and bool(message["buttons"])


def in_german(menu: list[dict[str, str]]) -> bool:
    """A menu is told for each language after the other."""
    return any("Bild" in command["description"] for command in menu)


@pytest.mark.parametrize("platform", ["telegram", "discord"])
async def test_a_picture_is_ordered_and_used_again_through_the_page(page: str, platform: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{page}/events", params=ANN) as stream,  # type: ignore[arg-type]
    ):
        overview = await told(stream, "overview", lambda data: in_german(data["bots"][platform][0]["menu"]))
        bots = overview["bots"][platform]
        assert len(bots) == 2
        await acts(session, page, "says", platform=platform, bot=bots[0]["id"], text=ORDER)
        shown = await told(stream, "message", lambda data: is_result(data, platform))
        async with session.get(page + shown["media"][0]["url"]) as file:
            assert (file.status, (await file.read())[:4]) == (200, b"\x89PNG")
        again = await acts(session, page, "presses", platform=platform, message=shown["id"])
        assert "error" not in again
        await told(stream, "message", lambda data: is_result(data, platform) and data["id"] != shown["id"])


async def test_a_person_chats_with_both_platforms_in_a_real_browser(page: str) -> None:
    async with tab(page) as browser:
        for platform in ("telegram", "discord"):
            column = f"document.querySelector('[data-platform={platform}]')"
            await browser.until(f"{column}?.querySelector('.chats')?.value")
            before = await browser.evaluate(f"{column}.querySelectorAll('.message img').length")
            await browser.evaluate(SAYS.replace("PLATFORM", platform).replace("TEXT", ORDER))
            await browser.until(f"{column}.querySelectorAll('.message img').length > {before}", within=RESULT_SECONDS)
        assert browser.complaints == []


async def test_bots_that_were_set_up_run_with_the_house(telegram: Telegram, tmp_path: Path) -> None:
    data_dir, painter = tmp_path / "data", telegram.bot("painter_bot")
    wire = telegram.wire
    (data_dir / "bots").mkdir(parents=True)
    config = data_dir / "bots" / "bots.toml"
    config.write_text(
        f"""port = 0
[telegram]
api_id = 1
api_hash = "h"
data_centre = "127.0.0.1:{wire.port}:{wire.media_port}"
[[bot]]
name = "painter"
platform = "telegram"
makes = "image"
token = "{painter.token}"
"""
    )
    config.chmod(0o600)
    started = up(data_dir)
    running = await asyncio.to_thread(started.__enter__)
    try:
        ann = telegram.person(7)
        async with asyncio.timeout(60):
            while not painter.connected:
                await asyncio.sleep(0.1)
        await ann.says(ORDER, to=painter)
        await ann.sees(lambda message: message.media, by=painter, within=RESULT_SECONDS)
        await asyncio.to_thread(stop, running)
    finally:
        await asyncio.to_thread(started.__exit__, None, None, None)
    assert telegram.violations == []


def test_bots_that_die_are_started_again(running: Program, page: str) -> None:
    [bots] = [
        child
        for child in psutil.Process(running.process.pid).children(recursive=True)
        if "frontends.bots" in child.cmdline() and child.name() != "sh"
    ][-1:]
    bots.kill()
    running.saying(r"The demonstration of the bots has ended \(killed by SIGKILL\); it starts again")
    wait_until(lambda: running.said.count("Chat with the bots in a browser") == 2, "they come up again")
