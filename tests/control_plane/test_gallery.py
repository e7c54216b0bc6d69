"""The gallery shows what its owner published, the operator approved and the rules allow; and not a moment longer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio

from control_plane import audit
from control_plane.conduct import gallery, suspension
from control_plane.people import users
from control_plane.people.credentials import SCOPES
from tests.fixtures.api import API, Plane
from tests.fixtures.worker import Answered, Json, Service, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

PIECE = {"id", "kind", "model", "prompt", "width", "height", "mime_type", "url", "thumbnail_url", "job_id", "index"}


class Curator:
    """Somebody who makes pictures, the operator who looks at them, and everybody else."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.service = plane.service

    async def publish(self, job: Json, *, show_prompt: bool = False, key: str | None = None) -> Answered:
        path = f"{API}/jobs/{job['id']}/artifacts/0/publication"
        return await self.plane.call("PUT", path, key or self.service.key, {"show_prompt": show_prompt})

    async def stranger(self) -> str:
        """The key of somebody else."""
        user_id = await users.create(self.service.context.database, f"eve-{uuid4().hex}", "house")
        return await self.plane.key_of(user_id, ("read", "submit"))

    async def withdraw(self, job: Json) -> int:
        return (await self.service.as_customer(f"{API}/jobs/{job['id']}/artifacts/0/publication", "DELETE")).status

    async def state(self, job: Json) -> str:
        found = (await self.service.as_customer(f"{API}/jobs/{job['id']}/publications")).json["data"]
        return str(found[0]["state"]) if found else "private"

    async def queue(self, state: str = "proposed") -> dict[str, Json]:
        """What the operator sees, by job."""
        path = f"{API}/admin/publications?limit=100&state={state}"
        return {one["job_id"]: one for one in (await self.plane.call("GET", path, self.plane.admin_key)).json["data"]}

    async def decide(self, publication_id: str, verb: str, body: object = None) -> Answered:
        path = f"{API}/admin/publications/{publication_id}/{verb}"
        return await self.plane.call("POST", path, self.plane.admin_key, body)

    async def refuse(self, publication_id: str, reason: str = "too dark") -> Answered:
        return await self.decide(publication_id, "refuse", {"reason": reason})

    async def shown(self, job: Json) -> Json | None:
        """The piece as strangers see it."""
        found = (await self.service.get(f"{API}/gallery?limit=100")).json["data"]
        return next((one for one in found if one["job_id"] == job["id"]), None)

    async def exhibit(self, *, show_prompt: bool = False) -> tuple[Json, Json]:
        """A job whose picture is in the gallery, and the piece."""
        job = await self.service.done()
        assert (await self.publish(job, show_prompt=show_prompt)).status == 200
        assert (await self.decide((await self.queue())[job["id"]]["id"], "approve")).status == 204
        piece = await self.shown(job)
        assert piece is not None
        return job, piece


@pytest_asyncio.fixture(loop_scope="module")
async def curator(service: Service) -> Curator:
    return await _curator(service)


async def _curator(service: Service) -> Curator:
    admin_id = await users.create(service.context.database, f"admin-{uuid4().hex}", "pro")
    return Curator(Plane(service, admin_id, await Plane(service, admin_id, "").key_of(admin_id, SCOPES)))


async def test_strangers_see_what_was_published_and_approved_and_nothing_of_whose_it_is(curator: Curator) -> None:
    service = curator.service
    private, job = await service.done(), await service.done()
    assert [await curator.shown(one) for one in (private, job)] == [None, None]
    for _ in range(2):
        proposed = await curator.publish(job)
        assert (proposed.status, proposed.json["state"], proposed.json["show_prompt"]) == (200, "proposed", False)
    waiting = (await curator.queue())[job["id"]]
    assert (waiting["prompt"], waiting["user_id"]) == (None, str(service.user_id)), "what is not shown is not read"
    assert (await service.get(waiting["thumbnail_url"])).status == 200
    address = f"/gallery/{waiting['id']}"
    assert await curator.shown(job) is None
    assert (await service.get(address)).status == (await service.get(f"{address}/thumbnail")).status == 404
    for _ in range(2):
        assert (await curator.decide(waiting["id"], "approve")).status == 204
    piece = await curator.shown(job)
    assert piece is not None
    assert (set(piece), piece["prompt"], piece["url"]) == (PIECE, None, service.url + address)
    assert await curator.shown(private) is None
    listed = await service.get(f"{API}/gallery")
    assert str(service.user_id) not in listed.body.decode()
    whole, part = await service.get(piece["url"]), await service.get(piece["url"], Range="bytes=0-7")
    assert (whole.status, part.status, part.body) == (200, 206, whole.body[:8])
    assert whole.headers["Cache-Control"] == listed.headers["Cache-Control"] == "public, max-age=5"
    assert (await service.get(piece["url"], **{"If-None-Match": whole.headers["ETag"]})).status == 304
    small = await service.get(piece["thumbnail_url"])
    assert (small.status, small.headers["Content-Type"]) == (200, "image/webp")
    assert await curator.state(job) == "approved"


async def test_what_is_withdrawn_is_out_of_reach_at_once_and_comes_back_only_by_a_new_approval(
    curator: Curator,
) -> None:
    job, piece = await curator.exhibit(show_prompt=True)
    assert piece["prompt"] == job["prompt"]
    for _ in range(2):
        assert await curator.withdraw(job) == 204
    assert (await curator.shown(job), await curator.state(job)) == (None, "withdrawn")
    assert (await curator.service.get(piece["url"])).code == "not-found"
    assert (await curator.service.get(job["artifacts"][0]["url"])).status == 200, "it is still its owner's"
    late = await curator.decide(piece["id"], "approve")
    assert (late.status, late.code) == (409, "already-decided")
    again = await curator.publish(job)
    assert (again.json["state"], await curator.shown(job)) == ("proposed", None)
    assert (await curator.decide(piece["id"], "approve")).status == 404, "it was proposed anew"


async def test_whether_the_words_are_shown_is_approved_too(curator: Curator) -> None:
    job, _ = await curator.exhibit()
    assert (await curator.publish(job, show_prompt=True)).json["state"] == "proposed"
    assert await curator.shown(job) is None
    waiting = (await curator.queue())[job["id"]]
    assert waiting["prompt"] == job["prompt"]
    await curator.decide(waiting["id"], "approve")
    piece = await curator.shown(job)
    assert piece is not None
    assert piece["prompt"] == job["prompt"]


async def test_a_refusal_has_a_reason_that_its_owner_reads_and_stays(curator: Curator) -> None:
    job, piece = await curator.exhibit()
    assert (await curator.refuse(piece["id"], "")).status == 422
    for _ in range(2):
        assert (await curator.refuse(piece["id"])).status == 204
    assert await curator.shown(job) is None
    assert await curator.withdraw(job) == 204
    told = (await curator.service.as_customer(f"{API}/jobs/{job['id']}/publications")).json["data"]
    assert [(one["state"], one["reason"]) for one in told] == [("refused", "too dark")]
    for refused in (await curator.publish(job), await curator.decide(piece["id"], "approve")):
        assert (refused.status, refused.code) == (409, "already-decided")
    lines = await audit.entries(curator.plane.context.database, object=("artifact", f"{job['id']}/0"), limit=10)
    assert [(line.verb, line.detail["reason"]) for line in lines] == [("refuse", "too dark"), ("approve", "")]
    assert {line.actor_id for line in lines} == {str(curator.plane.admin_id)}


async def _quarantined(curator: Curator, job: Json) -> None:
    path = f"{API}/admin/artifacts/{job['id']}/0/quarantine"
    assert (await curator.plane.call("POST", path, curator.plane.admin_key, {})).status == 204


async def _reported(curator: Curator, job: Json) -> None:
    stranger = await curator.stranger()
    body = {"category": "person", "job_id": job["id"], "index": 0}
    filed = await curator.plane.call("POST", f"{API}/reports", stranger, body)
    assert filed.status == 201, "whoever sees it may report it"
    path = f"{API}/admin/reports/{filed.json['id']}/uphold"
    assert (await curator.plane.call("POST", path, curator.plane.admin_key)).status == 200


async def _erased(curator: Curator, job: Json) -> None:
    assert (await curator.service.as_customer(f"{API}/jobs/{job['id']}/artifacts", "DELETE")).status == 204


async def _suspended(curator: Curator, _: Json) -> None:
    await suspension.suspend(curator.plane.context.database, curator.service.user_id, audit.OPERATOR, "spam")


@pytest.mark.parametrize("happens", [_quarantined, _reported, _erased, _suspended])
async def test_what_may_not_be_seen_any_more_leaves_the_gallery(
    curator: Curator, happens: Callable[[Curator, Json], Awaitable[None]]
) -> None:
    job, piece = await curator.exhibit()
    await happens(curator, job)
    assert await curator.shown(job) is None
    for address in (piece["url"], piece["thumbnail_url"]):
        assert (await curator.service.get(address)).status == 404


async def test_what_comes_out_of_quarantine_is_what_its_owner_wants_by_then(curator: Curator) -> None:
    (job, piece), (other, _) = await curator.exhibit(), await curator.exhibit()
    for one in (job, other):
        await _quarantined(curator, one)
    assert job["id"] not in await curator.queue("approved")
    assert await curator.withdraw(other) == 204
    for one in (job, other):
        path = f"{API}/admin/artifacts/{one['id']}/0/restore"
        assert (await curator.plane.call("POST", path, curator.plane.admin_key)).status == 204
    assert (await curator.shown(job), await curator.shown(other)) == (piece, None)


async def test_only_results_that_are_there_are_published_by_whose_they_are(curator: Curator) -> None:
    job = await curator.service.done()
    refused = await curator.publish(job, key=await curator.stranger())
    assert (refused.status, refused.code) == (404, "not-found")
    waiting = await curator.publish({"id": str(await curator.service.order())})
    assert (waiting.status, waiting.code) == (409, "not-finished")
    beyond = await curator.plane.call("PUT", f"{API}/jobs/{job['id']}/artifacts/1/publication", curator.service.key, {})
    assert beyond.status == 404
    await _erased(curator, job)
    assert (await curator.publish(job)).code == "gone"


async def test_one_person_proposes_only_so_much_at_a_time(curator: Curator) -> None:
    jobs = [await curator.service.done() for _ in range(gallery.PROPOSED_MAX + 1)]
    for job in jobs[:-1]:
        assert (await curator.publish(job)).status == 200
    full = await curator.publish(jobs[-1])
    assert (full.status, full.code) == (429, "too-many-proposals")
    assert (await curator.publish(jobs[0])).status == 200, "this one waits already"
    assert await curator.withdraw(jobs[0]) == 204
    assert (await curator.publish(jobs[-1])).status == 200


async def test_the_gallery_is_read_page_by_page_the_newest_first(curator: Curator) -> None:
    pieces = [(await curator.exhibit())[1]["id"] for _ in range(3)]
    found: list[str] = []
    path = f"{API}/gallery?limit=2"
    page = (await curator.service.get(path)).json
    while len(found) < 3:
        found += [one["id"] for one in page["data"]]
        page = (await curator.service.get(f"{path}&cursor={page['next_cursor']}")).json if page["has_more"] else page
    assert found[:3] == pieces[::-1]
    assert (await curator.service.get(f"{path}&cursor=nonsense")).status == 422


async def test_what_the_rules_mark_is_not_published_and_not_shown_once_they_do(
    database_url: str, tmp_path: Path
) -> None:
    rules = tmp_path / "policy.toml"
    rules.write_text('version = 1\n[adult]\nwords = ["nude*"]\n')
    async with serving(database_url, tmp_path / "data", policy=rules) as service:
        curator = await _curator(service)
        lease = await service.leased(prompt="a nude in oil")
        await service.hands.upload(lease, (await service.get((await service.done())["artifacts"][0]["url"])).body)
        await service.hands.complete(lease)
        refused = await curator.publish({"id": str(lease.job_id)})
        assert (refused.status, refused.code, refused.json["category"]) == (422, "not-for-gallery", "adult")
        (shown, piece), waiting = await curator.exhibit(), await service.done()
        await curator.publish(waiting)
        rules.write_text('version = 2\n[categories.towers]\nwords = ["lighthouse"]\n')
        service.context.conduct.look()
        assert await curator.shown(shown) is None
        assert (await service.get(piece["url"])).status == 404
        late = await curator.decide((await curator.queue())[waiting["id"]]["id"], "approve")
        assert (late.status, late.json["category"]) == (422, "towers")


LAWS = {
    "a job that has not succeeded": "insert into publications (job_id, attempt, index, show_prompt)"
    " select id, attempt, 0, true from jobs where id = %(waiting)s",
    "born approved": "insert into publications (job_id, attempt, index, show_prompt, state, decided_at, decided_by)"
    " select job_id, attempt, index, true, 'approved', now(), 'x' from artifacts where job_id = %(private)s",
    "published unasked": "update artifacts set visibility = 'published' where job_id = %(private)s",
    "approved after a refusal": "update publications set state = 'approved', reason = '' where job_id = %(refused)s",
    "words added after the approval": "update publications set show_prompt = true where job_id = %(approved)s",
    "a decision by nobody": "update publications set decided_by = null where job_id = %(approved)s",
    "refused without a word": "update publications set state = 'refused' where job_id = %(approved)s",
}


async def test_the_database_itself_publishes_nothing_that_was_not_approved(curator: Curator) -> None:
    service = curator.service
    refused, piece = await curator.exhibit()
    await curator.refuse(piece["id"])
    approved, _ = await curator.exhibit()
    named: dict[str, Any] = {"waiting": (await service.leased()).job_id, "private": UUID((await service.done())["id"])}
    named |= {"refused": UUID(refused["id"]), "approved": UUID(approved["id"])}
    for statement in LAWS.values():
        async with service.context.database.connection() as connection:
            with pytest.raises(psycopg.errors.CheckViolation):
                await connection.execute(statement.encode(), named)
    async with service.context.database.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(b"delete from publications")
    assert await curator.shown(approved) is not None
