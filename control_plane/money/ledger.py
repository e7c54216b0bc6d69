"""The token ledger as people meet it: grants and corrections, every line in words, and whether the books agree.

What jobs cost is none of this file's business: triggers hold, charge and return with the change of state
(`0002_ledger.sql`). Here an operator gives tokens (`grant`) or corrects a balance (`adjust`), each one statement: the
balance under its lock, then the line. A check reads everything, so it runs in a transaction of its own whose plans
are those of a full read, and never on the way of a request.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import msgspec

from control_plane import audit
from control_plane.audit import Actor
from control_plane.database import Database, Query
from control_plane.errors import Invalid, NotFound

AMOUNT_MAX = 10**12
REASON_LENGTH_MAX = 300
PAGE_MAX = 1_000

LAWS = {
    "balance_purchased": "purchased tokens are {kept}, but the ledger adds up to {found}",
    "balance_held": "held tokens are {kept}, but the ledger adds up to {found}",
    "balance_of_live_jobs": "held tokens are {kept}, but the jobs that are not over cost {found}",
    "count_queued": "{kept} jobs are counted as queued, but there are {found}",
    "count_running": "{kept} jobs are counted as running, but there are {found}",
    "balance_daily": "{kept} daily tokens are taken by the balance, but {found} by the usage of that day",
    "usage_daily": "{kept} daily tokens are taken by the usage of a day, but the ledger adds up to {found}",
    "hold_of_job": "the job costs {kept}, but {found} are held for it",
    "settlement_missing": "the job is over, but its hold of {kept} is not settled",
    "settlement_early": "the job is not over, but {found} are settled",
    "settlement_held": "the job costs {kept}, but {found} are settled",
    "settlement_charged": "the settlement charges {kept}, but the ledger {found}",
    "settlement_returned": "the settlement returns {kept}, but the ledger {found}",
    "charged_for_nothing": "{found} were charged for a job that came to nothing",
}
"""Every law of the view `ledger_violations`, in words."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer by hand, and what the user has purchased after it."""

    id: int
    purchased: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer with its job and what the user had after it; `daily` counts what was taken of `day`'s tokens."""

    id: int
    created_at: datetime
    kind: str
    debit: str
    credit: str
    amount: int
    day: date | None
    job_id: UUID | None
    reason: str | None
    job_kind: str | None
    model: str | None
    state: str | None
    job_held: int | None
    job_charged: int | None
    purchased: int
    held: int
    daily: int | None


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """Two books that disagree."""

    law: str
    user_id: UUID
    user: str | None
    job_id: UUID | None
    kept: int
    found: int


GRANT = Query("ledger.grant", Moved)
ADJUST = Query("ledger.adjust", Moved)
PAGE = Query("ledger.page", Line)
WIDELY: Query[None] = Query("ledger.widely")
NOTE: Query[None] = Query("ledger.note")
VIOLATIONS = Query("ledger.violations", Violation)


async def grant(database: Database, user_id: UUID, amount: int, reason: str, actor: Actor) -> Moved:
    """Gives tokens that do not expire. Raises `Invalid`, `NotFound`."""
    if amount <= 0:
        raise Invalid.at("/amount", "A grant is at least one token; `adjust` takes tokens away.")
    return await _move(database, GRANT, user_id, amount, reason, actor)


async def adjust(database: Database, user_id: UUID, amount: int, reason: str, actor: Actor) -> Moved:
    """Corrects what a user has by an amount with its sign; the balance may fall below zero. What runs goes on."""
    if amount == 0:
        raise Invalid.at("/amount", "A correction by nothing changes nothing.")
    return await _move(database, ADJUST, user_id, amount, reason, actor)


async def _move(
    database: Database, query: Query[Moved], user_id: UUID, amount: int, reason: str, actor: Actor
) -> Moved:
    if abs(amount) > AMOUNT_MAX:
        raise Invalid.at("/amount", f"At most {AMOUNT_MAX} tokens are moved at a time.", code="out_of_range")
    if not 1 <= len(reason.strip()) <= REASON_LENGTH_MAX or "\0" in reason:
        raise Invalid.at("/reason", f"Say why, in 1 to {REASON_LENGTH_MAX} characters.")
    detail = {"amount": amount, "reason": reason.strip()}
    async with database.transaction() as connection:
        moved = await query.one(connection, {"user_id": user_id, **detail})
        if moved is None:
            raise NotFound("There is no such user.")
        await audit.record(connection, actor, query.name.removeprefix("ledger."), ("user", user_id), detail)
    return moved


async def page(database: Database, user_id: UUID, *, before: int | None = None, most: int = PAGE_MAX) -> list[Line]:
    """Lines of a user, the newest first, from below the one with the id `before`."""
    return await database.many(PAGE, {"user_id": user_id, "before": before, "most": most})


async def violations(database: Database) -> list[Violation]:
    """Every way in which the books disagree. Reads everything, and notes how many there are for those who watch."""
    async with database.transaction() as connection:
        await WIDELY.run(connection)
        found = await VIOLATIONS.many(connection)
    await database.run(NOTE, {"violations": len(found)})
    return found


# ------------------------------------------------------------------------------------------ in words


def in_words(line: Line) -> str:
    """What happened, as a sentence."""
    job = f"job {line.job_id}{_what(line)}"
    match line.kind:
        case "grant":
            return f"Granted: {line.reason}."
        case "adjust" if "held" in (line.debit, line.credit):
            return f"Held for jobs: {line.reason}."
        case "adjust":
            return f"{'Added' if line.debit == 'issued' else 'Taken away'}: {line.reason}."
        case "hold":
            return f"Held for {job}, out of {_account(line.debit, line.day)}."
        case "charge":
            return f"Charged for {job}{_share(line)}."
        case _:
            return f"Returned from {job}{_share(line)}, to {_account(line.credit, line.day)}."


def violation_in_words(violation: Violation) -> str:
    """Whose books, which job, and what disagrees."""
    whose = violation.user or str(violation.user_id)
    job = f", job {violation.job_id}" if violation.job_id is not None else ""
    told = LAWS.get(violation.law, "{kept} and {found} disagree").format(kept=violation.kept, found=violation.found)
    return f"{whose}{job}: {told} ({violation.law})."


def signed(line: Line) -> int:
    """The amount as its user sees it: what comes to hand is above zero. A charge takes what was held before."""
    comes = line.credit in ("purchased", "daily") or (line.debit, line.credit) == ("issued", "held")
    return line.amount if comes else -line.amount


def _what(line: Line) -> str:
    return f" ({line.job_kind} by {line.model}, {line.state})" if line.model else ""


def _share(line: Line) -> str:
    """A part of a hold is told with the share that was done."""
    if not line.job_held or not line.job_charged or line.job_charged == line.job_held:
        return ""
    done = line.job_charged / line.job_held
    return f": {line.job_charged} of {line.job_held} tokens are charged, for {done:.0%} of the work"


def _account(account: str, day: date | None) -> str:
    return f"the daily tokens of {day}" if day is not None else f"{account} tokens"
