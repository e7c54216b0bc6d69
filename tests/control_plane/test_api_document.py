"""The API document: valid, complete, and what the running service really does."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from jsonschema_rs import meta
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from control_plane import api, app, errors
from control_plane.api import guards, openai
from control_plane.settings import Settings
from tests.fixtures.api import Plane

EXAMPLES = 12
"""For each operation and each mode: fit and unfit."""
SEED = 20_260_101
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
HELD_OPEN = {"claim", "heartbeat", "create_images", "follow_jobs"}
"""They wait as long as a body asks for, and a generated body asks for a lot, or they never end."""


def _document() -> dict[str, Any]:
    return app.openapi(Settings())


def test_the_schemas_are_valid_and_every_reference_leads_somewhere() -> None:
    document = _document()
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    references = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert references <= set(schemas)
    assert len(references) > 10


def test_every_operation_is_described_and_says_what_can_go_wrong() -> None:
    described = [op for methods in _document()["paths"].values() for op in methods.values()]
    assert len(described) == len(api.operations())
    assert len({op["operationId"] for op in described}) == len(described)
    for op in described:
        assert op["summary"], op["operationId"]
        unfit = "400" if op["tags"] == [openai.TAG] else "422"
        assert {unfit, "503", "504"} <= set(op["responses"])
        assert "security" not in op or "401" in op["responses"]


def test_orders_refuse_unknown_fields_in_the_document_too() -> None:
    order = _document()["components"]["schemas"]["SubmitRequest"]
    assert order["additionalProperties"] is False
    assert order["required"] == []  # an upscale needs no prompt
    assert order["properties"]["seed"]["description"].startswith("Drawn at submit")
    assert "\\Z" not in str(_document())


def test_the_document_does_not_depend_on_the_settings_but_for_the_address() -> None:
    one, two = app.openapi(Settings()), app.openapi(Settings(public_url="https://tessera.example/"))
    assert two["servers"] == [{"url": "https://tessera.example"}]
    assert {**one, "servers": []} == {**two, "servers": []}


async def test_docs_are_one_page_without_script_or_anything_from_elsewhere(control_plane: Plane) -> None:
    answered = await control_plane.call("GET", "/docs")
    page = answered.body.decode()
    assert answered.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answered.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=\"(?!/|#)", page)
    assert page.count("<section") == len(api.operations()) + 2
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
    for op in api.operations():
        assert f'id="{op.name}"' in page


async def test_every_problem_has_a_page(control_plane: Plane) -> None:
    for kind in errors.leaves():
        answered = await control_plane.call("GET", f"/problems/{kind.slug}")
        assert answered.status == 200, kind
        assert kind.title() in answered.body.decode()
    assert (await control_plane.call("GET", "/problems/nonsense")).status == 404


async def test_the_front_page_leads_to_the_documentation(control_plane: Plane) -> None:
    page = (await control_plane.call("GET", "/")).body.decode()
    for link in re.findall(r'href="([^"]+)"', page):
        assert (await control_plane.call("GET", link)).status == 200, link


@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")  # the service beside us does
async def test_the_service_does_what_its_document_says(control_plane: Plane) -> None:
    """Generated requests, fit and unfit, to every operation: no answer that is not documented, and none of ours."""
    document = (await control_plane.call("GET", "/openapi.json")).json
    tried = await asyncio.to_thread(_try_all, document, control_plane)
    assert set(tried) == {op.name for op in api.operations()} - HELD_OPEN
    assert all(count >= 1 for count in tried.values()), tried
    assert sum(tried.values()) >= 5 * len(tried)


def _try_all(document: dict[str, Any], plane: Plane) -> dict[str, int]:
    """How many requests each operation got."""
    by_name = {op.name: op for op in api.operations()}
    tried: dict[str, int] = {}
    loaded: Any = schemathesis.openapi.from_dict(document)
    for result in loaded.get_all_operations():
        operation = result.ok()
        name = operation.definition.raw["operationId"]
        if name in HELD_OPEN:
            continue
        worker = by_name[name].guard is guards.WORKER
        key = plane.service.hands.secret if worker else plane.admin_key
        tried[name] = sum(_try(operation, mode, plane.url, key) for mode in GenerationMode)
    return tried


def _try(operation: Any, mode: GenerationMode, url: str, key: str) -> int:
    sent = 0

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        nonlocal sent
        case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {key}"}, checks=CHECKS, timeout=30)
        sent += 1

    try:
        check()
    except Unsatisfiable:  # nothing about it can be unfit
        assert mode is GenerationMode.NEGATIVE
    return sent
