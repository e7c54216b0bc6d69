"""Everything that is known of a person, as one zip archive for that person, written while it is downloaded.

    README.txt  account.json  api_keys.json  sessions.json  webhooks.json  payments.json  usage.json  reports.json
    acts.json  ledger.json  jobs.json  inputs.json  pictures/JOB-INDEX.png  inputs/INPUT.png

No secret is among it: of keys, sessions and webhooks nothing is stored that opens anything, or it is left out. Each
page is a statement of its own, so what changes while it runs may be seen as it was before or after. A download that
breaks off leaves an archive without its end, which no program takes for whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec
import structlog

from control_plane.care.departures import HOUSEHOLD
from control_plane.care.packing import Packing
from control_plane.database import Database, Query
from control_plane.errors import NotFound, TooManyWaiting
from control_plane.store import Store

PAGE = 200
"""Lines of a long list that are read by one statement."""
EXPORTS_MAX = 4
"""Of one process at once; one of a person."""
NO_ID = UUID(int=0)
ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "video/mp4": "mp4", "video/webm": "webm"}

ABOUT = """This is everything that {name} has here, as of {at:%Y-%m-%d %H:%M} UTC.

account.json    who you are here: name, plan, identities, preferences, tokens
jobs.json       your orders, what you typed, what became of them; those of test keys are marked
pictures/       their files, named by the order's id and the number of the file
inputs.json     pictures that you uploaded to start from, and inputs/ the files themselves
ledger.json     every token that moved
payments.json   what was paid
usage.json      what you took of each day
api_keys.json   your API keys by name; nobody can tell you a key itself, only its digest is stored
sessions.json   browsers in which you are signed in
webhooks.json   addresses that are told of your orders
reports.json    what you have reported
acts.json       changes of your account that were written down

What is older than your plan keeps it is gone already, and so are files that you have erased.
"""

log = structlog.get_logger()


class Account(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    name: str
    line: str


class Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """A line with its place in the list."""

    id: int
    line: str


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """The same of what has a longer name."""

    id: UUID
    line: str


class InputLine(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    key: str
    mime_type: str
    created_at: datetime
    line: str


class File(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    index: int
    key: str
    mime_type: str
    created_at: datetime


ACCOUNT = Query("export.account", Account)
JOBS = Query("export.jobs", Named)
FILES = Query("export.files", File)
INPUTS = Query("export.inputs", InputLine)
LEDGER = Query("export.ledger", Numbered)
API_KEYS = Query("export.api_keys", str)
SESSIONS = Query("export.sessions", str)
WEBHOOKS = Query("export.webhooks", str)
PAYMENTS = Query("export.payments", str)
USAGE = Query("export.usage", str)
REPORTS = Query("export.reports", str)
ACTS = Query("export.acts", str)
SHORT = {
    "api_keys": API_KEYS,
    "sessions": SESSIONS,
    "webhooks": WEBHOOKS,
    "payments": PAYMENTS,
    "usage": USAGE,
    "reports": REPORTS,
    "acts": ACTS,
}
"""Lists that fit into memory: they grow by the day or by hand."""


class Line(Protocol):
    @property
    def id(self) -> Any: ...


Listed = TypeVar("Listed", bound=Line)


class Exports:
    """The exports of this process: bounded for each person and altogether."""

    def __init__(self, database: Database, store: Store) -> None:
        self._database = database
        self._store = store
        self._running: set[UUID] = set()
        self.page = PAGE

    async def begin(self, user_id: UUID) -> Export:
        """An export about to be read. Raises `NotFound`, `TooManyWaiting`."""
        self._check_room(user_id)
        account = await self._database.one(ACCOUNT, {"user_id": user_id})
        if account is None:
            raise NotFound("There is no such user.")
        return Export(self._database, self._store, user_id, account, self._place, self.page)

    def _check_room(self, user_id: UUID) -> None:
        if user_id in self._running or len(self._running) >= EXPORTS_MAX:
            raise TooManyWaiting("Your data is being packed already, or that of others. Wait for it.", retry_after=10)

    @contextmanager
    def _place(self, user_id: UUID) -> Iterator[None]:
        self._check_room(user_id)
        self._running.add(user_id)
        try:
            yield
        finally:
            self._running.discard(user_id)


class Export:
    """One archive."""

    def __init__(
        self,
        database: Database,
        store: Store,
        user_id: UUID,
        account: Account,
        place: Callable[[UUID], AbstractContextManager[None]],
        page: int,
    ) -> None:
        self._database = database
        self._store = store
        self._user_id = user_id
        self._account = account
        self._place = place
        self._page = page
        self._packing = Packing()
        self.files = self.missing = 0
        """Pictures that are in it, and those that went while it was written."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The archive from its beginning to its end. Raises `TooManyWaiting`, `Unavailable`."""
        packing, account = self._packing, self._account
        with self._place(self._user_id):
            yield packing.text("README.txt", account.at, ABOUT.format(name=account.name, at=account.at))
            yield packing.text("account.json", account.at, account.line + "\n")
            for name, query in SHORT.items():
                found = await self._database.many(query, {"user_id": self._user_id})
                async for data in packing.lines(f"{name}.json", account.at, _one_page(found)):
                    yield data
            async for data in self._long():
                yield data
            yield packing.finished()
        log.info("user.exported", user_id=self._user_id, files=self.files, missing=self.missing)

    async def _long(self) -> AsyncGenerator[bytes, None]:
        """What may be more than fits into memory: first all lists, then all files."""
        packing, at = self._packing, self._account.at
        async for data in packing.lines("ledger.json", at, _lines(self._pages(LEDGER, self._user_id, 0))):
            yield data
        async for data in packing.lines("jobs.json", at, self._job_lines()):
            yield data
        inputs = self._pages(INPUTS, self._user_id, NO_ID)
        async for data in packing.lines("inputs.json", at, _lines(inputs)):
            yield data
        async for data in self._pictures():
            yield data
        async for page in self._pages(INPUTS, self._user_id, NO_ID):
            for one in page:
                name = f"inputs/{one.id}.{_ending(one.mime_type)}"
                async for data in self._stored(name, one.created_at, one.key):
                    yield data

    async def _job_lines(self) -> AsyncIterator[list[str]]:
        for whose in await self._whose():
            async for page in _lines(self._pages(JOBS, whose, NO_ID)):
                yield page

    async def _pictures(self) -> AsyncGenerator[bytes, None]:
        for whose in await self._whose():
            async for page in self._pages(JOBS, whose, NO_ID):
                asked = {"user_id": whose, "job_id": [job.id for job in page]}
                for one in await self._database.many(FILES, asked):
                    name = f"pictures/{one.job_id}-{one.index}.{_ending(one.mime_type)}"
                    async for data in self._stored(name, one.created_at, one.key):
                        yield data

    async def _stored(self, name: str, at: datetime, key: str) -> AsyncGenerator[bytes, None]:
        opened = await self._store.open(key)
        if opened is None:
            self.missing += 1
            return
        try:
            async for data in self._packing.stored(name, at, opened.read(0, opened.bytes)):
                yield data
        finally:
            opened.close()
        self.files += 1

    async def _whose(self) -> list[UUID]:
        return await self._database.many(HOUSEHOLD, {"user_id": self._user_id})

    async def _pages(self, query: Query[Listed], user_id: UUID, after: Any) -> AsyncIterator[Sequence[Listed]]:
        """A long list, from its beginning."""
        while page := await self._database.many(query, {"user_id": user_id, "after": after, "most": self._page}):
            yield page
            after = page[-1].id


async def _one_page(lines: list[str]) -> AsyncIterator[list[str]]:
    yield lines


async def _lines(pages: AsyncIterator[Sequence[Any]]) -> AsyncIterator[list[str]]:
    async for page in pages:
        yield [one.line for one in page]


def _ending(mime_type: str) -> str:
    return ENDINGS.get(mime_type, "bin")
