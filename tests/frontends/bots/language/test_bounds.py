"""An order is as much of the wishes as the model and the plan allow, and what is less is told."""

from __future__ import annotations

from math import isclose
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.api.parameters import parameters
from control_plane.orders.models import Model
from control_plane.wire.job import SubmitRequest
from frontends.bots.language.bounds import LONG_SIDES, RATIOS, Bounds, Clipped, bounded, wished_size
from frontends.bots.language.wishes import SIDES, Wishes

MEGAPIXEL = 1_048_576


def bounds_of(model: Model, pixels_max: int = MEGAPIXEL, **more: Any) -> Bounds:
    """As the models endpoint tells of a model."""
    schema = parameters(model)
    return Bounds(schema=schema, width=model.width, height=model.height, pixels_max=pixels_max, fps=model.fps, **more)


PAINTER = Model(
    name="painter", kind="image", title="Painter", vram_gib=8, weight=1, width=1_024, height=1_024,
    pixels_max=4 * MEGAPIXEL, steps=30, steps_max=50, guidance=7, frames=None, frames_max=None, fps=None, paused=False,
    feasible_now=True, tasks=["text-to-image", "image-to-image"], upscales=[],
    languages=["en"],
)  # fmt: skip
CAMERA = msgspec.structs.replace(
    PAINTER, name="camera", kind="video", width=832, height=480, pixels_max=MEGAPIXEL, frames=49, frames_max=161, fps=16
)


def test_what_is_allowed_is_ordered_as_it_was_said() -> None:
    wishes = Wishes(width=768, height=512, count=3, seed=42, steps=20, guidance=5.5, negatives=("people", "text"))
    order = bounded(wishes, bounds_of(PAINTER))
    assert order.clipped == ()
    assert order.fields.pop("negative_prompt") == "people, text"
    assert order.fields == {"width": 768, "height": 512, "count": 3, "seed": 42, "steps": 20, "guidance": 5.5}


def test_nothing_said_is_nothing_ordered() -> None:
    assert bounded(Wishes(), bounds_of(PAINTER)).fields == {}
    assert bounded(Wishes(model="painter", raw=True, kind="image"), bounds_of(PAINTER)).fields == {}


def test_numbers_are_clipped_to_what_the_model_takes_and_that_is_told() -> None:
    order = bounded(Wishes(count=9, steps=300, guidance=80, seed=7), bounds_of(PAINTER))
    assert order.fields == {"count": 4, "steps": 50, "guidance": 30, "seed": 7}
    assert order.clipped == (Clipped("count", "9", "4"), Clipped("steps", "300", "50"), Clipped("guidance", "80", "30"))


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        ("wide", (1_368, 768)),
        ("square", (1_024, 1_024)),
        ("portrait", (840, 1_256)),
        ("9:16", (768, 1_368)),
        ("2:1", (1_448, 728)),
    ],
)
def test_a_shape_has_as_many_pixels_as_the_model_makes(aspect: str, size: tuple[int, int]) -> None:
    order = bounded(Wishes(aspect=aspect), bounds_of(PAINTER, 4 * MEGAPIXEL))
    assert (order.fields["width"], order.fields["height"]) == size
    assert order.clipped == ()


def test_4k_is_as_large_as_the_plan_allows() -> None:
    order = bounded(Wishes(side="4k", aspect="16:9"), bounds_of(PAINTER, MEGAPIXEL))
    assert (order.fields["width"], order.fields["height"]) == (1_360, 768)
    assert order.clipped == (Clipped("size", "3840x2160", "1360x768"),)
    whole = bounded(Wishes(side="1080p", aspect="tall"), bounds_of(PAINTER, 4 * MEGAPIXEL))
    assert (whole.fields["width"], whole.fields["height"]) == (1_080, 1_920)
    assert whole.clipped == ()


def test_one_side_brings_the_other() -> None:
    order = bounded(Wishes(width=1_024, aspect="2:1"), bounds_of(PAINTER))
    assert (order.fields["width"], order.fields["height"]) == (1_024, 512)
    assert bounded(Wishes(height=512), bounds_of(PAINTER)).fields == {"width": 512, "height": 512}


def test_a_size_that_is_no_multiple_of_eight_is_rounded_without_a_word() -> None:
    order = bounded(Wishes(width=1_001, height=700), bounds_of(PAINTER))
    assert order.fields == {"width": 1_000, "height": 704}
    assert order.clipped == ()


def test_a_film_is_as_long_as_model_and_plan_allow() -> None:
    assert bounded(Wishes(seconds=3, fps=16), bounds_of(CAMERA)).fields == {"fps": 16, "frames": 48}
    long = bounded(Wishes(seconds=30), bounds_of(CAMERA))
    assert long.fields == {"frames": 161}
    assert long.clipped == (Clipped("seconds", "30", "10.1"),)
    planned = bounded(Wishes(frames=100), bounds_of(CAMERA, video_seconds_max=5))
    assert planned.fields == {"frames": 80}
    assert planned.clipped == (Clipped("frames", "100", "80"),)
    assert bounded(Wishes(frames=48, seconds=2), bounds_of(CAMERA)).fields == {"fps": 24, "frames": 48}
    assert bounded(Wishes(fps=90), bounds_of(CAMERA)).clipped == (Clipped("fps", "90", "60"),)


def test_what_the_model_has_no_field_for_is_dropped_and_told() -> None:
    order = bounded(Wishes(seconds=5, fps=24, steps=20), bounds_of(PAINTER))
    assert order.fields == {"steps": 20}
    assert order.clipped == (Clipped("seconds", "5", ""), Clipped("fps", "24", ""))
    plain = msgspec.structs.replace(PAINTER, tasks=["text-to-image"])
    assert bounded(Wishes(strength=0.5), bounds_of(plain)).clipped == (Clipped("strength", "0.5", ""),)


WISHES = st.builds(
    Wishes,
    count=st.none() | st.integers(1, 99),
    aspect=st.none() | st.sampled_from([*RATIOS, "1:100", "100:1", "16:9"]),
    side=st.none() | st.sampled_from(SIDES),
    steps=st.none() | st.integers(1, 999),
    guidance=st.none() | st.floats(0, 99),
    strength=st.none() | st.floats(0, 1),
    seconds=st.none() | st.floats(0.1, 600),
    fps=st.none() | st.integers(1, 240),
)
SIZES = st.builds(Wishes, width=st.integers(64, 16_384), height=st.integers(64, 16_384) | st.none())


@settings(max_examples=300, deadline=None)
@given(WISHES | SIZES, st.sampled_from([PAINTER, CAMERA]), st.sampled_from([MEGAPIXEL // 4, MEGAPIXEL, 4 * MEGAPIXEL]))
def test_whatever_was_wished_can_be_ordered(wishes: Wishes, model: Model, pixels_max: int) -> None:
    pixels = min(pixels_max, model.pixels_max)
    bounds = bounds_of(model, pixels, video_seconds_max=8.0)
    fields = bounded(wishes, bounds).fields
    order = msgspec.convert({"prompt": "a fox", "kind": model.kind, **fields}, SubmitRequest)
    if order.width and order.height:
        assert order.width * order.height <= pixels
        wished = wished_size(wishes, bounds)
        assert wished is not None
        if min(order.width, order.height) > 4 * 64:
            assert isclose(order.width / order.height, wished[0] / wished[1], rel_tol=0.08)
    assert (order.steps or 1) <= model.steps_max
    assert (order.frames or 1) <= (model.frames_max or 1)
    assert (order.frames or 0) / (order.fps or model.fps or 1) <= 8.0 or order.frames == 1


def test_every_shape_and_side_of_the_grammar_has_pixels() -> None:
    assert set(LONG_SIDES) == set(SIDES)
    assert all(bounded(Wishes(aspect=aspect), bounds_of(PAINTER)).fields for aspect in RATIOS)
