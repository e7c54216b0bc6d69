"""Everything that can be refused, as one tree.

    TesseraError
    ├── Invalid (422)          ├── Unauthorized (401)     ├── NotFound (404)
    ├── PlanForbids (403)      ├── Forbidden (403)        ├── LeaseLost (409)
    ├── QueueFull (429)        ├── Paused (503)           ├── DiskLow (503)
    └── …

Each leaf has a stable `slug` (the page /problems/{slug}), an HTTP `status`, and its docstring's first line is
the title. The message says what happened and what to do. Extra fields become members of the problem document
(RFC 9457). Nothing here knows HTTP beyond the number.

One file per audience: `requests` that cannot be taken, `people`, `orders`, `belongings`, `agents`, and
`outages`, which are nobody's fault who asks. All of them are imported from here.
"""

from __future__ import annotations

from control_plane.errors.agents import ArtifactMismatch, ArtifactsMissing, LeaseLost, Unmarked, VersionTooOld
from control_plane.errors.belongings import (
    AlreadyCredited,
    AlreadyDecided,
    AlreadyHandled,
    InputNeeded,
    InputsFull,
    LegalHold,
    NotForGallery,
    TooManyProposals,
    TooManyReports,
    TooManyWebhooks,
    WebhookDisabled,
)
from control_plane.errors.orders import (
    CapReached,
    ChatForbids,
    ModeratedInput,
    NoSuchModel,
    NotFinished,
    PlanForbids,
    QueueFull,
    TokensShort,
)
from control_plane.errors.outages import DiskLow, Internal, Paused, Unavailable
from control_plane.errors.people import (
    Forbidden,
    InviteNeeded,
    KeysMax,
    LastIdentity,
    Merged,
    SignInCanceled,
    SignInFailed,
    SignupClosed,
    SignupLimit,
    Suspended,
    TooManyTries,
    Unauthorized,
    Unlinked,
)
from control_plane.errors.requests import (
    DeadlineExceeded,
    Gone,
    IdempotencyInFlight,
    IdempotencyMismatch,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotFound,
    RangeNotSatisfiable,
    RateLimited,
    TooLarge,
    TooManyWaiting,
    UnsupportedMediaType,
)
from control_plane.errors.root import Rate, TesseraError

__all__ = [
    "AlreadyCredited",
    "AlreadyDecided",
    "AlreadyHandled",
    "ArtifactMismatch",
    "ArtifactsMissing",
    "CapReached",
    "ChatForbids",
    "DeadlineExceeded",
    "DiskLow",
    "Forbidden",
    "Gone",
    "IdempotencyInFlight",
    "IdempotencyMismatch",
    "InputNeeded",
    "InputsFull",
    "Internal",
    "Invalid",
    "InviteNeeded",
    "KeysMax",
    "LastIdentity",
    "LeaseLost",
    "LegalHold",
    "Malformed",
    "Merged",
    "MethodNotAllowed",
    "ModeratedInput",
    "NoSuchModel",
    "NotFinished",
    "NotForGallery",
    "NotFound",
    "Paused",
    "PlanForbids",
    "QueueFull",
    "RangeNotSatisfiable",
    "Rate",
    "RateLimited",
    "SignInCanceled",
    "SignInFailed",
    "SignupClosed",
    "SignupLimit",
    "Suspended",
    "TesseraError",
    "TokensShort",
    "TooLarge",
    "TooManyProposals",
    "TooManyReports",
    "TooManyTries",
    "TooManyWaiting",
    "TooManyWebhooks",
    "Unauthorized",
    "Unavailable",
    "Unlinked",
    "Unmarked",
    "UnsupportedMediaType",
    "VersionTooOld",
    "WebhookDisabled",
    "leaves",
]


def leaves() -> list[type[TesseraError]]:
    """Every kind of problem, for the pages, the document and the tests."""
    return sorted(TesseraError.__subclasses__(), key=lambda kind: kind.slug)
