"""The whole program but for the platforms: it comes up with the service or before it, tells how it fares, and stops."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from control_plane.people import credentials
from control_plane.wire.systemd import Notify
from frontends.bots.dialogue.events import Command, Person
from frontends.bots.dialogue.state import Scene
from frontends.bots.health import PortTaken
from frontends.bots.key import WrongKey
from frontends.bots.memory import Memory
from frontends.bots.program import AlreadyRunning, NoBotLeft, Program, alone, program
from tests.fixtures.api import BOTS_SCOPES, Plane
from tests.fixtures.roombot import Platform, bot, settings
from tests.fixtures.worker import free_port, running

WITHIN_SECONDS = 20.0
NOBODY = Notify(None, None)


@asynccontextmanager
async def started(
    folder: Path, url: str, key: str, platform: Platform, *names: str, waits: bool = True, notify: Notify = NOBODY
) -> AsyncIterator[Program]:
    """Runs while the block runs, `waits` for the service before; what it raises is raised here."""
    chosen = settings(folder, url, key, names)
    memory = Memory(folder / "bots.sqlite", time.time())
    try:
        async with (
            program(chosen, chosen.bots, lambda settings: platform.make) as it,
            asyncio.TaskGroup() as tasks,
        ):
            run = tasks.create_task(it.run(memory, notify))
            try:
                async with asyncio.timeout(WITHIN_SECONDS):
                    while not (it.started.is_set() and (it.service_answers() or not waits)) and not run.done():
                        await asyncio.sleep(0.01)
                yield it
            finally:
                it.stopping.set()
    finally:
        memory.close()


async def asked(it: Program, path: str, **headers: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(it.url + path, headers=headers) as answer:
        return answer.status, (await answer.json() if "json" in answer.content_type else await answer.text())


async def until(look: Callable[[], Any]) -> Any:
    async with asyncio.timeout(WITHIN_SECONDS):
        while not (found := look()):
            await asyncio.sleep(0.01)
    return found


def scene(name: str) -> Scene:
    return Scene(bot=name, makes="image", platform_name="telegram", chat="42", subject="42")


def command(name: str, id: str = "1") -> Command:
    return Command(id=id, at=time.time(), who=Person(subject="42", language_code="en"), name=name, message=f"u{id}")


def failure(group: pytest.ExceptionInfo[BaseExceptionGroup[Exception]]) -> BaseException:
    leaf: BaseException = group.value
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf


@pytest.fixture
async def key(control_plane: Plane) -> str:
    return await control_plane.service_key("telegram", "discord", scopes=BOTS_SCOPES)


async def test_it_answers_people_and_tells_how_it_fares(control_plane: Plane, key: str, tmp_path: Path) -> None:
    platform = Platform()
    async with started(tmp_path, control_plane.url, key, platform, "painter", "drawer") as it:
        await platform.running["painter"].handle(scene("painter"), command("help"))
        await until(lambda: platform.room.messages)
        assert await asked(it, "/healthz") == (200, {"alive": True})
        status, ready = await asked(it, "/readyz")
        assert (status, ready["ready"], ready["service"]) == (200, True, True)
        assert {name: told["state"] for name, told in ready["bots"].items()} == {"painter": "up", "drawer": "up"}
        _, text = await asked(it, "/metrics")
        assert 'tessera_bots_up{bot="painter",platform="telegram"} 1' in text
        assert 'tessera_bots_events_total{bot="painter",platform="telegram"} 1' in text
        assert 'tessera_bots_deliveries_total{bot="painter",outcome="sent"} 1' in text
        assert "tessera_bots_loop_lag_seconds_count" in text
    assert platform.running == {}, "every bot was told to stop"


async def test_pictures_that_a_killed_program_has_left_are_taken_away(
    control_plane: Plane, key: str, tmp_path: Path
) -> None:
    chosen = settings(tmp_path, control_plane.url, key, ["painter"])
    old, fresh = (chosen.dir / "files" / name / "picture" for name in ("old", "fresh"))
    for picture in (old, fresh):
        picture.parent.mkdir(parents=True)
        picture.write_bytes(b"somebody")
    os.utime(old.parent, (0, 0))
    async with program(chosen, chosen.bots):
        assert [picture.exists() for picture in (old, fresh)] == [False, True]


async def test_a_refused_bot_is_not_ready_and_the_others_are(control_plane: Plane, key: str, tmp_path: Path) -> None:
    platform = Platform()
    platform.refused.add("drawer")
    async with started(tmp_path, control_plane.url, key, platform, "painter", "drawer") as it:
        status, ready = await asked(it, "/readyz")
        assert (status, ready["ready"]) == (503, False)
        assert ready["bots"]["drawer"]["state"] == "refused"
        assert ready["bots"]["drawer"]["why"] == "ACCESS_TOKEN_INVALID"
        assert (await asked(it, "/readyz?bot=painter"))[0] == 200
        assert (await asked(it, "/readyz?bot=drawer"))[0] == 503
        assert (await asked(it, "/readyz?bot=nobody"))[0] == 404
        await platform.running["painter"].handle(scene("painter"), command("help"))
        await until(lambda: platform.room.messages)


async def test_pages_of_other_sites_learn_nothing(control_plane: Plane, key: str, tmp_path: Path) -> None:
    async with started(tmp_path, control_plane.url, key, Platform(), "painter") as it:
        assert (await asked(it, "/metrics", Host="tessera.example:80"))[0] == 403


async def test_bots_know_each_other_and_commands_are_registered_once(
    control_plane: Plane, key: str, tmp_path: Path
) -> None:
    platform = Platform()
    for _ in range(2):
        async with started(tmp_path, control_plane.url, key, platform, "painter", "drawer") as it:
            conversations = it.fleet.conversations
            assert conversations is not None
            await until(lambda: len(list((tmp_path / "registered").glob("*"))) == 2)
            assert [bot.name for bot in conversations.house.bots] == ["painter", "drawer"]
    assert sorted(platform.published) == ["drawer", "painter"]


async def test_it_comes_up_before_the_service_and_goes_on_when_that_is_there(database_url: str, tmp_path: Path) -> None:
    platform, port = Platform(), free_port()
    async with running(database_url, tmp_path / "first") as context:
        made = await credentials.create_key(
            context.database, name="bots", user_id=None, scopes=list(BOTS_SCOPES), providers=["telegram"]
        )
        key = made.key
    async with started(tmp_path, f"http://127.0.0.1:{port}", key, platform, "painter", waits=False) as it:
        status, ready = await asked(it, "/readyz")
        assert (status, ready["service"], ready["bots"]["painter"]["ready"]) == (503, False, True)
        async with running(database_url, tmp_path / "second", port=port):
            await until(lambda: it.fleet.conversations and it.fleet.conversations.house.models)
            assert (await asked(it, "/readyz"))[0] == 200
            await platform.running["painter"].handle(scene("painter"), command("help"))
            await until(lambda: platform.room.messages)


async def test_systemd_is_told_when_the_bots_are_up(control_plane: Plane, key: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(WITHIN_SECONDS)
        notify = Notify(str(tmp_path / "notify"), None)
        async with started(tmp_path, control_plane.url, key, Platform(), "painter", notify=notify):
            told = await asyncio.to_thread(systemd.recv, 1_000)
        assert told.decode().splitlines() == ["READY=1", "STATUS=1 of 1 bots are up"]
        assert await asyncio.to_thread(systemd.recv, 1_000) == b"STOPPING=1"


async def test_a_key_that_does_not_do_is_told_with_what_to_do(control_plane: Plane, tmp_path: Path) -> None:
    keys = {
        "tsk_nobody": "does not know this key",
        await control_plane.user_key(): "the key of an account",
        await control_plane.service_key("telegram"): "lacks the scope `payments` and the scope `operate`",
        await control_plane.service_key("discord", scopes=BOTS_SCOPES): "may not act for people of telegram",
    }
    for number, (key, says) in enumerate(keys.items()):
        folder = tmp_path / str(number)
        with pytest.raises(BaseExceptionGroup) as group:
            async with started(folder, control_plane.url, key, Platform(), "painter"):
                await asyncio.sleep(WITHIN_SECONDS)
        wrong = failure(group)
        assert isinstance(wrong, WrongKey)
        assert says in str(wrong)
        assert "tessera key create --service bots" in str(wrong)


async def test_asking_about_a_key_makes_nobody_a_user(control_plane: Plane, key: str, tmp_path: Path) -> None:
    async with started(tmp_path, control_plane.url, key, Platform(), "painter"):
        pass
    async with control_plane.context.database.connection() as connection:
        cursor = await connection.execute("select count(*) from identities")
        assert await cursor.fetchone() == (0,)


async def test_with_every_bot_refused_it_ends_and_says_so(control_plane: Plane, key: str, tmp_path: Path) -> None:
    platform = Platform()
    platform.refused |= {"painter", "drawer"}
    with pytest.raises(BaseExceptionGroup) as group:
        async with started(tmp_path, control_plane.url, key, platform, "painter", "drawer"):
            await asyncio.sleep(WITHIN_SECONDS)
    assert isinstance(failure(group), NoBotLeft)


async def test_a_taken_port_is_told(control_plane: Plane, key: str, tmp_path: Path) -> None:
    port = int(control_plane.url.rpartition(":")[2])
    chosen = settings(tmp_path, control_plane.url, key, ["painter"])
    async with program(chosen, chosen.bots, lambda settings: Platform().make) as it:
        it.settings = type(chosen)(
            **{name: getattr(chosen, name) for name in chosen.__struct_fields__} | {"port": port}
        )
        with pytest.raises(PortTaken, match=f"Port {port} on 127.0.0.1 cannot be used"):
            await it.run(Memory(tmp_path / "m.sqlite", 0.0), NOBODY)


def test_one_bot_runs_in_one_process(tmp_path: Path) -> None:
    painter, drawer = bot("painter", tmp_path), bot("drawer", tmp_path)
    with alone(tmp_path, [painter]):
        with pytest.raises(AlreadyRunning, match="painter is running already"), alone(tmp_path, [drawer, painter]):
            pass
        with alone(tmp_path, [drawer]):
            pass
    with alone(tmp_path, [painter, drawer]):
        pass
