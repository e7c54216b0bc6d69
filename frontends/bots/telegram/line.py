"""One bot's connection to its data centre: logged in once, kept in a session file, mended by the library on a break.

`ask` is the way of every call. It repeats what was not answered until it is answered: what was sent under a `random_id`
is not sent twice by that, for Telegram then refuses the repetition. A flood wait is raised as `Flooded`, for the outbox
to obey; any other refusal as the library's error. A login that is worth nothing any more is made anew from the token,
once; if that is refused too, the bot is gone (`BotRefused`), and so is everything that waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from pyrogram import Client
from pyrogram.errors import (
    BadRequest,
    Flood,
    InternalServerError,
    PeerIdInvalid,
    RPCError,
    ServiceUnavailable,
    Unauthorized,
)
from pyrogram.raw import functions as fn
from pyrogram.raw import types as tl
from pyrogram.session.session import AuthKeyNotFound
from pyrogram.storage import UpdateState

from frontends.bots.outbox import Flooded
from frontends.bots.refusal import BotRefused
from frontends.bots.settings import TelegramSettings
from frontends.bots.telegram import refusals
from frontends.bots.telegram.reading import CHANNELS
from frontends.bots.telegram.session import SessionFile

OPEN_SECONDS = 20.0
"""For a connection, an exchange of keys and a login."""
CLOSE_SECONDS = 8.0
ANSWER_SECONDS = 5.0
"""For one call, before it is asked again."""
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.25, 15.0
"""Between two attempts, doubling."""
LOOK_SECONDS = 0.05

log = structlog.get_logger()


class Line:
    """`take` gets what the data centre tells; `mended` is called when a broken connection stands again, `broke` when it
    breaks. May be opened and closed several times."""

    def __init__(
        self,
        settings: TelegramSettings,
        take: Callable[[Any], Awaitable[None]],
        broke: Callable[[], None],
        mended: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._take = take
        self._broke = broke
        self._mended = mended
        self._client: Any = None
        self._standing = asyncio.Event()
        self._refused: BotRefused | None = None
        self._media_lock = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._asking: set[asyncio.Timeout] = set()
        """Calls that are under way; the library forgets them when it closes, and tells nobody."""
        self.me: Any = None
        """The bot as Telegram knows it (`pyrogram.types.User`), once it is logged in."""

    @property
    def stands(self) -> bool:
        """Whether it is open."""
        return self._client is not None

    @property
    def client(self) -> Any:
        """The library's own, while the line stands."""
        assert self._client is not None, "the line is closed"
        return self._client

    async def open(self) -> None:
        """Connects and logs in. Raises `BotRefused`, or `OSError` when nobody answers."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                client = await self._logged_in()
        except (BadRequest, Unauthorized) as error:
            self._refused = BotRefused(refusals.name(error))
            self._standing.set()
            raise self._refused from error
        except RPCError as error:
            raise ConnectionError(f"Telegram answered {refusals.name(error)}") from error
        self._refused = None
        self._client = client
        client.connect_handler, client.disconnect_handler = self._on_connect, self._on_disconnect
        self._standing.set()

    async def close(self) -> None:
        """Breaks off; what is asked waits for the next `open`."""
        client, self._client = self._client, None
        if client is not None:
            self._standing.clear()
            for limit in self._asking:
                limit.reschedule(asyncio.get_running_loop().time())
            client.connect_handler = client.disconnect_handler = None
            await _closed(client)

    async def ask(self, query: Any, *, media: bool = False, seconds: float = ANSWER_SECONDS, again: bool = True) -> Any:
        """The answer to a call, however long it takes; or (not `again`) `OSError` when the first try has none. Raises
        `Flooded`, `RPCError`, `BotRefused`."""
        pause = PAUSE_SECONDS
        while True:
            client = self._client
            try:
                return await self.ask_once(query, media=media, seconds=seconds)
            except Flood as flood:
                raise Flooded(float(flood.value or 1)) from None
            except Unauthorized:
                await self._renew(client)
            except (OSError, InternalServerError, ServiceUnavailable) as error:
                if isinstance(error, BadRequest):  # among them: the number was used before
                    raise
                if not again:
                    raise ConnectionError(f"no answer: {type(error).__name__}") from error
                log.info("call.repeated", bot=self._settings.name, call=query.QUALNAME, error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(PAUSE_SECONDS_MAX, pause * 2)

    async def ask_once(self, query: Any, *, media: bool = False, seconds: float = ANSWER_SECONDS) -> Any:
        """One attempt. Raises `OSError` when there is no answer in time, and what `ask` raises."""
        await self._standing.wait()
        if self._refused is not None:
            raise self._refused
        client = self.client
        async with asyncio.timeout(2 * seconds) as limit:
            self._asking.add(limit)
            try:
                session = await self._media_session(client) if media else client.session
                await session.is_started.wait()
                answer = await session.send(query, timeout=seconds)
            except AttributeError as error:  # the library forgets its connection for a moment when it makes a new one
                raise ConnectionError("the connection was being made anew") from error
            finally:
                self._asking.discard(limit)
        await client.fetch_peers(getattr(answer, "users", None) or [])
        await client.fetch_peers(getattr(answer, "chats", None) or [])
        return answer

    async def peer(self, chat: str) -> Any:
        """The address of a chat. Raises `RPCError` when the bot does not know it, and what `ask` raises."""
        known = await self._known_peer(chat)
        if known is None:
            found = await self.ask(_whereabouts(int(chat)))
            await self.client.fetch_peers(found if isinstance(found, list) else [])
            known = await self._known_peer(chat)
        if known is None:
            raise PeerIdInvalid
        return known

    async def _known_peer(self, chat: str) -> Any:
        await self._standing.wait()
        if self._refused is not None:
            raise self._refused
        try:
            return await self.client.storage.get_peer_by_id(int(chat))
        except KeyError:
            return None

    async def _renew(self, lost: Any) -> None:
        """Logs in anew when the login is worth nothing any more. Raises `BotRefused`."""
        async with self._renewing:
            if self._client is not lost:
                return  # somebody else did
            self._broke()
            await self.close()
            while self._client is None:
                try:
                    await self.open()
                except OSError as error:
                    log.info("login.repeated", bot=self._settings.name, error=type(error).__name__)
                    await asyncio.sleep(PAUSE_SECONDS_MAX)
            self._mended()

    # ------------------------------------------------------------------------------------------ logging in

    def _new_client(self) -> Any:
        """A client of the library that does nothing by itself: no handlers, no second tries, no files of its own."""
        settings = self._settings
        folder = settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        number = settings.token.partition(":")[0]
        options = {} if settings.connection_factory is None else {"connection_factory": settings.connection_factory}
        client = Client(
            number,
            api_id=settings.api_id,
            api_hash=settings.api_hash,
            bot_token=settings.token,
            app_version="Tessera",
            workdir=folder,
            storage_engine=SessionFile(number, folder, use_wal=True),
            workers=1,
            sleep_threshold=0,
            max_message_cache_size=1,
            fetch_replies=False,
            fetch_topics=False,
            fetch_stories=False,
            fetch_stickers=False,
            **options,
        )
        client.handle_updates = self._take  # the library forgets an update before it was heard; `inbox` does not
        return client

    async def _logged_in(self) -> Any:
        """A client that is logged in; from the token alone when its session file is of no use."""
        client = self._new_client()
        try:
            return await self._log_in(client)
        except (AuthKeyNotFound, Unauthorized):
            log.info("session.forgotten", bot=self._settings.name)
            await client.storage.open()
            reached = await client.storage.get_update_states()
            await client.storage.close()
            client.storage.database.unlink()
        return await self._log_in(self._new_client(), reached)

    async def _log_in(self, client: Any, reached: Sequence[UpdateState] = ()) -> Any:
        """The client, logged in; what cannot be is closed. `reached`: how far was heard with another session file."""
        try:
            authorized = await client.connect()
            client.storage.database.chmod(0o600)
            client.storage.conn.execute("pragma synchronous = normal")
            await _connected(client.session)
            if not authorized:
                await client.sign_in_bot(self._settings.token)
            state = await client.invoke(fn.updates.GetState(), retries=2)
            if not await client.storage.get_update_states(0):
                first = UpdateState(0, state.pts, state.qts, state.date, state.seq)
                await client.storage.set_update_state([*reached] or [first])
            await client.storage.save()
            self.me = client.me = await client.get_me()
        except BaseException:
            await _closed(client)
            raise
        return client

    # ------------------------------------------------------------------------------------------ the library's hooks

    async def _on_disconnect(self, client: Any, session: Any) -> None:
        if session is client.session:
            self._broke()

    async def _on_connect(self, client: Any, session: Any) -> None:
        if session is client.session:
            self._mended()

    async def _media_session(self, client: Any) -> Any:
        """The session for files; one that did not come up is given up."""
        async with self._media_lock:  # else two would be made, and one of them never closed
            try:
                session = await client.get_session(is_media=True)
                async with asyncio.timeout(ANSWER_SECONDS):
                    await session.is_started.wait()
            except BaseException:
                for session in client.media_sessions.values():
                    await session.stop()
                client.media_sessions.clear()
                raise
            return session


async def _connected(session: Any) -> None:
    """Until the session stands; the library tries on by itself, and tells nobody that its key is unknown."""
    while not session.is_started.is_set():
        reader = session.recv_task
        if reader is not None and reader.done() and not reader.cancelled() and reader.exception() is not None:
            raise reader.exception()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await session.is_started.wait()


async def _closed(client: Any) -> None:
    """Lets go of connections and the session file, whatever state they are in."""
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            for session in [*client.media_sessions.values(), *client.sessions.values()]:
                await session.stop()
            if client.is_connected:
                await client.storage.save()
                await client.disconnect()
    with suppress(Exception):
        await client.storage.close()


def _whereabouts(chat: int) -> Any:
    """Asks for a chat that was not met since the start: a bot may name whom it has met by the id alone."""
    if chat > 0:
        return fn.users.GetUsers(id=[tl.InputUser(user_id=chat, access_hash=0)])
    if chat > CHANNELS:
        return fn.messages.GetChats(id=[-chat])
    return fn.channels.GetChannels(id=[tl.InputChannel(channel_id=CHANNELS - chat, access_hash=0)])
