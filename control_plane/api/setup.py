"""Operations of the first run: how far the setup has come, and what its steps need done here."""

from __future__ import annotations

from litestar.types import ASGIApp
from msgspec import UNSET

from control_plane import audit
from control_plane.api import answers, guards, jobs
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.backup import records
from control_plane.context import Context
from control_plane.errors import NotFound
from control_plane.jobs import desk
from control_plane.operator import reach, setup
from control_plane.operator.setup import BotRow, Standing
from control_plane.orders.idempotency import Key
from control_plane.release.line import carrying, install_line
from control_plane.settings import Settings
from control_plane.wire.job import JobView, SubmitRequest
from control_plane.wire.operator import Enrolment, EnrolmentRequest
from control_plane.wire.setup import (
    AddressCheck,
    PictureRequest,
    SetupAddress,
    SetupBackup,
    SetupBots,
    SetupMachine,
    SetupRequest,
    SetupStep,
    SetupView,
)
from control_plane.workers.roster import condition

FROM_WORDS = "text-to-image"


@operation("GET", "/api/v1/admin/setup", guard=guards.OPERATOR, answers={200: SetupView}, tag="Operator")
async def get_setup(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """How far the setup of this installation has come. What is done is seen from what is there."""
    return answers.json(await _view(call.context, call.who))


@operation("POST", "/api/v1/admin/setup", guard=guards.OPERATOR, answers={200: SetupView}, tag="Operator")
async def change_setup(call: Call[Person, SetupRequest, Nothing]) -> ASGIApp:
    """Put a step off, take it up again, or close the setup; it can be opened again. Repeating this changes nothing."""
    database, body = call.context.database, call.body
    if body.put_off is not UNSET:
        await setup.put_off(database, body.put_off, True)
    if body.take_up is not UNSET:
        await setup.put_off(database, body.take_up, False)
    if body.closed is not UNSET:
        await setup.close(database, body.closed)
    return answers.json(await _view(call.context, call.who))


@operation("POST", "/api/v1/admin/setup/address", guard=guards.OPERATOR, answers={200: AddressCheck}, tag="Operator")
async def check_address(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Try whether the public address of the settings leads here, from here."""
    context = call.context
    return answers.json(await reach.examine(context.signing_keys, context.settings))


@operation("POST", "/api/v1/admin/setup/machine", guard=guards.OPERATOR, answers={201: Enrolment}, tag="Operator")
async def await_machine(call: Call[Person, EnrolmentRequest, Nothing]) -> ASGIApp:
    """Make a token for the first machine, good for an hour; the setup waits for the machine that enrols with it."""
    context, actor = call.context, audit.user(call.who.user_id)
    token = carrying(await setup.await_machine(context.database, call.body.name, actor), context.settings)
    return answers.json(Enrolment(token=token, command=install_line(token, context.settings)), status=201)


@operation(
    "POST",
    "/api/v1/admin/setup/picture",
    guard=guards.OPERATOR,
    answers={201: JobView},
    problems=(NotFound, *jobs.SUBMIT_PROBLEMS),
    tag="Operator",
    optional_body=True,
)
async def order_first_picture(call: Call[Person, PictureRequest, Nothing]) -> ASGIApp:
    """Order the first picture of the machine that the setup waits for, as an order of yours, once it is ready.

    While one is on its way or has come, this answers with that one.
    """
    context, who = call.context, call.who
    standing = await _standing(context, who)
    row = standing.row
    if row.picture_job_id is not None and row.picture_state in ("queued", "running", "succeeded"):
        return answers.json(await desk.view(context, who.user_id, row.picture_job_id), status=201)
    order = jobs.permitted(who, await _order(context, standing, call.body.prompt))
    key = Key.bound(f"setup-{row.worker_id}-{row.picture_job_id or 'first'}", order)
    placed = await desk.submit(context, who.user_id, order, key, by=who.key)
    await setup.await_picture(context.database, placed.job.id)
    return answers.json(placed.job, status=201)


async def _order(context: Context, standing: Standing, prompt: str) -> SubmitRequest:
    """For the first model of those that the machine serves which draws from words alone. Raises `NotFound`."""
    machine = standing.machine
    if machine is None or not setup.is_ready(machine):
        raise NotFound("The machine is not ready yet. Wait until its light says so.")
    serves = {lane for slot in machine.slots for lane in slot.lanes}
    for model in await context.catalogue.models():
        if f"{model.kind}/{model.name}" in serves and FROM_WORDS in model.tasks:
            return SubmitRequest(prompt=prompt, kind=model.kind, model=model.name)
    raise NotFound("The machine draws no picture from words alone as it is; `tessera-agent workflows` there says why.")


async def _standing(context: Context, who: Person) -> Standing:
    return await setup.look(context.database, who.user_id, context.settings.lease_seconds)


async def _view(context: Context, who: Person) -> SetupView:
    standing, settings = await _standing(context, who), context.settings
    backups = await records.standing(context.database)
    states = setup.steps(standing, settings.public_url, backups.verified_at is not None)
    return SetupView(
        closed=standing.row.closed,
        steps=[SetupStep(name=name, state=state) for name, state in states.items()],
        address=_address(settings),
        machine=_machine(standing),
        bots=[_bots(row) for row in standing.bots],
        backup=_backup(settings, backups),
    )


def _bots(row: BotRow) -> SetupBots:
    return SetupBots(name=row.name, providers=row.providers, last_used_at=row.last_used_at)


def _address(settings: Settings) -> SetupAddress:
    url = settings.base_url
    return SetupAddress(
        url=url,
        is_set=settings.public_url is not None,
        secure=url.startswith("https://"),
        listens_on=f"{settings.host}:{settings.port}",
    )


def _backup(settings: Settings, standing: records.Standing) -> SetupBackup:
    return SetupBackup(
        place=settings.backup_url,
        at=settings.backup_at,
        closed_to_a_key=settings.backup_recipient is not None,
        last_started_at=standing.last_started_at,
        last_error=standing.last_error,
        verified_at=standing.verified_at,
    )


def _machine(standing: Standing) -> SetupMachine:
    row, machine = standing.row, standing.machine
    return SetupMachine(
        light=setup.light(standing),
        expires_at=row.token_expires_at,
        name=machine.worker.name if machine is not None else None,
        condition=condition(machine) if machine is not None else None,
        serves=sorted({lane for slot in machine.slots for lane in slot.lanes}) if machine is not None else [],
        picture_job_id=row.picture_job_id,
        picture_by=row.picture_by,
    )
