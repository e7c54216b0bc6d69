"""One bot, kept running: what ends it ends no other, and nobody hears twice or never what it had to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from frontends.bots.dialogue.effects import Answer, Delete, Edit, Say
from frontends.bots.dialogue.events import Command, Event, Person, Sent, Unsent
from frontends.bots.dialogue.screen import Card, Said
from frontends.bots.dialogue.state import Scene
from frontends.bots.errands import Errands
from frontends.bots.member import Member, Rhythm, RunningBot
from frontends.client import Client
from tests.fixtures.roombot import Platform, bot

WITHIN_SECONDS = 5.0
RHYTHM = Rhythm(start_seconds=1.0, stop_seconds=0.2, ping_seconds=0.05, answer_seconds=1.0, again_seconds=0.05)
SCENE = Scene(bot="painter", makes="image", platform_name="telegram", chat="42", subject="42")
CARD = Card(lines=[Said("echo.wide")])


class Stage:
    """Members of one platform, as the fleet runs them."""

    def __init__(self, folder: Path, tasks: asyncio.TaskGroup) -> None:
        self.platform = Platform()
        self.heard: list[Event] = []
        self.came: list[str] = []
        self.breaks_on = ""
        self._folder = folder
        self._tasks = tasks

    def member(self, name: str = "painter", rhythm: Rhythm = RHYTHM) -> Member:
        errands = Errands(Client(None, "http://127.0.0.1:9", "k"), self._folder)  # type: ignore[arg-type]
        return Member(bot(name, self._folder), self.platform.make, self._handle, errands, self._note, rhythm)

    def keeps(self, member: Member) -> asyncio.Task[None]:
        return self._tasks.create_task(member.keep())

    async def _handle(self, scene: Scene, event: Event) -> None:
        self.heard.append(event)
        if isinstance(event, Command) and event.name == self.breaks_on:
            raise RuntimeError("one person's bad luck")

    async def _note(self, running: RunningBot) -> None:
        self.came.append(running.bot.name)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with asyncio.TaskGroup() as tasks:
        stage = Stage(tmp_path, tasks)
        yield stage
        for task in [*tasks._tasks]:
            task.cancel()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


def command(name: str) -> Command:
    return Command(id="1", at=0.0, who=Person(subject="42"), name=name)


async def test_a_bot_comes_up_and_is_ready_for_as_long_as_its_platform_answers(stage: Stage) -> None:
    member = stage.member()
    assert not member.is_ready
    stage.keeps(member)
    await member.settled()
    assert (member.state, member.is_up, member.is_ready, member.starts) == ("up", True, True, 1)
    await until(lambda: stage.platform.running["painter"].pings >= 2)
    assert member.heard_seconds is not None
    assert member.heard_seconds < 1.0
    assert stage.came == ["painter"]


async def test_a_bad_token_is_told_once_in_plain_words_and_stops_nobody_else(stage: Stage) -> None:
    stage.platform.refused.add("painter")
    bad, good = stage.member(), stage.member("drawer")
    with capture_logs() as logs:
        task = stage.keeps(bad)
        stage.keeps(good)
        await asyncio.wait_for(task, WITHIN_SECONDS)
        await good.settled()
    assert (bad.state, bad.why, good.state) == ("refused", "ACCESS_TOKEN_INVALID", "up")
    [told] = [entry for entry in logs if entry["log_level"] == "error"]
    assert told["bot"] == "painter"
    assert "Give it a new one with `tessera-bots setup`" in told["todo"]


async def test_a_platform_that_cannot_be_reached_is_tried_again_until_it_can(stage: Stage) -> None:
    stage.platform.unreachable.add("painter")
    member = stage.member()
    stage.keeps(member)
    await until(lambda: member.starts >= 3)
    assert (member.state, member.why, member.is_ready) == ("away", "nobody answers", False)
    stage.platform.unreachable.clear()
    await until(lambda: member.is_ready)


async def test_a_bot_that_falls_silent_is_started_anew(stage: Stage) -> None:
    member = stage.member()
    stage.keeps(member)
    await member.settled()
    first = stage.platform.running["painter"]
    stage.platform.unreachable.add("painter")
    await until(lambda: member.state == "away")
    assert first.pings >= 3, "one lost answer is no reason"
    stage.platform.unreachable.clear()
    await until(lambda: member.is_ready)
    assert stage.platform.running["painter"] is not first


async def test_a_broken_task_of_a_bot_starts_only_this_bot_anew(stage: Stage) -> None:
    broken, other = stage.member(), stage.member("drawer")
    stage.keeps(broken)
    stage.keeps(other)
    await broken.settled()
    await other.settled()

    async def breaks() -> None:
        raise RuntimeError("a bug in a skin")

    stage.platform.running["painter"].tasks.create_task(breaks())
    await until(lambda: broken.starts == 2 and broken.is_up)
    assert other.starts == 1


async def test_what_has_to_arrive_waits_for_a_bot_that_is_away_and_progress_does_not(stage: Stage) -> None:
    stage.platform.unreachable.add("painter")
    member = stage.member()
    stage.keeps(member)
    await member.settled()
    assert await member.perform(SCENE, Edit(message="42/1", card=CARD), "en") is None
    assert await member.perform(SCENE, Answer(press="p"), "en") is None
    say = asyncio.create_task(member.perform(SCENE, Say(key="k", card=CARD), "en"))
    delete = asyncio.create_task(member.perform(SCENE, Delete(message="42/9"), "en"))
    await asyncio.sleep(0.1)
    assert not say.done()
    assert not stage.platform.room.messages
    stage.platform.unreachable.clear()
    sent = await asyncio.wait_for(say, WITHIN_SECONDS)
    await asyncio.wait_for(delete, WITHIN_SECONDS)
    assert isinstance(sent, Sent)
    assert len(stage.platform.room.messages) == 1
    assert member.deliveries == {"sent": 1}


async def test_what_a_refused_bot_had_to_say_is_handed_back(stage: Stage) -> None:
    stage.platform.unreachable.add("painter")
    member = stage.member()
    stage.keeps(member)
    await member.settled()
    say = asyncio.create_task(member.perform(SCENE, Say(key="k", card=CARD), "en"))
    stage.platform.refused.add("painter")
    outcome = await asyncio.wait_for(say, WITHIN_SECONDS)
    assert isinstance(outcome, Unsent)
    assert outcome.why == "bot_gone"
    assert member.deliveries == {"bot_gone": 1}


async def test_a_sign_that_the_bot_is_gone_is_looked_into_at_once(stage: Stage) -> None:
    member = stage.member(rhythm=Rhythm(ping_seconds=3600.0))
    task = stage.keeps(member)
    await member.settled()
    stage.platform.refused.add("painter")
    stage.platform.room.refuses["painter"] = "bot_gone"
    await member.perform(SCENE, Say(key="k", card=CARD), "en")
    await asyncio.wait_for(task, WITHIN_SECONDS)
    assert member.state == "refused"


async def test_what_hangs_in_a_connection_that_has_ended_is_done_by_the_next(stage: Stage) -> None:
    member = stage.member()
    stage.keeps(member)
    await member.settled()
    stage.platform.stuck.add("painter")
    say = asyncio.create_task(member.perform(SCENE, Say(key="k", card=CARD), "en"))
    edit = asyncio.create_task(member.perform(SCENE, Edit(message="42/1", card=CARD), "en"))
    await until(lambda: stage.platform.waiting == 2)
    stage.platform.unreachable.add("painter")
    await until(lambda: member.state == "away")
    stage.platform.stuck.clear()
    stage.platform.unreachable.clear()
    assert isinstance(await asyncio.wait_for(say, WITHIN_SECONDS), Sent)
    assert await asyncio.wait_for(edit, WITHIN_SECONDS) is None
    assert len(stage.platform.room.messages) == 1


async def test_a_stop_hands_nothing_back_because_the_next_start_goes_on_with_it(stage: Stage) -> None:
    stage.platform.unreachable.add("painter")
    member = stage.member()
    task = stage.keeps(member)
    await member.settled()
    say = asyncio.create_task(member.perform(SCENE, Say(key="k", card=CARD), "en"))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0.05)
    assert not say.done()
    say.cancel()


async def test_a_bot_that_does_not_want_to_stop_is_left_behind(stage: Stage) -> None:
    stage.platform.slow_to_stop.add("painter")
    member = stage.member()
    task = stage.keeps(member)
    await member.settled()
    task.cancel()
    async with asyncio.timeout(WITHIN_SECONDS):
        await asyncio.wait([task])
    assert member.state == "stopped"


async def test_what_breaks_on_one_event_breaks_only_that(stage: Stage) -> None:
    member = stage.member()
    stage.keeps(member)
    await member.settled()
    stage.breaks_on = "generate"
    handle = stage.platform.running["painter"].handle
    with capture_logs() as logs:
        await handle(SCENE, command("generate"))
        await handle(SCENE, command("help"))
    assert [entry["event"] for entry in logs] == ["event.failed"]
    assert (member.events, member.starts, len(stage.heard)) == (2, 1, 2)


async def test_whoever_waits_for_a_file_of_a_bot_that_is_away_is_told(stage: Stage, tmp_path: Path) -> None:
    stage.platform.refused.add("painter")
    member = stage.member()
    await asyncio.wait_for(stage.keeps(member), WITHIN_SECONDS)
    with pytest.raises(OSError, match="painter is not connected"):
        await member.fetch("r", tmp_path)
