"""Google and Discord by OAuth 2: authorization code with PKCE (RFC 6749, RFC 7636), as RFC 9700 advises.

Authlib writes and reads the protocol's messages, joserfc judges what is signed. Google tells by an ID token who
somebody is (OpenID Connect): its signature, issuer, audience, nonce and age are checked, by the database's clock.
Discord is asked with the token. Only the subject is taken from either. Where Google is reached is read off its
discovery document, whose issuer has to be the one that we know; documents and keys are remembered for an hour.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import joserfc.errors
import msgspec
import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import KeySet

from control_plane.errors import SignInFailed, Unavailable
from control_plane.people.users import Identity, parse_identity
from control_plane.signin.attempts import Attempt, Begun
from control_plane.signin.providers import Provider

ASK_SECONDS = 10.0
"""For one question to a provider."""
ANSWER_BYTES_MAX = 256 * 1024
REMEMBER_SECONDS = 3_600.0
AGAIN_SECONDS = 60.0
"""Keys that lack the one that is needed are not fetched again sooner."""
LEEWAY_SECONDS = 60
ALGORITHMS = ["RS256", "ES256"]
DISCOVERY = "/.well-known/openid-configuration"
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}

T = TypeVar("T")

log = structlog.get_logger()


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where a provider is asked for what (RFC 8414, 2)."""

    authorization_endpoint: str
    token_endpoint: str
    issuer: str
    jwks_uri: str | None = None


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    token_type: str
    id_token: str | None = None


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON Web Key Set (RFC 7517, 5)."""

    keys: list[dict[str, Any]]


class DiscordUser(msgspec.Struct, frozen=True, kw_only=True):
    id: str


class OAuth:
    """What this process remembers of providers; `now` is the database's clock, in seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._known: dict[str, tuple[float, bytes]] = {}
        """Address → when it was read, and what was there."""
        self.remember_seconds, self.again_seconds = REMEMBER_SECONDS, AGAIN_SECONDS

    async def address(self, provider: Provider, redirect_uri: str, begun: Begun) -> str:
        """Where a browser goes to sign in there. Raises `Unavailable`."""
        endpoints = await self._endpoints(provider)
        nonce = {"nonce": begun.nonce} if provider.id == "google" else {}
        address: str = prepare_grant_uri(
            endpoints.authorization_endpoint,
            provider.client_id,
            "code",
            redirect_uri,
            provider.scope,
            begun.state,
            code_challenge=create_s256_code_challenge(begun.verifier),
            code_challenge_method="S256",
            **nonce,
        )
        return address

    async def identity(self, provider: Provider, redirect_uri: str, code: str, attempt: Attempt) -> Identity:
        """Whom the provider vouches for by this code. Raises `SignInFailed`, `Unavailable`."""
        endpoints = await self._endpoints(provider)
        tokens = await self._redeem(provider, endpoints, redirect_uri, code, attempt.verifier)
        if provider.id == "google":
            subject = await self._vouched(provider, endpoints, tokens, attempt.nonce)
        else:
            headers = {"Authorization": f"Bearer {tokens.access_token}"}
            told = await _ask(provider, "GET", f"{provider.issuer}/api/users/@me", headers)
            subject = _read(provider, told, DiscordUser).id
        identity = parse_identity(f"{provider.id}:{subject}")
        if identity is None:
            raise _failed(provider, "subject")
        return identity

    async def _endpoints(self, provider: Provider) -> Endpoints:
        if provider.id == "discord":
            return Endpoints(
                issuer=provider.issuer,
                authorization_endpoint=f"{provider.issuer}/oauth2/authorize",
                token_endpoint=f"{provider.issuer}/api/oauth2/token",
            )
        found = _read(provider, await self._remembered(provider, provider.issuer + DISCOVERY), Endpoints)
        if found.issuer.rstrip("/") != provider.issuer:
            raise _failed(provider, "issuer")
        scheme = urlsplit(provider.issuer).scheme
        if any(urlsplit(url).scheme not in ("https", scheme) for url in (found.token_endpoint, found.jwks_uri or "")):
            raise _failed(provider, "insecure")
        return found

    async def _redeem(
        self, provider: Provider, endpoints: Endpoints, redirect_uri: str, code: str, verifier: str
    ) -> Tokens:
        """The code for tokens (RFC 6749, 4.1.3)."""
        body: str = prepare_token_request(
            "authorization_code",
            redirect_uri=redirect_uri,
            code=code,
            code_verifier=verifier,
            client_id=provider.client_id,
            client_secret=provider.client_secret,
        )
        tokens = _read(provider, await _ask(provider, "POST", endpoints.token_endpoint, FORM, body), Tokens)
        if tokens.token_type.lower() != "bearer":
            raise _failed(provider, "token_type")
        return tokens

    async def _vouched(self, provider: Provider, endpoints: Endpoints, tokens: Tokens, nonce: str) -> str:
        """The subject of an ID token (OpenID Connect Core, 3.1.3.7)."""
        if tokens.id_token is None or endpoints.jwks_uri is None:
            raise _failed(provider, "id_token")
        try:
            try:
                token = jwt.decode(tokens.id_token, await self._keys(provider, endpoints.jwks_uri), ALGORITHMS)
            except joserfc.errors.InvalidKeyIdError:
                keys = await self._keys(
                    provider, endpoints.jwks_uri, self.again_seconds
                )  # they are changed now and then
                token = jwt.decode(tokens.id_token, keys, ALGORITHMS)
            self._rules(provider, nonce).validate(token.claims)
        except (joserfc.errors.JoseError, ValueError) as error:
            raise _failed(provider, getattr(error, "claim", type(error).__name__)) from error
        return str(token.claims["sub"])

    def _rules(self, provider: Provider, nonce: str) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self._now()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": provider.client_id},
            azp={"value": provider.client_id},
            nonce={"essential": True, "value": nonce},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )

    async def _keys(self, provider: Provider, url: str, age_seconds: float | None = None) -> KeySet:
        told = await self._remembered(provider, url, age_seconds)
        keys: Any = {"keys": _read(provider, told, Keys).keys}
        return KeySet.import_key_set(keys)

    async def _remembered(self, provider: Provider, url: str, age_seconds: float | None = None) -> bytes:
        read_at, told = self._known.get(url, (float("-inf"), b""))
        if time.monotonic() - read_at > (self.remember_seconds if age_seconds is None else age_seconds):
            told = await _ask(provider, "GET", url, {"Accept": "application/json"})
            self._known[url] = (time.monotonic(), told)
        return told


async def _ask(provider: Provider, method: str, url: str, headers: Mapping[str, str], body: str | None = None) -> bytes:
    """What the provider answers. Raises `SignInFailed` when it refuses, `Unavailable` when it does not answer."""
    try:
        async with (
            asyncio.timeout(ASK_SECONDS),
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, data=body, allow_redirects=False) as response,
        ):
            told = b""
            async for piece in response.content.iter_chunked(64 * 1024):
                told += piece
                if len(told) > ANSWER_BYTES_MAX:
                    raise _failed(provider, "too_large")
            if response.status >= 500 or response.status == 429:
                raise _unavailable(provider, str(response.status))
            if response.status != 200:
                raise _failed(provider, str(response.status))
            return told
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _unavailable(provider, type(error).__name__) from error


def _read(provider: Provider, told: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(told, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _failed(provider, "unreadable") from error


def _failed(provider: Provider, reason: str) -> SignInFailed:
    log.warning("signin.refused", provider=provider.id, reason=reason)
    return SignInFailed(f"What {provider.title} answered does not prove who you are. Begin anew.")


def _unavailable(provider: Provider, reason: str) -> Unavailable:
    log.warning("signin.unanswered", provider=provider.id, reason=reason)
    return Unavailable(f"{provider.title} does not answer just now. Try again, or sign in another way.", retry_after=10)
