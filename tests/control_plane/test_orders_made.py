"""What is accepted can be made: an order that the control plane takes fits the slots of its workflow, always."""

from __future__ import annotations

from collections import Counter
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from agent.engine.comfyui.render import render
from control_plane.errors import Invalid
from control_plane.orders import manifests, specs
from control_plane.orders.models import Model
from control_plane.orders.pricing import calculate_token_cost
from control_plane.wire.job import SIDE_MAX, JobSpec, SubmitRequest
from control_plane.wire.workflow import SHIPPED, Field, Workflow, load
from tests.fixtures.pictures import as_input, drawn, encoded

WORKFLOWS = load(SHIPPED)
PICTURES = [as_input(encoded(drawn(size))) for size in ((64, 64), (333, 77), (512, 768))]
TRIED: Counter[str] = Counter()


@cache
def _model(name: str) -> Model:
    """As the catalogue makes it when some worker can run every workflow."""
    [wanted] = [w.manifest.model for w in WORKFLOWS if w.name == name]
    alike = [w for w in WORKFLOWS if w.manifest.model == wanted]
    [made] = manifests.models(alike)
    row = asdict(made) | {
        "tasks": [w.manifest.task for w in alike],
        "upscales": [w.manifest.upscale for w in alike if w.manifest.upscale],
    }
    del row["position"]
    return Model(**row, paused=False, feasible_now=True, workflows={w.manifest.task: w.manifest for w in alike})


def _orders(workflow: Workflow) -> st.SearchStrategy[SubmitRequest]:
    """Most of it within the ranges, some of it a little beyond."""
    slots = workflow.manifest.slots

    def number(field: Field, most: int, step: int = 1) -> st.SearchStrategy[int | None]:
        slot = slots.get(field)
        if slot is None or slot.min is None or slot.max is None:
            return st.none()
        within = st.integers(-(-int(slot.min) // step), min(most, int(slot.max) + step) // step)
        return st.none() | within.map(lambda value: max(1, value) * step)

    return st.builds(
        SubmitRequest,
        prompt=st.just("a lighthouse"),
        kind=st.just(workflow.manifest.kind),
        negative_prompt=st.sampled_from(["", "fog"]) if "negative_prompt" in slots else st.just(""),
        width=number("width", SIDE_MAX, 8),
        height=number("height", SIDE_MAX, 8),
        steps=number("steps", 150),
        guidance=number("guidance", 30).map(lambda value: None if value is None else value / 2),
        sampler=st.sampled_from([None, None, "euler", "nobody's"]) if "sampler" in slots else st.none(),
        count=st.integers(1, 4),
        input_image=st.just(PICTURES[0].id) if workflow.wants_image else st.none(),
        strength=st.none() | st.floats(0, 1) if "strength" in slots else st.none(),
        frames=number("frames", 480),
        fps=number("fps", 60),
        upscale=st.just(workflow.manifest.upscale),
        loras=st.fixed_dictionaries(
            {}, optional={name: st.floats(-0.1, lora.max) for name, lora in workflow.manifest.loras.items()}
        ),
    )


def _completed(workflow: Workflow, order: SubmitRequest, data: st.DataObject) -> JobSpec | None:
    picture = data.draw(st.sampled_from(PICTURES)) if workflow.wants_image else None
    try:
        return specs.complete(order, _model(workflow.name), picture)
    except Invalid:
        return None


@settings(max_examples=10 * len(WORKFLOWS), deadline=None)
@given(workflow=st.sampled_from(WORKFLOWS), data=st.data())
def _fits(workflow: Workflow, data: st.DataObject) -> None:
    spec = _completed(workflow, data.draw(_orders(workflow)), data)
    if spec is None:
        return
    TRIED[workflow.name] += 1
    rendered = render(workflow, spec, prefix="tessera/x", input_image="in/a.png")
    for field, told in (("width", spec.width), ("height", spec.height), ("frames", spec.frames), ("steps", spec.steps)):
        for leaf in getattr(workflow.manifest.slots.get(field), "at", []):  # type: ignore[call-overload]
            name, _, key = leaf.partition(".")
            assert rendered[name].inputs[key] == told, "the customer was told what is made"
    assert calculate_token_cost(spec, _model(workflow.name)) >= 1


def test_what_is_accepted_fits_the_slots_and_is_made_as_it_was_told() -> None:
    _fits()
    assert TRIED.total() >= 50, "hardly anything was accepted"
    assert len(TRIED) >= 8, "hardly any workflow was met"
