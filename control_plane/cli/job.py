"""`tessera job list | show | cancel | why`: what is ordered, and what has become of it. Prompts are never shown."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any
from uuid import UUID

from control_plane.cli import printing
from control_plane.cli.operating import hint, settings, verb
from control_plane.cli.parsing import EX_USAGE, CommandError, command, noun
from control_plane.cli.user import find as find_user

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.operator.tables import JobDetail, JobRow

LIST_MAX = 1_000
JOULES_PER_WATT_HOUR = 3_600
STATES = ("queued", "running", "succeeded", "failed", "canceled", "expired")


def add(commands: Any) -> None:
    verbs = noun(commands, "job", help="orders: list, show, cancel, why")
    listing = command(
        verbs,
        "list",
        verb(_list),
        help="list the newest orders",
        examples="  tessera job list --state running\n  tessera job list --user ada --limit 5",
    )
    listing.add_argument("--user", metavar="NAME", help="only of this account")
    listing.add_argument("--state", choices=STATES, help="only in this state")
    listing.add_argument("--limit", metavar="N", type=_limit, default=20, help=f"at most {LIST_MAX} (default: 20)")
    for name, work, told in (
        ("show", _show, "tell all about one order: its attempts, its files"),
        ("cancel", _cancel, "cancel an order, whosever it is"),
        ("why", _why, "say why an order waits, or why it ended as it did"),
    ):
        one = command(verbs, name, verb(work), help=told)
        one.add_argument("job", metavar="ID", type=job_id, help="its id, as in `tessera job list`")


async def _list(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.operator.tables import JOBS

    user_id = (await find_user(database, arguments.user)).id if arguments.user else None
    found = await database.many(JOBS, {"user_id": user_id, "state": arguments.state, "most": arguments.limit})
    if arguments.json:
        printing.as_json(found)
        return 0
    printing.table(
        ("id", "user", "model", "state", "worker", "attempt", "created"),
        [(job.id, job.user, job.model, _state(job), job.worker, job.attempt, job.created_at) for job in found],
        empty="There is no such order." if arguments.user or arguments.state else "Nothing has been ordered yet.",
    )
    return 0


async def _show(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane.operator.tables import ATTEMPTS, FILES

    job = await _find(database, arguments.job)
    attempts = await database.many(ATTEMPTS, {"job_id": job.id})
    files = await database.many(FILES, {"job_id": job.id})
    if arguments.json:
        whole = printing.fields(job)
        whole["attempts"] = attempts
        whole["artifacts"] = files
        printing.as_json(whole)
        return 0
    printing.listing(
        {
            "job": job.id,
            "user": job.user,
            "order": f"{job.kind} by {job.model}, cost {job.cost}",
            "state": _state(job),
            "created": job.created_at,
            "started": job.started_at,
            "finished": job.finished_at,
            "failures": f"{job.failures}, workers lost {job.losses}",
            "energy": _energy([attempt.joules for attempt in attempts]),
        }
    )
    print()
    printing.table(
        ("attempt", "worker", "slot", "offered", "started", "ended", "outcome", "energy"),
        [
            (
                *(a.number, a.worker, a.slot, a.offered_at, a.started_at, a.ended_at, _outcome(a.outcome, a.cause)),
                _energy([a.joules]),
            )
            for a in attempts
        ],
        empty="No worker has had it yet.",
    )
    if files:
        print()
        printing.table(
            ("file", "type", "size", "bytes", "sha256"),
            [(f.index, f.mime_type, f"{f.width}x{f.height}", f.bytes, f.sha256[:16] + "…") for f in files],
            empty="",
        )
    return 0


async def _cancel(arguments: argparse.Namespace, database: Database) -> int:
    from control_plane import audit
    from control_plane.queue import statements

    job = await _find(database, arguments.job)
    canceled = await statements.cancel(database, job.user_id, job.id)
    if canceled is not None:
        await audit.record(database, audit.OPERATOR, "cancel", ("job", job.id))
    if canceled is not None and canceled.worker_id is not None:
        await hint(database, "worker", canceled.worker_id)
    now = await _find(database, arguments.job)
    if arguments.json:
        printing.as_json({"id": now.id, "state": now.state, "canceling": now.canceling})
    elif canceled is None:
        print(f"There was nothing left to cancel: the job is {_state(now)}.")
    else:
        print("Canceled." if now.state == "canceled" else "Its worker has been told to stop.")
    return 0


async def _why(arguments: argparse.Namespace, database: Database) -> int:
    job = await _find(database, arguments.job)
    answer = await _reason(database, job)
    if arguments.json:
        printing.as_json({"id": job.id, "state": job.state, **answer})
    else:
        print(answer["sentence"])
    return 0


async def _reason(database: Database, job: JobDetail) -> dict[str, object]:
    """Why a job is where it is, in fields and as a sentence."""
    from control_plane.states import ERROR_MESSAGES
    from frontends.command_line.progress import in_words

    if job.state == "queued" or (job.state == "running" and job.phase != "started"):
        from control_plane.operator import why

        found = await why.answer(database, job, settings().lease_seconds)
        return printing.fields(found) | {"sentence": "\n".join(why.sentences(found, in_words(found.waiting)))}
    if job.error_code:
        said = ERROR_MESSAGES.get(job.error_code, "")
        return {"error": job.error_code, "sentence": f"It {job.state}: {job.error_code}. {said}".strip()}
    return {"sentence": f"It is {'over' if job.finished_at else 'not waiting'}: {_state(job)}."}


async def _find(database: Database, job_id: UUID) -> JobDetail:
    from control_plane.operator.tables import JOB

    job = await database.one(JOB, {"job_id": job_id})
    if job is None:
        raise CommandError(f"There is no job {job_id}. `tessera job list` shows what there is.", EX_USAGE)
    return job


def _state(job: JobRow) -> str:
    """The state in a word or two, with what a lease is doing."""
    if job.state != "running":
        return job.state + (f" ({job.error_code})" if job.error_code else "")
    if job.canceling:
        return "running, canceling"
    done = f" {job.progress * 100:.0f} %" if job.phase == "started" and job.progress is not None else ""
    return f"running{done}" if job.phase == "started" else f"leased, {job.phase}"


def _outcome(outcome: str | None, cause: str | None) -> str:
    return (outcome or "at work") + (f" ({cause})" if cause and cause != outcome else "")


def _energy(joules: list[float | None]) -> str:
    """What the GPUs took, as far as it was measured; nothing when it was not."""
    measured = [each for each in joules if each is not None]
    if not measured:
        return ""
    sum_joules = sum(measured)
    return f"{sum_joules:.0f} J" if sum_joules < JOULES_PER_WATT_HOUR else f"{sum_joules / JOULES_PER_WATT_HOUR:.1f} Wh"


def job_id(text: str) -> UUID:
    """The argument that names an order."""
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a job id, which looks like {UUID(int=0)}") from None


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LIST_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {LIST_MAX}")
    return int(text)
