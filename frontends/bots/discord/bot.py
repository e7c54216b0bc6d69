"""One bot on Discord: its connections, what it hears, and its side of the conversations.

It hears by the gateway, whose events it reads itself, and speaks by REST with a client of its own, which neither waits
nor repeats silently: that is for the outbox. An interaction is acknowledged in time by a task of its own, whatever the
dialogue is waiting for. One that is told twice is known; one that is told again after a connection broke may be too old
to be answered, and is answered by a message.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import hikari
import structlog
from hikari.impl import CacheSettings, HTTPSettings, HTTPTimeoutSettings, ProxySettings, RESTClientImpl

from control_plane.wire.model import ModelView
from frontends.bots.dialogue.effects import Shown
from frontends.bots.dialogue.events import Command, Event, Pressed, Sent, Unsent
from frontends.bots.dialogue.state import Bot, House, Scene
from frontends.bots.discord import commands, hearing, options
from frontends.bots.discord.answering import Answering
from frontends.bots.discord.buckets import Buckets
from frontends.bots.discord.calls import UPLOAD_SECONDS, Calls
from frontends.bots.discord.hearing import Heard, Raw
from frontends.bots.discord.refusals import Unclear, Unsendable
from frontends.bots.discord.showing import Showing
from frontends.bots.errands import Errands
from frontends.bots.language.catalogue import say
from frontends.bots.language.tongue import FALLBACK
from frontends.bots.limits import DISCORD
from frontends.bots.outbox import Flooded, Outbox
from frontends.bots.refusal import BotRefused
from frontends.bots.settings import DiscordSettings
from frontends.problems import ClientError

INTENTS = hikari.Intents.DM_MESSAGES | hikari.Intents.GUILD_MESSAGES
"""Neither has to be granted; what is said in servers without naming the bot comes without its words."""
CALL_SECONDS = 15.0
STOP_SECONDS = 4.0
CLOSE_SECONDS = 2.0
SUGGEST_SECONDS = 1.5
MODELS_SECONDS = 30.0
FETCH_SECONDS = 60.0
PICTURE_BYTES_MAX = 64 * 1024**2
CHUNK_BYTES = 256 * 1024
HOME = "https://discord.com/oauth2/authorize?client_id={}"
BAD_TOKEN = 4004

Handle = Callable[[Scene, Event], Awaitable[None]]

log = structlog.get_logger()


class DiscordBot:
    """Made in the loop that it runs in; `tasks` outlives it."""

    def __init__(
        self,
        settings: DiscordSettings,
        *,
        handle: Handle,
        errands: Errands,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._handle = handle
        self._errands = errands
        self._tasks = tasks
        self._clock = clock
        self._outbox = Outbox(DISCORD.rates, tasks, asyncio.get_running_loop().time)
        # the library would make a new connection, with its handshakes, for every call
        http = HTTPSettings(timeouts=HTTPTimeoutSettings(total=UPLOAD_SECONDS), force_close_transports=False)
        try:
            self._gateway = hikari.GatewayBot(
                settings.token,
                rest_url=settings.rest_url,
                banner=None,
                logs=None,
                intents=INTENTS,
                cache_settings=CacheSettings(components=hikari.api.CacheComponents.NONE),
                http_settings=http,
                max_retries=0,
                suppress_optimization_warning=True,
            )
        except ValueError as error:
            raise BotRefused("It does not look like a token of Discord.") from error
        self._rest = RESTClientImpl(
            cache=None,
            entity_factory=self._gateway.entity_factory,
            executor=None,
            http_settings=http,
            bucket_manager=Buckets(),
            max_retries=0,
            proxy_settings=ProxySettings(),
            token=settings.token,
            token_type=hikari.TokenType.BOT,
            rest_url=settings.rest_url,
        )
        self._calls = Calls(self._rest, settings.application_id)
        self._showing = Showing(self._calls, self._outbox, errands, clock)
        self._session: aiohttp.ClientSession | None = None
        self._bot: Bot | None = None
        self._me = 0
        self._models: tuple[ModelView, ...] = ()
        self._models_at = 0.0
        self._resuming: set[int] = set()
        """Shards that will tell again what they missed."""
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._end: Exception | None = None
        """Why the gateway is not coming back."""

    @property
    def bot(self) -> Bot:
        assert self._bot is not None, "it is known after the start"
        return self._bot

    @property
    def tally(self) -> Counter[str]:
        """What was sent, and how often patience was asked for; see `Outbox`."""
        return self._outbox.tally

    # ------------------------------------------------------------------------------------------ its life

    async def start(self) -> None:
        """Connects. Raises `BotRefused`, or `OSError` when there is no connection."""
        try:
            self._session = aiohttp.ClientSession(trust_env=True)
            self._rest.start()
            await self._introduce()
            self._gateway.subscribe(hikari.ShardPayloadEvent, self._hear)
            self._gateway.subscribe(hikari.ShardDisconnectedEvent, self._lost)
            self._gateway.subscribe(hikari.ShardResumedEvent, self._back)
            self._gateway.subscribe(hikari.ShardReadyEvent, self._back)
            await self._gateway.start(check_for_updates=False)
        except Exception as error:
            raise _reason(error) from error
        self._tasks.create_task(self._watch())

    async def ping(self) -> None:
        """A round trip. Raises `BotRefused`, or `OSError` when there is none."""
        if self._end is not None:
            raise self._end
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._rest.fetch_my_user()
        except Exception as error:
            raise _reason(error) from error
        if not all(shard.is_connected for shard in self._gateway.shards.values()):
            raise ConnectionError("the gateway is not connected")

    async def stop(self) -> None:
        """Takes nothing new, and lets what is under way finish for some seconds."""
        if self._stopping:
            return
        self._stopping = True
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            log.info("bot.cut_short", bot=self._settings.name, busy=self._busy)
        self._outbox.stop()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._gateway.is_alive:
                    await self._gateway.close()
        finally:
            if self._rest.is_alive:
                await self._rest.close()
            if self._session is not None:
                await self._session.close()

    async def publish(self, house: House) -> None:
        """Registers its commands, in place of all that were, and says what it is, in the one language there is."""
        makes = self._settings.makes
        described = say(f"profile.{makes}", FALLBACK, name=house.name)
        registered = commands.commands(makes)
        await self._outbox.send("commands", lambda: self._calls.register(registered))
        await self._outbox.send("profile", lambda: self._calls.describe(described))

    async def _introduce(self) -> None:
        async with asyncio.timeout(CALL_SECONDS):
            me = await self._rest.fetch_my_user()
            application = await self._rest.fetch_application()
        if int(application.id) != self._settings.application_id:
            raise BotRefused(f"The token is one of application {application.id}, not {self._settings.application_id}.")
        self._me = int(me.id)
        self._bot = Bot(
            name=self._settings.name,
            makes=self._settings.makes,
            platform_name="discord",
            title=me.global_name or me.username,
            url=HOME.format(application.id),
        )

    async def _watch(self) -> None:
        """Until the gateway ends for good."""
        try:
            await self._gateway.join()
        except Exception as error:
            self._end = _reason(error)
            log.warning("gateway.ended", bot=self._settings.name, reason=str(error) or type(error).__name__)

    # ------------------------------------------------------------------------------------------ what it hears

    async def _hear(self, event: hikari.ShardPayloadEvent) -> None:
        if self._stopping:
            return
        try:
            if event.name == "INTERACTION_CREATE":
                await self._asked(event.payload, event.shard.id)
            elif event.name == "MESSAGE_CREATE" and hearing.names(event.payload, self._me):
                await self._spoken(event.payload)
        except Exception:  # one person's bad luck must not end everybody's bot
            log.exception("event.failed", bot=self._settings.name, happening=event.name)

    async def _asked(self, raw: Raw, shard: int) -> None:
        told = self._gateway.entity_factory.deserialize_interaction(dict(raw))
        if isinstance(told, hikari.AutocompleteInteraction):
            await self._suggest(told)
            return
        heard = hearing.interaction(self._settings, raw, told, self._clock())
        if heard is None or self._showing.knows(heard.event.id):
            return
        answering = Answering(self._calls, self._outbox, int(told.id), heard.origin, heard.promise, self._clock)
        if shard in self._resuming and heard.event.at - told.created_at.timestamp() > DISCORD.answer_seconds:
            answering.miss()
        self._showing.opens(heard.event.id, answering, _again(heard))
        self._tasks.create_task(answering.in_time())
        await self._handle(heard.scene, heard.event)

    async def _spoken(self, raw: Raw) -> None:
        told = self._gateway.entity_factory.deserialize_message(dict(raw))
        heard = hearing.message(self._settings, told, self._me, self._clock())
        if heard is not None:
            await self._handle(heard.scene, heard.event)

    async def _suggest(self, told: hikari.AutocompleteInteraction) -> None:
        """Names of models that make what is being ordered, as they are typed."""
        kind = options.ordered(told.command_name, self._settings.makes)
        typed = next((str(option.value) for option in told.options if option.is_focused), "")
        models = [model for model in await self._offered() if model.kind == kind]
        try:
            await self._calls.suggest(int(told.id), told.token, commands.suggestions(models, typed))
        except (Unsendable, Unclear, Flooded) as error:
            log.info("suggestion.lost", reason=str(error))

    async def _offered(self) -> tuple[ModelView, ...]:
        """What can be ordered, as it was heard not long ago: somebody waits with a key pressed."""
        if self._clock() - self._models_at > MODELS_SECONDS:
            try:
                async with asyncio.timeout(SUGGEST_SECONDS):
                    self._models = tuple((await self._errands.models()).data)
                self._models_at = self._clock()
            except (ClientError, TimeoutError):
                pass
        return self._models

    async def _lost(self, event: hikari.ShardDisconnectedEvent) -> None:
        self._resuming.add(event.shard.id)

    async def _back(self, event: hikari.ShardResumedEvent | hikari.ShardReadyEvent) -> None:
        self._resuming.discard(event.shard.id)

    # ------------------------------------------------------------------------------------------ what it does

    async def perform(self, scene: Scene, effect: Shown, language: str) -> Sent | Unsent | None:
        """As `conversations.Skin` says. Raises `ConnectionError` when the bot was stopped meanwhile."""
        self._busy += 1
        self._idle.clear()
        try:
            return await self._showing.show(scene, effect, language)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def fetch(self, reference: str, folder: Path) -> Path:
        """The picture that somebody sent. Raises `OSError` when it cannot be had."""
        assert self._session is not None, "it was started"
        file = folder / "picture"
        try:
            async with asyncio.timeout(FETCH_SECONDS), self._session.get(reference) as response:
                response.raise_for_status()
                with file.open("wb") as out:
                    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                        out.write(chunk)
                        if out.tell() > PICTURE_BYTES_MAX:
                            raise OSError(f"the picture is larger than {PICTURE_BYTES_MAX} bytes")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionError(f"the picture cannot be had ({type(error).__name__})") from error
        return file

    async def give_back(self, payer: str, charge: str) -> None:
        """Nobody pays here by the platform's own money."""
        raise LookupError(f"{self._settings.name} never took a payment")


def _again(heard: Heard) -> str:
    """The payload of a button that does the same."""
    match heard.event:
        case Pressed(payload=carried):
            return carried
        case Command():
            return hearing.button_of(heard.event)
    return ""


def _reason(error: Exception) -> Exception:
    """What a failure of the library means to whoever runs the bot."""
    match error:
        case BotRefused() | OSError() | TimeoutError():
            return error
        case hikari.UnauthorizedError():
            return BotRefused("Discord does not know this token: 401 Unauthorized")
        case hikari.GatewayServerClosedConnectionError(code=code) if code == BAD_TOKEN:
            return BotRefused("Discord does not take this token: 4004 authentication failed")
        case _:
            return ConnectionError(str(error) or type(error).__name__)
