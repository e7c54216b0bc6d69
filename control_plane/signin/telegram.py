"""What Telegram says of somebody who has signed in there, signed with the secret of a bot.

The rule is https://core.telegram.org/widgets/login#checking-authorization: HMAC-SHA256, under the SHA-256 of the bot's
token, over all fields but the hash, sorted, one a line. A proof is good for five minutes by the database's clock, and
once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import urlencode

import structlog

from control_plane.database import Database, Query
from control_plane.errors import SignInFailed
from control_plane.people.credentials import sha256
from control_plane.people.users import Identity
from control_plane.signin.providers import Telegram

PROOF_SECONDS = 300.0
DRIFT_SECONDS = 60.0
"""By so much Telegram's clock may be ahead."""

SPEND = Query("signin.spend_proof", bytes)

_ID = re.compile(r"[1-9][0-9]{0,19}", re.ASCII)
_DATE = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)

log = structlog.get_logger()


def address(provider: Telegram, origin: str, return_to: str) -> str:
    """Where a browser goes to sign in there; it comes back to `return_to` with `#tgAuthResult=`."""
    query = {"bot_id": provider.bot_id, "origin": origin, "return_to": return_to}
    return f"{provider.url}/auth?{urlencode(query)}"


def signature(token: str, fields: Mapping[str, str | int]) -> str:
    """What Telegram signs these fields with; pure."""
    lines = "\n".join(f"{name}={value}" for name, value in sorted(fields.items()) if name != "hash")
    return hmac.new(hashlib.sha256(token.encode()).digest(), lines.encode(), hashlib.sha256).hexdigest()


async def identity(database: Database, provider: Telegram, fields: Mapping[str, str | int]) -> Identity:
    """Whom Telegram vouches for; the proof is used up. Raises `SignInFailed`."""
    shown, subject, date = (str(fields.get(name, "")) for name in ("hash", "id", "auth_date"))
    if not hmac.compare_digest(signature(provider.token, fields).encode(), shown.encode()):
        raise _failed("hash")
    if not _ID.fullmatch(subject) or not _DATE.fullmatch(date):
        raise _failed("fields")
    proof = {"proof_sha256": sha256(shown), "auth_date": float(date)}
    if await database.one(SPEND, {**proof, "seconds": PROOF_SECONDS, "drift_seconds": DRIFT_SECONDS}) is None:
        raise _failed("old_or_used")
    return Identity("telegram", subject)


def _failed(reason: str) -> SignInFailed:
    log.warning("signin.refused", provider="telegram", reason=reason)
    return SignInFailed("What Telegram answered does not prove who you are, or is too old. Begin anew.")
