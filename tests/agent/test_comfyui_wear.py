"""When a ComfyUI of ours is started again, when it is worn, and when a slot may prove itself: decisions, by numbers."""

from __future__ import annotations

from agent.distrust import Distrust
from agent.engine.comfyui.restarts import (
    CAP_SECONDS,
    COOL_SECONDS,
    STABLE_SECONDS,
    STARTS_MAX,
    WARM_JOBS,
    Restarts,
    Wear,
)

GIB = 1024**3


def test_the_first_restart_is_at_once_and_pauses_double_until_only_a_slow_pace_is_left() -> None:
    restarts, pauses = Restarts(), []
    for _ in range(STARTS_MAX + 3):
        restarts.ended(100.0, 1.0, chance=1.0)
        pauses.append(restarts.wait_seconds(100.0))
    assert pauses[:STARTS_MAX] == [0.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert pauses[STARTS_MAX:] == [COOL_SECONDS] * 3
    assert max(pauses[:STARTS_MAX]) <= CAP_SECONDS
    restarts.ended(100.0, STABLE_SECONDS)
    assert (restarts.in_a_row, restarts.wait_seconds(100.0)) == (1, 0.0)


def test_pauses_are_drawn_so_that_several_cards_do_not_start_in_step() -> None:
    restarts = Restarts()
    restarts.ended(0.0, 1.0)
    pauses = set()
    for _ in range(20):
        restarts.in_a_row = 3
        restarts.ended(0.0, 1.0)
        pauses.add(restarts.wait_seconds(0.0))
    assert len(pauses) > 10
    assert all(0.0 <= pause <= 8.0 for pause in pauses)


def test_memory_that_a_new_model_takes_is_no_wear_and_what_creeps_up_afterwards_is() -> None:
    wear = Wear(0, 4 * GIB)
    for gib in (6, 7, 7, 7):
        wear.add("sd15", gib * GIB)
    wear.add("sdxl", 20 * GIB)
    for _ in range(WARM_JOBS):
        wear.add("sdxl", 21 * GIB)
    assert wear.reason() is None
    wear.add("sd15", 25 * GIB)
    assert wear.reason() is None
    wear.add("sd15", 26 * GIB)
    assert wear.reason() == "it holds 5.0 GiB more than when it was warm"


def test_what_is_not_known_or_not_wanted_is_no_wear() -> None:
    wear = Wear(0, 0)
    for _ in range(50):
        wear.add("sd15", 0)
    assert wear.reason() is None
    wear = Wear(0, GIB)
    for _ in range(50):
        wear.add("sd15", 0)
    assert wear.reason() is None


def test_a_slot_that_is_quarantined_again_without_a_job_done_waits_twice_as_long() -> None:
    distrust, waits = Distrust(30.0), []
    for _ in range(3):
        distrust.begin(0.0)
        waits.append(distrust.wait_seconds(0.0))
        distrust.proven()
        distrust.begin(0.0)
        assert not distrust.is_on, "the control plane has not heard of the proof yet"
        distrust.told()
    assert waits == [30.0, 60.0, 120.0]
    distrust.forget()
    distrust.begin(0.0)
    assert distrust.wait_seconds(10.0) == 20.0
