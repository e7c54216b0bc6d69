"""Daily caps: how many tokens a key may order in a day (UTC), whatever its user has.

Only keys with a cap are counted, by one small statement before the order; others cost nothing. What comes back to
nothing later counts all the same, and so does what a process that dies in between has counted: a cap errs to the safe
side.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from control_plane.database import Database, Query
from control_plane.errors import CapReached, TesseraError, Unavailable
from control_plane.people.credentials import ApiKey

SPEND = Query("credentials.spend", int)
SPENT = Query("credentials.spent", int)
UNSPEND: Query[None] = Query("credentials.unspend")


_FREE = nullcontext()


def spending(database: Database, key: ApiKey | None, cost: int) -> AbstractAsyncContextManager[None]:
    """Around an order of this many tokens: counts it for a key with a cap, if it is placed. Raises `CapReached`."""
    return _FREE if key is None or key.daily_cap is None else _counted(database, key, cost)


@asynccontextmanager
async def _counted(database: Database, key: ApiKey, cost: int) -> AsyncIterator[None]:
    if await database.one(SPEND, {"id": key.id, "cost": cost, "daily_cap": key.daily_cap}) is None:
        raise _reached(key, cost)
    try:
        yield
    except TesseraError as error:
        if not isinstance(error, Unavailable):  # then nobody knows whether it was placed
            await unspend(database, key, cost)
        raise


async def foreseen(database: Database, key: ApiKey | None, cost: int) -> CapReached | None:
    """What an order of this many tokens would be refused with now; nothing is counted."""
    if key is None or key.daily_cap is None:
        return None
    spent = await database.one(SPENT, {"id": key.id}) or 0
    return _reached(key, cost) if spent + cost > key.daily_cap else None


def _reached(key: ApiKey, cost: int) -> CapReached:
    return CapReached(
        f"This key may order for {key.daily_cap} tokens a day (UTC), and this order would be more.",
        daily_cap=key.daily_cap,
        needed=cost,
    )


async def unspend(database: Database, key: ApiKey | None, cost: int) -> None:
    """What `spending` counted was nothing new: the order was there already."""
    if key is not None and key.daily_cap is not None:
        await database.run(UNSPEND, {"id": key.id, "cost": cost})
