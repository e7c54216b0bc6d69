"""Pictures and models in the shape of OpenAI's API, for programs that were written for it.

What OpenAI's clients may send and we cannot do is still a field here, so that it is refused in words and not as a
misspelling; what only we can do (seed, steps and so on) goes into the same body, as `extra_body` of their clients.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from control_plane.wire import Message, Request
from control_plane.wire.job import Count, Guidance, NegativePrompt, Prompt, Seed, Steps, Strength

USER_LENGTH_MAX = 256
PARTIAL_IMAGES_MAX = 3

User = Annotated[str, Meta(max_length=USER_LENGTH_MAX, pattern=r"^[^\x00]*$")]
Size = Annotated[str, Meta(pattern=r"^(auto|[0-9]{2,4}x[0-9]{2,4})\Z")]
Quality = Literal["auto", "standard", "low", "medium", "high", "hd"]
ResponseFormat = Literal["url", "b64_json"]
EventType = Literal[
    "image_generation.partial_image", "image_generation.completed", "image_edit.partial_image", "image_edit.completed"
]


class ImageRequest(Request, frozen=True, kw_only=True):
    """An order for pictures, in OpenAI's words."""

    prompt: Prompt
    model: Annotated[str, Meta(max_length=64)] | None = None
    """One of `GET /v1/models`; absent: the operator's first."""
    n: Count | None = None
    """How many pictures."""
    size: Size | None = None
    """`WIDTHxHEIGHT`, each a multiple of 8; absent or `auto`: what suits the model."""
    response_format: ResponseFormat | None = None
    """Absent: each picture comes both as `b64_json` and as `url`, so that programs of either age find theirs."""
    output_format: Literal["png", "jpeg", "webp", "gif", "svg"] | None = None
    """Pictures are delivered as they were made, so only `png` is taken."""
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    """PNG loses nothing, so only 100 is taken."""
    quality: Quality | None = None
    """`low` takes half the steps that the model usually does, `high` and `hd` twice as many; the price follows."""
    background: Literal["auto", "opaque", "transparent"] | None = None
    """`transparent` is refused: no model here makes it."""
    moderation: Literal["auto", "low"] | None = None
    """`low` is refused: the operator's rules are the same for everybody."""
    style: Literal["vivid", "natural"] | None = None
    """Refused: say it in the prompt."""
    user: User | None = None
    """Kept as `user` in the metadata of the job; means nothing to us."""
    safety_identifier: User | None = None
    """The newer name of `user`; it wins."""
    stream: bool | None = None
    """Answer with server-sent events, previews first."""
    partial_images: Annotated[int, Meta(ge=0, le=PARTIAL_IMAGES_MAX)] | None = None
    """At most so many previews; only with `stream`."""
    negative_prompt: NegativePrompt = ""
    """Ours: what to keep out of the picture."""
    seed: Seed | None = None
    """Ours: the same seed makes the same picture again."""
    steps: Steps | None = None
    """Ours: wins over `quality`."""
    guidance: Guidance | None = None
    """Ours: how closely to follow the prompt."""


class EditRequest(ImageRequest, frozen=True, kw_only=True):
    """An order for pictures that start from one, in OpenAI's words; comes with it as a form."""

    strength: Strength | None = None
    """Ours: how much of the picture is made anew; 0 leaves it, 1 forgets it."""
    input_fidelity: Literal["high", "low"] | None = None
    """Refused: `strength` says it here."""


class Image(Message, frozen=True, kw_only=True, omit_defaults=True):
    """One picture."""

    b64_json: str | None = None
    """The file, in base64."""
    url: str | None = None
    """Signed and expiring; fetched without credentials."""


class TokenDetails(Message, frozen=True, kw_only=True):
    """Always nothing for text: a picture is paid for by its size and steps."""

    image_tokens: int
    text_tokens: int = 0


class ImageUsage(Message, frozen=True, kw_only=True):
    """What was charged, in tokens of this service."""

    output_tokens: int
    total_tokens: int
    output_tokens_details: TokenDetails
    input_tokens: int = 0
    input_tokens_details: TokenDetails = TokenDetails(image_tokens=0)


class ImagesResponse(Message, frozen=True, kw_only=True):
    """The pictures of an order."""

    created: int
    """Seconds since 1970 at which the job was ordered."""
    data: list[Image]
    output_format: str
    size: str
    background: Literal["opaque"] = "opaque"
    usage: ImageUsage
    job_id: str
    """Ours: `GET /api/v1/jobs/{job_id}` tells everything about it, the seed among other things."""


class ImageEvent(Message, frozen=True, kw_only=True, omit_defaults=True):
    """A server-sent event: a preview, or a finished picture (which alone has `usage`)."""

    type: EventType
    b64_json: str
    created_at: int
    output_format: str
    """Of this very picture; previews may be of another format than the result."""
    size: str
    background: str
    quality: str
    job_id: str
    partial_image_index: int | None = None
    usage: ImageUsage | None = None


class ModelObject(Message, frozen=True, kw_only=True):
    """A model that makes pictures."""

    id: str
    owned_by: str
    object: Literal["model"] = "model"
    created: int = 0
    """We do not know when a model was made; OpenAI's clients want a number."""


class ModelObjects(Message, frozen=True, kw_only=True):
    """The models that make pictures, the default one first."""

    data: list[ModelObject]
    object: Literal["list"] = "list"


class ErrorDetail(Message, frozen=True, kw_only=True):
    message: str
    type: str
    param: str | None
    """The field that is wrong."""
    code: str
    """OpenAI's name for it where there is one, else that of our problem."""


class ErrorBody(Message, frozen=True, kw_only=True):
    """An error in OpenAI's shape."""

    error: ErrorDetail
