"""Every operation is shown: a request that would be accepted, and each answer and each problem as it would come."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from html import unescape
from typing import Any

import jsonschema_rs
import msgspec

from control_plane import api, app, errors
from control_plane.api import document, openai_errors, reference_requests
from control_plane.api.operation import Nothing, Operation
from control_plane.settings import Settings
from tests.fixtures.api import Plane

Json = dict[str, Any]
URL = "https://tessera.example"
SHOWN_AS_TEXT = {
    *("text/event-stream", "text/plain", "text/html", "text/javascript"),
    *("text/x-shellscript", "application/x-pem-file"),
}
NOT_SHOWN = ("image/", "video/", "application/octet-stream", "application/zip")
"""Bytes that no text can show."""


@cache
def described() -> Json:
    return app.openapi(Settings())


def operations() -> Iterator[tuple[str, str, Json]]:
    for path, methods in described()["paths"].items():
        for method, op in methods.items():
            yield method, path, op


def declared(op: Json) -> Operation:
    return next(one for one in api.operations() if one.name == op["operationId"])


def fits(value: object, schema: Json) -> None:
    whole = {**schema, "components": {"schemas": described()["components"]["schemas"]}}
    jsonschema_rs.validator_for(whole).validate(value)


def test_every_operation_says_what_it_does_and_who_may_call_it() -> None:
    for _, _, op in operations():
        assert op["summary"]
        assert re.search(r"no credential is needed|[Nn]eeds ", op["description"]), op["operationId"]


def test_every_request_is_shown_by_one_that_is_accepted() -> None:
    shown = 0
    for _, _, op in operations():
        if declared(op).body is Nothing:
            continue
        content = op["requestBody"]["content"]["application/json"]
        fits(content["example"], content["schema"])
        msgspec.json.decode(json.dumps(content["example"]).encode(), type=declared(op).body)
        shown += 1
    assert shown > 12


def test_every_answer_is_shown_as_its_schema_says() -> None:
    shown = 0
    for _, _, op in operations():
        for told in op["responses"].values():
            for media_type, content in told.get("content", {}).items():
                if media_type == "application/json" and "example" in content:
                    fits(content["example"], content["schema"])
                elif "examples" in content:
                    continue  # problems: below
                elif media_type in SHOWN_AS_TEXT:
                    assert content["example"], op["operationId"]
                else:
                    assert media_type.startswith(NOT_SHOWN) or op["operationId"] == "get_openapi", (
                        op["operationId"],
                        media_type,
                    )
                shown += 1
        assert any(int(status) < 400 for status in op["responses"])
    assert shown > 60


def test_every_problem_that_may_come_is_shown_under_its_status() -> None:
    shown = set()
    for _, path, op in operations():
        foreign = openai_errors.speaks(path)
        kinds = {kind.slug: kind for kind in document.problems_of(declared(op))}
        found = {
            slug: (status, described()["components"]["examples"][reference["$ref"].rpartition("/")[2]]["value"])
            for status, told in op["responses"].items()
            for content in told.get("content", {}).values()
            for slug, reference in content.get("examples", {}).items()
        }
        assert set(found) == set(kinds), op["operationId"]
        for slug, (status, value) in found.items():
            told = openai_errors.told(kinds[slug])
            fits(value, {"$ref": f"#/components/schemas/{'ErrorBody' if foreign else 'Problem'}"})
            assert int(status) == (told.status if foreign else value["status"])
            assert (value["error"]["code"] if foreign else value["code"]) == (told.code if foreign else slug)
            shown.add(slug)
    assert len(shown) > 30


def test_the_lines_to_try_can_be_read_by_a_shell_and_by_python() -> None:
    for method, path, op in operations():
        words = shlex.split(reference_requests.curl(method, path, op, URL).replace("\\\n", ""))
        assert words[0] == "curl"
        if "-d" in words:
            body = words[words.index("-d") + 1]
            msgspec.json.decode(body.encode(), type=declared(op).body)
        compile(reference_requests.python(method, path, op, URL), op["operationId"], "exec")


async def test_the_page_shows_all_of_it(control_plane: Plane) -> None:
    page = unescape((await control_plane.call("GET", "/docs")).body.decode())
    for method, path, op in operations():
        assert reference_requests.curl(method, path, op, control_plane.url) in page
        assert reference_requests.python(method, path, op, control_plane.url) in page
        for told in op["responses"].values():
            for media_type, content in told.get("content", {}).items():
                if media_type == "application/json" and "example" in content:
                    assert json.dumps(content["example"], indent=2, ensure_ascii=False) in page
                for slug in content.get("examples", {}):
                    assert f'<a href="/problems/{slug}">' in page


async def test_the_page_of_every_problem_shows_it(control_plane: Plane) -> None:
    for kind in errors.leaves():
        page = unescape((await control_plane.call("GET", f"/problems/{kind.slug}")).body.decode())
        blocks = [json.loads(block) for block in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)]
        assert len(blocks) == 2
        assert (blocks[0]["code"], blocks[0]["status"]) == (kind.slug, kind.status)
        assert blocks[1]["error"]["message"] == blocks[0]["detail"]
