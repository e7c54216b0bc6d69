"""Told to those who order: what is not offered, not allowed, not paid for, not yet possible."""

from __future__ import annotations

from control_plane.errors.root import TesseraError


class NoSuchModel(TesseraError):
    """No such model is offered.

    GET /api/v1/models lists what is.
    """

    slug, status = "no-such-model", 422


class ModeratedInput(TesseraError):
    """The order is against the rules of conduct of this service.

    `category` says which of them, `errors` where. Nothing was ordered and nothing held. Order something else.
    """

    slug, status = "moderated-input", 422


class TokensShort(TesseraError):
    """You do not have enough tokens.

    `needed` is what the order costs, `available` what you have, `resets_at` when daily tokens come back (midnight UTC).
    """

    slug, status = "tokens-short", 402


class CapReached(TesseraError):
    """This key has ordered what it may in a day.

    `daily_cap` is the most that it may order in a day (UTC), in tokens, `needed` what this order costs. Other keys of
    the account go on.
    """

    slug, status = "cap-reached", 429


class PlanForbids(TesseraError):
    """Your plan does not include this.

    GET /api/v1/plans lists what each plan allows.
    """

    slug, status = "plan-forbids", 403


class ChatForbids(TesseraError):
    """The rules of this chat do not allow the order.

    Its administrators have made them: who may order there, which models, no adult content, so many tokens in a day.
    """

    slug, status = "chat-forbids", 403


class QueueFull(TesseraError):
    """You have as many jobs waiting as your plan allows."""

    slug, status = "queue-full", 429


class NotFinished(TesseraError):
    """The job has not finished.

    Cancel it or wait for its end; then its files and its prompt can be erased.
    """

    slug, status = "not-finished", 409
