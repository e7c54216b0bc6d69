"""The providers that the operator has set up.

A provider's name stands for one issuer (RFC 8414), so an identity, which is issuer and subject, is written
`google:<subject>`. Nothing else that a provider says counts: names and e-mail addresses change hands.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from control_plane.settings import Settings

OAuthId = Literal["discord", "google"]


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One that speaks OAuth 2 (RFC 6749)."""

    id: OAuthId
    title: str
    issuer: str
    """Without a slash at the end."""
    client_id: str
    client_secret: str
    scope: str


class Telegram(msgspec.Struct, frozen=True, kw_only=True):
    """The bot in whose name Telegram signs."""

    url: str
    token: str

    @property
    def bot_id(self) -> str:
        return self.token.partition(":")[0]


def of(settings: Settings) -> dict[str, Provider]:
    """Those with OAuth, by name."""
    return {one.id: one for one in (_google(settings), _discord(settings)) if one is not None}


def _google(settings: Settings) -> Provider | None:
    client_id, client_secret = settings.google_client_id, settings.google_client_secret
    if client_id is None or client_secret is None:
        return None
    issuer = settings.google_issuer.rstrip("/")
    client = {"client_id": client_id, "client_secret": client_secret}
    return Provider(id="google", title="Google", issuer=issuer, scope="openid", **client)


def _discord(settings: Settings) -> Provider | None:
    client_id, client_secret = settings.discord_client_id, settings.discord_client_secret
    if client_id is None or client_secret is None:
        return None
    issuer = settings.discord_url.rstrip("/")
    client = {"client_id": client_id, "client_secret": client_secret}
    return Provider(id="discord", title="Discord", issuer=issuer, scope="identify", **client)


def telegram(settings: Settings) -> Telegram | None:
    """The bot for signing in, if there is one."""
    if settings.telegram_login_token is None:
        return None
    return Telegram(url=settings.telegram_login_url.rstrip("/"), token=settings.telegram_login_token)
