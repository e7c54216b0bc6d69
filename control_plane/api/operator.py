"""Operations of an operator: the service at a glance, its machines and switches, its people, why a job waits.

An operator shows a key with the scope `admin`, or acts through a bot as the person who owns one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar.types import ASGIApp
from msgspec import Meta

from control_plane import audit
from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.audit import Actor
from control_plane.database import Database
from control_plane.errors import Invalid, NotFound
from control_plane.money import ledger
from control_plane.operator import switches, why
from control_plane.operator.tables import JOB, JOBS, LANES, SUBMITS, LaneRow
from control_plane.people import users
from control_plane.release.line import carrying, install_line
from control_plane.wire import Request
from control_plane.wire.operator import (
    BooksView,
    Condition,
    Enrolment,
    EnrolmentRequest,
    GrantRequest,
    GrantView,
    LaneView,
    OperatorJob,
    OperatorJobList,
    PlanChange,
    Revocation,
    ServiceView,
    SlotView,
    SwitchRequest,
    UserFound,
    WhyView,
    WorkerList,
    WorkerView,
)
from control_plane.workers import roster
from control_plane.workers.roster import Listed, SlotRow, condition


class UserQuery(Request, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    """A name, an id, or an identity such as `telegram:123`."""


class JobsQuery(Request, frozen=True, kw_only=True):
    state: Literal["queued", "running", "succeeded", "failed", "canceled", "expired"] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


@operation("GET", "/api/v1/admin/status", guard=guards.OPERATOR, answers={200: ServiceView}, tag="Operator")
async def get_status(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """The whole service at a glance: machines, lanes, switches."""
    database, seconds = call.context.database, call.context.settings.lease_seconds
    submits = await database.one(SUBMITS)
    assert submits is not None, "a migration has made it"
    lanes = await database.many(LANES, {"live_seconds": seconds})
    workers: dict[Condition, int] = Counter(map(condition, await roster.list_all(database, seconds)))
    paused = submits.paused_at is not None
    shown = [_lane(row) for row in lanes]
    return answers.json(ServiceView(submits_paused=paused, reason=submits.reason, workers=workers, lanes=shown))


@operation("GET", "/api/v1/admin/workers", guard=guards.OPERATOR, answers={200: WorkerList}, tag="Operator")
async def list_workers(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """The machines that do the work, and how each is."""
    found = await roster.list_all(call.context.database, call.context.settings.lease_seconds)
    return answers.json(WorkerList(data=[_worker(listed) for listed in found]))


@operation(
    "POST",
    "/api/v1/admin/workers/{worker:str}/drain",
    guard=guards.OPERATOR,
    answers={204: None},
    problems=(NotFound,),
    tag="Operator",
)
async def drain_machine(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Let a machine, by its name or id, finish what it holds and take no more. Repeating this changes nothing."""
    return await _told(call, roster.drain)


@operation(
    "POST",
    "/api/v1/admin/workers/{worker:str}/resume",
    guard=guards.OPERATOR,
    answers={204: None},
    problems=(NotFound,),
    tag="Operator",
)
async def resume_machine(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Take a drain or a quarantine of a machine back. Repeating this changes nothing."""
    return await _told(call, roster.resume)


@operation(
    "POST",
    "/api/v1/admin/workers/{worker:str}/revoke",
    guard=guards.OPERATOR,
    answers={200: Revocation},
    problems=(NotFound,),
    tag="Operator",
)
async def revoke_machine(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """End the rights of a machine for ever; what it held goes back into the line. It can enrol anew."""
    database, bus = call.context.database, call.context.dispatcher.bus
    worker = await roster.find(database, call.path("worker"))
    ended = await roster.revoke(database, worker.id, _actor(call))
    bus.announce("credential", worker.id)
    bus.announce("worker", worker.id)
    for job in ended:
        if job.tag is not None:
            bus.announce("lane", job.lane_id, repr(job.tag), 1)
    return answers.json(Revocation(id=worker.id, jobs=len(ended)))


@operation("POST", "/api/v1/admin/enrolment-tokens", guard=guards.OPERATOR, answers={201: Enrolment}, tag="Operator")
async def make_enrolment_token(call: Call[Person, EnrolmentRequest, Nothing]) -> ASGIApp:
    """Make a token with which one new machine enrols, within an hour."""
    token = await roster.create_token(call.context.database, call.body.name, actor=_actor(call))
    settings = call.context.settings
    told = carrying(token, settings)
    return answers.json(Enrolment(token=told, command=install_line(told, settings)), status=201)


@operation("GET", "/api/v1/admin/jobs", guard=guards.OPERATOR, answers={200: OperatorJobList}, tag="Operator")
async def list_everybodys_jobs(call: Call[Person, Nothing, JobsQuery]) -> ASGIApp:
    """The newest jobs of everybody, in any state or in one; never what was written in them."""
    parameters = {"user_id": None, "state": call.query.state, "most": call.query.limit}
    rows = await call.context.database.many(JOBS, parameters)
    fields = OperatorJob.__struct_fields__
    data = [OperatorJob(**{name: getattr(row, name) for name in fields}) for row in rows]
    return answers.json(OperatorJobList(data=data))


@operation("GET", "/api/v1/admin/books", guard=guards.OPERATOR, answers={200: BooksView}, tag="Operator")
async def check_books(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Read all the books and say where they disagree. This reads everything: not to be asked by the minute."""
    found = await ledger.violations(call.context.database)
    return answers.json(BooksView(violations=[ledger.violation_in_words(one) for one in found]))


async def _told(
    call: Call[Person, Nothing, Nothing], change: Callable[[Database, UUID, Actor], Awaitable[object]]
) -> ASGIApp:
    """A machine is changed, and hears of it at once."""
    worker = await roster.find(call.context.database, call.path("worker"))
    await change(call.context.database, worker.id, _actor(call))
    call.context.dispatcher.bus.announce("worker", worker.id)
    return answers.nothing()


@operation(
    "POST",
    "/api/v1/admin/switches",
    guard=guards.OPERATOR,
    answers={204: None},
    problems=(NotFound,),
    tag="Operator",
)
async def set_switch(call: Call[Person, SwitchRequest, Nothing]) -> ASGIApp:
    """Switch all submits, a model or a lane off or on. What runs is not touched. Repeating this changes nothing."""
    database, body, actor = call.context.database, call.body, _actor(call)
    if body.what == "submits":
        await switches.set_submits(database, actor, paused=body.paused, reason=body.reason)
    elif body.what == "model":
        await switches.set_model(database, actor, body.name, paused=body.paused)
        call.context.dispatcher.bus.announce("models")
    else:
        await switches.set_lane(database, actor, _lane_id(body.name), paused=body.paused)
    return answers.nothing()


@operation(
    "GET",
    "/api/v1/admin/users",
    guard=guards.OPERATOR,
    answers={200: UserFound},
    problems=(NotFound,),
    tag="Operator",
)
async def find_user(call: Call[Person, Nothing, UserQuery]) -> ASGIApp:
    """Somebody by name, id or identity."""
    return answers.json(UserFound(user=await users.find(call.context.database, call.query.name)))


@operation(
    "POST",
    "/api/v1/admin/users/{user_id:uuid}/grant",
    guard=guards.OPERATOR,
    answers={201: GrantView},
    problems=(NotFound,),
    tag="Operator",
)
async def grant_tokens(call: Call[Person, GrantRequest, Nothing]) -> ASGIApp:
    """Give somebody tokens that do not expire. Repeating this gives them again."""
    user_id, body = call.path("user_id"), call.body
    moved = await ledger.grant(call.context.database, user_id, body.tokens, body.reason, _actor(call))
    return answers.json(GrantView(id=user_id, purchased=moved.purchased), status=201)


@operation(
    "POST",
    "/api/v1/admin/users/{user_id:uuid}/plan",
    guard=guards.OPERATOR,
    answers={200: UserFound},
    problems=(NotFound,),
    tag="Operator",
)
async def put_on_plan(call: Call[Person, PlanChange, Nothing]) -> ASGIApp:
    """Put somebody on a plan; what is queued stays queued. Repeating this changes nothing."""
    context, user_id, body = call.context, call.path("user_id"), call.body
    await users.set_plan(context.database, user_id, body.plan, body.paid_until, _actor(call))
    context.dispatcher.bus.announce("user", user_id)
    return answers.json(UserFound(user=await users.view(context.database, user_id)))


@operation(
    "GET",
    "/api/v1/admin/jobs/{job_id:uuid}/why",
    guard=guards.OPERATOR,
    answers={200: WhyView},
    problems=(NotFound,),
    tag="Operator",
)
async def explain_job(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """What holds a job up, with the numbers behind it; of one that does not wait, how it is."""
    database, job_id = call.context.database, call.path("job_id")
    job = await database.one(JOB, {"job_id": job_id})
    if job is None:
        raise NotFound("There is no such job.")
    if job.state != "queued" and (job.state != "running" or job.phase == "started"):
        lines = [f"It does not wait: {job.state}{f' ({job.error_code})' if job.error_code else ''}."]
        return answers.json(WhyView(job_id=job_id, state=job.state, lines=lines))
    found = await why.answer(database, job, call.context.settings.lease_seconds)
    lines = why.sentences(found, found.waiting.reason.replace("_", " "))
    return answers.json(WhyView(job_id=job_id, state=job.state, lines=lines))


def _lane(row: LaneRow) -> LaneView:
    shown = {name: getattr(row, name) for name in LaneView.__struct_fields__}
    return LaneView(**shown | {"paused": row.paused or row.model_paused})


def _lane_id(name: str) -> int:
    if not name.isascii() or not name.isdecimal() or len(name) > 9:
        raise Invalid.at("/name", "A lane is named by its number, as in GET /api/v1/admin/status.", "bad_format")
    return int(name)


def _worker(listed: Listed) -> WorkerView:
    worker = listed.worker
    return WorkerView(
        id=worker.id,
        name=worker.name,
        condition=condition(listed),
        slots=len(listed.slots),
        leases=worker.leases,
        serves=sorted({lane for slot in listed.slots for lane in slot.lanes}),
        last_seen_at=worker.last_seen_at,
        agent_version=worker.agent_version,
        engines=[_slot(slot) for slot in listed.slots],
    )


def _slot(row: SlotRow) -> SlotView:
    measured = {name: float(value) for name, value in row.gpu.items() if isinstance(value, int | float)}
    shown = {name: getattr(row, name) for name in ("slot", "loaded", "vram_gib", "healthy", "leases", "jobs")}
    return SlotView(**shown, quarantined=row.quarantined_at is not None, gpu=measured)


def _actor(call: Call[Person, Any, Any]) -> audit.Actor:
    return audit.user(call.who.user_id)
