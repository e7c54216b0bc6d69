"""Orders that start from pictures: whose they are, how long they are kept, and what an agent gets of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from control_plane.people import linking, users
from control_plane.people.credentials import create_key
from control_plane.sweeper import Sweeper
from control_plane.wire.worker import LEASE_TOKEN_HEADER, Lease
from tests.fixtures.pictures import decoded, drawn, encoded
from tests.fixtures.uploads import upload, uploaded
from tests.fixtures.worker import Answered, Json, Service, attempt, enrolled, picture, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

INPUTS = "/api/v1/inputs"
HOUR = 3_600


async def ordered(service: Service, key: str | None = None, **fields: Any) -> Answered:
    headers = {"Authorization": f"Bearer {key or service.key}"}
    async with service.session.post(service.url + "/api/v1/jobs", json=fields, headers=headers) as response:
        return Answered(response.status, response.headers, await response.read())


async def refused(service: Service, pointer: str, code: str, **fields: Any) -> Json:
    answered = await ordered(service, **fields)
    assert answered.status == 422, answered.body
    told: Json = answered.json
    assert (pointer, code) in [(fault["pointer"], fault["code"]) for fault in told["errors"]], told
    return told


async def another(service: Service) -> tuple[UUID, str]:
    """Somebody else, and their key."""
    user_id = await users.create(service.context.database, f"bob-{uuid4().hex}", "house")
    made = await create_key(service.context.database, name="test", user_id=user_id, scopes=["read", "submit"])
    return user_id, made.key


async def fetched(service: Service, lease: Lease, index: int = 0, **headers: Any) -> Answered:
    sent = {LEASE_TOKEN_HEADER: str(lease.token), **headers}
    return await service.hands.request("GET", f"{attempt(lease)}/inputs/{index}", sent)


async def grown_old(service: Service, input_id: str, seconds: int) -> None:
    async with service.context.database.connection() as connection:
        await connection.execute(
            "update inputs set expires_at = now() - make_interval(secs => %s) where id = %s", (seconds, input_id)
        )


async def over_for(service: Service, job_id: UUID, days: int) -> None:
    async with service.context.database.connection() as connection:
        await connection.execute(
            "update jobs set finished_at = now() - make_interval(days => %s) where id = %s", (days, job_id)
        )


async def sweep(service: Service) -> None:
    context = service.context
    sweeper = Sweeper(context.database, context.store, context.signing_keys, context.settings)
    await sweeper.expired_inputs()


def kept(service: Service) -> int:
    """How many files of inputs of this user lie in the store."""
    root = service.context.settings.artifacts_folder / "inputs" / str(service.user_id)
    return len(list(root.glob("*"))) if root.exists() else 0


# ------------------------------------------------------------------------------------------ what can be ordered


async def test_what_is_ordered_of_a_picture_has_its_proportions(service: Service) -> None:
    wide, small = await uploaded(service), await uploaded(service, encoded(drawn((100, 50))))
    for fields, size in (
        ({"input_image": wide["id"]}, (1248, 832)),
        ({"input_image": wide["id"], "width": 300 // 8 * 8}, (296, 192)),
        ({"input_image": {"id": wide["id"]}, "height": 64}, (96, 64)),
        ({"input_image": wide["id"], "width": 64, "height": 512}, (64, 512)),
        ({"input_image": wide["id"], "kind": "video"}, (600, 400)),
        ({"input_image": small["id"], "upscale": 2}, (200, 100)),
        ({"input_image": small["id"], "upscale": 4}, (400, 200)),
    ):
        answered = await ordered(service, prompt="a lighthouse", **fields)
        assert answered.status == 201, answered.body
        job = answered.json
        assert (job["width"], job["height"]) == size
        assert job["input_image"] in (wide["id"], small["id"])
        assert job["strength"] == (None if "upscale" in fields or "kind" in fields else 0.6)


async def test_only_an_upscale_needs_no_prompt(service: Service) -> None:
    view = await uploaded(service)
    answered = await ordered(service, input_image=view["id"], upscale=2)
    assert (answered.status, answered.json["prompt"]) == (201, "")
    await refused(service, "/prompt", "missing", input_image=view["id"])
    await refused(service, "/prompt", "missing")
    await refused(service, "/prompt", "too_short", prompt="", input_image=view["id"], upscale=2)


async def test_what_cannot_be_made_of_a_picture_is_told_by_pointer(service: Service) -> None:
    view = await uploaded(service)
    mine = {"prompt": "x", "input_image": view["id"]}
    await refused(service, "/input_image", "missing", upscale=2)
    await refused(service, "/upscale", "not_allowed", **mine, upscale=2, kind="video")
    await refused(service, "/width", "not_allowed", **mine, upscale=2, width=64)
    await refused(service, "/strength", "not_allowed", **mine, upscale=2, strength=0.5)
    await refused(service, "/strength", "not_allowed", prompt="x", strength=0.5)
    await refused(service, "/upscale", "out_of_range", upscale=4, input_image=(await _large(service))["id"])
    await refused(service, "/input_image", "unclear", prompt="x", input_image={})
    await refused(service, "/input_image", "unclear", prompt="x", input_image={"id": view["id"], "job_id": view["id"]})


async def _large(service: Service) -> Json:
    return await uploaded(service, encoded(drawn((2_000, 1_500)), "JPEG"))


async def test_the_catalogue_says_what_models_are_for(service: Service) -> None:
    models = (await service.get("/api/v1/models")).json["data"]
    told = {model["kind"]: (model["tasks"], model["upscales"]) for model in models if model["name"] == "testcard"}
    assert told["image"] == (["text-to-image", "image-to-image", "upscale"], [2, 4])
    assert told["video"] == (["text-to-video", "image-to-video"], [])


async def test_a_result_of_ones_own_can_be_started_from_at_once(service: Service) -> None:
    job = await service.done(picture("gold", (80, 40)))
    result = {"job_id": job["id"], "index": 0}
    first = await ordered(service, upscale=2, input_image=result)
    assert (first.status, first.json["width"], first.json["height"]) == (201, 160, 80)
    again = await ordered(service, prompt="x", input_image={"job_id": job["id"]})
    assert again.json["input_image"] == first.json["input_image"]
    await refused(service, "/input_image", "unknown", prompt="x", input_image={"job_id": job["id"], "index": 1})
    await refused(service, "/input_image", "unknown", prompt="x", input_image={"job_id": first.json["id"]})


async def test_a_quote_is_told_by_the_size_that_follows(service: Service) -> None:
    view = await _large(service)
    headers = {"Authorization": f"Bearer {service.key}"}
    body = {"prompt": "x", "input_image": view["id"], "width": 2048, "height": 1024}
    async with service.session.post(service.url + "/api/v1/jobs?dry_run=1", json=body, headers=headers) as response:
        told = await response.json()
    assert (told["cost"], told["spec"]["input_image"]["id"]) == (2, view["id"])


# ------------------------------------------------------------------------------------------ whose it is


async def test_the_input_of_somebody_else_looks_like_none(service: Service) -> None:
    _, key = await another(service)
    theirs, missing = (await uploaded(service, key=key))["id"], str(uuid4())
    job = await service.done()
    told = []
    for wanted in (theirs, missing, {"id": theirs}, {"job_id": missing}):
        problem = await refused(service, "/input_image", "unknown", prompt="x", input_image=wanted)
        told.append({**problem, "request_id": "", "instance": ""})
    stranger = await ordered(service, key, prompt="x", input_image={"job_id": job["id"]})
    told.append({**stranger.json, "request_id": "", "instance": ""})
    assert all(problem == told[0] for problem in told)
    for method in ("GET", "DELETE"):
        assert (await service.as_customer(f"{INPUTS}/{theirs}", method)).status == 404
    assert (await service.as_customer(f"{INPUTS}/{theirs}/content")).status == 404
    assert theirs not in str((await service.as_customer(INPUTS)).json)
    assert (await service.as_customer(f"{INPUTS}/{theirs}", key=key)).status == 200


async def test_an_address_opens_one_file_for_a_while(service: Service) -> None:
    view, other = await uploaded(service), await uploaded(service, encoded(drawn((30, 30))))
    redirect = await service.as_customer(f"{INPUTS}/{view['id']}/content")
    assert (redirect.status, redirect.headers["Location"]) == (302, view["url"])
    whole = await service.get(view["url"])
    part = await service.get(view["url"], Range="bytes=10-19")
    assert (part.status, part.body) == (206, whole.body[10:20])
    assert (await service.get(view["url"], **{"If-None-Match": whole.headers["ETag"]})).status == 304
    assert (await service.get(view["url"], Range="bytes=999999-")).status == 416
    for bad in (
        view["url"].replace(view["id"], other["id"]),
        view["url"][:-1] + "0",
        view["url"].replace("s=1", "s=2"),
    ):
        if bad != view["url"]:
            assert (await service.get(bad)).status == 403
    await service.as_customer(f"{INPUTS}/{view['id']}", "DELETE")
    assert (await service.get(view["url"])).status == 410


async def test_a_list_shows_ones_own_the_newest_first(service: Service) -> None:
    ids = [(await uploaded(service, encoded(drawn((20 + number, 20)))))["id"] for number in range(3)]
    page = (await service.as_customer(f"{INPUTS}?limit=2")).json
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (ids[:0:-1], True)
    rest = (await service.as_customer(f"{INPUTS}?limit=2&cursor={page['next_cursor']}")).json
    assert ([each["id"] for each in rest["data"]], rest["next_cursor"]) == (ids[:1], None)


async def test_whoever_becomes_part_of_another_takes_their_inputs_along(service: Service) -> None:
    younger, key = await another(service)
    view = await uploaded(service, key=key)
    await linking.merge(service.context.database, service.user_id, younger)
    service.context.credentials.forget_all()
    assert (await service.as_customer(f"{INPUTS}/{view['id']}")).status == 200
    assert (await ordered(service, prompt="x", input_image=view["id"])).status == 201


# ------------------------------------------------------------------------------------------ how long it is kept


async def test_an_input_that_nobody_needs_goes_after_a_day(service: Service) -> None:
    view = await uploaded(service)
    await grown_old(service, view["id"], 1)
    assert (await service.as_customer(f"{INPUTS}/{view['id']}")).status == 404
    await refused(service, "/input_image", "unknown", prompt="x", input_image=view["id"])
    await sweep(service)
    assert kept(service) == 1, "somebody may just be ordering with it"
    await grown_old(service, view["id"], 2 * HOUR)
    await sweep(service)
    assert kept(service) == 0
    again = await uploaded(service)
    assert again["id"] != view["id"]


async def test_an_input_stays_for_as_long_as_a_job_needs_it(service: Service) -> None:
    view = await uploaded(service)
    lease = await service.leased(input_image=view["id"])
    await grown_old(service, view["id"], 100 * HOUR)
    await sweep(service)
    assert (await fetched(service, lease)).status == 200
    assert (await service.as_customer(f"{INPUTS}/{view['id']}", "DELETE")).code == "input-needed"
    await service.hands.upload(lease, picture())
    await service.hands.complete(lease)
    await sweep(service)
    assert (await ordered(service, prompt="once more", input_image=view["id"])).status == 201, "it can be repeated"
    for job in (await service.as_customer("/api/v1/jobs")).json["data"]:
        await service.as_customer(f"/api/v1/jobs/{job['id']}", "DELETE")
        await over_for(service, UUID(job["id"]), 10_000)
    await sweep(service)
    assert kept(service) == 0


async def test_what_was_erased_needs_its_input_no_more(service: Service) -> None:
    view = await uploaded(service)
    job_id = await service.order(input_image=view["id"])
    await service.as_customer(f"/api/v1/jobs/{job_id}", "DELETE")
    assert (await service.as_customer(f"/api/v1/jobs/{job_id}/artifacts", "DELETE")).status == 204
    await grown_old(service, view["id"], 2 * HOUR)
    await sweep(service)
    assert kept(service) == 0
    assert (await service.job(job_id))["input_image"] is None


async def test_what_starts_from_an_adult_result_is_adult_whatever_its_words_say(service: Service) -> None:
    harmless, adult = await service.done(prompt="a fox"), await service.done(prompt="a nude")
    for made, is_adult in ((harmless, False), (adult, True)):
        placed = await ordered(service, prompt="a fox", input_image={"job_id": made["id"], "index": 0})
        assert (placed.status, placed.json["adult"]) == (201, is_adult), placed.body
        again = await ordered(service, prompt="a fox", input_image=placed.json["input_image"])
        assert again.json["adult"] is is_adult, "by the id of the input as well"
    assert not harmless["adult"]


async def test_an_order_that_was_accepted_stays_so_when_its_input_is_gone(service: Service) -> None:
    view = await uploaded(service)
    headers = {"Authorization": f"Bearer {service.key}", "Idempotency-Key": uuid4().hex}
    body = {"prompt": "x", "input_image": view["id"]}
    told = []
    for _ in range(2):
        async with service.session.post(service.url + "/api/v1/jobs", json=body, headers=headers) as response:
            told.append((response.status, (await response.json())["id"], response.headers.get("Idempotent-Replayed")))
        await service.as_customer(f"/api/v1/jobs/{told[0][1]}", "DELETE")
        assert (await service.as_customer(f"{INPUTS}/{view['id']}", "DELETE")).status in (204, 404)
    assert told == [(201, told[0][1], None), (201, told[0][1], "true")]


# ------------------------------------------------------------------------------------------ what an agent gets


async def test_only_the_holder_of_a_live_lease_gets_the_input(service: Service) -> None:
    view = await uploaded(service)
    lease = await service.leased(input_image=view["id"])
    assert lease.spec.input_image is not None
    whole = await fetched(service, lease)
    assert (whole.status, len(whole.body)) == (200, lease.spec.input_image.bytes)
    assert whole.headers["ETag"] == f'"{lease.spec.input_image.sha256}"'
    assert decoded(whole.body).size == (96, 64)
    rest = await fetched(service, lease, Range="bytes=100-")
    assert (rest.status, rest.body) == (206, whole.body[100:])
    assert (await fetched(service, lease, 1)).code == "not-found"
    wrong: Any = {LEASE_TOKEN_HEADER: str(uuid4())}
    assert (await fetched(service, lease, **wrong)).code == "lease-lost"
    stranger = await enrolled(service.context, service.session, "stranger")
    theirs = await stranger.request("GET", f"{attempt(lease)}/inputs/0", {LEASE_TOKEN_HEADER: str(lease.token)})
    assert theirs.code == "lease-lost"
    await service.hands.release(lease)
    assert (await fetched(service, lease)).code == "lease-lost"
    await service.context.dispatcher.revoke(stranger.worker_id)


async def test_a_job_without_an_input_has_none_to_fetch(service: Service) -> None:
    assert (await fetched(service, await service.leased())).code == "not-found"


# ------------------------------------------------------------------------------------------ what nobody may use


async def test_a_blocked_picture_is_taken_from_nobody_and_used_by_nobody(database_url: str, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"

    def block(*hashes: str) -> None:
        policy.write_text(f"version = 3\n[inputs]\nsha256 = {list(hashes)}\n".replace("'", '"'))

    block()
    data, other = encoded(drawn()), encoded(drawn((50, 20)))
    async with serving(database_url, tmp_path / "plane", policy=policy) as service:
        view, second = await uploaded(service, data), await uploaded(service, other)
        lease = await service.leased(input_image=view["id"])
        block(view["received_sha256"], second["sha256"])
        service.context.conduct.look()
        for sent, input_id in ((data, view["id"]), (other, second["id"])):
            answered = await ordered(service, prompt="x", input_image=input_id)
            assert (answered.code, answered.json["category"]) == ("moderated-input", "inputs")
            assert answered.json["errors"][0]["pointer"] == "/input_image"
            if sent is data:
                assert (await upload(service, sent)).code == "moderated-input"
        assert (await fetched(service, lease)).code == "moderated-input"
        await service.as_customer(f"{INPUTS}/{second['id']}", "DELETE")
        assert (await upload(service, other)).code == "moderated-input", "what it becomes is blocked"
