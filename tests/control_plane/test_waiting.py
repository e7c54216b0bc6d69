"""Why a job waits, where it stands, and for how long: the decisions, then the same over HTTP."""

from __future__ import annotations

import asyncio
from uuid import UUID

import msgspec
import psycopg
import pytest

from control_plane.queue.eta import Ended, Factors, Promise, Promises
from control_plane.queue.waiting import PLACES_MAX, Line, Queued, Service, arrived, estimate, explain, reason
from tests.fixtures.api import API, Plane, eventually


def _service(**changes: object) -> Service:
    usual: dict[str, object] = {"slots": 1, "loaded": 1, "draining": 0, "quarantined": 0, "paused": False}
    usual |= {"running_tokens": 0, "running_seconds": 0.0, "run_tokens": [2.0], "run_seconds": [4.0]}
    return Service(**(usual | changes))  # type: ignore[arg-type]


def _line(jobs: int, **service: object) -> Line:
    """Jobs 0, 1, 2 … with their number as tag and id, of two tokens each."""
    places = [(float(n), UUID(int=n)) for n in range(jobs)]
    return Line(service=_service(**service), places=places, tokens_before=[2 * n for n in range(jobs + 1)])


def _told(line: Line, cost: int) -> list[float]:
    eta = estimate(line, cost)
    return [eta.p50_seconds, eta.p90_seconds] if eta else []


def _job(number: int, **changes: object) -> Queued:
    usual = {"id": UUID(int=number), "tag": float(number), "cost": 2, "phase": None}
    return Queued(**(usual | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (_service(running_tokens=2), "all_workers_busy"),
        (_service(), "starting"),
        (_service(slots=0), "no_worker_for_model"),
        (_service(slots=0, draining=2), "workers_draining"),
        (_service(slots=1, draining=2, running_tokens=2), "all_workers_busy"),
        (_service(slots=0, quarantined=1), "workers_quarantined"),
        (_service(slots=0, quarantined=1, draining=1), "workers_draining"),
        (_service(slots=2, loaded=0, running_tokens=2), "model_not_loaded"),
        (_service(slots=2, loaded=0), "starting"),
        (_service(paused=True), "lane_paused"),
        (_service(paused=True, slots=0), "lane_paused"),
    ],
)
def test_the_reason_is_the_nearest_thing_that_holds_a_job_up(service: Service, expected: str) -> None:
    assert reason(service, 0) == expected


def test_idle_workers_start_as_many_jobs_as_there_are_workers_and_the_others_wait() -> None:
    line = _line(3, slots=2)
    assert [explain(line, _job(n)).reason for n in range(3)] == ["starting", "starting", "all_workers_busy"]


def test_a_new_job_is_told_by_a_line_with_or_without_it() -> None:
    known = msgspec.structs.replace(_line(2, slots=2), read_at=1.0)
    busy = msgspec.structs.replace(_line(1, running_tokens=2), read_at=1.0)
    told = [
        arrived(known, _job(1), 0.5).reason,  # it stands in line, second of two
        arrived(known, _job(9), 2.0).reason,  # the line is older: two are ahead
        arrived(busy, _job(9), 0.5).reason,  # it was given out before we looked
        arrived(busy, _job(0), 0.5).reason,
    ]
    assert told == ["starting", "all_workers_busy", "starting", "all_workers_busy"]


def test_a_place_is_exact_up_to_a_thousand() -> None:
    line = _line(PLACES_MAX)
    assert explain(line, _job(0)).position == "1"
    assert explain(line, _job(PLACES_MAX - 1)).position == "1000"
    behind = explain(line, _job(PLACES_MAX))
    assert (behind.position, behind.eta) == ("1000+", None)


def test_a_job_newer_than_the_line_stands_where_its_tag_says() -> None:
    assert explain(_line(3), _job(7)).position == "4"
    assert explain(_line(3), _job(9, tag=0.5)).position == "2"
    assert explain(_line(0), _job(9)).position == "1"


def test_backoff_and_starting_have_neither_place_nor_eta() -> None:
    for job, expected in ((_job(1, tag=None), "retry_backoff"), (_job(1, phase="held"), "starting")):
        told = explain(_line(3), job)
        assert (told.reason, told.position, told.eta) == (expected, None, None)


def test_an_eta_grows_with_the_work_ahead_and_shrinks_with_slots() -> None:
    lines = [
        _line(0),
        _line(5),
        _line(5, slots=2),
        _line(0, running_tokens=4),
        _line(0, running_tokens=4, running_seconds=5.0),
    ]
    assert [_told(line, 2)[0] for line in lines] == [4.0, 24.0, 14.0, 12.0, 7.0]


def test_a_run_that_takes_longer_than_it_should_still_has_a_rest() -> None:
    assert _told(_line(0, running_tokens=10, running_seconds=60.0), 2)[0] == 6.0


def test_an_eta_is_learnt_from_runs_of_about_the_same_size() -> None:
    """Small jobs take longer for each token, as loading and saving do not get shorter."""
    line = _line(0, run_tokens=[1.0] * 6 + [20.0] * 6, run_seconds=[5.0] * 6 + [40.0] * 6)
    assert (_told(line, 1)[0], _told(line, 2)[0], _told(line, 20)[0]) == (5.0, 10.0, 40.0)
    few = _line(0, run_tokens=[1.0] * 6 + [20.0] * 4, run_seconds=[5.0] * 6 + [40.0] * 4)
    assert _told(few, 20)[0] == 100.0, "too few of that size: all of the lane count"


def test_there_is_no_eta_without_experience_or_without_anybody_who_works() -> None:
    lines = [_line(0, run_tokens=[], run_seconds=[]), _line(0, slots=0), _line(0, paused=True), _line(PLACES_MAX)]
    assert [estimate(line, 1) for line in lines] == [None] * 4


def test_a_user_at_the_cap_is_told_so_unless_nobody_could_work_anyway() -> None:
    told = [
        explain(_line(3, running_tokens=2), _job(0, capped=True)).reason,
        explain(_line(3), _job(0, capped=True)).reason,
        explain(_line(3, paused=True), _job(0, capped=True)).reason,
        explain(_line(3, slots=0), _job(0, capped=True)).reason,
    ]
    assert told == ["plan_limit_running", "plan_limit_running", "lane_paused", "no_worker_for_model"]


def _promise(number: int, *, base: float = 10.0, p90: float = 20.0) -> Promise:
    return Promise(job_id=UUID(int=number), lane_id=1, base=base, p50=base, p90=p90, waits=True)


def test_factors_follow_from_how_promises_turned_out() -> None:
    """A hundred jobs took once to twice their base; the next promises are the median and the ninetieth of that."""
    promises = Promises()
    for n in range(100):
        promises.remember(_promise(n), 0.0)
    due = promises.due(20.0)
    ended = {UUID(int=n): Ended(id=UUID(int=n), succeeded=True, seconds=10 + n / 10) for n in range(100)}
    outcomes = promises.judge(due, ended, 20.0)
    assert (len(outcomes), sum(o.within_p50 for o in outcomes), sum(o.within_p90 for o in outcomes)) == (100, 1, 100)
    assert promises.factors(1, waits=True) == Factors(1.5, 1.9)
    assert promises.factors(1, waits=False) == Factors(), "another kind of waiting"


def test_a_promise_is_judged_once_and_learnt_from_when_the_job_ends() -> None:
    promises = Promises()
    for n in range(20):
        promises.remember(_promise(n), 0.0)
    assert promises.due(19.9) == []
    still = {UUID(int=n): Ended(id=UUID(int=n), succeeded=False, seconds=None) for n in range(20)}
    outcomes = promises.judge(promises.due(20.0), still, 20.0)
    assert [o.within_p90 for o in outcomes] == [False] * 20
    assert promises.factors(1, waits=True) == Factors(), "nothing is known yet"
    done = {UUID(int=n): Ended(id=UUID(int=n), succeeded=True, seconds=25.0) for n in range(20)}
    assert promises.judge(promises.due(30.0), done, 30.0) == []
    assert promises.factors(1, waits=True) == Factors(2.5, 2.5)


def test_of_a_job_that_was_canceled_nothing_is_learnt() -> None:
    promises = Promises()
    promises.remember(_promise(1), 0.0)
    gone = {UUID(int=1): Ended(id=UUID(int=1), succeeded=False, seconds=3.0)}
    assert promises.judge(promises.due(20.0), gone, 20.0) == []
    assert promises.due(1e9) == []


async def test_customers_share_one_look_at_the_line(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    placed = [await control_plane.order(key) for _ in range(3)]

    async def look() -> tuple[int, list[str]]:
        """How often the line was read meanwhile, and what everybody was told."""
        before = control_plane.context.lines.reads
        asked = (control_plane.call("GET", f"{API}/jobs/{job['id']}", key) for job in placed for _ in range(5))
        answers = await asyncio.gather(*asked)
        return control_plane.context.lines.reads - before, [job.json["waiting"]["position"] for job in answers]

    fresh = (1, ["1"] * 5 + ["2"] * 5 + ["3"] * 5)
    await eventually(look, lambda seen: seen == fresh)  # the line may be read in the middle of one round


async def test_a_paused_model_is_said_to_be_paused(control_plane: Plane, owner_url: str) -> None:
    key = await control_plane.user_key()
    job = await control_plane.order(key)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("update models set paused_at = now()")
    path = f"{API}/jobs/{job['id']}"
    await eventually(
        lambda: control_plane.call("GET", path, key), lambda job: job.json["waiting"]["reason"] == "lane_paused"
    )
    refused = await control_plane.call("POST", f"{API}/jobs", key, {"prompt": "x"})
    assert (refused.status, refused.code) == (503, "paused")
    await eventually(
        lambda: control_plane.call("GET", f"{API}/models"),
        lambda models: all(model["paused"] for model in models.json["data"]),
    )


async def test_a_model_is_feasible_when_a_live_worker_serves_it_and_an_eta_follows_from_runs(
    control_plane: Plane,
) -> None:
    service = control_plane.service
    await service.done()
    await service.order()
    models = await eventually(
        lambda: control_plane.call("GET", f"{API}/models"),
        lambda models: any(model["feasible_now"] for model in models.json["data"]),
    )
    assert [model["kind"] for model in models.json["data"] if model["feasible_now"]] == ["image"]
    jobs = await eventually(
        lambda: service.as_customer(f"{API}/jobs?status=queued"),
        lambda jobs: jobs.json["data"][0]["waiting"]["eta"] is not None,
    )
    [job] = jobs.json["data"]
    assert job["waiting"]["reason"] == "starting"
    assert 0 <= job["waiting"]["eta"]["p50_seconds"] <= job["waiting"]["eta"]["p90_seconds"]
