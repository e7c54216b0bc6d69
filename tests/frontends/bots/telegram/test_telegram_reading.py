"""What Telegram tells, read; how far it was heard, kept; and how a card is laid out: without any connection."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrogram.raw import types as tl

from frontends.bots.dialogue.rendering import face
from frontends.bots.dialogue.screen import Card, Moment, Said
from frontends.bots.limits import TELEGRAM
from frontends.bots.telegram import layout, reading
from frontends.bots.telegram.bookmark import Bookmark, Mark


@pytest.mark.parametrize(
    ("text", "name", "wanted", "rest"),
    [
        ("/generate a cat", "generate", "", "a cat"),
        ("/Generate@Paint_Bot\na cat\nand a dog", "generate", "paint_bot", "a cat\nand a dog"),
        ("/start link_K7QM-2XWD", "start", "", "link_K7QM-2XWD"),
        ("/help", "help", "", ""),
    ],
)
def test_a_command_is_read_with_whom_it_is_for_and_what_follows(text: str, name: str, wanted: str, rest: str) -> None:
    assert reading.command(text) == (name, wanted, rest)


@pytest.mark.parametrize("text", ["generate", " /help", "/", "/a-b", "/help!", "//help", "/größe", "see /help"])
def test_what_only_looks_like_a_command_is_none(text: str) -> None:
    assert reading.command(text) is None


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("@paint_bot a cat", "a cat"),
        ("@Paint_Bot, a cat", "a cat"),
        ("draw me a cat @paint_bot", "draw me a cat"),
        ("a cat", None),
        ("a cat @paint_bots", None),
        ("mail me@paint_bot", None),
    ],
)
def test_the_name_of_the_bot_is_taken_out_of_what_is_said_to_it(text: str, rest: str | None) -> None:
    assert reading.without_name(text, "paint_bot") == (rest if rest is not None else text, rest is not None)


def said(**fields: Any) -> Any:
    given = {"id": 7, "peer_id": tl.PeerUser(user_id=42), "date": 0, "message": "hi", **fields}
    return tl.Message(**given)


def test_only_what_people_say_is_heard() -> None:
    people = {42: tl.User(id=42, lang_code="de"), 5: tl.User(id=5, bot=True)}
    heard = reading.message(said(), people)
    assert isinstance(heard, reading.Words)
    assert (heard.id, heard.chat, heard.user, heard.language, heard.group) == ("42.7", "42", "42", "de", False)
    group = tl.PeerChannel(channel_id=9)
    assert reading.message(said(peer_id=group, from_id=tl.PeerUser(user_id=5)), people) is None, "another bot"
    assert reading.message(said(peer_id=group, from_id=tl.PeerChannel(channel_id=9)), people) is None, (
        "somebody unnamed"
    )
    assert reading.message(said(peer_id=group, post=True), people) is None, "a channel"
    assert reading.message(said(out=True), people) is None, "the bot itself"
    assert reading.message(tl.MessageEmpty(id=3), people) is None
    assert reading.read(tl.UpdateUserStatus(user_id=42, status=tl.UserStatusEmpty()), people) is None


def test_in_a_forum_only_a_reply_is_a_reply() -> None:
    in_topic = tl.MessageReplyHeader(reply_to_msg_id=3, forum_topic=True)
    reply = tl.MessageReplyHeader(reply_to_msg_id=5, reply_to_top_id=3, forum_topic=True)
    assert reading.replied(said(reply_to=in_topic)) is None
    assert reading.replied(said(reply_to=reply)) == 5
    assert reading.replied(said(reply_to=tl.MessageReplyHeader(reply_to_msg_id=4))) == 4


@pytest.mark.parametrize("chat", ["42", "-17", "-1000000000009"])
def test_chats_have_the_ids_that_bots_know_them_by(chat: str) -> None:
    kinds = {
        "42": tl.PeerUser(user_id=42),
        "-17": tl.PeerChat(chat_id=17),
        "-1000000000009": tl.PeerChannel(channel_id=9),
    }
    assert reading.chat_id(kinds[chat]) == chat
    assert reading.is_channel(chat) == (chat == "-1000000000009")


@given(st.data())
def test_nothing_is_forgotten_before_it_was_heard(data: st.DataObject) -> None:
    """Pieces are heard in any order; what is kept is never beyond one that is still being heard."""
    bookmark, open_marks, pts = Bookmark(10), list[Mark](), 10
    for _ in range(data.draw(st.integers(1, 30))):
        closes: bool = data.draw(st.booleans())
        if open_marks and closes:
            bookmark.close(open_marks.pop(data.draw(st.integers(0, len(open_marks) - 1))))
        else:
            pts += data.draw(st.integers(1, 3))
            open_marks.append(bookmark.open(pts))
        assert all(mark.pts is not None and bookmark.heard < mark.pts for mark in open_marks)
    for mark in open_marks:
        bookmark.close(mark)
    assert bookmark.heard == bookmark.told == pts


def test_the_number_of_a_message_is_given_by_its_names_with_room_for_an_album() -> None:
    numbers = [layout.random_id("42", "42", f"say:{number}") for number in range(1_000)]
    assert numbers == [layout.random_id("42", "42", f"say:{number}") for number in range(1_000)]
    assert len({number + place for number in numbers for place in range(TELEGRAM.album)}) == 10_000
    assert all(0 < number < 2**63 - TELEGRAM.album for number in numbers)
    assert layout.random_id("4", "2") != layout.random_id("42", "")


def test_moments_tick_where_they_stand_whatever_was_typed() -> None:
    ready = Said("order.ready", {"ready": Moment(at=1_800_000_100.0, now=1_800_000_000.0)})
    typed = "🐈 \ue0001800000000\ue001now\ue002 <t:1:R> **bold** <b>"
    shown = face(Card(quote=typed, lines=[ready, ready]), "en", TELEGRAM)
    found = layout.entities(shown)
    assert [(one.date, one.relative) for one in found] == [(1_800_000_100, True)] * 2
    encoded = shown.text.encode("utf-16-le")
    pieces = [encoded[2 * one.offset : 2 * (one.offset + one.length)].decode("utf-16-le") for one in found]
    assert pieces == ["in 2 minutes"] * 2
    assert "<t:1:R> **bold** <b>" in shown.text
    assert not set("\ue000\ue001\ue002") & set(shown.text)


def test_a_moment_that_is_cut_off_leaves_nothing_behind() -> None:
    ready = Said("order.ready", {"ready": Moment(at=1_800_000_100.0, now=1_800_000_000.0)})
    for filling in range(4_000, 4_096):
        shown = face(Card(lines=[Said("admin.line", {"line": "x" * filling}), ready]), "en", TELEGRAM)
        assert "1800000100" not in shown.text
        assert not set("\ue000\ue001\ue002") & set(shown.text)
        assert all(one.offset + one.length <= len(shown.text) for one in shown.moments)
