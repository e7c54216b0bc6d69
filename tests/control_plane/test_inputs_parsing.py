"""What strangers send is read without surprises: headers of pictures, and forms however they are cut into pieces."""

from __future__ import annotations

import asyncio
import io
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.api import forms
from control_plane.errors import Invalid, Malformed, TesseraError, TooLarge
from control_plane.files import intake
from control_plane.wire.input import INPUT_PIXELS_MAX, INPUT_TYPES
from tests.fixtures.pictures import drawn, encoded

SAMPLES = [encoded(drawn((300, 200)), kind) for kind in ("PNG", "JPEG", "WEBP")]
BOUNDARY = b"--boundary"
NEARLY = [b"\r\n--", b"\r\n--" + BOUNDARY[:-1], b"\r" * 50, b"--" + BOUNDARY]
"""What looks like the end of a part, and is none."""


def judged(data: bytes) -> str:
    """The type that headers promise, or the code of what is wrong with them; nothing else may happen."""
    try:
        media = intake.judge(io.BytesIO(data))
    except Invalid as refused:
        faults: Any = refused.fields["errors"]
        return str(faults[0]["code"])
    assert 0 < media.width * media.height <= INPUT_PIXELS_MAX
    return media.mime_type


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(
    whole=st.sampled_from(SAMPLES),
    changes=st.dictionaries(st.integers(0, 150), st.integers(0, 255), max_size=12),
    cut=st.none() | st.integers(0, 600),
    more=st.binary(max_size=40),
)
def test_whatever_headers_say_they_are_judged_within_the_limits(
    whole: bytes, changes: dict[int, int], cut: int | None, more: bytes
) -> None:
    data = bytearray(whole)
    for at, value in changes.items():
        data[at] = value
    told = judged(bytes(data[:cut]) + more)
    assert told in (*INPUT_TYPES, "missing", "not_a_picture", "too_large")


@given(st.binary(max_size=300))
def test_noise_is_no_picture(noise: bytes) -> None:
    assert judged(noise) in ("missing", "not_a_picture")


def test_samples_are_what_they_are() -> None:
    assert [judged(data) for data in SAMPLES] == ["image/png", "image/jpeg", "image/webp"]


def body_of(data: bytes, field: str = "file") -> bytes:
    head = f'Content-Disposition: form-data; name="{field}"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + data + b"\r\n--" + BOUNDARY + b"--\r\n"


async def received(pieces: list[bytes], bytes_max: int = 10_000) -> bytes:
    """What the form brings, as it comes in these pieces."""
    waiting = list(pieces)

    async def receive() -> Any:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    headers = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]
    scope: Any = {"type": "http", "headers": headers}
    return b"".join([part async for part in forms.file(scope, receive, bytes_max)])


def cut_up(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, *(place % len(data) for place in at), len(data)})
    return [data[start:end] for start, end in pairwise(places)]


@settings(max_examples=200)
@given(
    data=st.binary(max_size=200)
    | st.sampled_from([b"\r\n--", b"\r\n--" + BOUNDARY[:-1], b"\r" * 50, b"--" + BOUNDARY]),
    at=st.lists(st.integers(0, 10_000), max_size=30),
)
def test_a_file_in_a_form_arrives_as_it_was_however_it_is_cut(data: bytes, at: list[int]) -> None:
    assert asyncio.run(received(cut_up(body_of(data), at))) == data


@settings(max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8))
def test_a_form_of_noise_is_refused_in_words(pieces: list[bytes]) -> None:
    with pytest.raises(TesseraError) as refused:
        asyncio.run(received(pieces))
    assert isinstance(refused.value, Malformed | Invalid | TooLarge)


def test_a_form_is_bounded_as_a_whole() -> None:
    with pytest.raises(TooLarge):
        asyncio.run(received(cut_up(body_of(bytes(20_000)), [100, 9_000]), bytes_max=10_000))
    with pytest.raises(Invalid, match="Only 'file' belongs"):
        asyncio.run(received([body_of(b"x", field="other")]))
