"""Operations on the gallery: propose and withdraw one's own, see what is shown, and, as the operator, decide.

What is shown needs no signed address: its address is looked up each time, so what is withdrawn is out of reach at once.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar.types import ASGIApp
from msgspec import Meta

from control_plane import audit, cursors, signing
from control_plane.api import answers, guards
from control_plane.api.artifacts import IF_NONE_MATCH, IF_RANGE, RANGE, delivered, described, small
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.conduct import gallery
from control_plane.conduct.gallery import Piece, Proposal
from control_plane.context import Context
from control_plane.cursors import Cursor
from control_plane.errors import (
    AlreadyDecided,
    Gone,
    NotFinished,
    NotForGallery,
    NotFound,
    RangeNotSatisfiable,
    TooManyProposals,
    TooManyWaiting,
)
from control_plane.files import artifacts
from control_plane.media import thumbnails
from control_plane.media.probe import MEDIA_TYPES
from control_plane.wire import Request
from control_plane.wire.gallery import (
    GalleryList,
    GalleryPiece,
    ProposalList,
    ProposalView,
    PublicationList,
    PublicationState,
    PublicationView,
    PublishRequest,
    RefuseRequest,
)

LIMIT_DEFAULT = 24
DOWNLOAD_SECONDS = 3_600.0
CACHE = "public, max-age=5"
"""What is withdrawn leaves caches as soon; asking again costs no bytes while it is the same (ETag)."""
INDEX_MAX = 63


class GalleryQuery(Request, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=gallery.PAGE_MAX)] = LIMIT_DEFAULT
    cursor: Cursor | None = None
    """`next_cursor` of the page before; absent for the newest."""


class PublicationsQuery(Request, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=gallery.PAGE_MAX)] = LIMIT_DEFAULT
    cursor: Cursor | None = None
    """`next_cursor` of the page before, with the same state; absent for the newest."""
    state: PublicationState = "proposed"


@operation(
    "PUT",
    "/api/v1/jobs/{job_id:uuid}/artifacts/{index:int}/publication",
    guard=guards.LIVE,
    answers={200: PublicationView},
    problems=(NotFound, NotFinished, Gone, NotForGallery, AlreadyDecided, TooManyProposals),
    tag="Gallery",
    optional_body=True,
)
async def publish_artifact(call: Call[Person, PublishRequest, Nothing]) -> ASGIApp:
    """Propose a file for the gallery, which everybody sees; it appears when the operator has approved it.

    Repeating this changes nothing; with another `show_prompt` the operator is asked anew. A refusal stays. While a file
    is in the gallery it is kept, however short your plan keeps files; once withdrawn, it goes when the plan says.
    """
    context, place = call.context, (call.who.user_id, call.path("job_id"), _index(call))
    proposed = await gallery.propose(context.database, context.conduct, *place, show_prompt=call.body.show_prompt)
    return answers.json(proposed)


@operation(
    "DELETE",
    "/api/v1/jobs/{job_id:uuid}/artifacts/{index:int}/publication",
    guard=guards.LIVE,
    answers={204: None},
    problems=(NotFound,),
    tag="Gallery",
)
async def withdraw_artifact(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Take a file back from the gallery, or from what waits for the operator. Repeating this changes nothing."""
    await gallery.withdraw(call.context.database, call.who.user_id, call.path("job_id"), _index(call))
    return answers.nothing()


@operation(
    "GET",
    "/api/v1/jobs/{job_id:uuid}/publications",
    guard=guards.READ,
    answers={200: PublicationList},
    problems=(NotFound,),
    tag="Gallery",
)
async def list_publications(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """What has become of the files of a job that were proposed for the gallery."""
    place = call.who.user_id, call.path("job_id")
    if await call.context.looks.one(*place) is None:
        raise NotFound("You have no such job.")
    return answers.json(PublicationList(data=await gallery.own(call.context.database, *place)))


@operation("GET", "/api/v1/gallery", guard=guards.PUBLIC, answers={200: GalleryList}, tag="Gallery")
async def get_gallery(call: Call[None, Nothing, GalleryQuery]) -> ASGIApp:
    """What owners have published and the operator has approved, the newest first. A page may be short and still have a
    next one."""
    context, query = call.context, call.query
    before = _before(context, query.cursor, "gallery")
    found, last = await gallery.shown(context.database, context.conduct, before=before, limit=query.limit)
    data = [_piece(context, one) for one in found]
    sealed = cursors.seal(context.signing_keys, last.bytes, "gallery") if last is not None else None
    return answers.json(GalleryList(data=data, has_more=last is not None, next_cursor=sealed), cache=CACHE)


@operation(
    "GET",
    "/gallery/{publication_id:uuid}",
    guard=guards.PUBLIC,
    answers={200: MEDIA_TYPES, 206: MEDIA_TYPES, 302: None, 304: None},
    problems=(NotFound, Gone, RangeNotSatisfiable),
    headers=(RANGE, IF_RANGE, IF_NONE_MATCH),
    tag="Gallery",
    wait_seconds=DOWNLOAD_SECONDS,
)
async def get_gallery_file(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """A picture or film of the gallery, for as long as it is there. Supports single ranges."""
    found = await _shown(call)
    shown = artifacts.disposition(found.job_id, found.index, found.mime_type)
    return await delivered(
        call, found.key, described(shown, found.mime_type, found.sha256, CACHE), lambda: _shown(call)
    )


@operation(
    "GET",
    "/gallery/{publication_id:uuid}/thumbnail",
    guard=guards.PUBLIC,
    answers={200: thumbnails.MIME_TYPE, 304: None},
    problems=(NotFound, TooManyWaiting),
    headers=(IF_NONE_MATCH,),
    tag="Gallery",
)
async def get_gallery_thumbnail(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The small picture of it: WebP, at most 512 pixels a side; of a film its first frame."""
    found = await _shown(call)
    shown = artifacts.disposition(found.job_id, found.index, thumbnails.MIME_TYPE)
    return await small(call, found.key, described(shown, found.mime_type, found.sha256, CACHE), lambda: _shown(call))


@operation("GET", "/api/v1/admin/publications", guard=guards.OPERATOR, answers={200: ProposalList}, tag="Gallery")
async def list_proposals(call: Call[Person, Nothing, PublicationsQuery]) -> ASGIApp:
    """What waits for the operator, or was decided, the newest first; prompts only where their owner shows them."""
    context, query = call.context, call.query
    scope = ("publications", query.state)
    before = _before(context, query.cursor, *scope)
    found, more = await gallery.page(context.database, state=query.state, before=before, limit=query.limit)
    sealed = cursors.seal(context.signing_keys, found[-1].id.bytes, *scope) if more else None
    data = [_proposal(context, one) for one in found]
    return answers.json(ProposalList(data=data, has_more=more, next_cursor=sealed))


@operation(
    "POST",
    "/api/v1/admin/publications/{publication_id:uuid}/approve",
    guard=guards.OPERATOR,
    answers={204: None},
    problems=(NotFound, AlreadyDecided, NotForGallery),
    tag="Gallery",
)
async def approve_publication(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Show it to everybody. Repeating this changes nothing."""
    actor = audit.user(call.who.user_id)
    await gallery.approve(call.context.database, call.context.conduct, call.path("publication_id"), actor)
    return answers.nothing()


@operation(
    "POST",
    "/api/v1/admin/publications/{publication_id:uuid}/refuse",
    guard=guards.OPERATOR,
    answers={204: None},
    problems=(NotFound, AlreadyDecided),
    tag="Gallery",
)
async def refuse_publication(call: Call[Person, RefuseRequest, Nothing]) -> ASGIApp:
    """Show it to nobody, also when it was approved before; its owner reads why. Repeating this changes nothing."""
    actor = audit.user(call.who.user_id)
    await gallery.refuse(call.context.database, call.path("publication_id"), actor, call.body.reason)
    return answers.nothing()


async def _shown(call: Call[None, Nothing, Nothing]) -> gallery.Shown:
    return await gallery.file(call.context.database, call.context.conduct, call.path("publication_id"))


def _before(context: Context, cursor: str | None, *scope: object) -> UUID | None:
    return UUID(bytes=cursors.unseal(context.signing_keys, cursor, *scope)) if cursor is not None else None


def _piece(context: Context, one: Piece) -> GalleryPiece:
    spec, url = one.made_from, f"{context.settings.base_url}/gallery/{one.id}"
    return GalleryPiece(
        id=one.id,
        kind=spec.kind,
        model=spec.model,
        prompt=spec.prompt if one.show_prompt else None,
        width=one.width,
        height=one.height,
        mime_type=one.mime_type,
        url=url,
        thumbnail_url=f"{url}/thumbnail" if one.mime_type in thumbnails.POSSIBLE else None,
        job_id=one.job_id,
        index=one.index,
    )


def _proposal(context: Context, one: Proposal) -> ProposalView:
    small = _address(context, one, "thumbnail") if one.mime_type in thumbnails.POSSIBLE else None
    kept = {name: getattr(one, name) for name in ProposalView.__struct_fields__ if hasattr(one, name)}
    return ProposalView(**kept, url=_address(context, one, "artifact"), thumbnail_url=small)


def _address(context: Context, one: Proposal, what: signing.What) -> str:
    keys, settings = context.signing_keys, context.settings
    seconds = settings.artifact_url_seconds
    return signing.artifact_url(keys, settings.base_url, one.job_id, one.index, seconds, keys.now(), what)


def _index(call: Call[Any, Any, Any]) -> int:
    index: int = call.path("index")
    if not 0 <= index <= INDEX_MAX:
        raise NotFound("There is no such file.")
    return index
