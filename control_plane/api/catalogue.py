"""What anybody may read: the models and the plans that are offered. And what only oneself may: who one is."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from litestar.types import ASGIApp
from msgspec import Meta, Struct
from msgspec.structs import asdict

from control_plane.api import answers, guards
from control_plane.api.artifacts import IF_NONE_MATCH, is_known
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.api.parameters import parameters
from control_plane.money import plans
from control_plane.money.plans import Plan, Standing
from control_plane.orders import pricing
from control_plane.orders.models import Model
from control_plane.people import users
from control_plane.queue.eta import Runs, quantile
from control_plane.wire import Request
from control_plane.wire.job import JobSpec
from control_plane.wire.model import LoraView, ModelList, ModelView, Price
from control_plane.wire.user import (
    AccountView,
    Limits,
    PlanList,
    PlanView,
    Tokens,
    UsageDay,
    UsageView,
    UserView,
)
from control_plane.wire.workflow import Lora

CACHE = "public, max-age=5"

_encode = msgspec.json.Encoder(order="deterministic").encode


class UsageQuery(Request, frozen=True, kw_only=True):
    days: Annotated[int, Meta(ge=1, le=plans.USAGE_DAYS_MAX)] = 30
    """How many days back, today included."""


@operation(
    "GET",
    "/api/v1/models",
    guard=guards.PUBLIC,
    answers={200: ModelList, 304: None},
    headers=(IF_NONE_MATCH,),
    tag="Catalogue",
)
async def list_models(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The models that are offered: defaults, limits, prices, how long they take, and the schema of an order."""
    models = await call.context.catalogue.models()
    return _tagged(call, ModelList(data=[_view(model) for model in models], formula=pricing.FORMULA))


@operation(
    "GET",
    "/api/v1/plans",
    guard=guards.PUBLIC,
    answers={200: PlanList, 304: None},
    headers=(IF_NONE_MATCH,),
    tag="Catalogue",
)
async def list_plans(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The plans that users can be on, the cheapest first."""
    found = await call.context.database.many(plans.LIST)
    return _tagged(call, PlanList(data=[_plan_view(plan) for plan in found]))


@operation("GET", "/api/v1/user/me", guard=guards.SELF, answers={200: AccountView}, tag="User")
async def get_me(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Whom this credential speaks for, and what they have: plan, tokens, limits, jobs that wait and run."""
    context, user_id = call.context, call.who.user_id
    user = await users.view(context.database, user_id)
    standing = await plans.standing(context.database, user_id, context.dispatcher.board.spent_plans)
    return answers.json(_account_view(user, standing))


@operation("GET", "/api/v1/user/usage", guard=guards.READ, answers={200: UsageView}, tag="User")
async def get_usage(call: Call[Person, Nothing, UsageQuery]) -> ASGIApp:
    """What you have taken day by day (UTC), the newest day first.

    What came back from jobs that failed or were canceled is not counted.
    """
    parameters = {"user_id": call.who.user_id, "days": call.query.days}
    found = [UsageDay(**asdict(row)) for row in await call.context.database.many(plans.USAGE, parameters)]
    tokens = sum(day.daily + day.purchased for day in found)
    return answers.json(UsageView(data=found, jobs=sum(day.jobs for day in found), tokens=tokens))


def _tagged(call: Call[None, Nothing, Nothing], value: Struct) -> ASGIApp:
    """The value, or word that it is still what the caller knows."""
    body = _encode(value)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    if is_known(guards.header(call.request.scope, b"if-none-match"), etag.encode()):
        known = answers.nothing(304)
        known.headers = [(b"etag", etag.encode()), (b"cache-control", CACHE.encode())]
        return known
    return answers.Answer(body, cache=CACHE, headers={"ETag": etag})


def _plan_view(plan: Plan) -> PlanView:
    return PlanView(**{name: getattr(plan, name) for name in PlanView.__struct_fields__})


def _account_view(user: UserView, standing: Standing) -> AccountView:
    return AccountView(
        **asdict(user),
        paid_until=standing.paid_until,
        tokens=Tokens(
            daily_left=standing.daily_left,
            daily_per_day=standing.tokens_per_day,
            purchased=standing.purchased,
            held=standing.held,
            available=standing.available,
            resets_at=standing.resets_at,
        ),
        limits=Limits(**{name: getattr(standing, name) for name in Limits.__struct_fields__}),
        queued=standing.queued,
        running=standing.running,
    )


def _view(model: Model) -> ModelView:
    return ModelView(
        name=model.name,
        kind=model.kind,
        title=model.title,
        width=model.width,
        height=model.height,
        pixels_max=model.pixels_max,
        steps=model.steps,
        steps_max=model.steps_max,
        guidance=model.guidance,
        frames=model.frames,
        frames_max=model.frames_max,
        fps=model.fps,
        example_cost=pricing.calculate_token_cost(_example(model), model),
        paused=model.paused,
        feasible_now=model.feasible_now,
        price=Price(
            weight=model.weight,
            pixels_per_token=pricing.PIXELS_PER_TOKEN,
            steps_per_token=pricing.STEPS_PER_TOKEN,
            frames_per_picture=pricing.FRAMES_PER_PICTURE,
        ),
        tasks=model.tasks,
        upscales=model.upscales,
        typical_seconds=_typical_seconds(model),
        parameters=parameters(model),
        loras=[
            LoraView(
                name=name,
                title=lora.title,
                min=lora.min,
                max=lora.max,
                default=lora.default,
                triggers=list(lora.triggers),
            )
            for name, lora in _loras(model).items()
        ],
        licences=model.licences,
        languages=tuple(model.languages),
    )


def _loras(model: Model) -> dict[str, Lora]:
    return {name: lora for manifest in model.workflows.values() for name, lora in manifest.loras.items()}


def _typical_seconds(model: Model) -> float | None:
    tokens = pricing.calculate_token_cost(_example(model), model)
    rates = Runs(tokens=model.run_tokens, seconds=model.run_seconds).of_size(tokens)
    return round(tokens * quantile(rates, 0.5), 2) if rates else None


def _example(model: Model) -> JobSpec:
    return JobSpec(
        kind=model.kind,
        model=model.name,
        prompt="",
        width=model.width,
        height=model.height,
        steps=model.steps,
        seed=0,
        frames=model.frames,
    )
