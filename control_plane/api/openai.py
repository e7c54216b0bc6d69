"""OpenAI's shape over the same jobs: the official `openai` package works with another base URL and key.

A request in this shape waits for its pictures, so it ends in one of four ways. The job ends: pictures, or an error.
The client hangs up: nobody is left who knows the job's id, so a job that has not started is canceled; one that runs
goes on, since most of it may be paid for already, and is found by `GET /api/v1/jobs`. The wait is over: 504, and such
a job would have expired by itself at that moment (`max_wait`), also if this process had died. With an
`Idempotency-Key` it is different: the client can come back under it, so the job stays in line and the next try with
the key waits for the same job.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import psycopg
from litestar.types import ASGIApp

from control_plane.api import answers, guards, openai_answers, openai_errors, openai_orders, traces
from control_plane.api.answers import Answer
from control_plane.api.decoding import Disconnected
from control_plane.api.following import followed
from control_plane.api.forms import FORM
from control_plane.api.guards import Person
from control_plane.api.jobs import IDEMPOTENCY_KEY, SUBMIT_PROBLEMS, idempotency_key, permitted
from control_plane.api.openai_forms import Form
from control_plane.api.openai_stream import Stream
from control_plane.api.operation import Call, Nothing, operation
from control_plane.api.presence import watched
from control_plane.context import Context
from control_plane.errors import Gone, InputsFull, NoSuchModel, TooManyWaiting, Unavailable
from control_plane.events.feed import Listener
from control_plane.files.intake import UPLOAD_SECONDS
from control_plane.jobs import desk
from control_plane.orders.idempotency import Key
from control_plane.states import TERMINAL
from control_plane.wire.input import INPUT_BYTES_MAX
from control_plane.wire.job import JobView, SubmitRequest
from control_plane.wire.openai import (
    EditRequest,
    ErrorBody,
    ImageRequest,
    ImagesResponse,
    ModelObject,
    ModelObjects,
)

WAIT_SECONDS_MAX = 600.0
"""As long as OpenAI's client waits by itself."""
OWNER = "tessera"
TAG = "OpenAI's shape"
EVENT_STREAM = "text/event-stream"


@operation(
    "POST",
    "/v1/images/generations",
    guard=guards.SUBMIT,
    answers={200: (ImagesResponse, EVENT_STREAM), 409: ErrorBody, 500: ErrorBody},
    problems=(*SUBMIT_PROBLEMS, Gone, TooManyWaiting),
    headers=(IDEMPOTENCY_KEY,),
    tag=TAG,
    wait_seconds=WAIT_SECONDS_MAX,
    submits=True,
)
async def create_images(call: Call[Person, ImageRequest, Nothing]) -> ASGIApp:
    """Order pictures and wait for them, in OpenAI's shape.

    With `stream` the answer is server-sent events: at most `partial_images` of `image_generation.partial_image`, then
    `image_generation.completed` for each picture, or `error`. A client that hangs up before the job has started
    cancels it, unless it sent an `Idempotency-Key`: with the same key it may come back for the same job.
    """
    key = idempotency_key(call, call.body)
    model = await call.context.catalogue.find("image", call.body.model)
    return await _made(call, openai_orders.order(call.body, model, max_wait=_max_wait(call.context, key)), key)


@operation(
    "POST",
    "/v1/images/edits",
    guard=guards.SUBMIT,
    answers={200: (ImagesResponse, EVENT_STREAM), 409: ErrorBody, 500: ErrorBody},
    problems=(*SUBMIT_PROBLEMS, Gone, InputsFull, TooManyWaiting),
    headers=(IDEMPOTENCY_KEY,),
    uploads=(FORM,),
    form=EditRequest,
    tag=TAG,
    wait_seconds=WAIT_SECONDS_MAX + UPLOAD_SECONDS,
    submits=True,
)
async def edit_images(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Order pictures that start from one of yours, and wait for them, in OpenAI's shape.

    A form: the part `image` is the picture, the other parts are the order, as for `/v1/images/generations`. The whole
    picture is made anew, `strength` says how much; there are no masks. It is kept as an input of yours for a day.
    """
    context = call.context
    form = Form(call.request.scope, call.request.receive, INPUT_BYTES_MAX)
    picture = await context.intake.receive(call.who.user_id, form.picture())
    wanted = form.order(EditRequest)
    key = idempotency_key(call, wanted, picture.id)
    model = await context.catalogue.find("image", wanted.model)
    order = openai_orders.edit(wanted, model, picture.id, max_wait=_max_wait(context, key))
    return await _made(Call(call.request, context, call.who, wanted, call.query), order, key)


@operation("GET", "/v1/models", guard=guards.READ, answers={200: ModelObjects}, tag=TAG)
async def list_openai_models(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """The models that make pictures, in OpenAI's shape."""
    return answers.json(ModelObjects(data=await _models(call.context)))


@operation(
    "GET", "/v1/models/{model:str}", guard=guards.READ, answers={200: ModelObject}, problems=(NoSuchModel,), tag=TAG
)
async def get_openai_model(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """One model, in OpenAI's shape."""
    found = await call.context.catalogue.find("image", call.path("model"))
    return answers.json(_model(found.name))


def _max_wait(context: Context, key: Key | None) -> int | None:
    """Seconds after which an order leaves the line: without a key nobody can come back for it."""
    return None if key else math.ceil(context.settings.images_wait_seconds)


async def _made(call: Call[Person, Any, Nothing], order: SubmitRequest, key: Key | None) -> ASGIApp:
    """Places the order, and answers with what becomes of it."""
    context, permit = call.context, permitted(call.who, order)
    with context.dispatcher.feed.held(call.who.user_id):  # refused before anything is ordered
        trace = traces.traceparent(call.request.scope)
        placed = await desk.submit(context, call.who.user_id, permit, key, by=call.who.key, traceparent=trace)
        call.request.scope["state"]["rate"] = placed.rate
        if call.body.stream:
            return Stream(call, placed.job, stays=key is not None)
        job = await _awaited(call, placed.job, stays=key is not None)
    answer = await _answer(call, job, stays=key is not None)
    if placed.replayed:
        answer.headers.append((b"idempotent-replayed", b"true"))
    return answer


async def _awaited(call: Call[Person, ImageRequest, Nothing], placed: JobView, *, stays: bool) -> JobView:
    """The job when it has ended, or as it is when the wait is over. Raises `Disconnected` when the client has gone."""
    job, listener = placed, Listener(call.context.dispatcher.feed)
    with watched(call.context.tasks, call.request.receive, listener.leave) as gone:
        with suppress(Unavailable, psycopg.Error):  # it is placed; refused now, a client would order it again
            async for seen in followed(call, placed.id, listener, call.context.settings.images_wait_seconds):
                job = seen.job
        if gone.is_set():
            await openai_answers.leave(call, job, stays=stays)
            raise Disconnected
    return job


async def _answer(call: Call[Person, ImageRequest, Nothing], job: JobView, *, stays: bool) -> Answer:
    if fault := openai_answers.ended(job, stays=stays):
        await openai_answers.leave(call, job, stays=stays)
        shown, sentence = fault
        retry = {} if stays and job.status not in TERMINAL else openai_errors.NO_RETRY
        return answers.json(openai_errors.detail(sentence, shown), status=shown.status, headers=retry)
    found = ImagesResponse(
        created=int(job.created_at.timestamp()),
        data=await openai_answers.images(call.context, job, call.body.response_format),
        output_format=job.artifacts[0].mime_type.removeprefix("image/"),
        size=f"{job.width}x{job.height}",
        usage=openai_answers.usage(job),
        job_id=str(job.id),
    )
    return answers.json(found)


async def _models(context: Context) -> list[ModelObject]:
    return [_model(model.name) for model in await context.catalogue.models() if model.kind == "image"]


def _model(name: str) -> ModelObject:
    return ModelObject(id=name, owned_by=OWNER)
