"""The catalogue: what a program needs to know about a model before it orders anything of it."""

from __future__ import annotations

import json
from typing import Any, LiteralString

import jsonschema_rs
import psycopg
import pytest
from jsonschema_rs import meta

from control_plane.wire.job import SubmitRequest
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.worker import Answered

KNOWN = {"prompt": "x", "model": "testcard"}


async def _models(plane: Plane, **headers: str) -> Answered:
    return await plane.call("GET", f"{API}/models", headers=headers)


async def _model(plane: Plane, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(model for model in (await _models(plane)).json["data"] if model["kind"] == kind)
    return found


@pytest.mark.parametrize("kind", ["image", "video"])
async def test_the_schema_of_a_model_and_the_service_agree_on_what_fits(control_plane: Plane, kind: str) -> None:
    model = await _model(control_plane, kind)
    schema = model["parameters"]
    meta.validate(schema)
    validator = jsonschema_rs.validator_for(schema)
    key = await control_plane.user_key()
    base = KNOWN | ({"kind": "video"} if kind == "video" else {})
    orders: list[dict[str, Any]] = [
        base,
        base | {"width": 512, "height": 64, "seed": 2**53 - 1, "count": 4, "guidance": 0, "metadata": {"a": "b"}},
        base | {"steps": model["steps_max"]},
        base | {"steps": model["steps_max"] + 1},
        base | {"width": 60},
        base | {"width": 100},
        base | {"width": 4104},
        base | {"seed": -1},
        base | {"count": 5},
        base | {"guidance": 31},
        base | {"prompt": ""},
        base | {"prompt": "x" * 4_001},
        base | {"sampler": "A B"},
        base | {"metadata": {"a": 1}},
        base | {"nonsense": 1},
        base | {"model": "another"},
        base | {"frames": model["frames_max"] or 8},
        base | {"frames": (model["frames_max"] or 8) + 1},
        base | {"fps": 12},
        base | {"embed_metadata": False},
        {name: value for name, value in base.items() if name != "prompt"},
    ]
    fits = 0
    for order in orders:
        answered = await control_plane.call("POST", f"{API}/jobs?dry_run=1", key, order)
        assert answered.status in (200, 422), answered.body
        fits += answered.status == 200
        assert validator.is_valid(order) is (answered.status == 200), (order, answered.body)
    assert 4 <= fits <= len(orders) - 4


async def test_the_schema_has_every_field_that_its_model_knows_and_its_defaults(control_plane: Plane) -> None:
    picture, film = await _model(control_plane, "image"), await _model(control_plane, "video")
    fields = set(SubmitRequest.__struct_fields__)
    elsewhere = {"frames", "fps", "input_image", "strength", "upscale", "loras"}
    assert fields - set(picture["parameters"]["properties"]) <= elsewhere
    assert {"frames", "fps"} <= set(film["parameters"]["properties"])
    for model in (picture, film):
        told = model["parameters"]["properties"]
        for name in ("width", "height", "steps", "guidance"):
            assert told[name]["default"] == model[name]
    assert "#/components" not in json.dumps(picture["parameters"])


async def test_the_catalogue_is_not_sent_again_while_it_is_the_same(control_plane: Plane, owner_url: str) -> None:
    changes: dict[str, LiteralString] = {
        f"{API}/models": "update models set title = 'Another title'",
        f"{API}/plans": "update plans set price_cents = 7 where name = 'house'",
    }
    for path, change in changes.items():
        first = await control_plane.call("GET", path)
        assert first.headers["Cache-Control"] == "public, max-age=5"
        known = {"If-None-Match": first.headers["ETag"]}
        again = await control_plane.call("GET", path, headers=known)
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert (await control_plane.call("GET", path, headers={"If-None-Match": '"another"'})).status == 200
        with psycopg.connect(owner_url, autocommit=True) as connection:
            connection.execute(change)
        changed = await eventually(
            lambda path=path, known=known: control_plane.call("GET", path, headers=known),  # type: ignore[misc]
            lambda answered: answered.status == 200,
        )
        assert changed.headers["ETag"] != first.headers["ETag"]


async def test_a_model_says_whether_somebody_serves_it_and_how_long_it_typically_takes(
    control_plane: Plane, owner_url: str
) -> None:
    before = await _model(control_plane, "image")
    assert (before["feasible_now"], before["typical_seconds"]) == (False, None)
    await control_plane.service.hands.claim()
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(
            """update lanes set run_tokens = '{1,1,1,1,1,40}', run_seconds = '{2,3,4,5,6,900}'
            where model = 'testcard' and kind = 'image' and not sandbox"""
        )

    async def model() -> dict[str, Any]:
        return await _model(control_plane, "image")

    seen = await eventually(model, lambda model: model["feasible_now"] and model["typical_seconds"] is not None)
    assert (seen["example_cost"], seen["typical_seconds"]) == (1, 4)
