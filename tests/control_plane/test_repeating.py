"""A result can be made again: it says what it was made with, and its order can be repeated, with changes if wanted."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.orders.repeating import merged
from control_plane.wire.job import JobView, SubmitRequest
from control_plane.wire.provenance import ModelFile, Provenance
from control_plane.wire.repeat import RepeatRequest
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.worker import Answered, picture

MADE = Provenance(
    engine="comfyui",
    engine_version="0.3.64",
    agent_version="0.1.0",
    workflow="sd15",
    workflow_version="a" * 64,
    models=[ModelFile(name="sd15.safetensors", sha256="b" * 64), ModelFile(name="vae.safetensors")],
    libraries={"pytorch": "2.9.0"},
    device="NVIDIA RTX 4090",
    seeds=[7],
)
NULL: dict[str, Any] = {"a": None}
VECTORS: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, NULL, {}),
    ({"a": "b", "b": "c"}, NULL, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
"""RFC 7396, appendix A."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(("target", "patch", "result"), VECTORS)
def test_a_merge_patch_does_what_its_standard_says(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


@given(target=JSON, patch=JSON)
def test_a_patch_that_was_merged_changes_nothing_when_it_is_merged_again(target: Any, patch: Any) -> None:
    once = merged(target, patch)
    assert merged(once, patch) == once
    assert merged(target, {}) == (target if isinstance(target, dict) else {})


def test_every_field_of_an_order_can_be_changed() -> None:
    assert set(RepeatRequest.__struct_fields__) == set(SubmitRequest.__struct_fields__)


async def _repeat(plane: Plane, key: str, job_id: object, body: Any = None, **headers: str) -> Answered:
    return await plane.call("POST", f"{API}/jobs/{job_id}/repeat", key, body, headers=headers)


def _same(one: JobView, other: JobView, *different: str) -> bool:
    names = ("kind", "model", "prompt", "negative_prompt", "width", "height", "steps", "guidance", "sampler", "seed")
    more = ("count", "frames", "fps", "metadata", "embed_metadata", "strength", "upscale", "input_image")
    differing = {name for name in (*names, *more) if getattr(one, name) != getattr(other, name)}
    return differing == set(different)


async def test_a_job_is_repeated_as_it_was_and_names_the_one_before(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    order = {"prompt": "a fox", "negative_prompt": "snow", "steps": 7, "guidance": 2.5, "count": 2, "sampler": "euler"}
    for fields in ({**order, "metadata": {"a": "b"}, "width": 512, "max_wait": 60}, {"kind": "video", "frames": 24}):
        first = msgspec.convert(await control_plane.order(key, **fields), JobView)
        answered = await _repeat(control_plane, key, first.id)
        assert answered.status == 201, answered.body
        again = msgspec.json.decode(answered.body, type=JobView)
        assert answered.headers["Location"] == again.urls.self
        assert (again.repeat_of, first.repeat_of) == (first.id, None)
        assert again.id != first.id
        assert _same(first, again)
        looked = (await control_plane.call("GET", f"{API}/jobs/{again.id}", key)).json
        assert looked["repeat_of"] == str(first.id)


async def test_a_repetition_takes_changes_as_a_merge_patch(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    first = msgspec.convert(await control_plane.order(key, steps=7, metadata={"a": "b", "c": "d"}), JobView)

    async def again(changes: dict[str, Any]) -> JobView:
        answered = await _repeat(control_plane, key, first.id, changes)
        assert answered.status == 201, answered.body
        return msgspec.json.decode(answered.body, type=JobView)

    assert _same(first, await again({}))
    assert _same(first, await again({"seed": None}), "seed")
    changed = await again({"steps": 9, "metadata": {"a": None, "e": "f"}})
    assert (changed.steps, changed.metadata) == (9, {"c": "d", "e": "f"})
    assert _same(first, changed, "steps", "metadata")
    assert (await again({"steps": None})).steps == 20
    for changes, pointer in (
        ({"steps": 0}, "/steps"),
        ({"prompt": None}, "/prompt"),
        ({"frames": 8}, "/frames"),
        ({"nonsense": 1}, "/nonsense"),
        ({"metadata": {"a": 1}}, "/metadata"),
    ):
        refused = await _repeat(control_plane, key, first.id, changes)
        assert (refused.status, refused.json["errors"][0]["pointer"][: len(pointer)]) == (422, pointer), changes


async def test_a_repetition_with_a_key_happens_once_and_can_be_priced_before(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    first = await control_plane.order(key, count=3)
    priced = await control_plane.call("POST", f"{API}/jobs/{first['id']}/repeat?dry_run=1", key, {"count": 4})
    assert (priced.status, priced.json["cost"], priced.json["refusal"]) == (200, 4, None)
    sent = {"Idempotency-Key": "again-1"}
    answers = [await _repeat(control_plane, key, first["id"], **sent) for _ in range(2)]
    assert len({answered.json["id"] for answered in answers}) == 1
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    other = await _repeat(control_plane, key, first["id"], {"seed": None}, **sent)
    assert (other.status, other.code) == (422, "idempotency-mismatch")
    assert len((await control_plane.call("GET", f"{API}/jobs", key)).json["data"]) == 2


async def test_a_repetition_with_a_key_stays_ordered_whatever_becomes_of_the_job_and_of_the_defaults(
    control_plane: Plane,
) -> None:
    service = control_plane.service
    job = await service.done()
    sent = {"Idempotency-Key": "again-2"}
    first = await _repeat(control_plane, service.key, job["id"], **sent)
    chosen = await control_plane.call("PUT", f"{API}/user/preferences", service.key, {"embed_metadata": False})
    assert (first.status, chosen.status) == (201, 200)

    async def later() -> dict[str, Any]:
        return await control_plane.order(service.key)

    await eventually(later, lambda order: order["embed_metadata"] is False)
    assert (await _repeat(control_plane, service.key, job["id"], **sent)).json["id"] == first.json["id"]
    assert (await service.as_customer(f"{API}/jobs/{job['id']}/artifacts", "DELETE")).status == 204
    again = await _repeat(control_plane, service.key, job["id"], **sent)
    assert (again.status, again.json["id"], again.headers["Idempotent-Replayed"]) == (201, first.json["id"], "true")
    assert (await _repeat(control_plane, service.key, job["id"])).status == 422, "without the key it is an order anew"


async def test_what_was_erased_can_be_repeated_with_words_of_its_own_only(control_plane: Plane) -> None:
    service = control_plane.service
    job = await service.done()
    assert (await service.as_customer(f"{API}/jobs/{job['id']}/artifacts", "DELETE")).status == 204
    refused = await _repeat(control_plane, service.key, job["id"])
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/prompt")
    assert (await _repeat(control_plane, service.key, job["id"], {"prompt": "anew"})).json["prompt"] == "anew"


async def test_what_was_typed_is_kept_beside_its_translation_until_it_is_erased(
    control_plane: Plane, owner_url: str
) -> None:
    service, typed = control_plane.service, {"prompt": "灯塔" * 2_000}
    refused = await control_plane.call(
        "POST", f"{API}/jobs", service.key, {"prompt": "x", "typed": {"prompt": "child porn"}}
    )
    assert (refused.code, refused.json["errors"][0]["pointer"]) == ("moderated-input", "/typed/prompt")
    job = await service.done(prompt="a lighthouse", typed=typed, adult=True)
    assert (job["typed"], job["adult"], job["prompt"]) == (typed, True, "a lighthouse")
    same = (await _repeat(control_plane, service.key, job["id"])).json
    other = (await _repeat(control_plane, service.key, job["id"], {"prompt": "a fox"})).json
    assert (same["typed"], same["adult"]) == (typed, True)
    assert (other.get("typed"), other["adult"]) == (None, False), "other words are judged by themselves"
    assert (await service.as_customer(f"{API}/jobs/{job['id']}/artifacts", "DELETE")).status == 204
    erased = await service.job(job["id"])
    assert (erased["prompt"], erased.get("typed"), erased["adult"]) == ("", None, False)
    with psycopg.connect(owner_url) as owner:
        held = owner.execute(
            "select count(*) from job_specs where job_id = %s and spec::text like '%%灯塔%%'", [job["id"]]
        )
        assert held.fetchone() == (0,)


async def test_a_result_says_what_it_was_made_with(control_plane: Plane, owner_url: str) -> None:
    service = control_plane.service
    lease = await service.leased(seed=7)
    assert (await service.job(lease.job_id))["provenance"] is None
    await service.hands.upload(lease, picture())
    made = msgspec.to_builtins(MADE)
    for _ in range(2):  # the same report again changes nothing
        assert (await service.hands.complete(lease, provenance=made)).json["state"] == "succeeded"
    job = msgspec.convert(await service.job(lease.job_id), JobView)
    assert (job.provenance, job.seed) == (MADE, 7)
    listed = (await service.as_customer(f"{API}/jobs")).json["data"][0]
    assert listed["provenance"] == made
    silent = await service.done()
    assert silent["provenance"] is None


async def test_only_who_holds_the_lease_says_what_a_result_was_made_with(control_plane: Plane, owner_url: str) -> None:
    service = control_plane.service
    lease = await service.leased()
    await service.hands.upload(lease, picture())
    stale = msgspec.structs.replace(lease, token=lease.job_id)
    lie = msgspec.to_builtins(msgspec.structs.replace(MADE, engine="somebody else's"))
    assert (await service.hands.complete(stale, provenance=lie)).code == "lease-lost"
    assert (await service.hands.complete(lease, provenance=msgspec.to_builtins(MADE))).status == 200
    assert (await service.hands.complete(lease, provenance=lie)).status == 200
    assert (await service.job(lease.job_id))["provenance"]["engine"] == "comfyui"
    with psycopg.connect(owner_url) as connection:
        assert connection.execute("select count(*) from provenance").fetchone() == (1,)


async def test_who_opts_out_for_good_does_so_for_every_way_to_order(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    before = await control_plane.order(key)
    assert before["embed_metadata"] is True
    path = f"{API}/user/preferences"
    assert (await control_plane.call("GET", path, key)).json == {"embed_metadata": True, "choices": {}}
    chosen = await control_plane.call("PUT", path, key, {"embed_metadata": False})
    assert (chosen.status, chosen.json) == (200, {"embed_metadata": False, "choices": {}})

    async def silent() -> dict[str, Any]:
        return await control_plane.order(key)

    await eventually(silent, lambda job: job["embed_metadata"] is False)
    batch = await control_plane.call("POST", f"{API}/jobs/batch", key, {"jobs": [{"prompt": "x"}] * 2})
    assert {job["embed_metadata"] for job in batch.json["jobs"]} == {False}
    assert (await _repeat(control_plane, key, before["id"])).json["embed_metadata"] is False
    said = await control_plane.order(key, embed_metadata=True)
    assert said["embed_metadata"] is True
    assert (await _repeat(control_plane, key, before["id"], {"embed_metadata": True})).json["embed_metadata"] is True
    assert (await control_plane.call("GET", path, key)).json == {"embed_metadata": False, "choices": {}}


async def test_who_is_spoken_for_by_a_service_opts_out_too(control_plane: Plane) -> None:
    bot = await control_plane.service_key("telegram")
    ada, bob = {"Tessera-On-Behalf-Of": "telegram:1"}, {"Tessera-On-Behalf-Of": "telegram:2"}
    body = {"embed_metadata": False}
    assert (await control_plane.call("PUT", f"{API}/user/preferences", bot, body, headers=ada)).status == 200
    for person, embeds in ((ada, False), (bob, True)):
        job = await control_plane.call("POST", f"{API}/jobs", bot, {"prompt": "x"}, headers=person)
        assert job.json["embed_metadata"] is embeds
