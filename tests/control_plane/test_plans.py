"""Plans as people meet them: what is offered, what one has, what an order would cost, and what a plan forbids."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, LiteralString
from uuid import UUID, uuid4

import msgspec
import pytest

from control_plane import audit
from control_plane.conduct import suspension
from control_plane.errors import Invalid, NotFound
from control_plane.money import ledger, plans
from control_plane.money.plans import Plan
from control_plane.orders.models import REMEMBERED_SECONDS, Model
from control_plane.orders.pricing import FORMULA, calculate_token_cost
from control_plane.people import users
from control_plane.wire.job import JobSpec
from tests.fixtures.api import API, Plane
from tests.fixtures.queue import rows
from tests.fixtures.worker import Answered

SMALL = {"prompt": "x", "width": 512, "height": 512, "steps": 20}
"""A quarter of a token: costs one."""


async def person(plane: Plane, plan: str, *, age_days: int = 30) -> tuple[UUID, str]:
    """A user of some age, since newcomers have less, and their key."""
    user_id = await users.create(plane.context.database, f"on {plan} {uuid4().hex}", plan)
    with rows(plane.context.database.url) as sql:
        sql.execute(
            "update users set created_at = now() - make_interval(days => %s) where id = %s", [age_days, user_id]
        )
    return user_id, await plane.key_of(user_id, ["read", "submit"])


async def order(plane: Plane, key: str, body: Mapping[str, object], *, dry: bool = False) -> Answered:
    return await plane.call("POST", f"{API}/jobs{'?dry_run=1' if dry else ''}", key, body)


async def test_anybody_can_read_what_each_plan_gives(control_plane: Plane) -> None:
    answered = await control_plane.call("GET", f"{API}/plans")
    listed = {plan["name"]: plan for plan in answered.json["data"]}
    assert list(listed)[:1] == ["free"]
    seeds = [
        ("free", 100, 1, 1, 3, 10, 1, 0, 7, 0),
        ("starter", 1_000, 4, 2, 20, 60, 2, 5, 30, 500),
        ("pro", 6_000, 12, 4, 100, 300, 4, 15, 180, 2_000),
    ]
    names = (
        "name tokens_per_day weight running_max queued_max submits_per_minute pixels_max video_seconds_max"
        " retention_days price_cents"
    ).split()
    for seed in seeds:
        told = [listed[str(seed[0])][name] for name in names]
        told[6] /= 1024 * 1024
        assert tuple(told) == seed
    assert {plan["currency"] for plan in listed.values()} == {"EUR"}


async def test_the_published_formula_is_the_price(control_plane: Plane) -> None:
    answered = await control_plane.call("GET", f"{API}/models")
    assert answered.json["formula"] == FORMULA
    for model in answered.json["data"]:
        price = model["price"]
        pictures = model["frames"] / price["frames_per_picture"] if model["frames"] else 1
        size = model["width"] * model["height"] / price["pixels_per_token"]
        tokens = size * model["steps"] / price["steps_per_token"] * price["weight"] * pictures
        assert model["example_cost"] == max(1, -int(-tokens // 1))
    names = set(answered.json["data"][0]["price"]) - {"weight"}
    assert all(name in FORMULA for name in names)


async def test_who_asks_is_told_what_they_have(control_plane: Plane) -> None:
    user_id, key = await person(control_plane, "starter")
    await ledger.grant(control_plane.context.database, user_id, 50, "welcome", audit.OPERATOR)
    for _ in range(3):
        assert (await order(control_plane, key, SMALL)).status == 201
    me = (await control_plane.call("GET", f"{API}/user/me", key)).json
    assert me["plan"] == "starter"
    resets_at = me["tokens"].pop("resets_at")
    assert resets_at.endswith("T00:00:00Z")
    assert me["tokens"] == {"daily_left": 997, "daily_per_day": 1_000, "purchased": 50, "held": 3, "available": 1_047}
    assert (me["queued"], me["running"], me["paid_until"]) == (3, 0, None)
    limits = me["limits"]
    assert (limits["running_max"], limits["queued_max"], limits["video_seconds_max"]) == (2, 20, 5)


async def test_usage_is_told_by_day_and_without_what_came_back(control_plane: Plane) -> None:
    _, key = await person(control_plane, "starter")
    jobs = [(await order(control_plane, key, {**SMALL, "count": 4, "steps": 80})).json["id"] for _ in range(3)]
    await control_plane.call("DELETE", f"{API}/jobs/{jobs[0]}", key)
    with rows(control_plane.context.database.url) as sql:
        day = str(sql.execute("select utc_day(now())").fetchone()[0])  # type: ignore[index]
    usage = (await control_plane.call("GET", f"{API}/user/usage?days=7", key)).json
    assert usage == {"data": [{"day": day, "jobs": 3, "daily": 8, "purchased": 0}], "jobs": 3, "tokens": 8}
    stranger = (await person(control_plane, "free"))[1]
    assert (await control_plane.call("GET", f"{API}/user/usage", stranger)).json["data"] == []
    for wrong in ("days=0", "days=367", "days=x", "day=3"):
        assert (await control_plane.call("GET", f"{API}/user/usage?{wrong}", key)).status == 422


async def test_a_job_says_what_is_held_and_what_was_charged(control_plane: Plane) -> None:
    service = control_plane.service
    lease = await service.leased(width=1024, height=1024, steps=20, count=4)
    assert (await service.job(lease.job_id))["cost"] == {"held": 4, "charged": 0}
    report = {"job_id": lease.job_id, "attempt": lease.attempt, "token": lease.token, "phase": "started"}
    progress = {"value": 0.5, "step": 1, "steps": 2}
    assert (await service.hands.call("/heartbeat", {"leases": [{**report, "progress": progress}]})).status == 200
    assert (await service.as_customer(f"/api/v1/jobs/{lease.job_id}", "DELETE")).json["status"] == "canceling"
    assert (await service.hands.complete(lease)).json["state"] == "canceled"
    assert (await service.job(lease.job_id))["cost"] == {"held": 0, "charged": 2}
    listed = (await service.as_customer("/api/v1/jobs")).json["data"][0]
    assert listed["cost"] == {"held": 0, "charged": 2}
    assert (await service.done())["cost"] == {"held": 0, "charged": 1}
    queued = await service.order()
    assert (await service.as_customer(f"/api/v1/jobs/{queued}", "DELETE")).json["cost"] == {"held": 0, "charged": 0}


FORBIDDEN: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (
        "free",
        {"width": 2048, "height": 1024},
        {"limit": "pixels_max", "allowed": 1048576, "asked": 2097152},
        "at most 1048576 pixels",
    ),
    (
        "starter",
        {"width": 2048, "height": 2048},
        {"limit": "pixels_max", "allowed": 2097152, "asked": 4194304},
        "at most 2097152 pixels",
    ),
    (
        "free",
        {"kind": "video", "frames": 24, "fps": 24},
        {"limit": "video_seconds_max", "allowed": 0, "asked": 1},
        "makes no videos",
    ),
    (
        "starter",
        {"kind": "video", "frames": 240, "fps": 24},
        {"limit": "video_seconds_max", "allowed": 5, "asked": 10},
        "videos of at most 5 s; this one has 10 s",
    ),
    ("films", {}, {"limit": "images", "allowed": 0, "asked": 1}, "makes no pictures"),
]
FILMS = """insert into plans (name, retention_days, queued_max, images, video_seconds_max, tokens_per_day)
    values ('films', 1, 5, false, 60, 100)"""


@pytest.mark.parametrize(("plan", "wanted", "fields", "sentence"), FORBIDDEN)
async def test_what_a_plan_forbids_is_told_with_the_limit_and_who_allows_it(
    control_plane: Plane, owner_url: str, plan: str, wanted: dict[str, Any], fields: dict[str, Any], sentence: str
) -> None:
    with rows(owner_url) as owner:
        owner.execute(FILMS)
    _, key = await person(control_plane, plan)
    answered = await order(control_plane, key, {"prompt": "x", **wanted})
    assert (answered.status, answered.code) == (403, "plan-forbids")
    told = answered.json
    assert {name: told[name] for name in fields} == fields
    assert told["plan"] == plan
    assert sentence in told["detail"]
    assert "pro" in told["allowed_by"]
    assert plan not in told["allowed_by"]
    assert "Plans that allow it: " + ", ".join(told["allowed_by"]) in told["detail"]
    quoted = (await order(control_plane, key, {"prompt": "x", **wanted}, dry=True)).json
    assert quoted["refusal"] == {"code": "plan-forbids", "status": 403, "detail": told["detail"]}
    assert (await control_plane.call("GET", f"{API}/user/me", key)).json["tokens"]["held"] == 0


SWITCHES: tuple[tuple[LiteralString, LiteralString], ...] = (
    (
        "update switches set paused_at = now() where name = 'submits'",
        "update switches set paused_at = null where name = 'submits'",
    ),
    ("update models set paused_at = now()", "update models set paused_at = null"),
    ("update lanes set paused_at = now()", "update lanes set paused_at = null"),
)


async def board_and_models(plane: Plane) -> None:
    """What this process remembers for a second is read anew."""
    await plane.context.dispatcher.board.refresh()
    await asyncio.sleep(REMEMBERED_SECONDS)


async def test_a_dry_run_says_what_the_order_itself_would_say(control_plane: Plane) -> None:
    """The same refusals in the same words, with nothing placed, counted or held."""
    user_id, key = await person(control_plane, "free")
    whole = {"prompt": "x", "steps": 100, "count": 4}
    quoted = (await order(control_plane, key, whole, dry=True)).json
    assert (quoted["cost"], quoted["available"], quoted["refusal"]) == (20, 100, None)

    async def alike(body: Mapping[str, object], status: int) -> dict[str, Any]:
        foreseen = (await order(control_plane, key, body, dry=True)).json["refusal"]
        answered = await order(control_plane, key, body)
        assert (answered.status, answered.code) == (status, foreseen["code"])
        assert answered.json["detail"] == foreseen["detail"]
        problem: dict[str, Any] = answered.json
        return problem

    dear = {"prompt": "x", "steps": 150, "count": 4}
    for _ in range(3):
        assert (await order(control_plane, key, dear)).status == 201
    assert (await alike(SMALL, 429))["code"] == "queue-full"
    with rows(control_plane.context.database.url) as sql:
        jobs = [row[0] for row in sql.execute("select id from jobs where user_id = %s and state = 'queued'", [user_id])]
    for job_id in jobs:
        await control_plane.context.dispatcher.cancel(user_id, job_id)
    await ledger.adjust(control_plane.context.database, user_id, -5, "payment reversed", audit.OPERATOR)
    short = await alike(SMALL, 402)
    assert (short["needed"], short["available"]) == (1, 0)
    assert short["resets_at"].endswith("T00:00:00Z")
    await ledger.adjust(control_plane.context.database, user_id, 5, "paid after all", audit.OPERATOR)
    with rows(control_plane.context.database.url) as sql:
        for pause, resume in SWITCHES:
            sql.execute(pause)
            await board_and_models(control_plane)
            assert (await alike(SMALL, 503))["code"] == "paused"
            sql.execute(resume)
            await board_and_models(control_plane)
    await suspension.suspend(control_plane.context.database, user_id, audit.OPERATOR)
    control_plane.context.dispatcher.bus.announce("user", user_id)
    for dry in (True, False):
        assert (await order(control_plane, key, SMALL, dry=dry)).code == "account-suspended"


async def test_a_newcomer_grows_into_the_whole_day(control_plane: Plane) -> None:
    per_day = []
    for age_days in (0, 1, 2, 3, 4):
        _, key = await person(control_plane, "free", age_days=age_days)
        per_day.append((await control_plane.call("GET", f"{API}/user/me", key)).json["tokens"]["daily_per_day"])
    assert per_day == [25, 50, 75, 100, 100]


async def test_what_all_users_of_a_plan_take_together_in_a_day_is_bounded(control_plane: Plane, owner_url: str) -> None:
    await plans.change(control_plane.context.database, "free", {"pool_tokens_per_day": "2"}, audit.OPERATOR)
    (first, one), (_, other), (_, payer) = [await person(control_plane, plan) for plan in ("free", "free", "starter")]
    assert [(await order(control_plane, one, SMALL)).status for _ in range(2)] == [201, 201]
    await board_and_models(control_plane)
    assert (await order(control_plane, other, SMALL, dry=True)).json["refusal"]["code"] == "tokens-short"
    assert [(await order(control_plane, key, SMALL)).code for key in (other, payer)] == ["tokens-short", ""]
    await ledger.grant(control_plane.context.database, first, 5, "thanks", audit.OPERATOR)
    assert (await order(control_plane, one, SMALL)).status == 201, "what was paid for is not of that day"
    with rows(owner_url) as sql:
        sql.execute("update usage_daily set day = day - 1")
    await board_and_models(control_plane)
    assert (await order(control_plane, other, SMALL)).status == 201, "another day"


async def test_a_lapsed_plan_is_free_after_three_days_and_its_jobs_stay(control_plane: Plane) -> None:
    user_id, key = await person(control_plane, "pro")
    placed = await order(control_plane, key, {"prompt": "x", "width": 2048, "height": 2048})
    assert placed.status == 201

    async def lapsed(days: float) -> str:
        with rows(control_plane.context.database.url) as sql:
            sql.execute(
                "update users set paid_until = now() - make_interval(secs => 86400 * %s) where id = %s", [days, user_id]
            )
        return str((await control_plane.call("GET", f"{API}/user/me", key)).json["plan"])

    assert [await lapsed(-1), await lapsed(2.9), await lapsed(3.1)] == ["pro", "pro", "free"]
    assert (await control_plane.call("GET", f"{API}/jobs/{placed.json['id']}", key)).json["status"] == "queued"
    assert (await order(control_plane, key, {"prompt": "x", "width": 2048, "height": 2048})).code == "plan-forbids"


# ------------------------------------------------------------------------------------------ the operator's hand


def a_plan(**fields: Any) -> Plan:
    whole = {
        "name": "free",
        "tokens_per_day": 100,
        "newcomer_days": 3,
        "weight": 1.0,
        "running_max": 1,
        "queued_max": 3,
        "submits_per_minute": 10,
        "reads_per_minute": 120,
        "images": True,
        "pixels_max": 1048576,
        "video_seconds_max": 0.0,
        "retention_days": 7,
        "pool_weight": 12.0,
        "pool_tokens_per_day": 5000,
        "price_cents": 0,
        "currency": "EUR",
    }
    return Plan(**{**whole, **fields})


def test_a_plan_is_changed_as_a_person_types_it() -> None:
    typed = {"tokens_per_day": "50", "weight": "2.5", "images": "no", "pool_weight": "none", "currency": "USD"}
    after = plans.changed(a_plan(), typed)
    assert after == a_plan(tokens_per_day=50, weight=2.5, images=False, pool_weight=None, currency="USD")
    assert {change.name for change in plans.changes(a_plan(), after)} == set(typed)


WRONG = [
    ("tokens_per_day", "-1"),
    ("tokens_per_day", "none"),
    ("tokens_per_day", "1.5"),
    ("weight", "0"),
    ("weight", "inf"),
    ("running_max", "0"),
    ("running_max", "40000"),
    ("submits_per_minute", "1000001"),
    ("pixels_max", "99999999999"),
    ("video_seconds_max", "nan"),
    ("retention_days", "0"),
    ("currency", "euro"),
    ("images", "perhaps"),
    ("pool_tokens_per_day", "0"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_the_table_would_refuse_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        plans.changed(a_plan(), {name: value, "weight": "bad"} if name != "weight" else {name: value})
    assert f"{name}={value}" in refused.value.detail


async def test_a_changed_plan_is_what_everybody_on_it_has(control_plane: Plane, owner_url: str) -> None:
    database = control_plane.context.database
    _, key = await person(control_plane, "starter")
    wanted = {"tokens_per_day": "7", "price_cents": "600", "pool_weight": "30", "running_max": "2"}
    changed = await plans.change(database, "starter", wanted, audit.OPERATOR)
    assert [(change.name, change.before, change.after) for change in changed] == [
        ("tokens_per_day", 1_000, 7),
        ("pool_weight", None, 30.0),
        ("price_cents", 500, 600),
    ]
    assert (await control_plane.call("GET", f"{API}/user/me", key)).json["tokens"]["daily_per_day"] == 7
    assert await plans.change(database, "starter", wanted, audit.OPERATOR) == []
    [entry] = await audit.entries(database, object=("plan", "starter"), limit=10)
    assert (entry.verb, entry.detail) == ("set", {"tokens_per_day": 7, "price_cents": 600, "pool_weight": 30.0})
    with pytest.raises(NotFound):
        await plans.change(database, "golden", wanted, audit.OPERATOR)


async def test_the_bounds_of_the_code_are_those_of_the_table(database_url: str, owner_url: str) -> None:
    """The smallest and largest that `changed` lets through, the table takes too."""
    edges: dict[str, list[str]] = {
        "tokens_per_day": ["0", "2147483647"],
        "newcomer_days": ["0", "366"],
        "weight": ["1e-6", "1e9"],
        "running_max": ["1", "32767"],
        "queued_max": ["1", "2147483647"],
        "submits_per_minute": ["1", "1000000"],
        "reads_per_minute": ["1", "1000000"],
        "images": ["yes", "no"],
        "pixels_max": ["1", "2147483647"],
        "video_seconds_max": ["0", "86400"],
        "retention_days": ["1", "36500"],
        "pool_weight": ["none", "1e9"],
        "pool_tokens_per_day": ["none", "1", "9007199254740992"],
        "price_cents": ["0", "2147483647"],
        "currency": ["EUR", "ZAR"],
    }
    assert set(edges) == set(plans.COLUMNS)
    with rows(database_url) as sql:
        for name, values in edges.items():
            for value in values:
                whole = msgspec.structs.asdict(plans.changed(a_plan(), {name: value}))
                sql.execute(plans.SET.text, whole)


def test_the_price_of_everything_that_fits_is_at_least_one_token() -> None:
    fields: dict[str, Any] = {
        "name": "m",
        "kind": "image",
        "title": "M",
        "vram_gib": 0,
        "weight": 1.0,
        "width": 64,
        "height": 64,
        "pixels_max": 2**22,
        "steps": 20,
        "steps_max": 150,
        "guidance": 7.0,
        "frames": None,
        "frames_max": None,
        "fps": None,
        "paused": False,
        "feasible_now": True,
        "tasks": [],
        "upscales": [],
        "languages": ["en"],
    }
    model = Model(**fields)
    for side, steps, cost in ((64, 1, 1), (1024, 20, 1), (1024, 21, 2), (2048, 20, 4), (2048, 150, 30)):
        spec = JobSpec(kind="image", model="m", prompt="x", width=side, height=side, steps=steps, seed=1)
        assert calculate_token_cost(spec, model) == cost
