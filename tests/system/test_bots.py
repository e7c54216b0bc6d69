"""Twelve bots of both platforms in one process, a real control plane, a worker: what people get whatever happens."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from frontends.standins.discord import Discord
from frontends.standins.person import Message, Person
from frontends.standins.telegram import Telegram
from tests.fixtures.api import BOTS_SCOPES, Plane
from tests.fixtures.chatroom import at_work
from tests.fixtures.fleet import Fleet
from tests.fixtures.marks import picture
from tests.fixtures.people import at_ease, count, violations
from tests.fixtures.queue import rows
from tests.fixtures.worker import Hands

pytestmark = pytest.mark.slow

SMALL = "64x64, 1 step, model testcard"
WITHIN_SECONDS = 60.0
PLANS = """insert into plans (name, tokens_per_day, weight, running_max, queued_max, submits_per_minute, retention_days)
    values ('light', 1000, 1, 100, 100, 10000, 1), ('heavy', 1000, 4, 100, 100, 10000, 1),
        ('alone', 1000, 1, 1, 1, 10000, 1)"""
LIGHT, HEAVY = 30, 30
ORDERS_EACH = 10
AT_ONCE = 20
"""Discord forgets who is not answered within three seconds, however busy the machine of the test is."""
KILLS = 4
ANSWER_TOKEN_SECONDS = 1_000.0


@pytest.fixture
async def key(control_plane: Plane, owner_url: str) -> str:
    with rows(owner_url) as owner:
        owner.execute(PLANS)
    return await control_plane.service_key("telegram", "discord", scopes=BOTS_SCOPES)


@pytest.fixture
async def fleet(
    control_plane: Plane, key: str, telegram: Telegram, discord: Discord, tmp_path: Path
) -> AsyncIterator[Fleet]:
    """Six bots on each platform that make pictures, up; afterwards no limit was broken and nothing left in the way."""
    made = Fleet(tmp_path / "bots", control_plane.url, key, telegram, discord, ["image"] * 6)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
    assert made.violations == []
    assert made.failures == []
    assert list((made.folder / "work").iterdir()) == [], "nothing is written where it was started"


async def until(look: Callable[[], Any], within: float = WITHIN_SECONDS) -> Any:
    async with asyncio.timeout(within):
        while not (found := look()):
            await asyncio.sleep(0.05)
    return found


def planned(owner_url: str, plans: dict[str, str]) -> None:
    """People who were met get these plans, by `telegram:1`."""
    with rows(owner_url) as owner:
        for identity, plan in plans.items():
            provider, _, subject = identity.partition(":")
            owner.execute(
                "update users set plan = %s from identities i where i.user_id = users.id and i.provider = %s"
                " and i.subject = %s",
                [plan, provider, subject],
            )


async def met(plane: Plane, key: str, identities: list[str]) -> None:
    """The service knows them."""
    for identity in identities:
        headers = {"Tessera-On-Behalf-Of": identity}
        assert (await plane.call("GET", "/api/v1/user/me", key, headers=headers)).status == 200


def results(fleet: Fleet, person: Person, bot: str) -> list[Message]:
    return [message for message in fleet.results(person) if message.bot is fleet.bots[bot]]


async def gets(fleet: Fleet, person: Person, bot: str, number: int) -> None:
    """So many results come."""
    await until(lambda: len(results(fleet, person, bot)) >= number)


async def served(hands: Hands, owner_url: str, number: int) -> list[str]:
    """One slot does so many orders; whose they were, in order."""
    whose: list[str] = []
    with rows(owner_url) as owner:
        while len(whose) < number:
            for lease in await hands.claim(wait=5):
                await hands.start(lease)
                await hands.upload(lease, picture())
                await hands.complete(lease)
                [found] = owner.execute(
                    "select i.provider || ':' || i.subject from jobs j join identities i using (user_id)"
                    " where j.id = %s",
                    [lease.job_id],
                ).fetchall()
                whose.append(found[0])
    return whose


async def test_six_hundred_orders_of_sixty_people_over_twelve_bots_are_served_by_weight(
    fleet: Fleet, control_plane: Plane, key: str, owner_url: str
) -> None:
    draw = random.Random(7)
    bots = list(fleet.bots)
    people: dict[str, tuple[Person, list[str]]] = {}
    for number in range(1, LIGHT + HEAVY + 1):
        platform = draw.choice(["telegram", "telegram", "discord"])
        here = [bot for bot in bots if bot.startswith(platform)]
        person = fleet.person(platform, 1_000 + number, f"Person {number}", draw.choice(["en", "de"]))
        people[f"{platform}:{person.id}"] = (
            person,
            draw.choices(here, [1 / (rank + 1) for rank in range(len(here))], k=3),
        )
    await met(control_plane, key, list(people))
    classes = {identity: "light" if n % 2 else "heavy" for n, identity in enumerate(people)}
    planned(owner_url, classes)
    taken: Counter[tuple[str, str]] = Counter()
    turn = asyncio.Semaphore(AT_ONCE)

    async def orders(identity: str) -> None:
        person, mine = people[identity]
        for number in range(ORDERS_EACH):
            bot = mine[number % len(mine)]
            taken[identity, bot] += 1
            async with turn:
                await person.says(f"/generate lighthouse {number}, {SMALL}", to=fleet.bots[bot])
                await person.sees(f"lighthouse {number}", by=fleet.bots[bot], within=WITHIN_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        for identity in people:
            tasks.create_task(orders(identity))
    total = (LIGHT + HEAVY) * ORDERS_EACH
    assert count(owner_url, "select count(*) from jobs where state = 'queued'") == total
    assert len({bot for _, bot in taken}) == 12, "all bots took part"

    whose = await served(control_plane.service.hands, owner_url, total)
    backlogged = HEAVY * ORDERS_EACH
    for so_far in range(60, backlogged, 20):
        had = Counter(whose[:so_far])
        of = {plan: [had[identity] for identity in people if classes[identity] == plan] for plan in ("light", "heavy")}
        for plan, numbers in of.items():
            assert max(numbers) - min(numbers) <= 1, (so_far, plan, numbers)
        assert abs(sum(of["heavy"]) - 4 * sum(of["light"])) <= 4 * LIGHT, (so_far, of)
    assert set(Counter(whose).values()) == {ORDERS_EACH}

    for (identity, bot), number in taken.items():
        person = people[identity][0]
        await gets(fleet, person, bot, number)
        assert len(results(fleet, person, bot)) == number
    assert violations(owner_url) == []


async def test_a_person_on_two_bots_has_one_wallet_one_cap_and_one_history(
    fleet: Fleet, control_plane: Plane, key: str, owner_url: str
) -> None:
    for platform in ("telegram", "discord"):
        ann = fleet.person(platform, 42, "Ann", "de")
        here, there = fleet.bots[f"{platform}-1"], fleet.bots[f"{platform}-2"]
        await met(control_plane, key, [f"{platform}:42"])
        planned(owner_url, {f"{platform}:42": "alone"})
        await ann.says(f"/generate ein Leuchtturm, {SMALL}", to=here)
        await ann.sees("ein Leuchtturm", by=here)
        await ann.says(f"/generate ein Hafen, {SMALL}", to=there)
        await ann.sees("so viele deiner Aufträge", by=there)
        assert count(owner_url, "select count(*) from jobs where state = 'queued'") == 1, "one line for both bots"
        await ann.says("/history", to=there)
        await ann.sees("ein Leuchtturm", by=there)
        await ann.says("/balance", to=here)
        await ann.says("/balance", to=there)
        at_one, at_other = [
            await ann.sees(lambda m: "999" in m.text, by=bot) for bot in (here, there)
        ]  # one of a thousand is held
        assert at_one.text == at_other.text
        async with at_work(control_plane.service.hands):
            await gets(fleet, ann, f"{platform}-1", 1)
        assert results(fleet, ann, f"{platform}-2") == []


@pytest.mark.parametrize("platform", ["telegram", "discord"])
async def test_what_a_revoked_bot_owes_comes_through_another_that_the_person_has_started(
    fleet: Fleet, control_plane: Plane, owner_url: str, platform: str
) -> None:
    gone, other, third = (fleet.bots[f"{platform}-{n}"] for n in (1, 2, 3))
    ann, ben = fleet.person(platform, 1, "Ann"), fleet.person(platform, 2, "Ben", "es")
    await ann.says("/start", to=other)
    await ann.sees(lambda m: m.text, by=other)
    for person in (ann, ben):
        await person.says(f"/generate a lighthouse, {SMALL}", to=gone)
        await person.sees("a lighthouse", by=gone)
    at_ease(owner_url)
    await fleet.revokes(f"{platform}-1")
    fleet.discord.clock.advance(ANSWER_TOKEN_SECONDS)  # for so long an answer can be changed without the bot's token
    async with at_work(control_plane.service.hands):
        await until(lambda: results(fleet, ann, f"{platform}-2"))
        await until(lambda: count(owner_url, "select count(*) from jobs where state = 'succeeded'") == 2)
        await fleet.ready(but=[f"{platform}-1"])
        await until(lambda: fleet.log.count('"bot.refused"') == 1)
        assert fleet.results(ben) == []
        await ben.says("/history", to=third)
        shown = await ben.sees("a lighthouse", by=third)
        await ben.presses(next(button for row in shown.buttons for button in row if button.kind == "press"))
        await until(lambda: results(fleet, ben, f"{platform}-3"))
    assert len(fleet.results(ann)) == 1
    assert fleet.log.count('"bot.refused"') == 1, "told once"


async def test_killed_again_and_again_everybody_gets_exactly_one_result_of_each_order(
    fleet: Fleet, control_plane: Plane, key: str, owner_url: str
) -> None:
    """It dies at any moment between an order and its result; on Telegram people also write while nobody is there."""
    draw = random.Random(11)
    people = {
        name: fleet.person(name, 100 + n, f"Person {n}", draw.choice(["en", "ru"])) for n, name in enumerate(fleet.bots)
    }
    await met(control_plane, key, [f"{name.split('-')[0]}:{person.id}" for name, person in people.items()])
    at_ease(owner_url)
    placed: Counter[str] = Counter()

    async def orders(name: str) -> None:
        placed[name] += 1
        await people[name].says(f"/generate lighthouse {placed[name]}, {SMALL}", to=fleet.bots[name])

    async with at_work(control_plane.service.hands):
        for kill in range(KILLS):
            for name in people:
                await orders(name)
            for name, person in people.items():  # Discord tells an interaction once, to who is there
                if name.startswith("discord"):
                    await person.sees(f"lighthouse {placed[name]}", by=fleet.bots[name], within=WITHIN_SECONDS)
            await asyncio.sleep(draw.uniform(0.0, 0.5))
            await fleet.kill()
            if kill % 2:
                for name in people:
                    if name.startswith("telegram"):
                        await orders(name)
            await fleet.start()
        for name, person in people.items():
            await gets(fleet, person, name, placed[name])
        await until(lambda: not is_busy(fleet))
    for name, person in people.items():
        assert len(results(fleet, person, name)) == placed[name], [m.text for m in results(fleet, person, name)]
    assert count(owner_url, "select count(*) from jobs") == sum(placed.values())
    assert count(owner_url, "select count(*) from jobs where state = 'succeeded'") == sum(placed.values())
    assert violations(owner_url) == []


def is_busy(fleet: Fleet) -> bool:
    """Whether something is under way in any conversation."""
    with sqlite3.connect(fleet.folder / "bots.sqlite") as memory:
        return bool(memory.execute("select count(*) from conversations where not idle").fetchone()[0])


async def test_a_bot_with_a_bad_token_stops_nobody_else(
    control_plane: Plane, key: str, telegram: Telegram, discord: Discord, tmp_path: Path, owner_url: str
) -> None:
    fleet = Fleet(tmp_path / "bots", control_plane.url, key, telegram, discord)
    for name in ("telegram-2", "discord-2"):
        fleet.platform(name)
        (fleet.folder / "credentials" / f"{name}_token").write_text(
            "4000000001:nobody" if name.startswith("t") else "NDAwMDAwMDAwMQ.no.body"
        )
    await fleet.start(ready=False)
    try:
        await fleet.ready(but=["telegram-2", "discord-2"])
        for name in ("telegram-1", "discord-1"):
            ann = fleet.person(name, 7)
            await ann.says("/help", to=fleet.bots[name])
            await ann.sees("/generate", by=fleet.bots[name])
        assert fleet.log.count('"bot.refused"') == 2
        measured = await fleet.metrics()
        assert measured['tessera_bots_up{bot="telegram-2",platform="telegram"}'] == 0
        assert measured['tessera_bots_up{bot="telegram-1",platform="telegram"}'] == 1
    finally:
        assert await fleet.stop() == 0
    assert fleet.failures == []
