"""Requests that cannot be taken as they are: misread, misaddressed, too large, too often, too late."""

from __future__ import annotations

from control_plane.errors.root import TesseraError


class Invalid(TesseraError):
    """The request does not fit.

    `errors` lists what is wrong: a JSON pointer into the body (or the parameter's name), a code, a sentence.
    """

    slug, status = "invalid", 422

    @classmethod
    def at(cls, pointer: str, sentence: str, code: str = "invalid_value") -> Invalid:
        return cls(sentence, errors=[{"pointer": pointer, "code": code, "detail": sentence}])


class Malformed(TesseraError):
    """The request cannot be read.

    The body is not the JSON object that this operation expects.
    """

    slug, status = "malformed", 400


class NotFound(TesseraError):
    """There is no such thing here.

    It does not exist, or it is not yours: both look the same.
    """

    slug, status = "not-found", 404


class MethodNotAllowed(TesseraError):
    """This address does not know that method."""

    slug, status = "method-not-allowed", 405


class Gone(TesseraError):
    """It was here and has been deleted.

    Results are kept for as long as the plan says.
    """

    slug, status = "gone", 410


class TooLarge(TesseraError):
    """The body is larger than allowed."""

    slug, status = "too-large", 413


class UnsupportedMediaType(TesseraError):
    """The content is of a type that is not accepted here."""

    slug, status = "unsupported-media-type", 415


class RangeNotSatisfiable(TesseraError):
    """The requested range lies outside the file."""

    slug, status = "range-not-satisfiable", 416


class IdempotencyMismatch(TesseraError):
    """This Idempotency-Key was used with another request.

    Use a new key for a new order.
    """

    slug, status = "idempotency-mismatch", 422


class IdempotencyInFlight(TesseraError):
    """The request with this Idempotency-Key is still being answered.

    Repeat it after as long as `Retry-After` says; it will not be done twice.
    """

    slug, status = "idempotency-in-flight", 409


class RateLimited(TesseraError):
    """You ask more often than your plan allows.

    Wait for as long as `Retry-After` says. The RateLimit headers tell how much is left.
    """

    slug, status = "rate-limited", 429


class TooManyWaiting(TesseraError):
    """Too many requests of yours are being held open."""

    slug, status = "too-many-waiting", 429


class DeadlineExceeded(TesseraError):
    """The request took longer than allowed."""

    slug, status = "deadline-exceeded", 504
