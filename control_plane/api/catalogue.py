"""What anybody may read: the models and the plans that are offered. And what only oneself may: who one is."""

from __future__ import annotations

from litestar.types import ASGIApp

from control_plane import pricing, users
from control_plane.api import answers, guards
from control_plane.api.guards import Person
from control_plane.api.operation import Call, Nothing, operation
from control_plane.database import Query
from control_plane.models import Model
from control_plane.wire.job import JobSpec
from control_plane.wire.model import ModelList, ModelView
from control_plane.wire.user import PlanList, PlanView, UserView

CACHE = "public, max-age=5"

PLANS = Query("models.plans", PlanView)


@operation("GET", "/api/v1/models", guard=guards.PUBLIC, answers={200: ModelList}, tag="Catalogue")
async def list_models(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The models that are offered, with their defaults and limits and what one artifact costs."""
    models = await call.context.catalogue.models()
    return answers.json(ModelList(data=[_view(model) for model in models]), cache=CACHE)


@operation("GET", "/api/v1/plans", guard=guards.PUBLIC, answers={200: PlanList}, tag="Catalogue")
async def list_plans(call: Call[None, Nothing, Nothing]) -> ASGIApp:
    """The plans that users can be on."""
    return answers.json(PlanList(data=await call.context.database.many(PLANS)), cache=CACHE)


@operation("GET", "/api/v1/user/me", guard=guards.READ, answers={200: UserView}, tag="User")
async def get_me(call: Call[Person, Nothing, Nothing]) -> ASGIApp:
    """Whom this credential speaks for."""
    return answers.json(await users.view(call.context.database, call.who.user_id))


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
    )


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
