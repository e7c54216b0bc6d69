"""Conversations with the real control plane over HTTP: ordered, made, shown, and killed at every step in between."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from frontends.bots.conversations import Conversations
from frontends.bots.dialogue.events import Checkout, Paid, Picture
from frontends.bots.dialogue.state import House, Scene
from tests.fixtures.api import BOTS_SCOPES, Plane
from tests.fixtures.chatroom import PATIENCE_SECONDS, Room, Talk, at_work, program
from tests.fixtures.marks import picture
from tests.fixtures.people import at_ease, count, violations

HOUSE = House(name="Tessera", site="https://tessera.example/buy", support="ada")
ORDER = "a lighthouse, 64x64, 1 step, model testcard"
BOTS = ("paint", "ink", "sketch")
STEPS_MAX = 12


@pytest.fixture
async def key(control_plane: Plane, owner_url: str) -> str:
    return await control_plane.service_key("telegram", "discord", scopes=BOTS_SCOPES)


def scene(subject: str = "1", platform: str = "telegram", bot: str = "paint", **fields: Any) -> Scene:
    given: dict[str, Any] = {"chat": subject, "makes": "image", "platform_name": platform, "bot": bot}
    return Scene(subject=subject, **{**given, **fields})


async def _ordered(talk: Talk, text: str = ORDER) -> None:
    await talk.command("generate", text)
    await talk.sees("Ordered for")


@pytest.mark.parametrize("platform", ["telegram", "discord"])
async def test_ordered_waited_for_shown_and_used_again(
    control_plane: Plane, key: str, tmp_path: Path, platform: str
) -> None:
    room = Room()
    async with (
        program(control_plane.url, key, room, tmp_path / "bots", HOUSE, *BOTS) as bots,
        at_work(control_plane.service.hands),
    ):
        talk = Talk(bots, room, scene(platform=platform))
        await _ordered(talk)
        shown = await talk.gets()
        assert shown is not None
        assert "Seed" in shown.text
        assert len(room.files) == 1
        await talk.press("Info")
        await talk.sees("testcard", "Order ")
        await talk.press("Again")
        await room.until(lambda: len(room.files) == 2)
        await talk.press("Delete")
        await talk.press("Delete for good")
        await talk.sees("Deleted.")
        await talk.say("like this, but at night, 64x64, model testcard", picture=Picture(reference="photo"))
        await room.until(lambda: len(room.files) == 3)
        await talk.command("history")
        await talk.sees("Your last orders", "like this, but at night")
        await talk.command("generate", "a lighthouse, 4k, 1 step, model testcard")
        await talk.sees("Ordered for", "made with 1024x1024")  # as much as the plan allows


async def test_killed_at_any_step_it_is_one_order_and_one_end(
    control_plane: Plane, key: str, tmp_path: Path, owner_url: str
) -> None:
    """The program dies after the first, second, third … thing that it has done, before it hears what came of it."""
    killed = 0
    async with at_work(control_plane.service.hands):
        for fuse in range(1, STEPS_MAX):
            room = Room()
            folder, person = tmp_path / f"bots-{fuse}", scene(str(100 + fuse), ("telegram", "discord")[fuse % 2])
            room.fuse = fuse
            async with program(control_plane.url, key, room, folder, HOUSE, *BOTS) as bots:
                await Talk(bots, room, person).command("generate", ORDER, id="update-1", message="u1")
                ended = await Talk(bots, room, person).gets()
                await _quiet(room)
            killed += ended is None or room.burnt.is_set()
            room.fuse = None
            async with program(control_plane.url, key, room, folder, HOUSE, *BOTS) as bots:
                talk = Talk(bots, room, person)
                await talk.command("generate", ORDER, id="update-1", message="u1")  # the platform tells it again
                assert await talk.gets() is not None
                await _settled(bots)
            assert len(room.of(person.chat)) == 1, fuse
            assert len(room.files) == 1, fuse
    assert killed >= 3, "the fuse was met"
    assert count(owner_url, "select count(*) from jobs where state = 'succeeded'") == STEPS_MAX - 1
    assert violations(owner_url) == []


async def test_killed_at_any_step_a_payment_is_credited_once(
    control_plane: Plane, key: str, tmp_path: Path, owner_url: str
) -> None:
    for fuse in range(1, 4):
        room, person, folder = Room(), scene(str(200 + fuse)), tmp_path / f"paying-{fuse}"
        told = {"id": "update-9", "charge": f"charge-{fuse}", "payload": "pack:small:150", "amount": 150}
        room.fuse = fuse
        async with program(control_plane.url, key, room, folder, HOUSE, *BOTS) as bots:
            talk = Talk(bots, room, person)
            await bots.handle(person, Paid(currency="XTR", at=1.0, who=talk.who, **told))  # type: ignore[arg-type]
            await _quiet(room)
        room.fuse = None
        async with program(control_plane.url, key, room, folder, HOUSE, *BOTS) as bots:
            talk = Talk(bots, room, person)
            await bots.handle(person, Paid(currency="XTR", at=2.0, who=talk.who, **told))  # type: ignore[arg-type]
            await talk.sees("500 tokens have been added")
            await _settled(bots)
        assert len(room.of(person.chat)) == 1
    assert count(owner_url, "select count(*) from payments") == 3
    assert count(owner_url, "select sum(amount)::integer from ledger_transfers where kind = 'grant'") == 1_500
    assert violations(owner_url) == []


async def _quiet(room: Room) -> None:
    """Until nothing has changed for a moment, or the fuse is burnt."""
    while not room.burnt.is_set():
        before = len(room.by_key), room.fuse
        with_time = asyncio.get_running_loop().time() + 0.2
        while asyncio.get_running_loop().time() < with_time and not room.burnt.is_set():
            await asyncio.sleep(0.02)
        if before == (len(room.by_key), room.fuse):
            return


async def _settled(bots: Conversations) -> None:
    """Until nothing is under way."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while bots._memory.busy():
            await asyncio.sleep(0.02)


async def test_who_is_out_of_tokens_is_told_what_is_left_and_how_to_get_more(
    control_plane: Plane, key: str, tmp_path: Path, owner_url: str
) -> None:
    room = Room()
    async with program(control_plane.url, key, room, tmp_path / "bots", HOUSE, *BOTS) as bots:
        talk = Talk(bots, room, scene())
        for _ in range(60):
            await talk.command("generate", "a lighthouse, 4 pictures, model testcard, 50 steps")
            if await _refused(talk):
                break
        refused = await talk.sees("This costs", "New ones come")
        assert {key.label for row in refused.keys for key in row} == {"Buy tokens", "Balance"}
        await talk.press("Buy tokens")
        await talk.press("500 tokens for 150 ⭐")
        bill = await room.until(lambda: room.bills and room.bills[-1])
        given = talk._plain()
        await bots.handle(talk.scene, Checkout(payload=bill.payload, amount=bill.stars, currency="XTR", **given))
        await room.until(lambda: room.approvals)
        assert room.approvals[0].refusal is None
        for _ in range(3):
            await talk.pays("charge-1")
        await talk.sees("500 tokens have been added")
        await talk.command("balance")
        await talk.sees("Bought: ")  # an order that was on its way may have taken some of them already
    credited = "select coalesce(sum(amount), 0) from ledger_transfers where kind = 'grant' and credit = 'purchased'"
    assert count(owner_url, credited) == 500
    assert violations(owner_url) == []


async def _refused(talk: Talk) -> bool:
    """Whether the last order was refused, for tokens or because the line is full."""
    before = len(talk.room.messages)
    await talk.room.until(lambda: len(talk.room.messages) > before or _told(talk))
    if _told(talk):
        return True
    await talk.command("cancel", "all")
    await talk.sees("Canceling")
    return False


def _told(talk: Talk) -> bool:
    return any("This costs" in shown.text for shown in talk.room.of(talk.scene.chat))


async def test_two_platforms_become_one_account(control_plane: Plane, key: str, tmp_path: Path, owner_url: str) -> None:
    at_ease(owner_url)
    room = Room()
    async with (
        program(control_plane.url, key, room, tmp_path / "bots", HOUSE, *BOTS) as bots,
        at_work(control_plane.service.hands),
    ):
        here, there = Talk(bots, room, scene("1")), Talk(bots, room, scene("2", "discord", "ink"))
        await _ordered(here)
        await here.gets()
        await here.command("link")
        code = (await here.sees("Your code:")).text.split("Your code: ")[1].split("\n")[0]
        await there.command("link", code)
        await there.sees("Linked: Discord and Telegram")
        await there.command("history")
        await there.sees("Your last orders", "a lighthouse")
        await here.command("start", "link_" + code)
        await here.sees("only if you made the code yourself")


async def test_of_who_has_deleted_their_account_the_bots_forget_everything(
    control_plane: Plane, key: str, tmp_path: Path, owner_url: str
) -> None:
    room, folder = Room(), tmp_path / "bots"
    async with program(control_plane.url, key, room, folder, HOUSE, *BOTS) as bots:
        leaver, other = Talk(bots, room, scene("1")), Talk(bots, room, scene("2"))
        for talk in (leaver, other):
            await _ordered(talk)
        with psycopg.connect(owner_url, autocommit=True) as owner:
            owner.execute("select depart(user_id) from identities where provider = 'telegram' and subject = '1'")
        assert await bots.forget_who_left() == 0, "who was here a moment ago may be about to sign up"
        with sqlite3.connect(folder / "bots.sqlite") as memory:
            memory.execute("update conversations set changed_at = 0")
            memory.execute("update contacts set met_at = 0")
        memory.close()
        assert await bots.forget_who_left() == 1
        with sqlite3.connect(folder / "bots.sqlite") as memory:
            assert memory.execute("select id from conversations").fetchall() == [(other.scene.id,)]
            assert memory.execute("select subject from contacts").fetchall() == [("2",)]
        memory.close()


async def test_how_far_a_job_is_gets_shown_and_is_not_written_down(
    control_plane: Plane, key: str, tmp_path: Path
) -> None:
    room, hands = Room(), control_plane.service.hands

    def written() -> list[tuple[float]]:
        with sqlite3.connect(tmp_path / "bots" / "bots.sqlite") as memory:
            return memory.execute("select changed_at from conversations").fetchall()

    async with program(control_plane.url, key, room, tmp_path / "bots", HOUSE, *BOTS) as bots:
        talk = Talk(bots, room, scene("1"))
        await _ordered(talk)
        [lease] = await hands.claim(wait=5)
        fence = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": "started"}
        await hands.call("/heartbeat", {"leases": [{**fence, "progress": {"value": 0.25}}]})
        await talk.sees("25")
        before = written()
        await hands.call("/heartbeat", {"leases": [{**fence, "progress": {"value": 0.75}}]})
        await talk.sees("75")
        assert written() == before
        await hands.upload(lease, picture())
        await hands.complete(lease)
        assert await talk.gets() is not None
        assert written() != before


async def test_a_result_goes_through_another_bot_of_the_person_when_its_own_is_revoked(
    control_plane: Plane, key: str, tmp_path: Path
) -> None:
    room, may_work = Room(), asyncio.Event()
    async with (
        program(control_plane.url, key, room, tmp_path / "bots", HOUSE, *BOTS) as bots,
        at_work(control_plane.service.hands, paused=may_work),
    ):
        other = Talk(bots, room, scene("1", bot="ink", chat="1-with-ink"))
        await other.command("help")
        talk = Talk(bots, room, scene("1"))
        await _ordered(talk)
        room.refuses["paint"] = "bot_gone"
        may_work.set()
        assert await other.gets() is not None
        assert len(room.files) == 1


async def test_a_group_has_rules_that_its_administrators_make(
    control_plane: Plane, key: str, tmp_path: Path, owner_url: str
) -> None:
    room = Room()
    group: dict[str, Any] = {"chat": "-100", "group": True}
    async with program(control_plane.url, key, room, tmp_path / "bots", HOUSE, *BOTS) as bots:
        admin = Talk(bots, room, scene("1", **group), is_admin=True)
        member = Talk(bots, room, scene("2", **group))
        await Talk(bots, room, scene("3", **group)).say("what do you think of lighthouses?")
        assert count(owner_url, "select count(*) from identities where provider = 'telegram'") == 0
        await _ordered(member)
        await admin.command("settings")
        await admin.press("Only administrators")
        await admin.sees("Only administrators may order.")
        await member.command("generate", ORDER)
        await member.sees("rules of this chat")
        await member.command("settings")
        await member.press("Everybody may order")  # the administrator's page, which anybody sees
        said = [one.said.key for one in room.answers if one.said is not None]
        await room.until(lambda: "toast.admins_only" in [one.said.key for one in room.answers if one.said is not None])
        assert said[0] == "toast.chosen"


async def test_an_operator_is_one_in_a_chat_too_and_nobody_else_is(
    control_plane: Plane, key: str, tmp_path: Path, owner_url: str
) -> None:
    room = Room()
    async with program(control_plane.url, key, room, tmp_path / "bots", HOUSE, *BOTS) as bots:
        customer, operator = Talk(bots, room, scene("1")), Talk(bots, room, scene("2"))
        await customer.command("admin", "status")
        await customer.sees("That is for the operator.")
        code = await control_plane.call("POST", "/api/v1/user/link-code", control_plane.admin_key)
        await operator.command("link", code.json["code"])
        await operator.sees("Linked: Telegram")
        await operator.command("admin", "status")
        await operator.sees("Orders are taken.", "image/testcard")
        await operator.command("admin", "pause submits moving house")
        await operator.sees("Done.")
        await customer.command("generate", ORDER)
        await customer.sees("takes no orders")
        await operator.command("admin", "resume submits")
        await customer.command("buy")
        await customer.press("500 tokens for 150 ⭐")
        await customer.pays("charge-7")
        await customer.sees("500 tokens have been added")
        await operator.command("admin", "refund charge-7 asked for")
        await operator.sees("150 Stars go back")
        assert room.given_back == [("1", "charge-7")]
        await operator.command("admin", "ban telegram:1 spam")
        await operator.sees("Suspended")
        await customer.command("generate", ORDER)
        await customer.sees("account is suspended")
    assert violations(owner_url) == []
