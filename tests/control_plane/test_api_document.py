"""The API document and its page: valid and complete. What the service does: `test_api_conformance.py`."""

from __future__ import annotations

import re
from typing import Any

from jsonschema_rs import meta

from control_plane import api, app, errors
from control_plane.api import openai
from control_plane.settings import Settings
from tests.fixtures.api import Plane


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
