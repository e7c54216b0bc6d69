"""Files on their way out, and erased, over HTTP, by the real control plane on a real PostgreSQL."""

from __future__ import annotations

import io
import re
from fractions import Fraction
from urllib.parse import urlsplit
from uuid import uuid4

import av
import pytest

from control_plane.people import signup, users
from control_plane.people.credentials import create_key
from tests.fixtures.marks import marked
from tests.fixtures.worker import Answered, Service, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_download_can_go_on_where_it_broke_off(service: Service) -> None:
    data = picture()
    url = (await service.done(data))["artifacts"][0]["url"]
    whole = await service.get(url)
    etag = whole.headers["ETag"]
    part = await service.get(url, Range="bytes=10-")
    assert (part.status, part.body) == (206, data[10:])
    assert part.headers["Content-Range"] == f"bytes 10-{len(data) - 1}/{len(data)}"
    assert (await service.get(url, **{"Range": "bytes=10-", "If-Range": etag})).status == 206
    changed = await service.get(url, **{"Range": "bytes=10-", "If-Range": '"other"'})
    assert (changed.status, changed.body) == (200, data)
    beyond = await service.get(url, Range=f"bytes={len(data)}-")
    assert (beyond.status, beyond.code) == (416, "range-not-satisfiable")
    assert beyond.headers["Content-Range"] == f"bytes */{len(data)}"
    known = await service.get(url, **{"If-None-Match": etag})
    assert (known.status, known.body) == (304, b"")
    head = await service.get(url, "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(data)))
    assert head.headers["ETag"] == etag


async def test_the_browser_is_told_what_the_file_is_and_to_run_nothing(service: Service) -> None:
    headers = (await service.get((await service.done())["artifacts"][0]["url"])).headers
    assert headers["Content-Type"] == "image/png"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["Cache-Control"].startswith("private, max-age=")
    assert re.fullmatch(r'inline; filename="tessera-[0-9a-f]{12}-0\.png"', headers["Content-Disposition"])


async def test_what_browsers_do_not_all_show_is_offered_for_saving(service: Service) -> None:
    url = (await service.done(marked(webm(), "video/webm")))["artifacts"][0]["url"]
    headers = (await service.get(url)).headers
    assert headers["Content-Type"] == "video/webm"
    assert headers["Content-Disposition"].startswith("attachment; ")


async def test_an_address_that_has_expired_opens_nothing(service: Service) -> None:
    job = await service.done()
    assert (await service.get(service.signed(job["id"]))).status == 200
    expired = await service.get(service.signed(job["id"], ago_seconds=3_600))
    assert (expired.status, expired.code) == (403, "forbidden")


async def test_an_address_that_was_changed_opens_nothing(service: Service) -> None:
    one, two = await service.done(picture("red")), await service.done(picture("blue"))
    url = service.signed(one["id"])
    signature = url[-64:]
    changed = [
        url.replace(one["id"], two["id"]),
        url.replace("/0?", "/1?"),
        re.sub(r"expires=(\d+)", lambda found: f"expires={int(found[1]) + 60}", url),
        url[:-64] + signature[::-1],
    ]
    answers = [await service.get(other) for other in changed]
    assert [answered.status for answered in answers] == [403] * 4
    garbled = [url[:-1], url.split("&")[0], url + "&expires=1", url + "0", url.replace("expires=", "expires=-")]
    assert {(await service.get(other)).status for other in garbled} == {422}
    assert (await service.get(url)).body == picture("red")


async def test_keys_of_another_service_open_nothing(service: Service) -> None:
    job = await service.done()
    url = service.signed(job["id"])
    keys = service.context.signing_keys
    keys.replace([b"x" * 32], keys.now())
    assert (await service.get(url)).status == 403
    await keys.load(service.context.database)
    assert (await service.get(url)).status == 200


async def test_the_owner_is_sent_to_the_file_and_nobody_else_is(service: Service) -> None:
    job = await service.done()
    path = f"/api/v1/jobs/{job['id']}/artifacts/0"
    sent = await service.as_customer(path)
    assert sent.status == 302
    assert (await service.get(sent.headers["Location"])).body == picture()
    assert urlsplit(sent.headers["Location"]).path == f"/artifacts/{job['id']}/0"
    stranger = await key_of(service, "eve")
    theirs = await service.as_customer(path, key=stranger)
    never = await service.as_customer(f"/api/v1/jobs/{uuid4()}/artifacts/0", key=stranger)
    assert told(theirs) == told(never)
    assert theirs.status == 404
    assert (await service.get(path)).status == 401
    assert (await service.as_customer(path, key=service.hands.secret)).status == 401
    for index in ("1", "64", "99999999999"):
        assert (await service.as_customer(f"/api/v1/jobs/{job['id']}/artifacts/{index}")).status == 404


async def test_a_service_fetches_for_the_person_it_names_and_for_nobody_else(service: Service) -> None:
    made = await create_key(
        service.context.database, name="bot", user_id=None, scopes=["read", "submit"], providers=["telegram"]
    )
    job = await service.done()
    path = f"/api/v1/jobs/{job['id']}/artifacts/0"
    headers = {"Authorization": f"Bearer {made.key}", "Tessera-On-Behalf-Of": "telegram:1"}
    assert (await service.get(path, **headers)).status == 404
    async with service.context.database.connection() as connection:
        person = await signup.acting(service.context.database, users.Identity("telegram", "1"), "open", 100)
        await connection.execute("update jobs set user_id = %s where id = %s", (person.id, job["id"]))
    assert (await service.get(path, **headers)).status == 302


async def test_erasing_takes_files_and_prompt_and_keeps_the_accounting(service: Service) -> None:
    job = await service.done()
    url, path = job["artifacts"][0]["url"], f"/api/v1/jobs/{job['id']}/artifacts"
    assert [(await service.as_customer(path, "DELETE")).status for _ in range(2)] == [204, 204]
    after = await service.job(job["id"])
    assert (after["prompt"], after["negative_prompt"], after["artifacts"]) == ("", "", [])
    assert (after["status"], after["cost"], after["seed"]) == ("succeeded", job["cost"], job["seed"])
    assert service.files() == []
    assert [(await service.get(url)).status, (await service.get(url, "HEAD")).status] == [410, 410]
    assert (await service.as_customer(f"{path}/0")).status == 410


async def test_a_job_that_has_not_ended_is_not_erased(service: Service) -> None:
    lease = await service.leased()
    answered = await service.as_customer(f"/api/v1/jobs/{lease.job_id}/artifacts", "DELETE")
    assert (answered.status, answered.code) == (409, "not-finished")
    assert (await service.job(lease.job_id))["prompt"] == "a lighthouse"


async def test_nobody_erases_what_is_not_theirs(service: Service) -> None:
    job = await service.done()
    stranger = await key_of(service, "eve")
    theirs = await service.as_customer(f"/api/v1/jobs/{job['id']}/artifacts", "DELETE", stranger)
    never = await service.as_customer(f"/api/v1/jobs/{uuid4()}/artifacts", "DELETE", stranger)
    assert theirs.status == 404
    assert told(theirs) == told(never)
    assert len(service.files()) == 1


async def test_what_is_under_a_legal_hold_is_not_erased(service: Service) -> None:
    job = await service.done()
    async with service.context.database.connection() as connection:
        await connection.execute("update artifacts set legal_hold = true where job_id = %s", (job["id"],))
    answered = await service.as_customer(f"/api/v1/jobs/{job['id']}/artifacts", "DELETE")
    assert (answered.status, answered.code) == (409, "legal-hold")
    assert (await service.get(job["artifacts"][0]["url"])).status == 200


async def key_of(service: Service, name: str) -> str:
    user_id = await users.create(service.context.database, f"{name}-{uuid4().hex}", "house")
    made = await create_key(service.context.database, name=name, user_id=user_id, scopes=["read", "submit"])
    return made.key


def told(answered: Answered) -> tuple[int, str, str]:
    """What tells one refusal from another."""
    return answered.status, answered.code, answered.json["detail"]


def webm() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="webm") as target:
        stream = target.add_stream("libvpx", rate=Fraction(8))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        target.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        target.mux(stream.encode())
    return out.getvalue()
