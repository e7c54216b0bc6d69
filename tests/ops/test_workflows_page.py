"""The page of the shipped workflows says what their files say."""

from __future__ import annotations

from control_plane.wire.workflow import SHIPPED, load
from ops.workflows import PAGE, PROVEN, page
from tests.standins.comfyui.pinned import PINNED_VERSION


def test_the_page_is_what_the_manifests_and_lists_say() -> None:
    assert PAGE.read_text() == page(), "type `python -m ops.workflows` and read the difference"


def test_every_workflow_says_how_far_it_was_proven() -> None:
    lines = {line.split("`")[1]: line for line in page().splitlines() if line.startswith("| `") and "GiB" in line}
    for workflow in load(SHIPPED):
        assert f"| {PROVEN[workflow.manifest.proven]} |" in lines[workflow.name]
    assert f"ComfyUI {PINNED_VERSION} " in page()
