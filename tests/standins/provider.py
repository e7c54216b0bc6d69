"""A stand-in of an OAuth provider: Google (OpenID Connect, discovery, signed ID tokens) and Discord (which is asked).

Real HTTP, and as strict as the real ones: a redirect address has to be registered to the letter, a code works once,
for its client, its redirect address and its verifier only, and each refusal is noted. `lies` makes it say something
else than it should.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = "client-1", "a secret of the client"
CODE_SECONDS = 60.0


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has an account with the provider and is signed in there."""

    subject: str
    email: str = ""
    email_verified: bool = False


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What a code was given out for."""

    person: Person
    redirect_uri: str
    challenge: str
    nonce: str


class Provider:
    """One provider with one client."""

    def __init__(self) -> None:
        self.url = ""
        self.redirect_uris: set[str] = set()
        self.refusals: list[str] = []
        self.lies: dict[str, Any] = {}
        """Claims of ID tokens (None: left out) and members of other answers that are said instead of the right ones."""
        self.status = 200
        """Of every answer at the token endpoint that would have been fine."""
        self.asked: list[str] = []
        self._codes: dict[str, Granted] = {}
        self._tokens: dict[str, Person] = {}
        self._kid = 1
        self._key = RSAKey.generate_key(2048, {"kid": "1"})

    # -------------------------------------------------------------------------------- what a browser sees

    def consent(self, address: str, person: Person) -> str:
        """Somebody says yes on the page to which a browser was sent: where it is sent back to."""
        asked = self._read(address)
        if asked["redirect_uri"] not in self.redirect_uris:
            self.refusals.append("redirect_uri_mismatch")
            raise PermissionError(
                "redirect_uri_mismatch: an error page of the provider, from which nobody is sent anywhere"
            )
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
        code = secrets.token_urlsafe(24)
        challenge, nonce = asked["code_challenge"], asked.get("nonce", "")
        uri = asked["redirect_uri"]
        self._codes[code] = Granted(person=person, redirect_uri=uri, challenge=challenge, nonce=nonce)
        return self._back(asked, {"code": code, "scope": asked["scope"], "authuser": "0", "prompt": "none"})

    def refuse(self, address: str, error: str = "access_denied") -> str:
        """Somebody says no there."""
        return self._back(self._read(address), {"error": error, "error_description": "no"})

    def _read(self, address: str) -> dict[str, str]:
        assert address.startswith(f"{self.url}/"), address
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert "client_secret" not in asked
        assert "code_verifier" not in asked
        return asked

    def _back(self, asked: dict[str, str], told: dict[str, str]) -> str:
        query = {**told, "state": asked["state"], "iss": self.lies.get("iss_parameter", self.url)}
        return f"{asked['redirect_uri']}?{urlencode(query)}"

    # -------------------------------------------------------------------------------- what the client asks

    async def discovery(self, request: web.Request) -> web.Response:
        self.asked.append("discovery")
        told = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/oauth2/authorize",
            "token_endpoint": f"{self.url}/api/oauth2/token",
            "jwks_uri": f"{self.url}/keys",
        }
        return web.json_response({**told, **self.lies.get("discovery", {})})

    async def keys(self, request: web.Request) -> web.Response:
        self.asked.append("keys")
        return web.json_response(KeySet([self._key]).as_dict(private=False))

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append("token")
        form = {name: str(value) for name, value in (await request.post()).items()}
        granted = self._codes.pop(form.get("code", ""), None)
        refusal = self._refusal(form, granted)
        if refusal is not None or granted is None:
            self.refusals.append(refusal or "invalid_grant")
            return web.json_response({"error": refusal or "invalid_grant"}, status=400)
        access = secrets.token_urlsafe(24)
        self._tokens[access] = granted.person
        told = {"access_token": access, "token_type": "Bearer", "expires_in": 3600, "scope": "openid"}
        return web.json_response({**told, "id_token": self._id_token(granted)}, status=self.status)

    async def me(self, request: web.Request) -> web.Response:
        self.asked.append("me")
        person = self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if person is None:
            return web.json_response({"message": "401: Unauthorized"}, status=401)
        told = {"id": person.subject, "username": "ada", "email": person.email, "verified": person.email_verified}
        return web.json_response({**told, **self.lies})

    def _refusal(self, form: dict[str, str], granted: Granted | None) -> str | None:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return "invalid_client"
        if form.get("grant_type") != "authorization_code":
            return "unsupported_grant_type"
        if granted is None or form.get("redirect_uri") != granted.redirect_uri:
            return "invalid_grant"
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        fits = _base64(digest) == granted.challenge
        return None if fits else "invalid_verifier"

    def _id_token(self, granted: Granted) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "azp": CLIENT_ID,
            "sub": granted.person.subject,
            "nonce": granted.nonce,
            "iat": now,
            "exp": now + 3600,
            "email": granted.person.email,
            "email_verified": granted.person.email_verified,
        }
        claims |= {name: value for name, value in self.lies.items() if name not in ("alg", "key", "kid", "discovery")}
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.lies.get("alg") == "none":
            head, body = _base64(b'{"alg":"none"}'), _base64(msgspec.json.encode(claims))
            return f"{head}.{body}."
        header = {"alg": self.lies.get("alg", "RS256"), "kid": self.lies.get("kid", str(self._kid))}
        return jwt.encode(header, claims, self.lies.get("key", self._key), algorithms=["RS256", "HS256"])

    def change_key(self) -> None:
        """From now on it signs with another key."""
        self._kid += 1
        self._key = RSAKey.generate_key(2048, {"kid": str(self._kid)})


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    standing = Provider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", standing.discovery)
    app.router.add_get("/keys", standing.keys)
    app.router.add_post("/api/oauth2/token", standing.token)
    app.router.add_get("/api/users/@me", standing.me)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    standing.url = f"http://{host}:{port}"
    try:
        yield standing
    finally:
        await runner.cleanup()
