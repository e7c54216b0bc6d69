"""Buttons: found again by their ids, pressed by whom they are for, and what each of them does."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from frontends.bots.dialogue import payload
from frontends.bots.dialogue.effects import Answer, Ask, Call, Delete
from frontends.bots.dialogue.events import Filled, Unsent
from frontends.bots.dialogue.presses import ACTIONS, AT_ONCE
from frontends.bots.dialogue.requests import Cancel, Erase, Look, Place, Report, TakeIn
from tests.fixtures.theatre import HOUSE, NOW, Theatre, done, job, model, scene

OWNER = "42"


@pytest.mark.parametrize(
    ("label", "fields"),
    [
        ("Again", {"prompt": "a lighthouse", "seed": None, "input": False}),
        ("Vary", {"prompt": "a lighthouse", "strength": 0.55, "input": True}),
        ("Upscale", {"upscale": 2, "prompt": "", "input": True}),
        ("Animate", {"kind": "video", "model": "film", "prompt": "a lighthouse", "input": True}),
    ],
)
def test_a_button_under_a_result_orders_anew(stage: Theatre, label: str, fields: dict[str, Any]) -> None:
    done(stage)
    key = stage.key(label)
    fresh = Theatre(stage.scene)  # after months: nothing is remembered
    fresh.press(key)
    fresh.settle()
    order = fresh.orders[0]
    found = {name: getattr(order, name) for name in fields if name != "input"}
    assert found | {"input": order.input_image is not None} == fields


def test_the_prompt_is_edited_in_a_form_that_shows_it(stage: Theatre) -> None:
    done(stage)
    stage.press(stage.key("Edit prompt"))
    stage.settle()
    asked = [effect for effect in stage.effects if isinstance(effect, Ask)][-1]
    assert asked.form.fields[0].value == "a lighthouse"
    words = {"prompt": "a lighthouse at night, seed 9"}
    stage.tell(Filled(id="f1", at=NOW, who=stage.person(), form=asked.form.id, fields=words))
    stage.settle()
    assert (stage.orders[-1].prompt, stage.orders[-1].seed, stage.orders[-1].width) == ("a lighthouse at night", 9, 768)


def test_of_several_pictures_it_is_asked_which(stage: Theatre) -> None:
    stage.answers["Look"] = job(1, "succeeded", count=3)
    stage.press(payload.written("upscale", job(1).id, OWNER))
    stage.settle()
    assert not stage.orders
    stage.press(stage.key("2"))
    stage.settle()
    taken = next(call.asked for call in _calls(stage) if isinstance(call.asked, TakeIn))
    assert taken.artifact is not None
    assert taken.artifact.index == 1


def test_deleting_asks_first_and_erases_then(stage: Theatre) -> None:
    done(stage)
    shown = list(stage.messages)[-1]
    stage.press(stage.key("Delete"), message=shown)
    stage.settle()
    assert not any(isinstance(effect, Call) and isinstance(effect.asked, Erase) for effect in stage.effects)
    stage.press(stage.key("Delete for good"), message=list(stage.messages)[-1])
    stage.settle()
    assert any(isinstance(effect, Call) and isinstance(effect.asked, Erase) for effect in stage.effects)
    assert [face.text for face in stage.messages.values()] == ["Deleted."], "and the picture is gone from the chat"


def test_what_cannot_be_taken_away_is_told_and_so_is_what_nobody_knows_the_place_of(stage: Theatre) -> None:
    for forgotten in (False, True):
        fresh = done(Theatre(stage.scene))
        fresh.press(fresh.key("Delete"))
        fresh.settle()
        asked = list(fresh.messages)[-1]
        if forgotten:  # pressed after months
            fresh.state = structs.replace(fresh.state, doomed={})
        fresh.press(fresh.key("Delete for good"), message=asked)
        while fresh.calls:
            fresh.answer(fresh.calls[0])
        for effect in [one for one in fresh.unacknowledged if isinstance(one, Delete)]:
            fresh.unacknowledged.remove(effect)
            fresh.tell(Unsent(key=effect.key, at=NOW, why="refused"))
        fresh.settle()
        assert "could not take away" in fresh.messages[asked].text
        assert not fresh.state.pending


def test_of_an_album_without_buttons_it_is_said_that_it_stays() -> None:
    stage = Theatre(scene("telegram"))
    stage.answers["Look"] = job(1, "succeeded", count=3)
    stage.press(payload.written("delete", job(1).id, OWNER))
    stage.settle()
    asked = list(stage.messages)[-1]
    stage.press(stage.key("Delete for good"), message=asked)
    stage.settle()
    assert "could not take away" in stage.messages[asked].text


def test_what_is_shared_can_be_reported_by_whoever_sees_it(stage: Theatre) -> None:
    done(stage)
    stage.press(stage.key("Share"))
    stage.settle()
    stranger = Theatre(scene(stage.scene.platform_name, subject="77", chat="77"))
    stranger.press(stage.key("Report"))
    asked = next(effect for effect in stranger.effects if isinstance(effect, Ask))
    stranger.tell(Filled(id="f1", at=NOW, who=stranger.person(), form=asked.form.id, fields={"text": "a real person"}))
    report = stranger.calls[-1].asked
    assert isinstance(report, Report)
    assert (report.asked.job_id, report.asked.text) == (job(1).id, "a real person")


@pytest.mark.parametrize("action", sorted({*ACTIONS, *AT_ONCE} - {"report"}))
def test_nobody_presses_what_is_somebody_elses(action: str) -> None:
    stranger = Theatre(scene(group=True, chat="-100", subject="77"))
    stranger.press(payload.written(action, job(1).id, OWNER))
    stranger.settle()
    told = [effect for effect in stranger.effects if isinstance(effect, Call)]
    assert all(not isinstance(call.asked, Place | Cancel | Erase | Look | TakeIn) for call in told)
    answered = [effect.said for effect in stranger.effects if isinstance(effect, Answer)]
    assert [said.key for said in answered if said is not None] == ["toast.not_yours"]


def test_a_model_for_pictures_and_for_films_has_one_button_among_the_rules_of_a_chat() -> None:
    both = [model("ltx", "image", ["text-to-image"]), model("ltx", "video", ["text-to-video"])]
    stage = Theatre(scene("discord", group=True, chat="7"), structs.replace(HOUSE, models=tuple(both)))
    stage.command("settings", who=stage.person(is_admin=True))
    stage.settle()
    labels = [key.label for row in list(stage.messages.values())[-1].keys for key in row]
    assert labels.count("Ltx") == 1


def test_where_a_chat_shares_others_order_on_their_own_account() -> None:
    stranger = Theatre(scene(group=True, chat="-100", subject="77"))
    stranger.rules = type(stranger.rules)(shares=True)
    stranger.press(payload.written("upscale", job(1).id, OWNER))
    stranger.settle()
    calls = _calls(stranger)
    assert [call.asked.owner for call in calls if isinstance(call.asked, Look)] == ["telegram:42"]
    assert {call.identity for call in calls} == {"telegram:77"}
    assert stranger.orders[0].upscale == 2
    other = Theatre(scene(group=True, chat="-100", subject="77"))
    other.rules = stranger.rules
    for action in ("delete", "original", "share", "cancel", "erase"):
        other.press(payload.written(action, job(1).id, OWNER))
    other.settle()
    assert not [call for call in _calls(other) if isinstance(call.asked, Cancel | Erase | Look)]


@pytest.mark.parametrize("nonsense", ["", "again", "again:x", "??", "a:b:c:d:e", "again:" + "A" * 22, "x" * 99, "nö"])
def test_a_payload_that_is_none_of_ours_is_answered(stage: Theatre, nonsense: str) -> None:
    stage.press(nonsense)
    stage.settle()
    assert any(isinstance(effect, Answer) for effect in stage.effects)


def _calls(stage: Theatre) -> list[Call]:
    return [effect for effect in stage.effects if isinstance(effect, Call)]
