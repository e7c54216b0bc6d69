"""Every setting of the bots, as the program has it; `configuration.py` reads it from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^/\s]+[^\s]*\Z", max_length=500)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z")]
Makes = Literal["image", "video"]


class TelegramSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A bot on Telegram."""

    name: str
    """Unique among all bots; `Scene.bot`."""
    makes: Makes
    token: str
    api_id: int
    api_hash: str
    folder: Path
    """Of its session file."""
    connection_factory: Any = None
    """Leads to a stand-in instead of Telegram's data centres."""
    platform: Literal["telegram"] = "telegram"

    def __repr__(self) -> str:  # no secrets in a traceback
        return f"<{self.platform} bot {self.name}>"


class DiscordSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A bot on Discord."""

    name: str
    """Unique among all bots; `Scene.bot`."""
    makes: Makes
    token: str
    application_id: int
    rest_url: str | None = None
    """Of a stand-in instead of Discord."""
    platform: Literal["discord"] = "discord"

    def __repr__(self) -> str:  # likewise
        return f"<{self.platform} bot {self.name}>"


BotSettings = TelegramSettings | DiscordSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the program. What is not here has a table of its own in the file."""

    url: HttpUrl = "http://127.0.0.1:8000"
    """The service."""
    api_key: str
    """A service key with the scopes read, submit, payments and operate."""
    name: Annotated[str, Meta(min_length=1, max_length=40)] = "Tessera"
    """What the bots call the service."""
    site: HttpUrl | None = None
    """Where tokens are bought and accounts looked after; unset: nowhere."""
    support: Annotated[str, Meta(max_length=200)] = ""
    """Whom to write to: an address, or a name in the chat."""
    dir: Path
    """Holds conversations and session files; unset: where the configuration file lies."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8020
    """Port on 127.0.0.1 for /healthz, /readyz and /metrics; 0 = any free one."""
    translate_url: HttpUrl | None = None
    """Of a LibreTranslate server; unset: prompts go as they are typed."""
    translate_key: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    bots: tuple[BotSettings, ...] = ()

    def __repr__(self) -> str:  # likewise
        return f"<settings of {len(self.bots)} bots>"
