"""One file from its first source that gives it, with patience for all that happens on the way.

A part that is here already is gone on with: by Range and If-Range where the source has not changed, and from another
source by Range alone when the hash is known, since that tells in the end whether the pieces belong together. A hash
that does not fit costs the part; when other sources had a share in it, the same one is asked once more for all of it.
"""

from __future__ import annotations

import asyncio

import aiohttp
import structlog
from yarl import URL

from agent.hashes import Hashes
from agent.models.egress import authority
from agent.models.part import Part
from agent.models.receive import (
    Bad,
    Cut,
    Loading,
    Patience,
    PullFailed,
    Report,
    Useless,
    Wanted,
    disk,
    look_at,
    receive,
)
from agent.retry import pause

log = structlog.get_logger()


async def pull(wanted: Wanted, client: aiohttp.ClientSession, report: Report, patience: Patience | None = None) -> str:
    """The hash of the file, which then lies in its place. Raises `PullFailed`, and `Busy` when somebody else loads it;
    when it is stopped, what came so far stays."""
    with disk(wanted):
        wanted.target.parent.mkdir(parents=True, exist_ok=True)
        part = Part(wanted.target, wanted.bytes, wanted.sha256)
        await asyncio.to_thread(part.open, report)
    try:
        if wanted.target.exists() and not wanted.replace:
            return await asyncio.to_thread(_of_that_name, wanted)
        loading = Loading(wanted=wanted, part=part, client=client, report=report, patience=patience or Patience())
        return await _from_any(loading)
    finally:
        with disk(wanted):
            _leave(part)


def _of_that_name(wanted: Wanted) -> str:
    """It came while we waited, or it is somebody's own."""
    with disk(wanted):
        sha256 = Hashes().read(wanted.target)
    if sha256 is None or sha256 != wanted.sha256:
        raise PullFailed(f"{wanted.target} is another file of that name. To load it anew over it, add --replace.")
    return sha256


def _leave(part: Part) -> None:
    try:
        part.mark()
    except OSError as error:
        log.warning("part.unmarked", file=part.target.name, problem=str(error))
    part.close()


async def _from_any(loading: Loading) -> str:
    wanted, part = loading.wanted, loading.part
    reasons: list[str] = []
    again = False
    for source in wanted.sources:
        host = authority(URL(source))
        try:
            await _from(source, loading)
        except Useless as useless:
            log.warning("source.given_up", file=wanted.path, host=host, problem=str(useless))
            reasons.append(f"{host}: {useless}")
            again |= useless.again
            continue
        with disk(wanted):
            await asyncio.to_thread(part.finish)
        return part.sha256
    raise PullFailed(f"{wanted.path} could not be loaded. {'; '.join(reasons)}.", again=again)


async def _from(source: str, loading: Loading) -> None:
    """A part in which others had a share gets a second chance from nothing."""
    shared = loading.part.bytes > 0
    try:
        return await _whole(source, loading)
    except Bad:
        if not shared:
            raise
    log.warning("part.discarded", file=loading.wanted.path, problem="the pieces do not belong together")
    await _whole(source, loading)


async def _whole(source: str, loading: Loading) -> None:
    """To the end, and it is what it should be. Raises `Bad`, and then nothing of it is left."""
    wanted, part = loading.wanted, loading.part
    await _to_the_end(source, loading)
    if wanted.sha256 is not None and part.sha256 != wanted.sha256:
        with disk(wanted):
            part.clear()
        raise Bad("what it gives is not what the list of weights says (another hash)")


async def _to_the_end(source: str, loading: Loading) -> None:
    wanted, part, patience = loading.wanted, loading.part, loading.patience
    tries = 0
    while part.bytes < wanted.bytes:
        before = part.bytes
        try:
            await receive(source, loading)
            continue
        except Cut as cut:
            reason, retry_after = str(cut), cut.retry_after
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason, retry_after = str(error) or type(error).__name__, None
        tries = 1 if part.bytes - before >= patience.stall_bytes else tries + 1
        if tries >= patience.tries_max:
            raise Useless(f"it does not answer as it should ({reason})", again=True)
        log.info("pull.interrupted", file=wanted.path, bytes=part.bytes, problem=reason, tries=tries)
        await asyncio.sleep(pause(tries, retry_after))
    with disk(wanted):
        look_at(part, wanted)
