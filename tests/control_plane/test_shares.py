"""Links that show a result: to whoever has them, nothing else of anybody, and not a moment longer than wanted."""

from __future__ import annotations

import pytest

from tests.fixtures.api import API
from tests.fixtures.worker import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _link(service: Service, job_id: object) -> str:
    made = await service.as_customer(f"{API}/jobs/{job_id}/share", "POST")
    assert made.status == 201, made.body
    assert made.json["url"] == f"{service.url}/shared#{made.json['token']}"
    return f"{API}/shared/{made.json['token']}"


async def test_whoever_has_the_link_sees_the_result_and_nothing_of_its_owner(service: Service) -> None:
    job = await service.done()
    link = await _link(service, job["id"])
    assert await _link(service, job["id"]) == link
    assert (await service.as_customer(f"{API}/jobs/{job['id']}/share")).json["link"]["token"] in link
    shown = await service.get(link)
    assert (shown.status, shown.headers["X-Robots-Tag"]) == (200, "noindex, nofollow")
    assert shown.json["prompt"] == job["prompt"]
    assert set(shown.json) == {"kind", "model", "prompt", "width", "height", "artifacts", "created_at"}
    assert (await service.get(shown.json["artifacts"][0]["url"])).status == 200
    assert str(service.user_id) not in shown.body.decode()


async def test_a_link_that_is_taken_back_shows_nothing_and_the_next_one_is_another(service: Service) -> None:
    job = await service.done()
    link = await _link(service, job["id"])
    for _ in range(2):
        assert (await service.as_customer(f"{API}/jobs/{job['id']}/share", "DELETE")).status == 204
    assert (await service.get(link)).code == "not-found"
    assert (await service.as_customer(f"{API}/jobs/{job['id']}/share")).json == {"link": None}
    assert await _link(service, job["id"]) != link
    assert (await service.get(link)).status == 404


async def test_what_has_no_files_cannot_be_shown_and_what_lost_them_is_shown_no_more(service: Service) -> None:
    job = await service.done()
    link = await _link(service, job["id"])
    assert (await service.as_customer(f"{API}/jobs/{job['id']}/artifacts", "DELETE")).status == 204
    assert (await service.get(link)).status == 404
    waiting = await service.order()
    refused = await service.as_customer(f"{API}/jobs/{waiting}/share", "POST")
    assert (refused.status, refused.code) == (409, "not-finished")
    for nonsense in ("x", "a" * 43, "a" * 5_000, "%00"):
        assert (await service.get(f"{API}/shared/{nonsense}")).status in (404, 422)
