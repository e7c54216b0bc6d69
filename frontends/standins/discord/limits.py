"""Discord's limits, with the platform's numbers, and the refusals for whoever breaks them.

Routes have buckets (so many calls in so many seconds, told in every answer's headers), counted for each channel or
interaction token apart; a bot has 50 calls a second over all routes but those of interactions
(https://discord.com/developers/docs/topics/rate-limits). The documentation leaves the buckets' sizes to the headers;
those here are assumed. A bucket does not fill at once but call by call, as the platform's do since
2022, and its times are the machine's, as clients compare them with their own. A 429 that the stand-in gives by itself
is a violation.
"""

from __future__ import annotations

import math
from typing import Any

ACKNOWLEDGE_SECONDS = 3.0
TOKEN_SECONDS = 15 * 60.0
IDENTIFY_SECONDS = 5.0
SESSION_STARTS = 1000
GATEWAY_SENDS, GATEWAY_SECONDS = 120, 60.0
EVENTS_KEPT = 1000

CONTENT_MAX = 2000
EMBEDS_MAX, EMBED_TITLE_MAX, EMBED_DESCRIPTION_MAX, EMBEDS_CHARACTERS_MAX = 10, 256, 4096, 6000
FILES_MAX = 10
ATTACHMENT_BYTES_MAX = 10 * 1024**2
REQUEST_BYTES_MAX = 25 * 1024**2
FOLLOW_UPS_UNINVITED_MAX = 5
"""Of an application that its user brought into a server where it has no member."""
CHOICES_MAX = 25
NONCE_MAX = 25
NONCE_SECONDS = 300.0
"""The documentation says: some minutes."""
TEXT_DISPLAYS_CHARACTERS_MAX = 4000

GLOBAL_CALLS, GLOBAL_SECONDS = 50, 1.0
BUCKETS: list[tuple[str, str, int, float]] = [
    ("POST", "/channels/{channel}/messages", 5, 5.0),
    ("PATCH", "/channels/{channel}/messages/{message}", 5, 5.0),
    ("DELETE", "/channels/{channel}/messages/{message}", 5, 1.0),
    ("POST", "/channels/{channel}/typing", 5, 5.0),
    ("POST", "/webhooks/{application}/{token}", 5, 2.0),
    ("PATCH", "/webhooks/{application}/{token}/messages/{message}", 5, 2.0),
    ("DELETE", "/webhooks/{application}/{token}/messages/{message}", 5, 2.0),
    ("POST", "/users/@me/channels", 10, 10.0),
    ("PUT", "/applications/{application}/commands", 10, 10.0),
    ("PUT", "/applications/{application}/guilds/{guild}/commands", 10, 10.0),
]
TOLERANCE_SECONDS = 0.01
"""By which a call may come too early: headers tell milliseconds, and clocks are read one after the other."""
ROUNDING = 1e-6
EXEMPT_FROM_GLOBAL = ("/interactions/", "/webhooks/")


class Refusal(Exception):
    """An error answer. `violation`: the bot broke a limit that it could have known."""

    def __init__(
        self,
        status: int,
        code: int = 0,
        said: str = "",
        *,
        violation: bool = False,
        errors: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {code} {said}")
        self.status, self.violation = status, violation
        self.headers: dict[str, str] = {}
        self.body: dict[str, Any] = {"code": code, "message": said} | ({"errors": errors} if errors else {})


def malformed(field: str, rule: str, said: str) -> Refusal:
    """A form error (50035): which field, by which rule. It is always the bot's mistake."""
    errors = {field: {"_errors": [{"code": rule, "message": said}]}}
    return Refusal(400, 50035, "Invalid Form Body", violation=True, errors=errors)


class Window:
    """So many calls in so many seconds, filling call by call."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self._call_seconds = seconds / limit
        self._full_at = 0.0

    def take(self, now: float) -> bool:
        """Whether this call is within the limit; it counts when it is."""
        full_at = max(now, self._full_at) + self._call_seconds
        within = full_at - now <= self.limit * self._call_seconds + TOLERANCE_SECONDS
        if within:
            self._full_at = full_at
        return within

    def left(self, now: float) -> int:
        return max(0, int(self.limit - self.full_seconds(now) / self._call_seconds + ROUNDING))

    def full_seconds(self, now: float) -> float:
        """Until it is full again."""
        return max(0.0, self._full_at - now)

    def wait_seconds(self, now: float) -> float:
        """Until the next call is within the limit."""
        return max(0.0, self._full_at - now - (self.limit - 1) * self._call_seconds)


class Paces:
    """The windows of one bot."""

    def __init__(self, buckets: list[tuple[str, str, int, float]]) -> None:
        self._buckets = buckets
        self._windows: dict[str, Window] = {}
        self._overall = Window(GLOBAL_CALLS, GLOBAL_SECONDS)

    def spend(self, now: float, method: str, route: str, path: str) -> dict[str, str]:
        """Count a call; the headers of its answer. Raises the 429 when there are too many."""
        if not route.startswith(EXEMPT_FROM_GLOBAL) and not self._overall.take(now):
            raise _too_many(self._overall.wait_seconds(now), {"X-RateLimit-Global": "true"}, "global")
        for wanted, pattern, limit, seconds in self._buckets:
            if (wanted, pattern) == (method, route):
                return self._count(now, f"{method} {pattern}", _major(route, path), limit, seconds)
        return {}

    def _count(self, now: float, bucket: str, major: str, limit: int, seconds: float) -> dict[str, str]:
        window = self._windows.setdefault(f"{bucket} {major}", Window(limit, seconds))
        within = window.take(now)
        headers = {
            "X-RateLimit-Bucket": f"{hash(bucket) & 0xFFFFFFFFFFFF:x}",
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(window.left(now)),
            "X-RateLimit-Reset": f"{now + window.full_seconds(now):.3f}",
            "X-RateLimit-Reset-After": f"{window.full_seconds(now):.3f}",
        }
        if not within:
            raise _too_many(window.wait_seconds(now), headers, "user")
        return headers


def _major(route: str, path: str) -> str:
    """What of a path has a window of its own: the channel, the server, or the interaction's token."""
    count = 4 if route.startswith("/webhooks/") else 3
    return "/".join(path.split("/")[:count])


def _too_many(seconds: float, headers: dict[str, str], scope: str) -> Refusal:
    refusal = Refusal(429, 0, "You are being rate limited.", violation=True)
    refusal.body = {"message": "You are being rate limited.", "retry_after": seconds, "global": scope == "global"}
    refusal.headers = {**headers, "X-RateLimit-Scope": scope, "Retry-After": str(math.ceil(seconds))}
    return refusal
