"""The steps of `tessera-bots setup`: the service first, then bot by bot; each is checked before it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from frontends.bots import key, packages
from frontends.bots.configuration import (
    KEY_COMMAND,
    ConfigurationError,
    application_of,
    config_file,
    credentials_of,
    reached,
)
from frontends.bots.credentials import CredentialError, Credentials
from frontends.bots.dialogue.state import House
from frontends.bots.limits import PlatformName
from frontends.bots.settings import BotSettings, DiscordSettings, HttpUrl, Makes, Name, TelegramSettings
from frontends.bots.setup.files import File
from frontends.bots.setup.found import Found, NotLetIn
from frontends.bots.setup.questions import Questions
from frontends.client import connect
from frontends.problems import ClientError

SERVICE_SECONDS = 5.0
LOOK_SECONDS = 90.0
TRIES_MAX = 3
"""A person may correct what was refused; a script may not."""

URL = "http://127.0.0.1:8000"
Label = Annotated[str, Meta(min_length=1, max_length=40)]
Words = Annotated[str, Meta(max_length=200)]
Id = Annotated[int, Meta(gt=0)]
Site = Annotated[str, Meta(pattern=r"^(https?://[^/\s]+[^\s]*)?\Z", max_length=500)]


class Setup:
    """One run. `options` are those of the command line, by name."""

    def __init__(self, options: dict[str, Any], environ: Mapping[str, str]) -> None:
        path = config_file(environ)
        self._questions = Questions(options)
        self._file = File(path)
        self._credentials: Credentials = credentials_of(path, environ)

    async def run(self) -> None:
        """Raises `ConfigurationError` when something is missing or refused."""
        try:
            await self._service()
            await self._bot()
            while self._questions.agrees("Another bot?"):
                self._questions.forget()
                await self._bot()
        except CredentialError as error:
            raise ConfigurationError(str(error)) from error
        self._questions.tell(f"\nEverything is in {self._file.path.parent}. Run the bots with: tessera-bots")

    # ------------------------------------------------------------------------------------------ the service

    async def _service(self) -> None:
        ask, url = self._questions, self._file.document.get("url")
        if url is None:
            ask.tell("The service: where its API answers, and a key with which the bots act for people.")
            url = ask.ask("url", "Its address", HttpUrl, usual=URL, hint="an absolute URL (https://tessera.example)")
        if self._credentials.read("api_key") is None:
            ask.tell(f"The operator makes the key with:\n  {KEY_COMMAND}")
            self._credentials.write("api_key", await self._good_key(url))
        if not self._file.path.exists():
            self._begin(url)

    async def _good_key(self, url: str) -> str:
        for tries in range(1, TRIES_MAX + 1):
            found = self._questions.secret("api_key", "Its key", hint="a key of the service (tsk_…)")
            try:
                async with connect(url, found, patience_seconds=SERVICE_SECONDS) as client:
                    await key.check(client, ["telegram", "discord"])
                return found
            except (key.WrongKey, ClientError) as error:
                self._again(tries, str(error), "api_key")
        raise AssertionError("the last try raises")

    def _begin(self, url: str) -> None:
        ask = self._questions.ask
        asked = {
            "name": ask("house", "What do the bots call it?", Label, usual="Tessera", hint="1 to 40 characters"),
            "site": ask("site", "Its web site, if it has one", Site, hint="an absolute URL", optional=True),
            "support": ask("support", "Whom may people write to?", Words, hint="at most 200 characters", optional=True),
        }
        self._file.begin(url=url, **{name: value for name, value in asked.items() if value})

    # ------------------------------------------------------------------------------------------ a bot

    async def _bot(self) -> None:
        ask = self._questions
        ask.tell()
        platform = ask.ask("platform", "A bot on telegram or discord?", PlatformName, hint="telegram or discord")
        faults = list(packages.faults({platform}))
        if faults:
            raise ConfigurationError("\n".join(faults))
        makes = ask.ask("makes", "What does it make, image or video?", Makes, usual="image", hint="image or video")
        name = self._name(f"{platform}-{makes}")
        known = self._file.bot(name)
        if known is not None and (known.get("platform"), known.get("makes")) != (platform, makes):
            raise ConfigurationError(f"{self._file.path} has a bot {name!r} that is another. Choose another --name.")
        settings, found = await self._admitted(name, platform, makes)
        self._store(settings, is_new=known is None)
        self._show(found)

    def _name(self, usual: str) -> str:
        taken = [str(table.get("name")) for table in self._file.bots]
        if taken:
            self._questions.tell(f"There are: {', '.join(taken)}. A name of these gives that bot a new token.")
        hint = "small letters, digits, - and _, at most 32"
        usual = next(f"{usual}{n or ''}" for n in range(len(taken) + 2) if n != 1 and f"{usual}{n or ''}" not in taken)
        found: str = self._questions.ask("name", "A short name for it, for you alone", Name, usual=usual, hint=hint)
        return found

    async def _admitted(self, name: str, platform: PlatformName, makes: Makes) -> tuple[BotSettings, Found]:
        """A bot that its platform lets in. Raises `ConfigurationError`."""
        for tries in range(1, TRIES_MAX + 1):
            settings = self._telegram(name, makes) if platform == "telegram" else self._discord(name, makes)
            self._questions.tell("  Asking the platform …")
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    return settings, await _look(settings, self._house())
            except NotLetIn as refusal:
                self._again(tries, str(refusal), *refusal.names)
            except (OSError, TimeoutError) as error:
                raise ConfigurationError(
                    f"The platform cannot be reached now ({str(error) or 'no answer'})."
                ) from error
        raise AssertionError("the last try raises")

    def _telegram(self, name: str, makes: Makes) -> TelegramSettings:
        ask, table = self._questions, self._file.document.get("telegram", {})
        api_id = table.get("api_id")
        api_hash = table.get("api_hash") or self._credentials.read("telegram_api_hash")
        if api_id is None or api_hash is None:
            ask.tell(
                "Telegram knows this program by two values of https://my.telegram.org, under API development tools."
            )
            api_id = api_id or ask.ask("api_id", "api_id", Id, hint="a number")
            api_hash = ask.secret("api_hash", "api_hash", hint="the api_hash of my.telegram.org")
        ask.tell("The bot itself is made by https://t.me/BotFather: send it /newbot, and it tells you the token.")
        token = ask.secret("token", "Token", hint="the bot's token, as @BotFather tells it (123456:ABC…)")
        where = table.get("data_centre") or ask.option("data_centre")
        try:
            factory = reached(where)
        except ValueError as error:
            raise ConfigurationError(f"--data-centre is for a stand-in: host:port:media_port ({error}).") from error
        return TelegramSettings(
            name=name,
            makes=makes,
            token=token,
            api_id=api_id,
            api_hash=api_hash,
            folder=self._file.path.parent / "telegram",
            connection_factory=factory,
        )

    def _discord(self, name: str, makes: Makes) -> DiscordSettings:
        ask = self._questions
        ask.tell(
            "The bot is made at https://discord.com/developers/applications: New Application, then Bot, Reset Token."
        )
        token = ask.secret("token", "Token", hint="the bot's token")
        usual = str(application_of(token) or "")
        number = ask.ask(
            "application_id", "Application id", Id, usual=usual, hint="a number, under General Information"
        )
        rest_url = self._file.document.get("discord", {}).get("rest_url") or ask.option("rest_url")
        return DiscordSettings(name=name, makes=makes, token=token, application_id=number, rest_url=rest_url)

    def _again(self, tries: int, sentence: str, *names: str) -> None:
        if tries == TRIES_MAX or not self._questions.is_person_there:
            raise ConfigurationError(sentence)
        self._questions.tell(f"  {sentence}")
        self._questions.forget(*names)

    # ------------------------------------------------------------------------------------------ stored and shown

    def _house(self) -> House:
        document = self._file.document
        return House(
            name=str(document.get("name", "Tessera")),
            site=str(document.get("site", "")),
            support=str(document.get("support", "")),
        )

    def _store(self, settings: BotSettings, *, is_new: bool) -> None:
        tables, file = self._file.document, self._file
        self._credentials.write(f"{settings.name}_token", settings.token)
        match settings:
            case TelegramSettings():
                self._credentials.write("telegram_api_hash", settings.api_hash)
                if "telegram" not in tables:
                    where = self._questions.option("data_centre")
                    file.add("[telegram]", api_id=settings.api_id, **({"data_centre": where} if where else {}))
            case DiscordSettings():
                if "discord" not in tables and settings.rest_url:
                    file.add("[discord]", rest_url=settings.rest_url)
        if is_new:
            number = {"application_id": settings.application_id} if isinstance(settings, DiscordSettings) else {}
            file.add("[[bot]]", name=settings.name, platform=settings.platform, makes=settings.makes, **number)

    def _show(self, found: Found) -> None:
        print(f"{found.title} is let in, and its commands are registered.")
        for what, url in found.links:
            print(f"  {what}: {url}")
        for remark in found.remarks:
            print(f"  To do: {remark}")


async def _look(settings: BotSettings, house: House) -> Found:
    match settings:
        case TelegramSettings():
            from frontends.bots.setup import telegram

            return await telegram.look(settings, house)
        case DiscordSettings():
            from frontends.bots.setup import discord

            return await discord.look(settings)
