"""Operations on links that show a result: make, look at and take back one's own; what a link shows, to anybody."""

from __future__ import annotations

from litestar.types import ASGIApp

from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.errors import NotFinished, NotFound
from control_plane.jobs import shares
from control_plane.wire.share import SharedView, ShareView, Sharing

UNSEEN = {"X-Robots-Tag": "noindex, nofollow"}


@operation(
    "POST",
    "/api/v1/jobs/{job_id:uuid}/share",
    guard=guards.LIVE,
    answers={201: ShareView},
    problems=(NotFound, NotFinished),
    tag="Sharing",
)
async def make_share(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Make a link that shows the result of a job to whoever has it. A job has one; repeating this gives the same."""
    return answers.json(await shares.make(call.context, call.who.user_id, call.path("job_id")), status=201)


@operation(
    "GET",
    "/api/v1/jobs/{job_id:uuid}/share",
    guard=guards.READ,
    answers={200: Sharing},
    problems=(NotFound,),
    tag="Sharing",
)
async def get_share(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """The link of a job, if it has one."""
    return answers.json(await shares.own(call.context, call.who.user_id, call.path("job_id")))


@operation(
    "DELETE",
    "/api/v1/jobs/{job_id:uuid}/share",
    guard=guards.LIVE,
    answers={204: None},
    problems=(NotFound,),
    tag="Sharing",
)
async def remove_share(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Take the link of a job back: it shows nothing any more. Repeating this changes nothing."""
    await shares.remove(call.context, call.who.user_id, call.path("job_id"))
    return answers.nothing()


@operation(
    "GET",
    "/api/v1/shared/{token:str}",
    guard=guards.PUBLIC,
    answers={200: SharedView},
    problems=(NotFound,),
    tag="Sharing",
)
async def open_share(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """What a link shows: files with signed addresses, and the words that they were made from."""
    return answers.json(await shares.opened(call.context, call.path("token")), headers=UNSEEN)
