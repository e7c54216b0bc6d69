"""Operations on batches: orders that are placed, looked at and canceled together."""

from __future__ import annotations

from litestar.types import ASGIApp

from control_plane.api import answers, guards, traces
from control_plane.api.guards import Person
from control_plane.api.jobs import IDEMPOTENCY_KEY, SUBMIT_PROBLEMS, SubmitQuery, idempotency_key, permitted
from control_plane.api.operation import Call, Nothing, count_read, operation
from control_plane.errors import NotFound
from control_plane.jobs import batches
from control_plane.wire.batch import BatchQuote, BatchRequest, BatchView


@operation(
    "POST",
    "/api/v1/jobs/batch",
    guard=guards.SUBMIT,
    answers={201: BatchView, 200: BatchQuote},
    problems=SUBMIT_PROBLEMS,
    headers=(IDEMPOTENCY_KEY, traces.TRACEPARENT),
    tag="Batches",
    submits=True,
)
async def submit_batch(call: Call[Person, BatchRequest, SubmitQuery]) -> ASGIApp:
    """Order up to a hundred jobs at once: all of them, or none.

    When this answers 201, every job is on disk and will not be lost. A refusal names the order that is to blame by a
    JSON pointer such as `/jobs/3`, and nothing was ordered. One `Idempotency-Key` stands for the whole batch. Each
    order counts in the rate of submits. The body may have as many bytes as any other.
    """
    key = idempotency_key(call, call.body)
    body = BatchRequest(jobs=[permitted(call.who, order) for order in call.body.jobs])
    if call.query.dry_run:
        count_read(call.request.scope, call.context, call.who)
        return answers.json(await batches.quote(call.context, call.who.user_id, body, by=call.who.key))
    trace = traces.traceparent(call.request.scope)
    placed = await batches.submit(call.context, call.who.user_id, body, key, by=call.who.key, traceparent=trace)
    call.request.scope["state"]["rate"] = placed.rate
    headers = {"Location": placed.batch.urls.self}
    if placed.replayed:
        headers["Idempotent-Replayed"] = "true"
    return answers.json(placed.batch, status=201, headers=headers)


@operation(
    "GET",
    "/api/v1/batches/{batch_id:uuid}",
    guard=guards.READ,
    answers={200: BatchView},
    problems=(NotFound,),
    tag="Batches",
)
async def get_batch(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Look at all jobs of a batch."""
    return answers.json(await batches.view(call.context, call.who.user_id, call.path("batch_id")))


@operation(
    "DELETE",
    "/api/v1/batches/{batch_id:uuid}",
    guard=guards.SUBMIT,
    answers={200: BatchView},
    problems=(NotFound,),
    tag="Batches",
)
async def cancel_batch(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Cancel every job of a batch that is not over.

    Each as if it were canceled by itself. Repeating this changes nothing.
    """
    return answers.json(await batches.cancel(call.context, call.who.user_id, call.path("batch_id")))
