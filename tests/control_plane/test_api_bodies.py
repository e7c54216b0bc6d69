"""Bad input: every field of every body, wrong in every way, is a problem that says where, and never our fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from control_plane import api
from control_plane.api import guards, openai_errors
from control_plane.api.document import components, plain_path
from control_plane.api.operation import Nothing, Operation
from tests.fixtures.api import API, Plane
from tests.fixtures.worker import Answered

Json = dict[str, Any]
HUGE = 10**400
WITH_BODY = [op for op in api.operations() if op.body is not Nothing]
ABLE = {"kind": "image", "model": "testcard", "tasks": ["text-to-image"]}
CLAIM = {
    "claim_id": str(uuid4()),
    "protocol": 1,
    "slots": [{"slot": 0, "capabilities": [ABLE], "vram_gib": 8, "loaded": ABLE, "capabilities_sha256": "0" * 64}],
}
LEASE = {"job_id": str(uuid4()), "attempt": 1, "token": str(uuid4()), "phase": "held", "progress": {"value": 0.5}}
FILE = {"bytes": 482_113, "sha256": "0" * 64}
MADE = {
    "engine": "comfyui",
    "models": [{"name": "sd15.safetensors", "sha256": "f" * 64}],
    "libraries": {"pytorch": "2.9.0"},
    "seeds": [7],
}
ORDER = {"prompt": "a lighthouse", "metadata": {"order": "17"}, "typed": {"prompt": "ein Leuchtturm"}}
VALID: dict[str, Json] = {
    "submit_job": ORDER,
    "repeat_job": {"seed": None, "metadata": {"order": None}, "typed": {"prompt": "ein Leuchtturm"}},
    "submit_batch": {"jobs": [ORDER]},
    "create_images": {"prompt": "a lighthouse", "size": "768x512"},
    "set_preferences": {"embed_metadata": False, "choices": {"language": "de", "count": 2}},
    "make_key": {
        "name": "shop",
        "scopes": ["read"],
        "models": ["testcard"],
        "networks": ["203.0.113.0/24"],
        "origins": ["https://app.example"],
    },
    "rotate_key": {"overlap_seconds": 60},
    "enroll": {"token": "tse_" + "x" * 12, "secret_sha256": "0" * 64, "name": "bench"},
    "claim": CLAIM,
    "heartbeat": {"leases": [LEASE], "slots": [{"slot": 0, "loaded": ABLE, "gpu": {"temperature_c": 60.5}}]},
    "direct_artifact": FILE,
    "collect_artifact": FILE,
    "complete_attempt": {"artifacts": 1, "claim": CLAIM, "provenance": MADE},
    "fail_attempt": {"cause": "oom"},
    "release_attempt": {"reason": "drain"},
    "link": {"code": "K7QM-2XWD"},
    "known_identities": {"identities": ["telegram:1"]},
    "enter_invite": {"code": "K7QM-2XWD"},
    "file_report": {"job_id": str(uuid4()), "index": 0, "category": "person", "text": "that is me"},
    "quarantine_artifact": {"reason": "a real person"},
    "publish_artifact": {"show_prompt": True},
    "refuse_publication": {"reason": "not for all eyes"},
    "delete_user": {"name": "ada"},
    "suspend_user": {"reason": "spam"},
    "create_webhook": {"url": "https://receiver.invalid/", "events": ["job.failed"], "description": "mine"},
    "credit_payment": {
        "provider": "telegram_stars",
        "provider_id": "charge-1",
        "pack": "small",
        "amount": 150,
        "currency": "XTR",
    },
    "refund_payment": {"provider": "telegram_stars", "provider_id": "charge-1", "reason": "asked for"},
    "set_chat": {"who": "admins", "models": ["testcard"], "daily_cap": 100},
    "admit_order": {"order": ORDER, "key": "once"},
    "set_switch": {"what": "model", "name": "testcard", "paused": False},
    "sign_in_by_telegram": {"state": "x", "data": {"id": 1, "hash": "x"}},
    "sign_in_by_code": {"code": "K7QM-2XWD"},
    "enter_by_invite": {"code": "K7QM-2XWD"},
    "change_setup": {"put_off": "bots", "take_up": "machine", "closed": False},
    "await_machine": {"name": "bench"},
    "order_first_picture": {"prompt": "a lighthouse"},
    "put_on_plan": {"plan": "pro"},
    "grant_tokens": {"tokens": 5, "reason": "for your patience"},
    "make_enrolment_token": {"name": "bench"},
    "change_webhook": {"url": "https://receiver.invalid/", "events": ["job.failed"], "disabled": False},
}
"""For each operation with a body, one that is fine: every bad body below is this one with one thing changed."""

BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not_json"),
    "half an object": (b'{"prompt": ', "not_json"),
    "two values": (b"{} {}", "not_json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not_json"),
    "not a number": (b'{"prompt": NaN}', "not_json"),
    "a lone surrogate": (b'{"prompt": "\\ud800"', "not_json"),
}


def _places(schema: Json, components: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every field of a body: where it stands as a JSON pointer, and its schema; of lists, the first item."""
    schema = _resolved(schema, components)
    for name, field in schema.get("properties", {}).items():
        yield f"{path}/{name}", field
        yield from _places(_kind(field, components), components, f"{path}/{name}")
    if schema.get("type") == "array":
        yield f"{path}/0", schema["items"]
        yield from _places(schema["items"], components, f"{path}/0")


def _resolved(schema: Json, components: Json) -> Json:
    found: Json = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _kind(schema: Json, components: Json) -> Json:
    """A schema without its `or null`."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind != {"type": "null"}]
    return _resolved(kinds[0], components)


def _refused(field: Json, components: Json) -> Iterator[object]:
    """Values that a field must refuse; where it may also be an object, an object is none of them."""
    kinds = [_resolved(kind, components).get("type") for kind in field.get("anyOf", [field])]
    for value in _unfit(_kind(field, components)):
        if not (isinstance(value, dict) and "object" in kinds):
            yield value


def _unfit(schema: Json) -> Iterator[object]:
    """Values that no value of this schema is."""
    kind = schema.get("type")
    yield from ([], {}) if kind not in ("array", "object") else ("text", 7)
    yield from (True,) if kind != "boolean" else ("true", 1)
    if kind == "string" or "enum" in schema:
        yield from (7, 1.5)
    if kind in ("integer", "number"):
        yield from ("512", "NaN")
    if kind == "integer":
        yield 1.5
    if "enum" in schema:
        yield "something else"
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "maximum" in schema:
        yield schema["maximum"] + 1
    if "exclusiveMaximum" in schema:
        yield schema["exclusiveMaximum"]
    if kind == "integer" and ("maximum" in schema or "exclusiveMaximum" in schema):
        yield from (HUGE, -HUGE)
    if "multipleOf" in schema:
        yield schema.get("minimum", 0) + 1
    if schema.get("minLength"):
        yield ""
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1)
    if "maxItems" in schema:
        yield [None] * (schema["maxItems"] + 1)
    if "pattern" in schema:
        yield "x\x00"
    if schema.get("format") == "uuid":
        yield "not a uuid"


def _with(body: Json, pointer: str, value: object) -> Json:
    """A copy of the body with one place changed."""
    copy: Json = json.loads(json.dumps(body))
    *path, last = pointer.split("/")[1:]
    target: Any = copy
    for step in path:
        target = target[int(step) if isinstance(target, list) else step]
    target[int(last) if isinstance(target, list) else last] = value
    return copy


def _schemas(op: Operation) -> tuple[Json, Json]:
    found = components((op.body,))
    return found[op.body.__name__], found


def _address(op: Operation) -> str:
    return plain_path(op.path).format(
        job_id=uuid4(),
        user_id=uuid4(),
        webhook_id=uuid4(),
        input_id=uuid4(),
        publication_id=uuid4(),
        key_id=uuid4().hex[:12],
        attempt=1,
        index=0,
        provider="telegram",
        chat="1",
    )


async def _headers(op: Operation, plane: Plane) -> dict[str, str]:
    if op.guard is guards.TELLER:
        bot = await plane.service_key("telegram", scopes=["payments"])
        return {"Authorization": f"Bearer {bot}", "Tessera-On-Behalf-Of": "telegram:1"}
    if op.guard is guards.WORKER:
        return {"Authorization": f"Bearer {plane.service.hands.secret}", "Tessera-Lease-Token": str(uuid4())}
    return {"Authorization": f"Bearer {plane.admin_key}"}


class Told(NamedTuple):
    """A refusal, in whichever shape the operation tells it."""

    status: int
    code: str
    place: str
    """The first field that is to blame, as a JSON pointer."""


def _told(op: Operation, answered: Answered) -> Told:
    if not openai_errors.speaks(op.path):
        return Told(answered.status, answered.code, answered.json["errors"][0]["pointer"])
    error = answered.json["error"]
    assert (answered.status, error["type"]) == (400, "invalid_request_error"), answered.body
    return Told(400 if error["code"] == "malformed" else 422, error["code"], f"/{error['param'] or ''}".rstrip("/"))


def test_every_operation_with_a_body_has_an_example_here() -> None:
    assert {op.name for op in WITH_BODY} == set(VALID)


@pytest.mark.parametrize("op", WITH_BODY, ids=lambda op: op.name)
async def test_every_field_refuses_what_does_not_fit_and_says_where(op: Operation, control_plane: Plane) -> None:
    schema, found = _schemas(op)
    fields, sent = 0, 0
    for pointer, field in _places(schema, found):
        fields += 1
        for value in _refused(field, found):
            body = _with(VALID[op.name], pointer, value)
            answered = await control_plane.call(
                op.method, _address(op), raw=json.dumps(body).encode(), headers=await _headers(op, control_plane)
            )
            assert answered.status in (400, 422), (pointer, value, answered.body)
            told = _told(op, answered)
            assert (told.status, told.code) == (422, "invalid"), (pointer, value, answered.body)
            assert told.place.startswith(pointer), (pointer, value, answered.body)
            sent += 1
    assert fields >= 1
    assert sent >= 4 * fields


@pytest.mark.parametrize("op", WITH_BODY, ids=lambda op: op.name)
async def test_what_is_no_json_is_malformed(op: Operation, control_plane: Plane) -> None:
    for raw, code in BROKEN.values():
        answered = await control_plane.call(op.method, _address(op), raw=raw, headers=await _headers(op, control_plane))
        if not raw and op.optional_body:  # as if it were empty: read, and then there is nothing of that name
            assert (answered.status, answered.code) == (404, "not-found"), answered.body
            continue
        assert answered.status in (400, 422), (raw, answered.body)
        told = _told(op, answered)
        assert told[:2] in {(400, "malformed"), (422, "invalid")}, (raw, answered.body)
        if told.status == 400 and not openai_errors.speaks(op.path):
            assert answered.json["errors"] == [{"pointer": "", "code": code, "detail": answered.json["detail"]}]


async def test_deep_nesting_is_refused(control_plane: Plane) -> None:
    sent = 0
    for op, depth in product(WITH_BODY, (1_000, 100_000)):
        schema, _ = _schemas(op)
        name = next(iter(schema["properties"])).encode()
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            nested = opening * depth + b"1" + closing * depth
            for raw in (nested, b'{"' + name + b'":' + nested + b"}", b'{"unknown":' + nested + b"}"):
                answered = await control_plane.call(
                    op.method, _address(op), raw=raw, headers=await _headers(op, control_plane)
                )
                assert answered.status in (400, 422), (op.name, raw[:40], answered.body)
                sent += 1
    assert sent == len(WITH_BODY) * 12


async def test_text_that_is_not_utf8_is_refused(control_plane: Plane) -> None:
    refused = 0
    for field in ("prompt", "negative_prompt", "model", "sampler"):
        raw = b'{"prompt": "x", "%s": "\xff\xfe"}' % field.encode()
        answered = await control_plane.call("POST", f"{API}/jobs", control_plane.admin_key, raw=raw)
        assert (answered.status, answered.code) == (400, "malformed")
        assert answered.json["errors"][0]["code"] == "not_utf8"
        refused += 1
    assert refused == 4


async def test_an_unknown_field_is_refused_by_name(control_plane: Plane) -> None:
    body = {"prompt": "x", "widht": 512}
    answered = await control_plane.call("POST", f"{API}/jobs", control_plane.admin_key, body)
    assert answered.status == 422
    [fault] = answered.json["errors"]
    assert (fault["pointer"], fault["code"]) == ("/widht", "unknown_field")
    odd = await control_plane.call("POST", f"{API}/jobs", control_plane.admin_key, {"prompt": "x", "a/b~c": 1})
    assert odd.json["errors"][0]["pointer"] == "/a~1b~0c"


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(control_plane: Plane) -> None:
    limit = control_plane.context.settings.body_bytes_max
    raw = json.dumps({"prompt": "x" * limit}).encode()
    announced = await control_plane.call("POST", f"{API}/jobs", control_plane.admin_key, raw=raw)
    assert (announced.status, announced.code) == (413, "too-large")
    assert announced.json["bytes_max"] == limit
    fits = await control_plane.call("POST", f"{API}/jobs", control_plane.admin_key, raw=b"{}" + b" " * (limit - 2))
    assert fits.status == 422  # whole, but without a prompt


async def test_a_body_of_another_type_is_refused(control_plane: Plane) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""):
        answered = await control_plane.call(
            "POST", f"{API}/jobs", control_plane.admin_key, raw=b'{"prompt": "x"}', headers={"Content-Type": media_type}
        )
        assert (answered.status, answered.code) == (415, "unsupported-media-type")
    fine = await control_plane.call(
        "POST",
        f"{API}/jobs",
        control_plane.admin_key,
        raw=b'{"prompt": "x"}',
        headers={"Content-Type": "Application/JSON; charset=utf-8"},
    )
    assert fine.status == 201


BAD_QUERIES = {
    "limit=0": "limit",
    "limit=101": "limit",
    "limit=ten": "limit",
    "limit=1.5": "limit",
    "limit=" + "9" * 400: "limit",
    "limit=": "limit",
    "cursor=elsewhere": "cursor",
    "status=done": "status",
    "colour=red": "colour",
    "limit=1&limit=2": "limit",
    "limit=%ff": "query",
    "limit=%00": "limit",
    "&".join(f"a{n}=1" for n in range(40)): "query",
    "cursor=" + "a" * 5_000: "query",
}


async def test_a_bad_parameter_is_refused_by_name(control_plane: Plane) -> None:
    for query, name in BAD_QUERIES.items():
        answered = await control_plane.call("GET", f"{API}/jobs?{query}", control_plane.admin_key)
        assert (answered.status, answered.code) == (422, "invalid"), (query, answered.body)
        assert answered.json["errors"][0]["pointer"] == name


async def test_what_the_database_cannot_hold_is_refused_in_addresses_too(
    control_plane: Plane,
) -> None:
    for method, path, status in (
        ("GET", "/admin/users?name=a%00b", 422),
        ("GET", "/jobs?metadata=a%3D%00", 422),
        ("POST", "/admin/workers/%00/drain", 404),
        ("DELETE", "/api-keys/%00", 404),
    ):
        answered = await control_plane.call(method, API + path, control_plane.admin_key)
        assert answered.status == status, (path, answered.body)


async def test_an_operation_without_parameters_refuses_any(control_plane: Plane) -> None:
    answered = await control_plane.call("GET", f"{API}/models?page=2")
    assert answered.status == 422
    assert answered.json["errors"][0] == {
        "pointer": "page",
        "code": "unknown_field",
        "detail": "Object contains unknown field `page`.",
    }
