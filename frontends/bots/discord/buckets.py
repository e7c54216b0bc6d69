"""How much may be sent where, as the platform tells it in each answer; who comes too early is told to wait.

The library's own buckets wait silently inside the call, and let the first calls of all interactions of a route wait for
one another. Here nothing waits: a call that would be too early raises `RateLimitTooLongError` with the seconds to go,
and the outbox brings it again. What was sent and not yet answered counts as sent.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import hikari
from hikari.impl.buckets import RESTBucketManager
from hikari.internal.routes import CompiledRoute, Route

BUCKETS_KEPT = 5_000
WAIT_SECONDS_MIN = 0.05


@dataclass
class _Bucket:
    left: int
    """Calls that may still go, until it is full again."""
    full_at: float
    on_their_way: int = 0


class Buckets(RESTBucketManager):
    """Of one bot."""

    def __init__(self) -> None:
        super().__init__(max_rate_limit=0.0)
        self._names: dict[Route, str] = {}
        """The platform's names of buckets: several routes may share one."""
        self._known: dict[tuple[str, str], _Bucket] = {}
        self._open_at = 0.0
        """From when on anything may be sent at all."""

    def acquire_bucket(
        self, compiled_route: CompiledRoute, authentication: str | None
    ) -> AbstractAsyncContextManager[None]:
        return self._admitted(compiled_route)

    def update_rate_limits(
        self,
        compiled_route: CompiledRoute,
        authentication: str | None,
        bucket_header: str,
        remaining_header: int,
        limit_header: int,
        reset_at: float,
        reset_after: float,
    ) -> None:
        self._names[compiled_route.route] = bucket_header
        key = bucket_header, compiled_route.major_param_hash
        bucket = self._known.pop(key, None) or _Bucket(remaining_header, 0.0)
        others = max(0, bucket.on_their_way - 1)
        bucket.left = max(0, remaining_header - others)
        bucket.full_at = time.monotonic() + reset_after
        self._known[key] = bucket
        self._forget()

    def throttle(self, retry_after: float) -> None:
        self._open_at = time.monotonic() + retry_after

    @asynccontextmanager
    async def _admitted(self, route: CompiledRoute) -> AsyncIterator[None]:
        now = time.monotonic()
        name = self._names.get(route.route)
        bucket = self._known.get((name, route.major_param_hash)) if name is not None else None
        if bucket is not None and bucket.full_at <= now:
            bucket = None  # full again, as far as anybody knows
        if now < self._open_at:
            raise _too_early(route, self._open_at - now)
        if bucket is None:
            yield
            return
        if bucket.left <= 0:
            raise _too_early(route, bucket.full_at - now)
        bucket.left -= 1
        bucket.on_their_way += 1
        try:
            yield
        finally:
            bucket.on_their_way -= 1

    def _forget(self) -> None:
        """Those of interactions come by the thousand and are of no use any more soon."""
        if len(self._known) > BUCKETS_KEPT:
            now = time.monotonic()
            self._known = {key: bucket for key, bucket in self._known.items() if bucket.full_at > now}


def _too_early(route: CompiledRoute, seconds: float) -> hikari.RateLimitTooLongError:
    wait = max(WAIT_SECONDS_MIN, seconds)
    return hikari.RateLimitTooLongError(
        route=route,
        is_global=False,
        retry_after=wait,
        max_retry_after=0.0,
        reset_at=time.time() + wait,
        limit=None,
        period=None,
    )
