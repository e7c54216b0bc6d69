"""Periodic housekeeping: a table of what is swept and how often, and one loop that works through it.

Nothing here is urgent or decides about jobs (reaping, backoff and expiry run every second in the dispatcher). Every
task may run in several processes at once: rows are locked and skipped, unlinking what is gone is no error, and the
beats are jittered apart. A task that fails is logged and tried again soon; the others do not notice. The row of a
file goes in one statement with a note that the file is to go (`discards`), and the file after it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import psycopg
import structlog

from control_plane import metrics
from control_plane.care import departures, retention
from control_plane.database import Database, Query
from control_plane.errors import TesseraError
from control_plane.files import discards
from control_plane.files.artifacts import UPLOAD_SECONDS
from control_plane.money import ledger
from control_plane.people.signup import UNLINKED_DAYS
from control_plane.settings import Settings
from control_plane.signing import SigningKeys
from control_plane.store import Store
from control_plane.store.keys import THUMBNAIL_SUFFIX

HOUR, DAY = 3_600.0, 86_400.0
JITTER = 0.2
"""Share of an interval by which a beat may come earlier or later."""
FIRST_SECONDS = 60.0
"""Within which every task has run once after start; the sweeps of a restart do not come all at once."""
RETRY_SECONDS = 60.0

BATCH = 100
"""Files forgotten by one statement."""
ROWS_MAX = 1_000
"""Rows deleted by one statement."""
KNOWN_BATCH = 500
STALE_LEASES = 4
"""A file of a stale attempt is rubbish after so many leases: more than any late report of its agent could take."""
STALE_REACH_SECONDS = 2 * DAY
"""The frequent sweep looks back so far, the daily one at everything."""
EVER_SECONDS = 100 * 365 * DAY
ORPHAN_SECONDS = DAY
SWEPT_HERE = ("jobs/", "inputs/", "checks/")
"""Kinds of keys whose orphans are looked for; a check has no row at all."""
ORPHAN_SHARE_MAX = 0.5
"""If more of all files had no row, the fault would more likely be the database's: then nothing is deleted."""
TEMPORARY_SECONDS = UPLOAD_SECONDS + HOUR
IDEMPOTENCY_SECONDS = DAY
DELIVERIES_SECONDS = 30 * DAY
PROGRESS_SECONDS = HOUR
PARTITIONS_AHEAD = 2
LEDGER_SECONDS = 5 * 60.0
LEDGER_SHARE = 0.02
"""Of all time, at most so much is spent on reading the books: the larger they are, the more rarely they are read."""
VIOLATIONS_LOGGED = 20

STALE = Query("sweep.stale", str)
EXPIRED_INPUTS = Query("inputs.discard_expired", str)
KNOWN = Query("sweep.known", str)
IDEMPOTENCY_KEYS: Query[None] = Query("sweep.idempotency_keys")
DELIVERIES: Query[None] = Query("deliveries.sweep")
PROGRESS: Query[None] = Query("sweep.progress")
GUESSES: Query[None] = Query("care.forget_guesses")
IDENTITIES: Query[None] = Query("care.forget_identities")
SESSIONS: Query[None] = Query("sessions.sweep")
LOGIN_LINKS: Query[None] = Query("sessions.sweep_links")
SIGN_INS: Query[None] = Query("signin.sweep")
PROOFS: Query[None] = Query("signin.sweep_proofs")
NEWCOMERS: Query[None] = Query("newcomers.sweep")
ENDED = (SESSIONS, LOGIN_LINKS, SIGN_INS, PROOFS, NEWCOMERS)
ENSURE_PARTITIONS: Query[None] = Query("sweep.ensure_partitions")

log = structlog.get_logger()


class Sweeper:
    """The housekeeping of one process."""

    def __init__(self, database: Database, store: Store, keys: SigningKeys, settings: Settings) -> None:
        self._database = database
        self._store = store
        self._keys = keys
        self._ledger_due = 0.0
        self.orphan_seconds, self.temporary_seconds = ORPHAN_SECONDS, TEMPORARY_SECONDS
        self.ahead_seconds = 0.0
        """Jobs are retired as they will be then: for rehearsals."""
        self._grace_seconds = STALE_LEASES * settings.lease_seconds
        self.tasks: dict[str, Task] = {
            task.name: task
            for task in (
                Task("partitions", DAY, self.partitions),
                Task("signing_keys", 60.0, self.signing_keys),
                Task("stale_artifacts", 5 * 60.0, self.stale_artifacts),
                Task("retired_jobs", HOUR, self.retired_jobs),
                Task("departures", 60.0, self.departures),
                Task("expired_inputs", HOUR, self.expired_inputs),
                Task("discards", 60.0, self.discards),
                Task("temporary_files", HOUR, self.temporary_files),
                Task("orphan_files", DAY, self.orphan_files),
                Task("older_stale_artifacts", DAY, self.older_stale_artifacts),
                Task("idempotency_keys", HOUR, self.idempotency_keys),
                Task("deliveries", HOUR, self.deliveries),
                Task("progress", HOUR, self.progress),
                Task("guesses", DAY, self.guesses),
                Task("identities", DAY, self.identities),
                Task("sessions", HOUR, self.sessions),
                Task("ledger", LEDGER_SECONDS, self.ledger),
            )
        }

    async def run(self) -> None:
        """For ever; belongs to the task group of the process. Partitions are looked after at once."""
        due = {name: time.monotonic() + random.random() * FIRST_SECONDS for name in self.tasks}
        due["partitions"] = 0.0
        while True:
            name = min(due, key=due.__getitem__)
            await asyncio.sleep(due[name] - time.monotonic())
            wait_seconds = await self.sweep(self.tasks[name])
            due[name] = time.monotonic() + wait_seconds * random.uniform(1 - JITTER, 1 + JITTER)

    async def sweep(self, task: Task) -> float:
        """Run one task, whatever becomes of it; seconds until it should run again."""
        try:
            swept = await task.run()
        except (TesseraError, psycopg.Error, OSError) as error:
            log.warning("sweep.failed", task=task.name, error=f"{type(error).__name__}: {error}")
            return min(task.interval_seconds, RETRY_SECONDS)
        if swept:
            log.info("sweep.finished", task=task.name, swept=swept)
        return task.interval_seconds

    async def partitions(self) -> int:
        await self._database.run(ENSURE_PARTITIONS, {"ahead": PARTITIONS_AHEAD})
        return 0

    async def signing_keys(self) -> int:
        """Learn of new keys, and how far the clocks have drifted apart."""
        await self._keys.load(self._database)
        return 0

    async def stale_artifacts(self) -> int:
        return await self._delete_all(STALE, grace_seconds=self._grace_seconds, reach_seconds=STALE_REACH_SECONDS)

    async def older_stale_artifacts(self) -> int:
        return await self._delete_all(STALE, grace_seconds=self._grace_seconds, reach_seconds=EVER_SECONDS)

    async def retired_jobs(self) -> int:
        return await retention.sweep(self._database, self._store, self.ahead_seconds)

    async def departures(self) -> int:
        return await departures.sweep(self._database, self._store)

    async def expired_inputs(self) -> int:
        return await self._delete_all(EXPIRED_INPUTS, grace_seconds=HOUR)

    async def _delete_all(self, query: Query[str], **parameters: float) -> int:
        swept = 0
        while True:
            keys = await self._database.many(query, {**parameters, "most": BATCH})
            if not keys:
                return swept
            await discards.carry_out(self._database, self._store, keys)
            swept += len(keys)

    async def discards(self) -> int:
        return await discards.overdue(self._database, self._store)

    async def temporary_files(self) -> int:
        """What uploads left behind that were cut down together with their process."""
        keys = [
            found.key
            async for found in self._store.files()
            if found.temporary and found.age_seconds > self.temporary_seconds
        ]
        await self._store.delete_temporary(*keys)
        return len(keys)

    async def orphan_files(self) -> int:
        """Files that no row knows: their upload ended between the rename and the insert, or a row was lost."""
        everything, old = await self._survey()
        orphans: list[str] = []
        for start in range(0, len(old), KNOWN_BATCH):
            orphans += await self._unknown(old[start : start + KNOWN_BATCH])
        if len(orphans) > everything * ORPHAN_SHARE_MAX:
            log.error("sweep.refused", task="orphan_files", orphans=len(orphans), files=everything)
            return 0
        await self._store.delete(*orphans)
        return len(orphans)

    async def _survey(self) -> tuple[int, list[str]]:
        """How many files there are, and those old enough to be orphans."""
        found = [file async for file in self._store.files() if not file.temporary and file.key.startswith(SWEPT_HERE)]
        return len(found), [file.key for file in found if file.age_seconds > self.orphan_seconds]

    async def _unknown(self, keys: list[str]) -> set[str]:
        """Of these files; a small picture is known by what it shows."""
        names = {key: key.removesuffix(THUMBNAIL_SUFFIX) for key in keys}
        known = set(await self._database.many(KNOWN, {"keys": list(set(names.values()))}))
        return {key for key, name in names.items() if name not in known}

    async def idempotency_keys(self) -> int:
        return await self._delete_rows(IDEMPOTENCY_KEYS, IDEMPOTENCY_SECONDS)

    async def deliveries(self) -> int:
        """The log of webhooks."""
        return await self._delete_rows(DELIVERIES, DELIVERIES_SECONDS)

    async def progress(self) -> int:
        return await self._delete_rows(PROGRESS, PROGRESS_SECONDS)

    async def guesses(self) -> int:
        """Who has tried something that can be guessed: an address says where somebody was."""
        return await self._delete_rows(GUESSES, 2 * DAY)

    async def identities(self) -> int:
        """Identities that were given up long enough ago."""
        return await self._delete_rows(IDENTITIES, UNLINKED_DAYS * DAY)

    async def sessions(self) -> int:
        """Sessions, links and sign-ins that have ended by themselves."""
        return sum([await self._delete_rows(query, 0.0) for query in ENDED])

    async def ledger(self) -> int:
        """Takes nothing away: looks whether the books agree, for the gauge and the log."""
        started = time.monotonic()
        if started < self._ledger_due:
            return 0
        found = await ledger.violations(self._database)
        now = time.monotonic()
        self._ledger_due = now + (now - started) / LEDGER_SHARE
        counts = Counter(violation.law for violation in found)
        for law in ledger.LAWS:
            metrics.ledger_violations.labels(law).set(counts[law])
        for violation in found[:VIOLATIONS_LOGGED]:
            log.error("ledger.violated", law=violation.law, user_id=violation.user_id, job_id=violation.job_id)
        return 0

    async def _delete_rows(self, query: Query[None], age_seconds: float) -> int:
        swept, last = 0, ROWS_MAX
        while last == ROWS_MAX:
            last = await self._database.run(query, {"age_seconds": age_seconds, "most": ROWS_MAX})
            swept += last
        return swept


class Task(msgspec.Struct, frozen=True):
    """Something to do now and then; `run` returns how many things it took away."""

    name: str
    interval_seconds: float
    run: Callable[[], Awaitable[int]]
