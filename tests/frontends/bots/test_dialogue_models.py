"""What models make a difference in: languages that they read, styles that they have, and what may be shown where."""

from __future__ import annotations

import pytest
from msgspec import structs

from control_plane.wire.job import Typed
from control_plane.wire.model import LoraView
from control_plane.wire.user import Limits, Preferences
from frontends.bots.dialogue import payload
from frontends.bots.dialogue.conversation import knows
from frontends.bots.dialogue.effects import Answer, Ask, Call
from frontends.bots.dialogue.events import Filled, Picture
from frontends.bots.dialogue.requests import TakeIn, Translate, Translated
from tests.fixtures.theatre import HOUSE, NOW, Theatre, job, model, scene

OWNER = "42"


# ---------------------------------------------------------------------------------------------- languages


def test_a_prompt_goes_to_the_translator_with_the_languages_of_its_model_and_the_words_of_its_loras() -> None:
    lora = LoraView(name="gulls", title="Many gulls", min=0.0, max=1.0, default=0.5, triggers=["gvll style"])
    bilingual = model("paint", "image", ["text-to-image"], languages=["en", "zh"], loras=[lora])
    stage = Theatre(house=structs.replace(HOUSE, models=(bilingual, *HOUSE.models[1:])))
    stage.answers["Translate"] = Translated(text="ein Leuchtturm", outcome="unread")
    stage.command("generate", "ein Leuchtturm")
    asked = [one.asked for one in stage.effects if isinstance(one, Call) and isinstance(one.asked, Translate)]
    assert [(one.reads, one.triggers) for one in asked] == [(("en", "zh"), ("gvll style",))]
    stage.settle()
    assert "This model reads English and Chinese best" in stage.text
    stage.command("video", "ein Leuchtturm")
    asked = [one.asked for one in stage.effects if isinstance(one, Call) and isinstance(one.asked, Translate)]
    assert asked[1].reads == ("en",), "it does not say"


def test_what_shall_not_be_there_is_translated_shown_and_kept_like_the_prompt(stage: Theatre) -> None:
    stage.answers["Translate"] = Translated(text="a lighthouse", unwanted="people", outcome="translated")
    stage.command("generate", "ein Leuchtturm --no Leute")
    stage.settle()
    order = stage.orders[0]
    assert (order.prompt, order.negative_prompt) == ("a lighthouse", "people")
    assert order.typed == Typed(prompt="ein Leuchtturm", negative_prompt="Leute")
    told = job(1, "succeeded", typed=order.typed, prompt="a lighthouse", negative_prompt="people")
    stage.answers["Look"] = told
    stage.press(payload.written("info", told.id, OWNER))
    stage.settle()
    for part in ("ein Leuchtturm", "The model reads: a lighthouse", "Without: people"):
        assert stage.text.count(part) == 1, stage.text
    stage.answers["Translate"] = Translated(text="a lighthouse at night", outcome="translated")
    stage.tell(
        Filled(
            id="f", at=NOW, who=stage.person(), form=payload.written("edited", told.id, OWNER), fields={"": "nachts"}
        )
    )
    stage.settle()
    assert (stage.orders[1].negative_prompt, stage.orders[1].prompt) == ("people", "a lighthouse at night")
    asked = [one.asked for one in stage.effects if isinstance(one, Call) and isinstance(one.asked, Translate)]
    assert asked[1].unwanted == "", "it has been translated"


def test_of_what_was_typed_nothing_is_lost_however_long_it_is(stage: Theatre) -> None:
    typed, unwanted = "灯塔" * 1_400, "雨" * 900
    stage.answers["Translate"] = Translated(text="a lighthouse " * 70, unwanted="rain " * 50, outcome="translated")
    stage.command("generate", f"{typed} --no {unwanted}")
    stage.settle()
    assert stage.orders[0].typed == Typed(prompt=typed, negative_prompt=unwanted)
    told = job(1, "succeeded", typed=stage.orders[0].typed, prompt="a lighthouse " * 70)
    stage.answers["Look"] = told
    stage.press(payload.written("edit", told.id, OWNER))
    stage.settle()
    asked = next(one for one in stage.effects if isinstance(one, Ask))
    assert asked.form.fields[0].value == typed


@pytest.mark.parametrize("words", ["a" * 4_001, "a lighthouse --no " + "b" * 4_001, "a lighthouse"])
def test_words_that_are_too_many_are_refused_and_none_of_them_is_lost_in_silence(stage: Theatre, words: str) -> None:
    if len(words) < 4_000:  # the translation is what is too long
        stage.answers["Translate"] = Translated(text="c" * 4_001, outcome="translated")
    stage.say(words)
    stage.settle()
    assert not stage.orders
    assert "4,001" in stage.text
    assert "4,000" in stage.text
    stage.say("a" * 4_001, picture=Picture(reference="photo"))
    stage.settle()
    assert not [one for one in stage.effects if isinstance(one, Call) and isinstance(one.asked, TakeIn)]
    stage.answers.clear()
    stage.say("a" * 4_000)
    stage.settle()
    assert [len(order.prompt) for order in stage.orders] == [4_000]


# ---------------------------------------------------------------------------------------------- styles

PIXELS = LoraView(name="pixel-art", title="Pixels", min=0.0, max=2.0, default=1.2)
STYLED = model("sprites", "image", ["text-to-image"], loras=[PIXELS])


@pytest.mark.parametrize("text", ["a cat, style pixel-art", "a cat, in the style of Pixels", "a cat --style pixel-art"])
def test_a_style_is_ordered_from_a_model_that_has_it(text: str) -> None:
    stage = Theatre(house=structs.replace(HOUSE, models=(*HOUSE.models, STYLED)))
    stage.command("generate", text)
    stage.settle()
    order = stage.orders[0]
    assert (order.prompt, order.model, order.loras) == ("a cat", "sprites", {"pixel-art": 1.2})
    assert "style pixel-art" in stage.text
    stage.answers["Look"] = job(1, "succeeded", model="sprites", loras={"pixel-art": 1.2})
    stage.press(payload.written("again", job(1).id, OWNER))
    stage.settle()
    assert stage.orders[1].loras == {"pixel-art": 1.2}
    stage.command("models")
    stage.settle()
    assert "Styles: pixel-art. For example: style pixel-art" in stage.text


def test_a_style_that_no_model_has_stays_in_the_prompt() -> None:
    stage = Theatre(house=structs.replace(HOUSE, models=(*HOUSE.models, STYLED)))
    stage.command("generate", "a cat, style watercolor")
    stage.command("generate", "a cat, style pixel-art, model paint")
    stage.command("video", "a cat, style pixel-art")
    stage.settle()
    assert [order.prompt for order in stage.orders] == ["a cat, style watercolor", *["a cat, style pixel-art"] * 2]
    assert [(order.model, order.loras) for order in stage.orders] == [("paint", {}), ("paint", {}), ("film", {})]


def test_changed_words_may_name_another_model() -> None:
    stage = Theatre(house=structs.replace(HOUSE, models=(*HOUSE.models, STYLED)))
    stage.answers["Look"] = job(1, "succeeded", model="sprites", loras={"pixel-art": 1.2})
    form = payload.written("edited", job(1).id, OWNER)
    for number, words in enumerate(("a dog", "a dog, model paint")):
        stage.tell(Filled(id=f"f{number}", at=NOW, who=stage.person(), form=form, fields={"": words}))
        stage.settle()
    assert [(one.model, one.loras) for one in stage.orders] == [("sprites", {"pixel-art": 1.2}), ("paint", {})]


# ---------------------------------------------------------------------------------------------- plans


def test_what_is_wished_is_granted_as_far_as_model_and_plan_allow_and_that_is_told(stage: Theatre) -> None:
    plan = Limits(
        running_max=1, queued_max=9, submits_per_minute=9, reads_per_minute=9, images=True, retention_days=7,
        pixels_max=512 * 512, video_seconds_max=2.0,
    )  # fmt: skip
    film = model("film", "video", ["text-to-video"], parameters={"properties": {"frames": {}, "fps": {}}})
    stage.house = structs.replace(HOUSE, models=(HOUSE.models[0], film))
    stage.state = knows(stage.state, Preferences(embed_metadata=True), plan, NOW)
    stage.command("generate", "a lighthouse, 4k")
    stage.settle()
    width, height = stage.orders[0].width, stage.orders[0].height
    assert width is not None
    assert height is not None
    assert 512 * 512 * 0.9 < width * height <= 512 * 512
    assert f"{width}x{height}" in stage.text
    stage.command("video", "a lighthouse, 4 seconds")
    stage.settle()
    assert stage.orders[1].frames == 48, "24 frames in a second"


# ---------------------------------------------------------------------------------------------- adult content


@pytest.mark.parametrize("action", ["original", "share", "show"])
def test_an_adult_result_is_shown_covered_and_only_where_that_is_allowed(action: str) -> None:
    for allowed in (False, True):
        stage = Theatre(scene("discord", adult=allowed))
        stage.answers["Look"] = job(1, "succeeded", adult=True)
        stage.press(payload.written(action, job(1).id, OWNER))
        stage.settle()
        assert [shown.spoiler for shown in stage.messages.values() if shown.media] == [True] * allowed
        said = [one.said.key for one in stage.effects if isinstance(one, Answer) and one.said is not None]
        assert ("toast.adult" in said) is not allowed


@pytest.mark.parametrize("action", ["again", "vary", "upscale", "animate"])
def test_what_is_made_of_an_adult_picture_is_adult_too(action: str) -> None:
    for allowed in (False, True):
        stage = Theatre(scene("discord", adult=allowed))
        stage.answers["Look"] = job(1, "succeeded", adult=True)
        stage.press(payload.written(action, job(1).id, OWNER))
        stage.settle()
        assert [order.adult for order in stage.orders] == [True] * allowed
        assert ("No adult content" in stage.text) is not allowed
