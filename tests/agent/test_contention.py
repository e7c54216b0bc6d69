"""Whether somebody else wants the GPU: noticed in seconds, never imagined, and not forgotten too soon."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.gpu.contention import HOARD_FACTOR, QUIET_PERCENT_MAX, USED_PERCENT_MIN, Limits, Seen, Watch, follow

LIMITS = Limits(memory_mib=768, quiet_seconds=60)
STEP_SECONDS = 1.3
"""A look each second, and what nvidia-smi takes."""
NOTICE_SECONDS = 5.0


def look(
    at: float, *, use: float | None = 0, used: int | None = 1_000, ours: int | None = 0, works: bool = False
) -> Seen:
    return Seen(at=at, utilisation_percent=use, memory_used_mib=used, ours_mib=ours, engine_works=works)


def usual(used: int = 1_000, ours: int = 0, looks: int = 5) -> tuple[Watch, float]:
    """After a quiet while."""
    watch = Watch()
    for number in range(looks):
        watch = follow(watch, look(number * STEP_SECONDS, used=used, ours=ours), LIMITS)
    return watch, looks * STEP_SECONDS


def noticed(watch: Watch, at: float, **seen: object) -> float | None:
    """Seconds until it is busy, when every look is like this one."""
    for number in range(1, 60):
        watch = follow(watch, look(at + number * STEP_SECONDS, **seen), LIMITS)  # type: ignore[arg-type]
        if watch.busy:
            return number * STEP_SECONDS
    return None


def test_a_game_on_an_idle_gpu_is_noticed_in_time_by_its_use_alone() -> None:
    watch, at = usual()
    assert (noticed(watch, at, use=97, used=None, ours=None) or 99) < NOTICE_SECONDS


@given(desktop=st.integers(0, 4_000), ours=st.integers(0, 12_000), game=st.integers(769, 8_000))
def test_a_game_beside_a_run_of_ours_is_noticed_in_time_by_its_memory(desktop: int, ours: int, game: int) -> None:
    watch, at = usual(used=desktop + ours, ours=ours)
    found = noticed(watch, at, use=100, used=desktop + ours + game, ours=ours, works=True)
    assert found is not None
    assert found < NOTICE_SECONDS


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.integers(0, 20_000), st.booleans(), st.integers(0, 767)),
        min_size=1,
        max_size=80,
    )
)
def test_our_own_work_is_never_taken_for_somebody_elses(story: list[tuple[float, int, bool, int]]) -> None:
    """Whatever our engine loads and however it works the card; the desktop comes and goes within the limit."""
    watch, at = usual(used=1_000)
    for use, ours, works, desktop in story:
        at += STEP_SECONDS
        use = use if works else min(use, USED_PERCENT_MIN)
        watch = follow(watch, look(at, use=use, used=1_000 + ours + desktop, ours=ours, works=works), LIMITS)
        assert not watch.busy


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_what_cannot_be_seen_changes_nothing(works: list[bool]) -> None:
    watch, at = usual()
    for number, working in enumerate(works, 1):
        seen = look(at + number, use=None, used=None, ours=None, works=working)
        assert follow(watch, seen, LIMITS) == watch


def test_a_single_look_proves_nothing() -> None:
    """Memory is measured a moment apart from what the engine says that it holds: a model was just unloaded."""
    watch, at = usual(used=9_000, ours=8_000)
    for number in range(1, 20):
        stale = number % 2 == 0
        watch = follow(watch, look(at + number, used=9_000 if stale else 1_000, ours=0), LIMITS)
        assert not watch.busy


@given(st.lists(st.tuples(st.floats(0.2, 3.0), st.floats(0, 100)), min_size=1, max_size=400))
def test_the_gpu_is_taken_back_when_it_was_quiet_for_so_long_and_not_before(story: list[tuple[float, float]]) -> None:
    watch, at = usual()
    while not watch.busy:
        at += 1
        watch = follow(watch, look(at, use=90), LIMITS)
    last_use = at
    for seconds, use in story:
        at += seconds
        watch = follow(watch, look(at, use=use), LIMITS)
        last_use = at if use > QUIET_PERCENT_MAX else last_use
        assert watch.busy == (at - last_use < LIMITS.quiet_seconds)
        if not watch.busy:
            return


def given_up(at: float, watch: Watch) -> tuple[Watch, float]:
    """Until the game has it."""
    while not watch.busy:
        at += 1
        watch = follow(watch, look(at, use=90, used=7_000), LIMITS)
    return watch, at


def test_a_game_that_was_put_aside_holds_the_gpu_longer_but_not_for_ever() -> None:
    watch, began = given_up(usual()[1], usual()[0])
    at = began
    while watch.busy:
        at += 1
        watch = follow(watch, look(at, use=1, used=7_000), LIMITS)
    assert at - began == HOARD_FACTOR * LIMITS.quiet_seconds
    assert watch.usual_mib == 7_000, "from now on that is the desktop"


def test_a_gpu_that_cannot_be_seen_any_more_is_taken_back() -> None:
    watch, began = given_up(usual()[1], usual()[0])
    at = began
    while watch.busy:
        at += 1
        watch = follow(watch, look(at, use=None, used=None, ours=None), LIMITS)
    assert at - began == LIMITS.quiet_seconds


def test_it_is_not_taken_back_under_a_run_that_hides_the_others_use() -> None:
    watch, at = given_up(usual()[1], usual()[0])
    for _ in range(2_000):
        at += 1
        watch = follow(watch, look(at, use=100, used=7_000, works=True), LIMITS)
        assert watch.busy
