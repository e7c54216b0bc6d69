"""A refusal helps: it lists what would have fit, knows the name that was meant, and speaks of no regular expression."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec.inspect as shapes
import pytest
from msgspec.json import Decoder

from control_plane import api
from control_plane.api import advice, decoding
from control_plane.api.operation import Operation
from control_plane.errors import Invalid
from control_plane.wire.job import SubmitRequest
from control_plane.wire.openai import ImageRequest


def refusal(kind: Any, body: object) -> str:
    with pytest.raises(Invalid) as refused:
        decoding.body(json.dumps(body).encode(), Decoder(kind))
    faults: Any = refused.value.fields["errors"]
    assert len(faults) == 1
    return str(faults[0].detail)


def operation(name: str) -> Operation:
    return next(op for op in api.operations() if op.name == name)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (SubmitRequest, {"widht": 512}, "Did you mean `width`?"),
        (SubmitRequest, {"typed": {"promt": "x"}}, "Did you mean `prompt`?"),
        (SubmitRequest, {"kind": "picture"}, "Possible: image, video."),
        (SubmitRequest, {"upscale": 3}, "Possible: 2, 4."),
        (SubmitRequest, {"model": "SDXL!"}, "Must consist of a-z, 0-9"),
        (ImageRequest, {"prompt": "x", "size": "large"}, "like `1024x768`, or `auto`"),
        (ImageRequest, {"prompt": "x", "quality": "best"}, "Possible: "),
    ],
)
def test_a_refused_field_says_what_would_have_fit(kind: Any, body: object, words: str) -> None:
    assert words in refusal(kind, body)


def test_inside_of_a_list_too() -> None:
    batch = operation("submit_batch").body
    assert refusal(batch, {"jobs": [{"prompt": "x"}, {"prompt": "x", "sead": 1}]}).endswith("Did you mean `seed`?")
    hook = operation("create_webhook").body
    assert "job.succeeded" in refusal(hook, {"url": "https://receiver.invalid/", "events": ["done"]})


def test_nothing_is_guessed_of_a_name_that_is_like_none() -> None:
    assert refusal(SubmitRequest, {"zzz": 1}) == "Object contains unknown field `zzz`."


def test_a_parameter_too() -> None:
    with pytest.raises(Invalid, match=r"Possible: canceled, canceling, .*queued"):
        decoding.query(b"status=done", operation("list_jobs").query)


def patterns(shape: shapes.Type) -> Iterator[str]:
    for part in (*getattr(shape, "types", ()), getattr(shape, "item_type", None), getattr(shape, "key_type", None)):
        if part is not None:
            yield from patterns(part)
    if isinstance(shape, shapes.DictType):
        yield from patterns(shape.value_type)
    if isinstance(shape, shapes.StructType):
        for field in shape.fields:
            yield from patterns(field.type)
    if isinstance(shape, shapes.StrType) and shape.pattern is not None:
        yield shape.pattern


def test_every_pattern_of_a_request_has_its_words() -> None:
    kinds = [kind for op in api.operations() for kind in (op.body, op.query, op.form) if kind is not None]
    found = {repr(pattern)[1:-1] for kind in kinds for pattern in patterns(shapes.type_info(kind))}
    assert len(found) >= 10
    assert found <= set(advice.PATTERNS)
