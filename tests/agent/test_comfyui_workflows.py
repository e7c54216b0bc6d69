"""The shipped workflows fit the pinned ComfyUI, and no order can change more of a graph than its declared leaves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from agent.engine.comfyui.check import faults
from agent.engine.comfyui.nodes import node_classes
from agent.engine.comfyui.render import Unfit, artifact, render
from agent.engine.repertory import understood
from control_plane.wire.job import PROMPT_LENGTH_MAX, SEED_MAX, JobSpec, Task
from control_plane.wire.soundness import structure_faults
from control_plane.wire.workflow import (
    SHIPPED,
    Field,
    Graph,
    Workflow,
    WorkflowError,
    WorkflowSet,
    declared,
    load,
    received,
    sent,
)
from tests.fixtures.pictures import as_input, drawn, encoded
from tests.standins.comfyui.pinned import every_model, object_info

WORKFLOWS = {workflow.name: workflow for workflow in load(SHIPPED)}
NODES = node_classes(object_info(every_model()))
BRACKETS = '["checkpoint", 0]'

text = st.text(st.characters(exclude_characters="\0"), max_size=PROMPT_LENGTH_MAX)


def _orders(workflow: Workflow) -> st.SearchStrategy[JobSpec]:
    """Anything that a customer may type, with numbers inside the workflow's ranges."""

    def number(field: Field, least: int, most: int) -> st.SearchStrategy[int]:
        slot = workflow.manifest.slots.get(field)
        low, high = (slot.min, slot.max) if slot else (None, None)
        return st.integers(least if low is None else max(least, int(low)), most if high is None else int(high))

    sampler = workflow.manifest.slots.get("sampler")
    guidance = workflow.manifest.slots.get("guidance")
    return st.builds(
        JobSpec,
        kind=st.sampled_from(["image", "video"]),
        model=text,
        prompt=text | st.just(BRACKETS),
        negative_prompt=text | st.just(BRACKETS),
        width=number("width", 64, 4096),
        height=number("height", 64, 4096),
        steps=number("steps", 1, 150),
        guidance=st.floats(0, float(guidance.max) if guidance and guidance.max else 30.0),
        sampler=st.none() | (st.sampled_from(sampler.choices) if sampler else text),
        seed=st.integers(0, SEED_MAX),
        count=number("count", 1, 4),
        input_image=st.none() | st.just(as_input(encoded(drawn()))),
        strength=st.none() | st.floats(0, 1),
        frames=st.none() | number("frames", 1, 480),
        fps=st.none() | number("fps", 1, 60),
        loras=st.fixed_dictionaries(
            {}, optional={name: st.floats(lora.min, lora.max) for name, lora in workflow.manifest.loras.items()}
        ),
    )


def _changed(before: Graph, after: Graph) -> dict[str, tuple[object, object]]:
    """Leaves and links that differ; that nothing else does is asserted."""
    assert before.keys() == after.keys()
    changed: dict[str, tuple[object, object]] = {}
    for name, node in before.items():
        assert node.class_type == after[name].class_type
        assert node.inputs.keys() == after[name].inputs.keys()
        for key, value in node.inputs.items():
            if (type(value), value) != (type(after[name].inputs[key]), after[name].inputs[key]):
                changed[f"{name}.{key}"] = (value, after[name].inputs[key])
    return changed


def _with(workflow: Workflow, leaf: str, value: object) -> Workflow:
    """The same workflow with another value at this place."""
    name, _, key = leaf.partition(".")
    node = workflow.graph[name]
    changed = structs.replace(node, inputs={**node.inputs, key: value})
    return structs.replace(workflow, graph={**workflow.graph, name: changed})


def _order(workflow: Workflow, **fields: object) -> JobSpec:
    slots = workflow.manifest.slots
    sizes = {field: slots[field].default if field in slots else 512 for field in ("width", "height", "steps")}
    fixed = {"kind": workflow.manifest.kind, "model": workflow.manifest.model, "prompt": "a red fox", "seed": 7}
    return JobSpec(**{**fixed, "guidance": 1.0, **sizes, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_shipped_workflow_fits_the_pinned_comfyui(name: str) -> None:
    assert faults(WORKFLOWS[name], NODES) == []


def test_the_shipped_workflows_cover_what_is_promised() -> None:
    offered = {(workflow.manifest.kind, workflow.manifest.model) for workflow in WORKFLOWS.values()}
    pictures = "sd15 sdxl sd35-large flux-schnell flux-dev sd2-inpaint upscale-4x sdxl-pixel-art".split()
    assert offered >= {("image", model) for model in pictures}
    assert offered >= {("video", model) for model in ("wan21-small", "wan22", "ltx")}
    from_images = {workflow.manifest.model for workflow in WORKFLOWS.values() if workflow.wants_image}
    assert from_images >= {"sd15", "sdxl", "sd35-large", "flux-dev", "wan22", "ltx"}
    assert {workflow.manifest.task for workflow in WORKFLOWS.values()} == set(get_args(Task))
    assert [w.name for w in WORKFLOWS.values() if len(w.manifest.loras) > 1] == ["sdxl-pixel-art"]


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_worker_without_a_file_is_told_which_one_it_lacks(name: str) -> None:
    workflow = WORKFLOWS[name]
    found = faults(workflow, node_classes(object_info({})))
    assert [fault.kind for fault in found] == ["missing"] * len(workflow.manifest.files)
    assert all(any(file.name in fault.message for fault in found) for file in workflow.manifest.files)


def test_only_files_that_hold_no_code_are_named() -> None:
    files = [file.name for workflow in WORKFLOWS.values() for file in workflow.manifest.files]
    assert files
    assert {Path(name).suffix for name in files} == {".safetensors"}


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_ordered_only_declared_leaves_differ_from_the_template(name: str, data: st.DataObject) -> None:
    workflow = WORKFLOWS[name]
    before = {node: structs.replace(told, inputs=dict(told.inputs)) for node, told in workflow.graph.items()}
    rendered = render(workflow, data.draw(_orders(workflow)), prefix="tessera/x", input_image=data.draw(text))
    assert _changed(before, workflow.graph) == {}
    for leaf, (old, new) in _changed(workflow.graph, rendered).items():
        assert leaf in declared(workflow.manifest)
        assert type(old) is type(new)
        assert isinstance(new, str | int | float)
    assert faults(structs.replace(workflow, graph=rendered), NODES) == []


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_an_order_with_the_defaults_arrives_in_its_slots(name: str) -> None:
    workflow = WORKFLOWS[name]
    rendered = render(workflow, _order(workflow), prefix="tessera/x", input_image="in/a.png")
    filled = {leaf: rendered[leaf.split(".")[0]].inputs[leaf.split(".")[1]] for leaf in declared(workflow.manifest)}
    assert filled[workflow.manifest.prefix] == "tessera/x"
    expectations: list[tuple[Field, object]] = [("prompt", "a red fox"), ("seed", 7), ("input_image", "in/a.png")]
    for field, expected in expectations:
        assert all(filled[leaf] == expected for leaf in getattr(workflow.manifest.slots.get(field), "at", []))


def test_a_stack_of_loras_is_weighed_within_its_bounds() -> None:
    workflow = WORKFLOWS["sdxl-pixel-art"]
    usual = render(workflow, _order(workflow), prefix="p")
    assert [usual[name].inputs["strength_clip"] for name in ("fast", "style")] == [1.0, 1.2]
    weighed = render(workflow, _order(workflow, loras={"pixel-art": 0}), prefix="p")
    assert [weighed[name].inputs["strength_model"] for name in ("fast", "style")] == [1.0, 0.0]
    for loras, said in (({"pixel-art": 2.5}, "pixel-art must be from"), ({"nobody": 1.0}, "there is no nobody here")):
        with pytest.raises(Unfit, match=said):
            render(workflow, _order(workflow, loras=loras), prefix="p")


def test_a_workflow_is_the_same_after_its_way_over_the_wire() -> None:
    found = msgspec.json.decode(msgspec.json.encode(sent(WORKFLOWS.values())), type=WorkflowSet)
    assert [received(one).version for one in found.data] == [WORKFLOWS[one.name].version for one in found.data]
    assert found.revision == sent(reversed(list(WORKFLOWS.values()))).revision


def test_agents_are_not_told_what_only_those_need_who_order() -> None:
    """An older agent knows neither field, and would leave out a workflow that has one."""
    asked = WORKFLOWS["sdxl-pixel-art"].manifest
    loras = {name: structs.replace(lora, triggers=("pixel art",)) for name, lora in asked.loras.items()}
    told = structs.replace(WORKFLOWS["sdxl-pixel-art"], manifest=structs.replace(asked, languages=("zh",), loras=loras))
    assert told.version == WORKFLOWS["sdxl-pixel-art"].version, "the same steps"
    [one] = sent([told]).data
    assert b"languages" not in bytes(one.manifest)
    assert b"triggers" not in bytes(one.manifest)
    assert received(one).manifest == asked


def test_of_what_a_control_plane_sends_only_what_can_be_judged_is_run() -> None:
    """Newer manifests, broken ones, other programs' nodes, files that nobody listed: each is left out by itself."""
    good = sent([WORKFLOWS["sd15"], WORKFLOWS["sdxl"]]).data
    newer = structs.replace(good[0], name="newer", manifest=msgspec.Raw(b'{"since": 2031}'))
    broken = structs.replace(good[0], name="broken", graph=msgspec.Raw(b'{"a": [1]}'))
    shell = msgspec.Raw(bytes(good[0].graph).replace(b"VAEDecode", b"RunShellCommand"))
    found = WorkflowSet(revision="x", data=[*good, newer, broken, structs.replace(good[0], name="shell", graph=shell)])
    read = understood(found)
    assert [workflow.name for workflow in read] == ["sd15", "sdxl", "shell"]
    assert {w.name: bool(faults(w, NODES)) for w in read} == {"sd15": False, "sdxl": False, "shell": True}


def test_what_looks_like_a_link_stays_text() -> None:
    workflow = WORKFLOWS["sd15"]
    rendered = render(workflow, _order(workflow, prompt=BRACKETS), prefix="p")
    assert rendered["positive"].inputs["text"] == BRACKETS


def test_the_length_of_a_film_snaps_to_what_its_model_can_do() -> None:
    workflow = WORKFLOWS["wan22"]
    lengths = {
        frames: render(workflow, _order(workflow, frames=frames), prefix="p")["latent"].inputs["length"]
        for frames in (1, 48, 50, 52, 121)
    }
    assert lengths == {1: 1, 48: 49, 50: 49, 52: 53, 121: 121}


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"width": 64}, "width"), ({"steps": 150}, "steps"), ({"sampler": "nope"}, "sampler"), ({"count": 9}, "count")],
)
def test_what_a_workflow_cannot_do_is_refused_in_a_sentence(fields: dict[str, object], said: str) -> None:
    workflow = WORKFLOWS["sd15"]
    with pytest.raises(Unfit, match=said):
        render(workflow, _order(workflow, **fields), prefix="p")


def test_a_picture_to_start_from_cannot_be_left_out() -> None:
    workflow = WORKFLOWS["sd15-image"]
    with pytest.raises(Unfit, match="image"):
        render(workflow, _order(workflow), prefix="p")


def test_artifacts_of_single_runs_differ_in_their_seed() -> None:
    spec = _order(WORKFLOWS["wan22"], count=3)
    assert [(artifact(spec, index).seed, artifact(spec, index).count) for index in range(3)] == [(7, 1), (8, 1), (9, 1)]


@pytest.mark.parametrize(
    ("leaf", "value", "said"),
    [
        ("sampler.model", ["nobody", 0], "nobody, which does not exist"),
        ("sampler.model", ["checkpoint", 9], "output 9"),
        ("sampler.model", ["positive", 0], "takes MODEL but gets CONDITIONING"),
        ("sampler.model", "checkpoint", "must be linked"),
        ("sampler.positive", ["decode", 0], "circle"),
        ("sampler.scheduler", "nope", "cannot be 'nope'"),
        ("sampler.steps", 0, "from 1"),
        ("sampler.denoise", "1", "type FLOAT"),
        ("sampler.nothing", 1, "no such input"),
        ("checkpoint.ckpt_name", "other.safetensors", "in the manifest"),
        ("positive.text", ["save", 0], "no plain value"),
    ],
)
def test_what_is_wrong_with_a_graph_is_said(leaf: str, value: object, said: str) -> None:
    found = faults(_with(WORKFLOWS["sd15"], leaf, value), NODES)
    assert [fault.kind for fault in found] == ["wrong"] * len(found)
    assert any(said in fault.message for fault in found), found


def test_a_class_outside_the_list_is_never_accepted() -> None:
    workflow = WORKFLOWS["sd15"]
    dangerous = structs.replace(workflow.graph["save"], class_type="RunShellCommand")
    found = structure_faults(structs.replace(workflow, graph={**workflow.graph, "save": dangerous}))
    assert any("RunShellCommand" in message for message in found)


def test_a_file_that_the_manifest_does_not_list_is_never_loaded() -> None:
    workflow = WORKFLOWS["sd15"]
    unlisted = structs.replace(workflow, manifest=structs.replace(workflow.manifest, files=[]))
    assert structure_faults(unlisted) == [
        "checkpoint.ckpt_name takes a file, which the manifest must list under [[files]]."
    ]


@pytest.mark.parametrize(
    ("manifest", "graph", "said"),
    [
        (None, "{}", "no workflow"),
        ("title = 1", "{}", "a.toml"),
        ("", '{"nodes": []}', "a.toml"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, manifest: str | None, graph: str, said: str) -> None:
    (tmp_path / "a.json").write_text(graph)
    if manifest is not None:
        (tmp_path / "a.toml").write_text(manifest)
    with pytest.raises(WorkflowError, match=re.escape(said)):
        load(tmp_path)


def test_a_graph_in_the_format_of_the_editor_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes((SHIPPED / "sd15.toml").read_bytes())
    (tmp_path / "a.json").write_text('{"nodes": [], "links": []}')
    with pytest.raises(WorkflowError, match="Export \\(API\\)"):
        load(tmp_path)


def test_an_operators_workflow_stands_in_for_a_shipped_one_of_the_same_name(tmp_path: Path) -> None:
    for suffix in (".toml", ".json"):
        (tmp_path / f"sd15{suffix}").write_bytes((SHIPPED / f"sd15{suffix}").read_bytes())
    toml = tmp_path / "sd15.toml"
    toml.write_text(toml.read_text().replace('title = "Stable Diffusion 1.5"', 'title = "Ours"'))
    assert {workflow.name: workflow.manifest.title for workflow in load(SHIPPED, tmp_path)}["sd15"] == "Ours"
