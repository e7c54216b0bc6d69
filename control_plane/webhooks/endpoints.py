"""Webhook endpoints: where a user wants to be told, and the secrets that the messages are signed with.

An endpoint with a url hears of every job of its user. The one without signs what goes to the `webhook_url` of single
orders; it comes into being with the first such order, or by asking for it, which is also how its secret is learnt
(asking later means rotating). Secrets are shown when they are made and never again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import structlog
from msgspec import UNSET
from psycopg import AsyncConnection

from control_plane.database import Database, Query
from control_plane.errors import Invalid, Merged, NotFound, TooManyWebhooks
from control_plane.webhooks import egress, envelope
from control_plane.webhooks.egress import Networks
from control_plane.wire.webhook import (
    TERMINAL_EVENTS,
    JobEvent,
    WebhookChange,
    WebhookList,
    WebhookRequest,
    WebhookSecret,
    WebhookView,
)

ENDPOINTS_MAX = 10
"""Of one user, besides the one for orders."""
SECRETS_MAX = 4
"""In force at once, however often they are rotated: each one is a signature in a header."""
OVERLAP_SECONDS = 24 * 3_600.0
"""For so long a secret goes on signing beside the next one."""

log = structlog.get_logger()


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    url: str | None
    events: list[JobEvent]
    description: str
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: Literal["owner", "gone", "failing"] | None
    secrets: int


LOCK_USER = Query("webhooks.lock_user", str)
ADD = Query("webhooks.add", UUID)
SIGNS_ORDERS = Query("webhooks.signs_orders", UUID)
LIST = Query("webhooks.list", Endpoint)
CHANGE = Query("webhooks.change", UUID)
REMOVE: Query[None] = Query("webhooks.remove")
ROTATE = Query("webhooks.rotate", UUID)
FORGET_SECRETS: Query[None] = Query("webhooks.forget_secrets")


async def create(database: Database, user_id: UUID, wanted: WebhookRequest, allowed: Networks) -> WebhookSecret:
    """A new endpoint with its secret. Raises `Invalid`, `TooManyWebhooks`, `Merged`."""
    url = None if wanted.url is None else checked(wanted.url, allowed, "/url")
    secret = envelope.new_secret()
    async with database.transaction() as connection:
        made = await _add(connection, user_id, url, list(wanted.events or TERMINAL_EVENTS), wanted.description, secret)
    if made is None:
        raise _too_many(url)
    log.info("webhook.created", webhook_id=made, user_id=user_id, of_orders=url is None)
    return WebhookSecret(webhook=await view(database, user_id, made), secret=envelope.shown(secret))


async def sign_orders(database: Database, user_id: UUID) -> None:
    """Sees to it that messages to the `webhook_url` of an order can be signed. Raises `Merged`."""
    if await database.one(SIGNS_ORDERS, {"user_id": user_id}) is not None:
        return
    async with database.transaction() as connection:
        await _add(connection, user_id, None, list(TERMINAL_EVENTS), "", envelope.new_secret())


async def listed(database: Database, user_id: UUID) -> WebhookList:
    """All endpoints of a user, the oldest first."""
    found = await database.many(LIST, {"user_id": user_id, "webhook_id": None})
    return WebhookList(data=[_view(endpoint) for endpoint in found])


async def view(database: Database, user_id: UUID, webhook_id: UUID) -> WebhookView:
    """Raises `NotFound`."""
    found = await database.one(LIST, {"user_id": user_id, "webhook_id": webhook_id})
    if found is None:
        raise not_found()
    return _view(found)


async def change(
    database: Database, user_id: UUID, webhook_id: UUID, wanted: WebhookChange, allowed: Networks
) -> WebhookView:
    """Changes what is given. Raises `Invalid`, `NotFound`."""
    known = await view(database, user_id, webhook_id)
    if known.url is None and (wanted.url is not UNSET or wanted.disabled is True):
        where = "/url" if wanted.url is not UNSET else "/disabled"
        raise Invalid.at(where, "This one is for the `webhook_url` of orders: leave that out instead.", "not_allowed")
    parameters = {
        "user_id": user_id,
        "webhook_id": webhook_id,
        "url": None if wanted.url is UNSET else checked(wanted.url, allowed, "/url"),
        "events": None if wanted.events is UNSET else list(wanted.events),
        "description": None if wanted.description is UNSET else wanted.description,
        "disabled": None if wanted.disabled is UNSET else wanted.disabled,
    }
    if await database.one(CHANGE, parameters) is None:
        raise not_found()
    log.info("webhook.changed", webhook_id=webhook_id)
    return await view(database, user_id, webhook_id)


async def remove(database: Database, user_id: UUID, webhook_id: UUID) -> None:
    """Forgets an endpoint, its secrets and its deliveries. Raises `NotFound`."""
    if not await database.run(REMOVE, {"user_id": user_id, "webhook_id": webhook_id}):
        raise not_found()
    log.info("webhook.removed", webhook_id=webhook_id)


async def rotate(database: Database, user_id: UUID, webhook_id: UUID) -> WebhookSecret:
    """A new secret; the one before goes on signing beside it for `OVERLAP_SECONDS`. Raises `NotFound`."""
    secret = envelope.new_secret()
    parameters = {
        "user_id": user_id,
        "webhook_id": webhook_id,
        "secret": secret,
        "most": SECRETS_MAX,
        "overlap_seconds": OVERLAP_SECONDS,
    }
    async with database.transaction() as connection:
        if await ROTATE.one(connection, parameters) is None:
            raise not_found()
    await database.run(FORGET_SECRETS, {"webhook_id": webhook_id})
    log.info("webhook.rotated", webhook_id=webhook_id)
    return WebhookSecret(webhook=await view(database, user_id, webhook_id), secret=envelope.shown(secret))


def checked(url: str, allowed: Networks, pointer: str) -> str:
    """The address as it will be used. Raises `Invalid` at that place of the body."""
    try:
        return str(egress.checked(url, allowed))
    except egress.Refused as error:
        raise Invalid.at(pointer, str(error), "not_allowed") from None


def not_found() -> NotFound:
    return NotFound("You have no such webhook.")


async def _add(
    connection: AsyncConnection[Any], user_id: UUID, url: str | None, events: list[JobEvent], about: str, secret: bytes
) -> UUID | None:
    """None: there is no room, or (without a url) there is one already."""
    if await LOCK_USER.one(connection, {"user_id": user_id}) == "merged":
        raise Merged("This account has become part of another one. Try again.", retry_after=1)
    parameters = {
        "user_id": user_id,
        "url": url,
        "events": list(dict.fromkeys(events)),
        "description": about,
        "secret": secret,
        "most": ENDPOINTS_MAX,
    }
    return await ADD.one(connection, parameters)


def _too_many(url: str | None) -> TooManyWebhooks:
    if url is None:
        return TooManyWebhooks("You have one for your orders already. Rotate its secret to get to know one.")
    return TooManyWebhooks(f"You have {ENDPOINTS_MAX} webhooks. Delete one that you do not need.")


def _view(endpoint: Endpoint) -> WebhookView:
    return WebhookView(
        id=endpoint.id,
        url=endpoint.url,
        events=endpoint.events,
        description=endpoint.description,
        status="enabled" if endpoint.disabled_at is None else "disabled",
        disabled_reason=endpoint.disabled_reason,
        failing_since=endpoint.failing_since,
        secrets=endpoint.secrets,
        created_at=endpoint.created_at,
    )
