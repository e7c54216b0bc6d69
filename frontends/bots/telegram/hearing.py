"""What was heard, as events of the dialogue: with who runs the group, and what it is that a message answers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from pyrogram.enums import ChatMemberStatus
from pyrogram.errors import RPCError
from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl

from frontends.bots.dialogue import payload
from frontends.bots.dialogue.commands import COMMANDS
from frontends.bots.dialogue.events import Checkout, Command, Event, Message, Paid, Person, Picture, Pressed
from frontends.bots.dialogue.state import Scene
from frontends.bots.outbox import Flooded
from frontends.bots.settings import TelegramSettings
from frontends.bots.telegram import reading
from frontends.bots.telegram.line import ANSWER_SECONDS, Line

ADMIN_SECONDS = 60.0
"""How long somebody is taken for what they were in a group."""
ADMINS_MAX = 2_000
ALBUMS_MAX = 500
KNOWN = frozenset(known.name for known in COMMANDS)

Handle = Callable[[Scene, Event], Awaitable[None]]


class Ear:
    """Of one bot. `clock` is seconds since 1970."""

    def __init__(self, settings: TelegramSettings, line: Line, handle: Handle, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._line = line
        self._handle = handle
        self._clock = clock
        self._admins: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()
        self._albums: OrderedDict[int, None] = OrderedDict()

    async def hear(self, heard: reading.Heard) -> None:
        """Tells the dialogue."""
        event = await self._event(heard)
        if event is not None:
            await self._handle(self._scene(heard), event)

    async def _event(self, heard: reading.Heard) -> Event | None:
        match heard:
            case reading.Words():
                return await self._words(heard)
            case reading.Press():
                given = await self._given(heard)
                return Pressed(payload=heard.payload, message=str(heard.number), **given)
            case reading.Purchase(charge=""):
                return Checkout(
                    payload=heard.payload, amount=heard.amount, currency=heard.currency, **await self._given(heard)
                )
            case reading.Purchase():
                return Paid(
                    charge=heard.charge,
                    payload=heard.payload,
                    amount=heard.amount,
                    currency=heard.currency,
                    **await self._given(heard),
                )
        raise AssertionError(heard)

    async def _words(self, heard: reading.Words) -> Event | None:
        found = reading.command(heard.text)
        me = self._line.me
        if found is not None:
            name, wanted, text = found
            if wanted not in ("", me.username.lower()) or (heard.group and not wanted and name not in KNOWN):
                return None  # another bot's
            return await self._command(heard, name, text)
        if self._is_one_more(heard):
            return None
        text, named = reading.without_name(heard.text, me.username) if heard.group else (heard.text, False)
        addressed = named or str(me.id) in heard.mentions
        if heard.group and not addressed and heard.reply_to is None:
            return None
        answered = await self._answered(heard)
        return Message(
            text=text,
            answers=str(answered.id) if answered is not None and answered.out else "",
            addressed=addressed,
            picture=heard.picture or _picture(answered),
            about=_about(answered),
            message=str(heard.number),
            **await self._given(heard),
        )

    async def _command(self, heard: reading.Words, name: str, text: str) -> Command:
        answered = await self._answered(heard)
        return Command(
            name=name,
            text=text,
            picture=heard.picture or _picture(answered),
            about=_about(answered),
            message=str(heard.number),
            **await self._given(heard),
        )

    def _is_one_more(self, heard: reading.Words) -> bool:
        """Whether it is one of several pictures that were sent at once, without words, and not the first."""
        if heard.album is None:
            return False
        known = heard.album in self._albums
        self._albums[heard.album] = None
        while len(self._albums) > ALBUMS_MAX:
            self._albums.popitem(last=False)
        return known and not heard.text

    def _scene(self, heard: reading.Heard) -> Scene:
        return Scene(
            bot=self._settings.name,
            makes=self._settings.makes,
            platform_name="telegram",
            chat=heard.chat,
            group=heard.group,
            subject=heard.user,
        )

    async def _given(self, heard: reading.Heard) -> dict[str, Any]:
        is_admin = heard.group and await self._is_admin(heard.chat, heard.user)
        who = Person(subject=heard.user, language_code=heard.language, is_admin=is_admin)
        return {"id": heard.id, "at": self._clock(), "who": who}

    # ------------------------------------------------------------------------------------------ asked of Telegram

    async def _answered(self, heard: reading.Words) -> Any:
        """The message that this one answers, as long as it can be seen."""
        if heard.reply_to is None:
            return None
        wanted = [tl.InputMessageID(id=heard.reply_to)]
        try:
            if reading.is_channel(heard.chat):
                peer = await self._line.peer(heard.chat)
                channel = tl.InputChannel(channel_id=peer.channel_id, access_hash=peer.access_hash)
                found = await self._line.ask(fn.channels.GetMessages(channel=channel, id=wanted))
            else:
                found = await self._line.ask(fn.messages.GetMessages(id=wanted))
        except (RPCError, Flooded):
            return None
        return next((one for one in found.messages if isinstance(one, tl.Message)), None)

    async def _is_admin(self, chat: str, user: str) -> bool:
        """Whether somebody runs a group, as of lately; in doubt not."""
        known = self._admins.get((chat, user))
        if known is not None and self._clock() - known[0] < ADMIN_SECONDS:
            return known[1]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                member = await self._line.client.get_chat_member(int(chat), int(user))
        except (RPCError, OSError):
            return False
        is_admin = member.status in (ChatMemberStatus.OWNER, ChatMemberStatus.ADMINISTRATOR)
        self._admins[chat, user] = self._clock(), is_admin
        while len(self._admins) > ADMINS_MAX:
            self._admins.popitem(last=False)
        return is_admin


def _picture(answered: Any) -> Picture | None:
    return None if answered is None else reading.picture(answered)


def _about(answered: Any) -> str:
    """The job that a message of ours shows, by the first of its buttons that names one."""
    if answered is None or not answered.out:
        return ""
    carried = ((text, payload.read(text)) for text in reading.payloads(answered))
    return next((text for text, meant in carried if meant is not None and meant.job_id is not None), "")
