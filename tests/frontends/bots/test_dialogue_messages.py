"""Messages that tell how an order goes: sent late, lost, taken away, at their end, and through which bot."""

from __future__ import annotations

import pytest

from frontends.bots.dialogue.effects import Delete, Say, Timer
from frontends.bots.dialogue.events import Expiring, Passed, Sent, Unsent
from tests.fixtures.theatre import NOW, Theatre, job, scene


def test_an_end_that_comes_before_the_status_message_is_told_once_that_is_there(stage: Theatre) -> None:
    stage.command("generate", "a lighthouse")
    while stage.calls:
        stage.answer(stage.calls[0])
    stage.news(job(1, "succeeded"))
    stage.settle()
    assert len(stage.messages) == 1
    assert stage.state.idle


def test_a_status_message_that_nobody_can_find_any_more_is_left_alone_and_the_end_is_told() -> None:
    stage = Theatre()
    stage.command("generate", "a lighthouse")
    while stage.calls:
        stage.answer(stage.calls[0])
    (status,) = stage.unacknowledged
    stage.unacknowledged.clear()
    stage.tell(Sent(key=status.key, at=stage.now, message=""))  # it was sent, and its answer was lost for good
    stage.news(job(1, "succeeded"))
    stage.settle()
    assert [bool(shown.media) for shown in stage.messages.values()] == [True]
    assert stage.state.idle


@pytest.mark.parametrize("comes", [True, False], ids=["it comes", "it never does"])
def test_an_end_that_is_given_up_while_the_status_message_is_on_its_way_is_said_there(comes: bool) -> None:
    stage = Theatre()
    stage.command("generate", "a cat")
    while stage.calls:
        stage.answer(stage.calls[0])
    (status,) = stage.unacknowledged
    stage.news(job(1, "succeeded"))
    for _ in range(2):  # neither with its files nor by links
        (end,) = [effect for effect in stage.unacknowledged if effect is not status]
        stage.unacknowledged.remove(end)
        stage.tell(Unsent(key=end.key, at=stage.now, why="too_large"))
    stage.restart()
    (status,) = stage.unacknowledged
    if comes:
        stage.arrive(status)
        assert "/history" in stage.text
    else:
        stage.unacknowledged.clear()
        stage.tell(Unsent(key=status.key, at=stage.now, why="refused"))
    assert [shown.keys for shown in stage.messages.values()] == [[]] * comes
    assert stage.state.idle


def test_a_message_that_is_to_be_taken_away_is_after_a_restart() -> None:
    stage = Theatre()
    stage.command("generate", "a lighthouse")
    stage.settle()
    stage.news(job(1, "succeeded"))
    (end,) = stage.unacknowledged
    stage.arrive(end)
    assert len(stage.messages) == 2, "the program dies before it takes the old one away"
    stage.restart()
    stage.settle()
    assert [bool(shown.media) for shown in stage.messages.values()] == [True]
    assert stage.state.idle


def test_a_message_that_cannot_be_taken_away_shows_no_longer_what_is_over() -> None:
    stage = Theatre(scene("telegram"))
    stage.say("a cat")
    while not stage.messages:
        stage.answer(stage.calls[0]) if stage.calls else stage.arrive(stage.unacknowledged[0])
    [status] = stage.messages
    assert stage.key("Cancel")
    stage.news(job(1, "succeeded"))
    while not isinstance(stage.unacknowledged[0], Delete):
        stage.arrive(stage.unacknowledged[0])
    refused = stage.unacknowledged.pop(0)
    stage.tell(Unsent(key=refused.key, at=NOW, why="refused"))
    assert stage.messages[status].text == "This goes on below."
    assert not stage.messages[status].keys


def test_an_end_that_overtakes_the_status_message_takes_it_away_when_it_comes() -> None:
    stage = Theatre()
    stage.command("generate", "a lighthouse")
    while stage.calls:
        stage.answer(stage.calls[0])
    (status,) = stage.unacknowledged
    stage.news(job(1, "succeeded"))
    stage.arrive(stage.unacknowledged[-1])
    assert not stage.state.idle, "a message is still on its way"
    stage.arrive(status)
    stage.settle()
    assert [bool(shown.media) for shown in stage.messages.values()] == [True]
    assert stage.state.idle


def test_a_long_job_moves_to_a_message_that_lasts_before_its_token_ends() -> None:
    stage = Theatre(scene("discord"))
    stage.command("video", "a lighthouse")
    stage.settle()
    stage.tell(Expiring(at=NOW + 840, message="m1"))
    moved = next(effect for effect in stage.unacknowledged if isinstance(effect, Say))
    assert moved.lasting
    stage.news(job(1, "succeeded"))
    stage.settle()
    assert "goes on below" in stage.messages["m1"].text
    assert stage.messages["m2"].media
    assert stage.state.idle


def test_a_message_that_ends_moves_in_time_also_after_a_restart() -> None:
    stage = Theatre(scene("discord"))
    stage.command("video", "a lighthouse")
    while stage.calls:
        stage.answer(stage.calls[0])
    (status,) = stage.unacknowledged
    stage.unacknowledged.clear()
    stage.tell(Sent(key=status.key, at=NOW, message=stage.deliver(status), ends_at=NOW + 900))
    timers = [effect for effect in stage.effects if isinstance(effect, Timer)]
    assert [timer.at for timer in timers] == [NOW + 840]
    assert timers == [effect for effect in stage.restart() if isinstance(effect, Timer)]
    stage.tell(Passed(key=timers[0].key, at=NOW + 840))
    (moved,) = stage.unacknowledged
    assert isinstance(moved, Say)
    assert moved.lasting
    stage.settle()
    assert stage.tell(Passed(key=timers[0].key, at=NOW + 841)) == []


def test_through_another_bot_of_the_same_person_when_this_one_is_gone(stage: Theatre) -> None:
    stage.command("generate", "a lighthouse")
    stage.settle()
    stage.news(job(1, "succeeded"))
    (end,) = stage.unacknowledged
    stage.unacknowledged.clear()
    stage.tell(Unsent(key=end.key, at=NOW, why="bot_gone", others=["film", "third"]))
    (again,) = stage.unacknowledged
    assert isinstance(again, Say)
    assert again.through == "film"
    stage.unacknowledged.clear()
    stage.tell(Unsent(key=again.key, at=NOW, why="blocked", others=["film", "third"]))
    (last,) = stage.unacknowledged
    assert isinstance(last, Say)
    assert last.through == "third"
    stage.tell(Unsent(key=last.key, at=NOW, why="blocked", others=["film", "third"]))
    assert stage.state.idle, "it waits in the history"
