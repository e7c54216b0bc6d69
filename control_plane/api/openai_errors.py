"""Our problems in OpenAI's shape, for whatever is called below /v1/.

The status decides which exception a client of theirs raises and whether it tries again by itself: what we call 422
is their 400, a model that is not offered their 404, tokens that are short their 429 `insufficient_quota`. Where
another try cannot help although the status says so, `x-should-retry: false` keeps their clients from it.
"""

from __future__ import annotations

from typing import NamedTuple

from control_plane import errors
from control_plane.errors import TesseraError
from control_plane.wire.openai import ErrorBody, ErrorDetail

PREFIX = "/v1/"
NO_RETRY = {"x-should-retry": "false"}
INVALID, SERVER, LIMITED = "invalid_request_error", "server_error", "rate_limit_error"
PARAMETERS = {"width": "size", "height": "size", "count": "n", "file": "image", "input_image": "image"}
"""Our field → what they call it."""


class Told(NamedTuple):
    """How a kind of problem is told."""

    status: int
    type: str
    code: str


_TOLD: dict[type[TesseraError], Told] = {
    errors.Unauthorized: Told(401, INVALID, "invalid_api_key"),
    errors.NoSuchModel: Told(404, INVALID, "model_not_found"),
    errors.ModeratedInput: Told(400, "image_generation_user_error", "moderation_blocked"),
    errors.TokensShort: Told(429, "insufficient_quota", "insufficient_quota"),
    errors.RateLimited: Told(429, LIMITED, "rate_limit_exceeded"),
}
_TYPES = {400: INVALID, 403: "permission_error", 429: LIMITED}
_HOPELESS = (errors.TokensShort, errors.IdempotencyMismatch)
"""Another try meets the same answer."""


def speaks(path: str) -> bool:
    """Whether callers of this path expect OpenAI's shape."""
    return path.startswith(PREFIX)


def told(kind: type[TesseraError]) -> Told:
    if kind in _TOLD:
        return _TOLD[kind]
    status = 400 if kind.status == 422 else kind.status
    return Told(status, _TYPES.get(status, SERVER if status >= 500 else INVALID), kind.slug)


def body(error: TesseraError) -> ErrorBody:
    shown = told(type(error))
    return ErrorBody(error=ErrorDetail(message=error.detail, type=shown.type, param=_param(error), code=shown.code))


def headers(error: TesseraError) -> dict[str, str]:
    return NO_RETRY if isinstance(error, _HOPELESS) else {}


def detail(message: str, shown: Told) -> ErrorBody:
    return ErrorBody(error=ErrorDetail(message=message, type=shown.type, param=None, code=shown.code))


def _param(error: TesseraError) -> str | None:
    """The first field that is wrong."""
    if isinstance(error, errors.NoSuchModel):
        return "model"
    faults = error.fields.get("errors")
    if not isinstance(faults, list) or not faults:
        return None
    pointer = faults[0]["pointer"] if isinstance(faults[0], dict) else faults[0].pointer
    name = pointer.strip("/")
    return PARAMETERS.get(name, name) or None
