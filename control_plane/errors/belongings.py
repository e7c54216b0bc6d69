"""Told to those who keep things here: inputs, files of results, reports and webhooks."""

from __future__ import annotations

from control_plane.errors.root import TesseraError


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


class LegalHold(TesseraError):
    """The files are kept for a legal reason.

    They cannot be erased until the operator lifts the hold.
    """

    slug, status = "legal-hold", 409


class TooManyReports(TesseraError):
    """You have too many open reports.

    Wait until the operator has looked at them.
    """

    slug, status = "too-many-reports", 429


class AlreadyHandled(TesseraError):
    """The report has been decided on.

    A decision stays. Quarantine or restore the file itself.
    """

    slug, status = "already-handled", 409


class TooManyProposals(TesseraError):
    """You have proposed as much for the gallery as the operator can look at.

    Withdraw something, or wait until the operator has decided.
    """

    slug, status = "too-many-proposals", 429


class NotForGallery(TesseraError):
    """What this was made from is not for all eyes.

    `category` says what the rules of conduct call it. It stays yours, and can be shown by a link.
    """

    slug, status = "not-for-gallery", 422


class AlreadyDecided(TesseraError):
    """What is or was proposed for the gallery cannot become that any more.

    A refusal stays, and what its owner withdrew is not shown.
    """

    slug, status = "already-decided", 409


class AlreadyCredited(TesseraError):
    """The payment has been credited to another account.

    Each payment is credited once.
    """

    slug, status = "already-credited", 409


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
