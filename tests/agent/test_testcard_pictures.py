"""The pictures themselves: repeatable, of the size ordered, with the prompt on them whatever the prompt is."""

from __future__ import annotations

from hashlib import sha256
from random import Random

import pytest
from PIL import Image, ImageChops

from agent.engine.testcard.caption import write_caption
from agent.engine.testcard.colour import Colour, mix
from agent.engine.testcard.fonts import readable
from agent.engine.testcard.layer import Stage
from agent.engine.testcard.palette import COLOURS, palette
from agent.engine.testcard.picture import paint, scene
from agent.engine.testcard.scenes import FAMILIES, family
from control_plane.wire.job import PROMPT_LENGTH_MAX, JobSpec

PROMPT_OF = {
    "sea": "a lighthouse in a storm, teal and gold",
    "city": "neon street at night in the rain",
    "forest": "forest with fireflies",
    "mountains": "snowy mountains at dawn",
    "space": "saturn before a nebula",
    "ribbons": "abstract silk",
    "mosaic": "a cat in a hat",
}


def _spec(prompt: str, width: int = 256, height: int = 192, seed: int = 7, negative: str = "") -> JobSpec:
    return JobSpec(
        kind="image",
        model="testcard",
        prompt=prompt,
        negative_prompt=negative,
        width=width,
        height=height,
        steps=4,
        seed=seed,
    )


def _drawn(spec: JobSpec) -> Image.Image:
    *_, (share, canvas) = paint(spec, spec.seed)
    assert share == 1.0
    return canvas


def _print(spec: JobSpec) -> str:
    return sha256(_drawn(spec).tobytes()).hexdigest()


def _differ(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that differ visibly."""
    grey = ImageChops.difference(one, other).convert("L")
    return sum(grey.histogram()[24:]) / (grey.width * grey.height)


def test_every_family_has_a_prompt_here() -> None:
    assert set(PROMPT_OF) == set(FAMILIES)


@pytest.mark.parametrize("wanted", PROMPT_OF)
def test_the_words_of_a_prompt_choose_the_scene(wanted: str) -> None:
    assert {family(PROMPT_OF[wanted].replace(",", "").split(), Random(seed)) for seed in range(8)} == {wanted}


@pytest.mark.parametrize("prompt", PROMPT_OF.values())
def test_the_same_order_gives_the_same_bytes_even_after_other_pictures(prompt: str) -> None:
    first = _print(_spec(prompt))
    _drawn(_spec("something else entirely", seed=99))
    assert _print(_spec(prompt)) == first


def test_seed_prompt_and_negative_prompt_each_change_the_picture() -> None:
    orders = [
        _spec("a lighthouse"),
        _spec("a lighthouse", seed=8),
        _spec("the lighthouse"),
        _spec("a lighthouse", negative="blurry"),
    ]
    assert len({_print(order) for order in orders}) == len(orders)


def test_progress_only_grows_and_ends_at_one() -> None:
    for prompt in PROMPT_OF.values():
        shares = [share for share, _ in paint(_spec(prompt), 7)]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        assert len(shares) > 5


@pytest.mark.parametrize(
    ("width", "height"), [(64, 64), (64, 512), (512, 64), (4096, 64), (64, 4096), (200, 1000), (1920, 1080)]
)
def test_pictures_have_exactly_the_size_ordered(width: int, height: int) -> None:
    for prompt in ("a lighthouse", "a city"):
        assert _drawn(_spec(prompt, width, height)).size == (width, height)


def test_the_smallest_size_works_for_every_family() -> None:
    for prompt in PROMPT_OF.values():
        assert _drawn(_spec(prompt, 64, 64)).size == (64, 64)


def test_the_prompt_is_written_at_the_foot_and_nowhere_else() -> None:
    size = (512, 384)
    colours, _ = scene(_spec("qqq"), 7, Stage(*size))
    cards = []
    for prompt in ("one thing", "another thing"):
        card = Image.new("RGB", size, (90, 110, 120))
        write_caption(card, prompt, 7, colours)
        cards.append(card)
    foot = (0, 288, *size)
    assert _differ(cards[0].crop(foot), cards[1].crop(foot)) > 0.005
    assert _differ(cards[0].crop((0, 0, 512, 288)), cards[1].crop((0, 0, 512, 288))) == 0
    assert sum(cards[0].crop(foot).convert("L").histogram()[235:]) > 50, "the letters are as good as white"


@pytest.mark.parametrize(
    "prompt",
    [
        "🦊🔥👩‍👩‍👧",
        "маяк во время шторма",
        "暴風雨の灯台",
        "منارة في العاصفة",
        "a\nb\tc\r\n\u2028d",
        "\u202eright to left\u202c \u200b\ufeff",
        "e\u0301" * 50,
        " ",
        "\u200b",
        "x" * PROMPT_LENGTH_MAX,
        "word " * (PROMPT_LENGTH_MAX // 5),
        "\U0010ffff\ue000\x01",
    ],
)
@pytest.mark.parametrize("size", [(64, 64), (320, 200)])
def test_no_prompt_is_too_odd_to_be_drawn(prompt: str, size: tuple[int, int]) -> None:
    assert _drawn(_spec(prompt, *size)).size == size


def test_a_caption_is_one_line_of_visible_characters() -> None:
    assert readable(" a\nb\u200b\tc\u202e \ufe0f") == "a b c"
    assert readable("e\u0301") == "é"


@pytest.mark.parametrize("word", ["teal", "gold", "crimson", "blue", "emerald", "violet"])
def test_a_colour_that_is_named_colours_the_scene(word: str) -> None:
    for seed in range(5):
        assert palette([word, "thing"], Random(seed)).base == COLOURS[word]


def test_the_second_colour_is_the_light_and_unwanted_colours_are_left_out() -> None:
    both = palette(["teal", "and", "gold"], Random(1))
    assert (both.base, both.light.hue) == (COLOURS["teal"], COLOURS["gold"].hue)
    unwanted, _ = scene(_spec("teal and gold", negative="teal"), 1, Stage(64, 64))
    assert unwanted.base == COLOURS["gold"]


def test_every_colour_fits_into_srgb() -> None:
    for hue in range(0, 360, 15):
        for lightness in (0.0, 0.2, 0.5, 0.8, 1.0):
            assert all(0 <= channel <= 255 for channel in Colour(lightness, 0.37, hue).rgb)
    assert mix(COLOURS["teal"], COLOURS["gold"], 0.0).rgb == COLOURS["teal"].rgb
    assert mix(COLOURS["teal"], COLOURS["gold"], 1.0).rgb == COLOURS["gold"].rgb
