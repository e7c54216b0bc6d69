"""What the platform says no with, in the dialogue's words.

A call ends in one of these: it is done; it will never be (`Unsendable`, with why); it may be later (`Flooded`); nobody
knows whether it was done (`Unclear`: an error of theirs, a connection that broke, an answer that never came); or the
bot was stopped (`ConnectionError`), which decides nothing. The codes are those of
discord.com/developers/docs/topics/opcodes-and-status-codes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import hikari
import structlog

from frontends.bots.dialogue.events import Refusal
from frontends.bots.outbox import Flooded
from frontends.client import full_jitter

AGAIN_SECONDS_MIN = 0.2
"""After a call of which nobody knows whether it was done, at least."""

BANNED_SECONDS = 30.0
"""How long we keep away when we are not told."""

UNKNOWN_CHANNEL, UNKNOWN_MESSAGE, UNKNOWN_WEBHOOK, UNKNOWN_INTERACTION = 10003, 10008, 10015, 10062
MISSING_ACCESS, CANNOT_SEND_TO_USER, MISSING_PERMISSIONS = 50001, 50007, 50013
INVALID_TOKEN, TOO_LARGE, ALREADY_ACKNOWLEDGED = 50027, 40005, 40060
OPENING_TOO_FAST, CANNOT_DIRECT = 40003, 50033

CLOSED_DOORS = frozenset({UNKNOWN_CHANNEL, MISSING_ACCESS, MISSING_PERMISSIONS})
"""This bot cannot write in this channel."""
WHY: dict[int, Refusal] = {
    UNKNOWN_CHANNEL: "gone",
    UNKNOWN_MESSAGE: "gone",
    UNKNOWN_WEBHOOK: "expired",
    UNKNOWN_INTERACTION: "expired",
    INVALID_TOKEN: "expired",
    MISSING_ACCESS: "gone",
    MISSING_PERMISSIONS: "gone",
    CANNOT_SEND_TO_USER: "blocked",
    CANNOT_DIRECT: "blocked",
    TOO_LARGE: "too_large",
}

Outcome = TypeVar("Outcome")

log = structlog.get_logger()


class Unsendable(Exception):
    """It will never be done."""

    def __init__(self, why: Refusal, code: int = 0, said: str = "") -> None:
        super().__init__(f"{why}: {code} {said}".strip())
        self.why: Refusal = why
        self.code = code


class Unclear(Exception):
    """It may have been done, or not."""


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """A call of the library; what it raises is told in our words."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except hikari.RateLimitTooLongError as error:
        raise Flooded(error.retry_after) from None
    except hikari.HTTPResponseError as error:
        raise _meant(error) from error
    except (hikari.HTTPError, TimeoutError) as error:
        raise Unclear(str(error) or "no answer in time") from error
    except hikari.ComponentStateConflictError as error:
        raise ConnectionError("the bot is stopped") from error


def _meant(error: hikari.HTTPResponseError) -> Exception:
    code = int(getattr(error, "code", 0) or 0)
    if error.status == 429:  # not by a bucket, whose answers the library understands: we are kept out for a while
        return Flooded(float(error.headers.get("Retry-After") or BANNED_SECONDS))
    if error.status >= 500:
        return Unclear(f"the platform answered {int(error.status)}")
    if code in WHY:
        return Unsendable(WHY[code], code, error.message)
    if error.status == 413:
        return Unsendable("too_large", code, error.message)
    if error.status == 401:
        return Unsendable("bot_gone", code, error.message)
    return Unsendable("gone" if error.status == 404 else "refused", code, error.message)


async def patiently(act: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Does what may be done twice, until it is known what became of it."""
    for attempt in itertools.count():
        try:
            return await act()
        except Unclear as error:
            log.info("call.unclear", attempt=attempt, reason=str(error))
            await asyncio.sleep(AGAIN_SECONDS_MIN + full_jitter(attempt))
    raise AssertionError("it is counted without end")
