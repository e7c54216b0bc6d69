"""What comes in for one bot: each piece once, in the order of its conversation, none forgotten before it was heard.

Telegram numbers what it tells (pts, of the account and of each large group). The number that is kept in the session
file is that of the last piece before which everything was heard, so a program that is killed is told the rest again
when it is back (`catch_up`); pieces are known by their ids. The same is asked after a connection broke. What the bot
itself has sent is told then, too, with the number that it was sent under: `receipts`, by which a message whose answer
was lost is found. Source: core.telegram.org/api/updates.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from pyrogram.errors import RPCError
from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl
from pyrogram.storage import UpdateState

from frontends.bots.outbox import Flooded
from frontends.bots.refusal import BotRefused
from frontends.bots.telegram import reading
from frontends.bots.telegram.bookmark import Bookmark, Mark
from frontends.bots.telegram.line import Line

KNOWN_MAX = 10_000
"""Pieces that are known when they are told again; and messages of the bot's own."""
PAGE = 100
"""Pieces of a group's story that are asked for at once."""
KEEP_SECONDS = 0.2
"""How long after it was heard something may be told again by a crash; it is known then."""
SLACK_SECONDS = 300
"""By how much earlier it is asked which large groups have changed: what was told of them may not have been heard."""
ACCOUNT = 0
"""The story of everything but large groups."""

log = structlog.get_logger()

Hear = Callable[[reading.Heard], Awaitable[None]]


class Inbox:
    """`hear` is called for each piece that concerns the bot, one at a time for each conversation. Runs in `tasks`."""

    def __init__(self, name: str, hear: Hear, tasks: asyncio.TaskGroup) -> None:
        self._name = name
        self._hear = hear
        self._tasks = tasks
        self._line: Line | None = None
        self._open = False
        self._bookmarks: dict[int, Bookmark] = {}
        self._lines: dict[str, deque[tuple[reading.Heard, int, Mark]]] = {}
        self._moved: set[int] = set()
        """Stories whose bookmark is to be kept."""
        self._keeping = False
        self._known: OrderedDict[str, None] = OrderedDict()
        self._catching_up = asyncio.Lock()
        self._behind = False
        """After a break: what comes now says nothing about what came before it."""
        self.receipts: OrderedDict[int, int] = OrderedDict()
        """Messages of the bot's own by the number that they were sent under."""

    async def open(self, line: Line) -> None:
        """From now on what `line` tells is heard, and first what was missed. Raises `OSError`, `BotRefused`."""
        states = await line.client.storage.get_update_states()
        self._bookmarks = {state.id: Bookmark(state.pts or 0) for state in states}
        self._behind = True
        self._line, self._open = line, True
        await self.catch_up()

    def close(self) -> None:
        """Nothing more is heard; it will be told at the next start."""
        self._open = False

    def broke(self) -> None:
        self._behind = True

    def mended(self) -> None:
        """The connection stands again: what was missed meanwhile is asked for."""
        if self._open:
            self._tasks.create_task(self._at_last(self.catch_up))

    async def take(self, updates: Any) -> None:
        """What the data centre tells by itself."""
        line = self._line
        if line is None or not self._open:
            return
        if isinstance(updates, tl.Updates | tl.UpdatesCombined):
            await line.client.fetch_peers(updates.users)
            await line.client.fetch_peers(updates.chats)
            people = reading.people_of(updates)
            for update in updates.updates:
                await self._one(update, people)
        elif isinstance(updates, tl.UpdateShort):
            await self._one(updates.update, {})
        else:
            self.mended()  # something happened, and is not said here

    async def catch_up(self) -> None:
        """What was missed. Raises `OSError`, `RPCError`, `BotRefused`."""
        async with self._catching_up:
            await self._story_of_account()
            self._behind = False

    async def _catch_up_in(self, channel_id: int, pts: int | None) -> None:
        async with self._catching_up:
            await self._story_of_group(channel_id, pts)

    async def receipt(self, chat: str, random_id: int) -> int | None:
        """The message that was sent under a number, when its answer was lost. Raises what `catch_up` raises."""
        if random_id not in self.receipts:
            async with self._catching_up:
                if reading.is_channel(chat):
                    await self._story_of_group(reading.channel_of(chat), None)
                else:
                    await self._story_of_account()
        return self.receipts.get(random_id)

    async def _at_last(self, ask: Callable[[], Awaitable[None]]) -> None:
        try:
            await ask()
        except (OSError, RPCError, BotRefused, Flooded) as error:  # the next break or start asks again
            log.warning("updates.missed", bot=self._name, error=type(error).__name__)

    # ------------------------------------------------------------------------------------------ stories

    async def _story_of_account(self) -> None:
        line, bookmark = self._line, self._bookmarks.setdefault(ACCOUNT, Bookmark(0))
        more = line is not None
        while more and line is not None:
            state = (await line.client.storage.get_update_states(ACCOUNT))[0]
            since = max(0, (state.date or 0) - SLACK_SECONDS)
            asked = fn.updates.GetDifference(pts=bookmark.told, date=since, qts=state.qts or 0)
            found = await line.ask(asked)
            if isinstance(found, tl.updates.DifferenceEmpty):
                return
            if isinstance(found, tl.updates.DifferenceTooLong):
                log.warning("updates.forgotten", bot=self._name)
                bookmark.close(bookmark.open(found.pts))
                continue
            more = isinstance(found, tl.updates.DifferenceSlice)
            after = found.intermediate_state if more else found.state
            await self._told(found, ACCOUNT, after.pts)
            for update in found.other_updates:
                if isinstance(update, tl.UpdateChannelTooLong):
                    await self._story_of_group(update.channel_id, update.pts)
            await line.client.storage.set_update_state(UpdateState(ACCOUNT, None, after.qts, after.date, after.seq))

    async def _story_of_group(self, channel_id: int, pts: int | None) -> None:
        """What was missed in a large group; of one that was never heard of nothing was missed."""
        line, story = self._line, reading.story_of_channel(channel_id)
        bookmark = self._bookmarks.get(story)
        if bookmark is None:
            self._bookmarks[story] = Bookmark(pts or 0)
        more = bookmark is not None
        while more and line is not None and bookmark is not None:
            peer = await line.peer(str(story))
            asked = fn.updates.GetChannelDifference(
                channel=tl.InputChannel(channel_id=channel_id, access_hash=peer.access_hash),
                filter=tl.ChannelMessagesFilterEmpty(),
                pts=bookmark.told,
                limit=PAGE,
            )
            try:
                found = await line.ask(asked)
            except RPCError:
                return  # the bot is not there any more
            more = not found.final
            if isinstance(found, tl.updates.ChannelDifference):
                await self._told(found, story, found.pts)
            elif isinstance(found, tl.updates.ChannelDifferenceTooLong):
                bookmark.close(bookmark.open(found.dialog.pts))

    async def _told(self, found: Any, story: int, pts: int) -> None:
        """A piece of a story that was asked for."""
        line = self._line
        if line is None:
            return
        await line.client.fetch_peers(found.users)
        await line.client.fetch_peers(found.chats)
        people = reading.people_of(found)
        for update in found.other_updates:
            await self._one(update, people, (story, None))
        for message in found.new_messages:
            await self._one(tl.UpdateNewMessage(message=message, pts=pts, pts_count=0), people, (story, None))
        end = self._bookmarks[story].open(pts)
        await self._close(story, end)

    # ------------------------------------------------------------------------------------------ pieces

    async def _one(self, update: Any, people: reading.People, told: tuple[int, int | None] | None = None) -> None:
        """One piece, of `told` (story and number) or of where it says itself."""
        if isinstance(update, tl.UpdateMessageID):
            self._remember(update.random_id, update.id)
            return
        if isinstance(update, tl.UpdateChannelTooLong):
            if told is None:  # else it is asked for anyway
                self._tasks.create_task(self._at_last(partial(self._catch_up_in, update.channel_id, update.pts)))
            return
        story, pts = told or (reading.story_of(update), getattr(update, "pts", None))
        bookmark = self._bookmarks.setdefault(story, Bookmark((pts or 1) - 1))
        mark = bookmark.open(None if self._behind else pts)
        heard = reading.read(update, people)
        if heard is None or heard.id in self._known:
            await self._close(story, mark)
            return
        self._known[heard.id] = None
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        self._queue(heard, story, mark)

    def _queue(self, heard: reading.Heard, story: int, mark: Mark) -> None:
        key = f"{heard.chat}/{heard.user}"
        if key in self._lines:
            self._lines[key].append((heard, story, mark))
        else:
            self._lines[key] = deque([(heard, story, mark)])
            self._tasks.create_task(self._hear_all(key))

    async def _hear_all(self, key: str) -> None:
        """Everything of one conversation, one after the other."""
        waiting = self._lines[key]
        while waiting:
            heard, story, mark = waiting[0]
            try:
                await self._hear(heard)
            except Exception:  # one person's bad luck must not end everybody's conversations
                log.exception("update.failed", bot=self._name, kind=type(heard).__name__)
            waiting.popleft()
            await self._close(story, mark)
        del self._lines[key]

    async def _close(self, story: int, mark: Mark) -> None:
        """A piece was heard. Where the bookmarks are is kept a moment later, for many at once."""
        if self._bookmarks[story].close(mark):
            self._moved.add(story)
            if not self._keeping and self._line is not None:
                self._keeping = True
                self._tasks.create_task(self._keep_soon())

    async def _keep_soon(self) -> None:
        await asyncio.sleep(KEEP_SECONDS)
        self._keeping = False
        await self.keep()

    async def keep(self) -> None:
        """Writes down how far was heard."""
        line, moved = self._line, self._moved
        if line is None or not line.stands or not moved:
            return
        self._moved = set()
        states = [UpdateState(story, self._bookmarks[story].heard, None, None, None) for story in moved]
        await line.client.storage.set_update_state(states)
        await line.client.storage.save()

    def _remember(self, random_id: int, message: int) -> None:
        self.receipts[random_id] = message
        while len(self.receipts) > KNOWN_MAX:
            self.receipts.popitem(last=False)
