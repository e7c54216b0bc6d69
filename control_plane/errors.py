"""Everything that can be refused, as one tree.

    TesseraError
    ├── Invalid (422)          ├── Unauthorized (401)     ├── NotFound (404)
    ├── PlanForbids (403)      ├── Forbidden (403)        ├── LeaseLost (409)
    ├── QueueFull (429)        ├── Paused (503)           ├── DiskLow (503)
    └── …

Each leaf has a stable `slug` (the page /problems/{slug}), an HTTP `status`, and its docstring's first line is
the title. The message says what happened and what to do. Extra fields become members of the problem document
(RFC 9457). Nothing here knows HTTP beyond the number.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class Rate(NamedTuple):
    """Where somebody's requests stand; told with answers and with refusals."""

    name: str
    """`submits` or `reads`."""
    per_minute: int
    left: int
    """Requests that are allowed right now."""
    busy_seconds: float
    """Until the whole rate is free again."""


class TesseraError(Exception):
    """Something went wrong."""

    slug: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, *, retry_after: float | None = None, **fields: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        """Seconds after which asking again makes sense; sent as Retry-After."""
        self.fields = fields
        self.rate: Rate | None = None
        """Where the rate stands that this request was counted by, if it was."""

    @classmethod
    def title(cls) -> str:
        return (cls.__doc__ or cls.__name__).splitlines()[0].rstrip(".")


class Internal(TesseraError):
    """Something broke on our side.

    The request id names the entry in the operator's log. Trying again may help.
    """


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


class Unauthorized(TesseraError):
    """Credentials are missing, unknown, expired or revoked.

    Send `Authorization: Bearer …` with a live key. All four cases look the same on purpose.
    """

    slug, status = "unauthorized", 401


class Forbidden(TesseraError):
    """This credential may not do that.

    The key lacks the scope, or the network or the provider it is bound to does not fit.
    """

    slug, status = "forbidden", 403


class Suspended(TesseraError):
    """The account is suspended.

    Ask the operator.
    """

    slug, status = "account-suspended", 403


class Merged(TesseraError):
    """The account has become part of another one.

    Its identities and keys speak for that account now. Try again.
    """

    slug, status = "merged", 409


class LastIdentity(TesseraError):
    """This is the last identity of the account.

    Without it nobody could reach the account. Link another one first.
    """

    slug, status = "last-identity", 409


class TooManyTries(TesseraError):
    """Too many codes have been tried.

    Wait for as long as `Retry-After` says.
    """

    slug, status = "too-many-tries", 429


class SignupClosed(TesseraError):
    """Nobody new is taken in.

    The operator has closed the sign-up. Whoever has an account can link this identity to it.
    """

    slug, status = "signup-closed", 403


class InviteNeeded(TesseraError):
    """New people need an invite.

    Ask the operator for a code and enter it (`POST /api/v1/user/invite`). Whoever has an account can link this identity
    to it.
    """

    slug, status = "invite-needed", 403


class SignupLimit(TesseraError):
    """Enough new people have come today.

    So many sign up by one provider in a day, and no more. Try again after midnight UTC.
    """

    slug, status = "signup-limit", 429


class Unlinked(TesseraError):
    """This identity was taken from its account a short while ago.

    Link it to an account again, or wait: after thirty days it may open one of its own.
    """

    slug, status = "unlinked", 403


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


class LeaseLost(TesseraError):
    """The lease is no longer yours.

    It expired, was taken over or ended, and nothing was changed. Stop the work and report nothing more about it.
    """

    slug, status = "lease-lost", 409


class ArtifactsMissing(TesseraError):
    """Not every file of this attempt has arrived.

    Upload what is missing, then complete again.
    """

    slug, status = "artifacts-missing", 409


class AlreadyHandled(TesseraError):
    """The report has been decided on.

    A decision stays. Quarantine or restore the file itself.
    """

    slug, status = "already-handled", 409


class NotFinished(TesseraError):
    """The job has not finished.

    Cancel it or wait for its end; then its files and its prompt can be erased.
    """

    slug, status = "not-finished", 409


class LegalHold(TesseraError):
    """The files are kept for a legal reason.

    They cannot be erased until the operator lifts the hold.
    """

    slug, status = "legal-hold", 409


class ArtifactMismatch(TesseraError):
    """The uploaded bytes are not what was announced.

    Length, SHA-256 or type differ. Upload the file again.
    """

    slug, status = "artifact-mismatch", 422


class Unmarked(TesseraError):
    """The file does not say that it was made by AI.

    Its XMP metadata must have IPTC's `DigitalSourceType`. Agents write it into every file; update the agent.
    """

    slug, status = "unmarked", 422


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

    `daily_cap` is the most that it may order in a day (UTC), in tokens, `needed` what this order costs. Other keys of the
    account go on.
    """

    slug, status = "cap-reached", 429


class KeysMax(TesseraError):
    """You have as many keys as anybody may have.

    End one that is not needed any more.
    """

    slug, status = "keys-max", 409


class PlanForbids(TesseraError):
    """Your plan does not include this.

    GET /api/v1/plans lists what each plan allows.
    """

    slug, status = "plan-forbids", 403


class RateLimited(TesseraError):
    """You ask more often than your plan allows.

    Wait for as long as `Retry-After` says. The RateLimit headers tell how much is left.
    """

    slug, status = "rate-limited", 429


class QueueFull(TesseraError):
    """You have as many jobs waiting as your plan allows."""

    slug, status = "queue-full", 429


class InputsFull(TesseraError):
    """You have uploaded as many pictures as allowed.

    Each counts for a day. Delete what you do not need.
    """

    slug, status = "inputs-full", 429


class InputNeeded(TesseraError):
    """A job that is not over starts from this input.

    Cancel the job or wait for its end; then the input can be deleted.
    """

    slug, status = "input-needed", 409


class TooManyReports(TesseraError):
    """You have too many open reports.

    Wait until the operator has looked at them.
    """

    slug, status = "too-many-reports", 429


class TooManyWebhooks(TesseraError):
    """You have as many webhooks as are allowed.

    Delete one that you do not need.
    """

    slug, status = "too-many-webhooks", 409


class WebhookDisabled(TesseraError):
    """The webhook is disabled.

    Enable it first: `PATCH /api/v1/webhooks/{id}` with `{"disabled": false}`.
    """

    slug, status = "webhook-disabled", 409


class TooManyWaiting(TesseraError):
    """Too many requests of yours are being held open."""

    slug, status = "too-many-waiting", 429


class Paused(TesseraError):
    """The operator has paused this.

    Nothing is lost; try again later.
    """

    slug, status = "paused", 503


class DiskLow(TesseraError):
    """The disk is nearly full, so nothing new is accepted."""

    slug, status = "disk-low", 503


class Unavailable(TesseraError):
    """The database does not answer.

    The service cannot reach it, or it is too busy. Try again in a moment.
    """

    slug, status = "unavailable", 503


class DeadlineExceeded(TesseraError):
    """The request took longer than allowed."""

    slug, status = "deadline-exceeded", 504


class VersionTooOld(TesseraError):
    """This agent speaks a protocol that is no longer served.

    Update the agent.
    """

    slug, status = "version-too-old", 426


def leaves() -> list[type[TesseraError]]:
    """Every kind of problem, for the pages, the document and the tests."""
    return sorted(TesseraError.__subclasses__(), key=lambda kind: kind.slug)
