"""Every setting of the bots, read once, from one TOML file with any number of bots:

    url = "https://tessera.example"        # the service; its key is the secret `api_key`
    name = "Tessera"                       # what the bots call it

    [telegram]
    api_id = 12345                         # of my.telegram.org; the secret `telegram_api_hash` belongs to it

    [[bot]]
    name = "painter"                       # unique; its token is the secret `painter_token`
    platform = "telegram"                  # or "discord"
    makes = "image"                        # or "video"

A field `port` of the upper part is also the variable `TESSERA_BOTS_PORT`, which wins over the file. A secret stands in
a file of its own (`credentials.py`), or by its name in the file (`token = "…"`), which then must be its user's alone.
Everything wrong is told at once, with what to do.
"""

from __future__ import annotations

import base64
import binascii
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from frontends.bots.credentials import CredentialError, Credentials, check_private
from frontends.bots.limits import PlatformName
from frontends.bots.settings import BotSettings, DiscordSettings, HttpUrl, Makes, Name, Settings, TelegramSettings

PREFIX = "TESSERA_BOTS_"
CONFIG_VARIABLE = "TESSERA_BOTS_CONFIG"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Set by systemd."""
EX_CONFIG = 78
"""sysexits(3): something in the configuration is wrong."""
KEY_COMMAND = (
    "tessera key create --service bots --provider telegram --provider discord"
    " --scope read --scope submit --scope payments --scope operate"
)


class ConfigurationError(Exception):
    """The settings cannot be used; the message says which, why and what to do."""

    exit_code = EX_CONFIG


class _Telegram(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    api_id: Annotated[int, Meta(gt=0)]
    api_hash: str | None = None
    data_centre: str | None = None
    """Of a stand-in on this machine: `host:port:media_port`."""


class _Discord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rest_url: HttpUrl | None = None


class _Bot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    platform: PlatformName
    makes: Makes
    token: str | None = None
    application_id: Annotated[int, Meta(gt=0)] | None = None


TABLES = ("telegram", "discord", "bot")
FIELDS: dict[str, Any] = {
    name: hint for name, hint in get_type_hints(Settings, include_extras=True).items() if name != "bots"
}
SECRETS = ("api_key", "translate_key")
_ALLOWED = {
    "url": "an absolute URL (https://tessera.example)",
    "name": "text of 1 to 40 characters",
    "site": "an absolute URL (https://tessera.example)",
    "support": "text of at most 200 characters",
    "port": "a port from 0 to 65535",
    "translate_url": "an absolute URL (http://127.0.0.1:5000)",
    "log_level": "debug, info, warning or error",
    "log_format": "auto, json or console",
}


def config_file(environ: Mapping[str, str]) -> Path:
    """Where the settings are, or will be."""
    named = environ.get(CONFIG_VARIABLE)
    path = Path(named) if named else Path("~/.local/share/tessera-bots/bots.toml")
    return path.expanduser().absolute()


def credentials_of(path: Path, environ: Mapping[str, str]) -> Credentials:
    """The secrets that belong to a configuration file."""
    systemd = environ.get(CREDENTIALS_VARIABLE)
    return Credentials(path.parent / "credentials", Path(systemd) if systemd else None)


def load(environ: Mapping[str, str]) -> Settings:
    """The settings in effect; raises `ConfigurationError` that names everything wrong."""
    path = config_file(environ)
    reading = _Reading(path, _document(path), environ)
    settings = reading.settings()
    if reading.faults or settings is None:
        raise ConfigurationError("\n".join(reading.faults))
    return settings


def _document(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if any(_secrets_in(document)):
            check_private(path)
        return document
    except FileNotFoundError:
        raise ConfigurationError(f"There is no {path} yet. Run: tessera-bots setup") from None
    except CredentialError as error:
        raise ConfigurationError(str(error)) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error


def _secrets_in(document: Mapping[str, Any]) -> Iterator[bool]:
    yield from (name in document for name in SECRETS)
    telegram, bots = document.get("telegram"), document.get("bot")
    yield isinstance(telegram, dict) and "api_hash" in telegram
    yield from ("token" in bot for bot in (bots if isinstance(bots, list) else []))


class _Reading:
    """Of one file, with all that is wrong in it."""

    def __init__(self, path: Path, document: dict[str, Any], environ: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self._path = path
        self._document = document
        self._environ = environ
        self._credentials = credentials_of(path, environ)

    def settings(self) -> Settings | None:
        values = self._upper_part()
        values.setdefault("dir", self._path.parent)
        values["bots"] = tuple(self._bots(values["dir"]))
        for name in SECRETS:
            values[name] = values.get(name) or self._secret(name)
        if not values["api_key"]:
            self.faults.append(
                f"There is no key of the service: put it into {self._credentials.own}/api_key. The operator makes one"
                f" with: {KEY_COMMAND}"
            )
        return Settings(**values) if not self.faults else None

    def _upper_part(self) -> dict[str, Any]:
        for key in self._document:
            if key not in FIELDS and key not in TABLES:
                known = ", ".join([*FIELDS, "[telegram]", "[discord]", "[[bot]]"])
                self.faults.append(f"{self._path}: there is no setting {key!r}. There are: {known}.")
        values = {}
        for name in FIELDS:
            variable = PREFIX + name.upper()
            raw = self._environ.get(variable) or self._document.get(name)
            if raw is None:
                continue
            origin = variable if self._environ.get(variable) else f"{name} in {self._path}"
            shown = "" if name in SECRETS else f" is {str(raw)!r}, but"
            try:
                values[name] = msgspec.convert(raw, FIELDS[name], strict=False, dec_hook=_decode)
            except msgspec.ValidationError:
                self.faults.append(f"{origin}{shown} must be {_ALLOWED.get(name, 'text')}.")
        return values

    def _bots(self, folder: Path) -> Iterator[BotSettings]:
        tables = self._document.get("bot", [])
        telegram = self._table("[telegram]", self._document.get("telegram"), _Telegram)
        discord = self._table("[discord]", self._document.get("discord", {}), _Discord)
        names: set[str] = set()
        if not isinstance(tables, list) or not tables:
            self.faults.append(f"{self._path} has no [[bot]] yet. Run: tessera-bots setup")
            return
        for number, raw in enumerate(tables, 1):
            bot = self._table(f"[[bot]] {number}", raw, _Bot)
            if bot is None:
                continue
            if bot.name in names:
                self.faults.append(f"{self._path}: there are two bots {bot.name!r}. Give each a name of its own.")
            names.add(bot.name)
            found: BotSettings | None
            match bot.platform:
                case "telegram":
                    found = self._on_telegram(bot, telegram, folder)
                case "discord":
                    found = self._on_discord(bot, discord or _Discord())
            if found is not None:
                yield found

    def _table(self, name: str, raw: object, kind: type[Any]) -> Any:
        if raw is None:
            return None
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            self.faults.append(f"{self._path}: {name}: {error}.")
            return None

    def _on_telegram(self, bot: _Bot, common: _Telegram | None, folder: Path) -> TelegramSettings | None:
        token = self._token(bot)
        api_hash = (common.api_hash if common else None) or self._secret("telegram_api_hash")
        if common is None or api_hash is None:
            self._say_once(
                "Bots on Telegram need api_id in [telegram], and the secret telegram_api_hash that belongs to it: both"
                " are of https://my.telegram.org. Run: tessera-bots setup"
            )
        if common is None or api_hash is None or token is None:
            return None
        return TelegramSettings(
            name=bot.name,
            makes=bot.makes,
            token=token,
            api_id=common.api_id,
            api_hash=api_hash,
            folder=folder / "telegram",
            connection_factory=self._reached(common.data_centre),
        )

    def _on_discord(self, bot: _Bot, common: _Discord) -> DiscordSettings | None:
        token = self._token(bot)
        if token is None:
            return None
        application_id = bot.application_id or application_of(token)
        if application_id is None:
            self.faults.append(
                f"The token of the bot {bot.name!r} is none of Discord's. It stands at"
                " https://discord.com/developers/applications under Bot."
            )
            return None
        return DiscordSettings(
            name=bot.name, makes=bot.makes, token=token, application_id=application_id, rest_url=common.rest_url
        )

    def _reached(self, data_centre: str | None) -> Any:
        try:
            return reached(data_centre)
        except ValueError:
            self._say_once(
                f"{self._path}: data_centre is {data_centre!r}, but must be host:port:media_port of a stand-in on this"
                " machine. Leave it out for Telegram itself."
            )
            return None

    def _token(self, bot: _Bot) -> str | None:
        token = bot.token or self._secret(f"{bot.name}_token")
        if token is None:
            self.faults.append(
                f"There is no token of the bot {bot.name!r}: put it into {self._credentials.own}/{bot.name}_token,"
                " or run: tessera-bots setup"
            )
        return token

    def _secret(self, name: str) -> str | None:
        try:
            return self._credentials.read(name) or None
        except CredentialError as error:
            self._say_once(str(error))
            return None

    def _say_once(self, fault: str) -> None:
        if fault not in self.faults:
            self.faults.append(fault)


def reached(data_centre: str | None) -> Any:
    """How Telegram is reached when it is a stand-in; None: as ever. Raises `ValueError`."""
    if not data_centre:
        return None
    from frontends.standins.telegram import reach  # with Telegram's library, which is large

    host, port, media_port = (*data_centre.rsplit(":", 2), "", "")[:3]
    return reach.connection_factory(host, int(port), int(media_port))


def application_of(token: str) -> int | None:
    """The application of a Discord bot, which its token names first."""
    head = token.split(".")[0]
    try:
        return int(base64.b64decode(head + "=" * (-len(head) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _decode(wanted: type, raw: object) -> object:
    if wanted is Path:
        return Path(str(raw)).expanduser().absolute()
    raise TypeError(f"no decoder for {wanted}")
