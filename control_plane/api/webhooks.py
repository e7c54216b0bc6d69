"""Operations on webhooks: make, change, try and delete endpoints, rotate their secrets, read what was delivered."""

from __future__ import annotations

from typing import Annotated

from litestar.types import ASGIApp
from msgspec import Meta

from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.cursors import Cursor
from control_plane.errors import Merged, NotFound, TooManyWebhooks, WebhookDisabled
from control_plane.webhooks import deliveries, endpoints
from control_plane.wire import Request
from control_plane.wire.webhook import (
    DeliveryList,
    DeliveryState,
    DeliveryView,
    WebhookChange,
    WebhookList,
    WebhookRequest,
    WebhookSecret,
    WebhookView,
)

LIMIT_DEFAULT = 20


class DeliveriesQuery(Request, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=deliveries.PAGE_MAX)] = LIMIT_DEFAULT
    cursor: Cursor | None = None
    """`next_cursor` of the page before, with the same filter; absent for the newest deliveries."""
    status: DeliveryState | None = None


@operation(
    "POST",
    "/api/v1/webhooks",
    guard=guards.SUBMIT,
    answers={201: WebhookSecret},
    problems=(TooManyWebhooks, Merged),
    tag="Webhooks",
)
async def create_webhook(call: Call[Person, WebhookRequest, Nothing]) -> ASGIApp:
    """Have an address told what becomes of your jobs.

    Messages follow [Standard Webhooks](https://www.standardwebhooks.com) 1.0: a POST of `{"type": "job.succeeded",
    "timestamp": …, "data": …}`, where `data` is the job as in `GET /api/v1/jobs/{id}`. The `secret` to verify them with
    is shown this once; libraries for most languages take it as it is. Without a `url` you get the secret for what goes
    to the `webhook_url` of single orders.

    Answer with 2xx within 15 seconds, and do the work afterwards. Anything else is tried again after 5 s, 5 min, 30
    min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, or later if you say so by `Retry-After`. Every attempt at a message has
    the same `webhook-id`: one that you know already came twice, and messages may overtake each other. Answer 410 to
    hear no more; after five days without a success a webhook is disabled.
    """
    context = call.context
    made = await endpoints.create(context.database, call.who.user_id, call.body, context.settings.webhook_networks)
    headers = {"Location": f"{context.settings.base_url}/api/v1/webhooks/{made.webhook.id}"}
    return answers.json(made, status=201, headers=headers)


@operation("GET", "/api/v1/webhooks", guard=guards.READ, answers={200: WebhookList}, tag="Webhooks")
async def list_webhooks(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """List your webhooks, the oldest first."""
    return answers.json(await endpoints.listed(call.context.database, call.who.user_id))


@operation(
    "GET",
    "/api/v1/webhooks/{webhook_id:uuid}",
    guard=guards.READ,
    answers={200: WebhookView},
    problems=(NotFound,),
    tag="Webhooks",
)
async def get_webhook(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Look at a webhook."""
    return answers.json(await endpoints.view(call.context.database, call.who.user_id, call.path("webhook_id")))


@operation(
    "PATCH",
    "/api/v1/webhooks/{webhook_id:uuid}",
    guard=guards.SUBMIT,
    answers={200: WebhookView},
    problems=(NotFound,),
    tag="Webhooks",
)
async def change_webhook(call: Call[Person, WebhookChange, Nothing]) -> ASGIApp:
    """Change a webhook, or enable one again that was disabled.

    What is on its way goes to the new address. What is on its way to one that you disable is given up; redeliver it
    when you want it.
    """
    context = call.context
    allowed = context.settings.webhook_networks
    found = await endpoints.change(context.database, call.who.user_id, call.path("webhook_id"), call.body, allowed)
    return answers.json(found)


@operation(
    "DELETE",
    "/api/v1/webhooks/{webhook_id:uuid}",
    guard=guards.SUBMIT,
    answers={204: None},
    problems=(NotFound,),
    tag="Webhooks",
)
async def delete_webhook(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Delete a webhook with its secrets, its log and what is on its way."""
    await endpoints.remove(call.context.database, call.who.user_id, call.path("webhook_id"))
    return answers.nothing()


@operation(
    "POST",
    "/api/v1/webhooks/{webhook_id:uuid}/rotate-secret",
    guard=guards.SUBMIT,
    answers={200: WebhookSecret},
    problems=(NotFound,),
    tag="Webhooks",
)
async def rotate_webhook_secret(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Make a new secret for a webhook.

    For 24 hours messages carry a signature by each, so receivers can change over one by one.
    """
    return answers.json(await endpoints.rotate(call.context.database, call.who.user_id, call.path("webhook_id")))


@operation(
    "POST",
    "/api/v1/webhooks/{webhook_id:uuid}/test",
    guard=guards.SUBMIT,
    answers={202: DeliveryView},
    problems=(NotFound, WebhookDisabled),
    tag="Webhooks",
)
async def test_webhook(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Send a test message.

    It is signed like any other and leaves at once; what became of it stands in the deliveries.
    """
    made = await deliveries.test(call.context.database, call.who.user_id, call.path("webhook_id"))
    call.context.dispatcher.bus.announce("webhook")
    return answers.json(made, status=202)


@operation(
    "GET",
    "/api/v1/webhooks/{webhook_id:uuid}/deliveries",
    guard=guards.READ,
    answers={200: DeliveryList},
    problems=(NotFound,),
    tag="Webhooks",
)
async def list_deliveries(call: Call[Person, Nothing, DeliveriesQuery]) -> ASGIApp:
    """List what was sent to a webhook and what it answered, the newest first.

    Deliveries that are over are kept for 30 days.
    """
    context, query = call.context, call.query
    found = await deliveries.page(
        context.database,
        context.signing_keys,
        call.who.user_id,
        call.path("webhook_id"),
        state=query.status,
        cursor=query.cursor,
        limit=query.limit,
    )
    return answers.json(found)


@operation(
    "POST",
    "/api/v1/webhooks/{webhook_id:uuid}/deliveries/{delivery_id:uuid}/redeliver",
    guard=guards.SUBMIT,
    answers={202: DeliveryView},
    problems=(NotFound, WebhookDisabled),
    tag="Webhooks",
)
async def redeliver(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Send a message again, with the same `webhook-id`.

    It leaves at once and its retries begin anew. One that is being sent just now stays as it is.
    """
    context = call.context
    found = await deliveries.redeliver(
        context.database, call.who.user_id, call.path("webhook_id"), call.path("delivery_id")
    )
    context.dispatcher.bus.announce("webhook")
    return answers.json(found, status=202)
