"""The conversation, as tables: every command, every button, and what is told about how an order goes."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.wire.chat import Admission
from control_plane.wire.job import Progress, Typed
from control_plane.wire.model import Refusal
from frontends.bots.dialogue import payload
from frontends.bots.dialogue.commands import COMMANDS
from frontends.bots.dialogue.conversation import THEN, TROUBLES
from frontends.bots.dialogue.effects import Ask, Call, Delete, Edit, Follow, Say
from frontends.bots.dialogue.events import Filled, Picture, Sent, Unsent
from frontends.bots.dialogue.menus import FORMS, MENUS
from frontends.bots.dialogue.presses import ACTIONS, AT_ONCE
from frontends.bots.dialogue.requests import Problem, TakeIn, Translate, Translated
from frontends.bots.language.tongue import FALLBACK, tongue
from tests.fixtures.theatre import NOW, Theatre, artifact, done, job, scene

OWNER = "42"


# ---------------------------------------------------------------------------------------------- orders


def test_an_order_is_acknowledged_with_cost_place_and_expected_time(stage: Theatre) -> None:
    stage.command("generate", "a lighthouse in a storm, wide, 3 pictures, seed 42")
    stage.settle()
    order = stage.orders[0]
    assert (order.prompt, order.count, order.seed, order.model) == ("a lighthouse in a storm", 3, 42, "paint")
    assert order.width is not None
    assert order.height is not None
    assert order.width > order.height
    for part in ("1 token", "Place in line: 3", "Understood: 3 pictures"):
        assert part in stage.text, stage.text
    moment = f"<t:{int(NOW) + 40}:R>" if stage.scene.platform.markdown else "in 40 seconds"
    assert moment in stage.text
    assert [effect.job_id for effect in stage.effects if isinstance(effect, Follow)] == [str(job(1).id)]
    assert payload.read(stage.key("Cancel")) == payload.Payload("cancel", job(1).id, OWNER)


def test_plain_text_in_private_is_an_order_and_in_a_group_it_is_not() -> None:
    alone = Theatre()
    alone.say("a lighthouse")
    assert alone.calls
    crowd = Theatre(scene(group=True, chat="-100"))
    crowd.say("what do you think of lighthouses?")
    assert not crowd.effects
    crowd.say("look at this", picture=Picture(reference="holiday"))
    assert not crowd.effects
    crowd.say("a lighthouse", addressed=True)
    assert crowd.calls


def test_the_same_event_told_twice_is_one_order(stage: Theatre) -> None:
    for _ in range(3):
        stage.command("generate", "a lighthouse", id="update-7", message="u7")
        stage.settle()
    assert len(stage.orders) == 1


def test_without_words_it_is_asked_what_to_make(stage: Theatre) -> None:
    stage.command("generate")
    asked = next(effect for effect in stage.effects if isinstance(effect, Ask))
    who = stage.person()
    stage.tell(Filled(id="f1", at=NOW, who=who, form=asked.form.id, fields={"prompt": "a lighthouse"}, message="u9"))
    stage.settle()
    assert stage.orders[0].prompt == "a lighthouse"


def test_where_there_are_no_windows_a_message_is_asked_by_and_answered_even_after_a_restart() -> None:
    stage = Theatre(scene(group=True, chat="-100"))
    stage.command("generate")
    stage.settle()
    (question,) = stage.state.forms
    stage.restart()
    stage.say("a lighthouse", answers="some other message")
    assert not stage.calls
    stage.say("a lighthouse", answers=question)
    stage.settle()
    assert stage.orders[0].prompt == "a lighthouse"


def test_a_picture_with_a_caption_is_where_an_order_starts_from(stage: Theatre) -> None:
    stage.say("as a watercolour", picture=Picture(reference="photo-1"))
    taken = stage.calls[0].asked
    assert isinstance(taken, TakeIn)
    assert taken.reference == "photo-1"
    stage.settle()
    assert (stage.orders[0].prompt, stage.orders[0].input_image is not None) == ("as a watercolour", True)
    stage.command("upscale", picture=Picture(reference="photo-2"))
    stage.settle()
    assert (stage.orders[1].upscale, stage.orders[1].prompt) == (2, "")


def test_progress_edits_one_message_and_previews_come_at_few_points(stage: Theatre) -> None:
    stage.command("generate", "a lighthouse")
    stage.settle()
    for value in range(1, 100):
        stage.news(job(1, "running", progress=Progress(value=value / 100)))
    edits = [effect for effect in stage.effects if isinstance(effect, Edit)]
    assert {edit.message for edit in edits} == {"m1"}
    assert sum(bool(edit.card.media) for edit in edits) == 3
    assert "99 %" in stage.text
    assert len([effect for effect in stage.effects if isinstance(effect, Say)]) == 1


def test_a_result_takes_the_place_of_its_status_message(stage: Theatre) -> None:
    done(stage)
    assert len(stage.messages) == 1
    shown = next(iter(stage.messages.values()))
    assert len(shown.media) == 1
    assert "seed" in shown.text.lower()
    labels = {key.label for row in shown.keys for key in row}
    assert {"Again", "Vary", "Upscale", "Edit prompt", "Animate", "Original", "Info", "Share", "Delete"} <= labels
    deleted = any(isinstance(effect, Delete) for effect in stage.effects)
    assert deleted == (stage.scene.platform.ends_by == "new")
    assert stage.state.idle


def test_several_pictures_are_one_album_with_buttons_where_they_may_be(stage: Theatre) -> None:
    done(stage, count=4)
    albums = [shown for shown in stage.messages.values() if len(shown.media) == 4]
    assert len(albums) == 1
    assert albums[0].keys, "where an album has none, the skin lets them follow"
    assert sum(bool(shown.keys) for shown in stage.messages.values()) == 1


def test_what_is_too_large_is_a_link_and_what_is_no_photo_a_document() -> None:
    stage = Theatre(scene("discord", file_bytes=1_000_000))
    done(stage, artifacts=[artifact(job(1).id, bytes=9_000_000)])
    assert "https://tessera.example/artifacts" in stage.text
    photo = Theatre()
    done(photo, artifacts=[artifact(job(1).id, bytes=12_000_000), artifact(job(1).id, 1, width=9_000, height=3_000)])
    media = [one for shown in photo.messages.values() for one in shown.media]
    assert [one.shown_as for one in media] == ["document", "document"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "failed"}, ("out of memory", "cost nothing")),
        ({"status": "canceled"}, ("Canceled", "cost nothing")),
        ({"status": "expired"}, ("did not start", "cost nothing")),
    ],
)
def test_what_came_to_nothing_says_why_and_what_it_cost(
    stage: Theatre, fields: dict[str, Any], words: tuple[str, ...]
) -> None:
    stage.command("generate", "a lighthouse")
    stage.settle()
    stage.news(job(1, **fields))
    stage.settle()
    assert len(stage.messages) == 1
    assert all(word in stage.text for word in words), stage.text
    assert stage.state.idle


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("problem", "words", "button"),
    [
        (
            Problem(
                code="tokens-short",
                status=402,
                fields={"needed": 40, "available": 2, "resets_at": "2027-01-16T00:00:00Z"},
            ),
            "This costs 40 tokens, and you have 2 tokens",
            "Buy tokens",
        ),
        (Problem(code="plan-forbids", status=403), "plan does not include", "Plan"),
        (Problem(code="queue-full", status=429), "waiting as your plan allows", "Queue"),
        (Problem(code="moderated-input", status=422, fields={"category": "minors"}), "minors", None),
        (Problem(code="account-suspended", status=403), "suspended", None),
        (Problem(code="invite-needed", status=403), "invite", "Enter an invite"),
        (Problem(code="signup-closed", status=403), "Nobody new", "Link an account"),
        (Problem(code="unreachable"), "Nothing was ordered", None),
        (Problem(code="brand-new", status=418, detail="I am a teapot"), "I am a teapot", None),
    ],
)
def test_a_refusal_says_what_to_do(stage: Theatre, problem: Problem, words: str, button: str | None) -> None:
    stage.answers["Place"] = problem
    stage.command("generate", "a lighthouse")
    stage.settle()
    assert words in stage.text
    labels = [key.label for shown in stage.messages.values() for row in shown.keys for key in row]
    assert (button in labels) if button else True
    assert stage.state.idle


def test_what_a_chat_has_counted_is_given_back_when_the_order_is_refused() -> None:
    stage = Theatre(scene(group=True, chat="-100"))
    stage.answers["Admit"] = Admission(cost=1, adult=False, refusal=None, left=9)
    stage.answers["Place"] = Problem(code="queue-full", status=429)
    stage.command("generate", "a lighthouse")
    stage.settle()
    assert "GiveBack" in [type(call.asked).__name__ for call in _calls(stage)]


def test_adult_content_is_refused_where_it_may_not_be_shown_and_covered_where_it_may(stage: Theatre) -> None:
    refusal = Refusal(code="chat-forbids", status=403, detail="No adult content is made in this chat.")
    stage.answers["Admit"] = Admission(cost=1, adult=True, refusal=refusal, left=None)
    stage.command("generate", "something bare")
    stage.settle()
    assert not stage.orders
    assert "No adult content" in stage.text
    stage.answers["Admit"] = Admission(cost=1, adult=True, refusal=None, left=None)
    done(stage, adult=True)
    assert [shown.spoiler for shown in stage.messages.values() if shown.media] == [True]


# ---------------------------------------------------------------------------------------------- all together


def test_every_command_is_answered_whatever_the_api_says(stage: Theatre) -> None:
    for known in COMMANDS:
        for text in ("", "something", "all", "status"):
            before = len(stage.effects)
            stage.command(known.name, text)
            stage.settle()
            fresh = stage.effects[before:]
            assert any(isinstance(effect, Say | Ask) for effect in fresh), known.name
    assert not stage.state.pending


def test_every_continuation_and_every_sentence_exists() -> None:
    known = tongue(FALLBACK).sentences
    for command in COMMANDS:
        assert f"command.{command.name}" in known
        assert not command.text or f"option.{command.text}" in known
    assert set(TROUBLES) <= set(THEN)
    assert not set(MENUS) & {*ACTIONS, *AT_ONCE}
    assert set(FORMS)


def test_what_a_person_typed_is_escaped_where_it_could_be_markup() -> None:
    stage = Theatre(scene("discord"))
    stage.command("generate", "**bold** <@1> [x](https://evil.example)")
    stage.settle()
    assert "**bold**" not in stage.text
    assert "<@1>" not in stage.text
    assert "](" not in stage.text


def test_a_late_acknowledgement_of_nothing_changes_nothing(stage: Theatre) -> None:
    done(stage)
    before = stage.state
    stage.tell(Sent(key="end:unknown", at=NOW, message="m9"))
    stage.tell(Unsent(key="status:unknown", at=NOW, why="refused"))
    stage.news(job(1, "running"))
    assert stage.state == before


def _calls(stage: Theatre) -> list[Call]:
    return [effect for effect in stage.effects if isinstance(effect, Call)]


# ---------------------------------------------------------------------------------------------- translated


def test_what_was_typed_and_what_the_model_reads_are_both_shown_and_kept(stage: Theatre) -> None:
    stage.answers["Translate"] = Translated(text="a lighthouse in a storm", outcome="translated")
    stage.command("generate", "ein Leuchtturm im Sturm")
    stage.settle()
    assert stage.orders[0].prompt == "a lighthouse in a storm"
    assert stage.orders[0].typed == Typed(prompt="ein Leuchtturm im Sturm")
    assert "ein Leuchtturm im Sturm" in stage.text
    assert "The model reads: a lighthouse in a storm" in stage.text
    stage.answers["Look"] = job(1, "succeeded", typed=stage.orders[0].typed, prompt="a lighthouse in a storm")
    stage.press(payload.written("again", job(1).id, OWNER))
    stage.settle()
    assert stage.orders[1].prompt == "a lighthouse in a storm"
    assert stage.orders[1].typed == stage.orders[0].typed


def test_that_a_model_reads_english_is_said_once_and_never_of_what_is_raw(stage: Theatre) -> None:
    stage.answers["Translate"] = Translated(text="ein Leuchtturm", outcome="unread")
    for times in (1, 1):
        stage.command("generate", "ein Leuchtturm")
        stage.settle()
        assert sum("reads English" in shown.text for shown in stage.messages.values()) == times
    before = len(stage.effects)
    stage.command("generate", "ein Leuchtturm --raw")
    assert not any(isinstance(one, Call) and isinstance(one.asked, Translate) for one in stage.effects[before:])
