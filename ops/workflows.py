"""The page of the shipped workflows: what each makes and needs, under which licence, and how far it was proven.

`ops/docs/workflows.md` is written from the manifests and the lists of weights, and a test compares it, so nothing there
is called supported that does not say by itself what was tried.
"""

from __future__ import annotations

from pathlib import Path

from control_plane.orders.manifests import commercial, licences
from control_plane.wire import weights
from control_plane.wire.weights import Weights
from control_plane.wire.workflow import SHIPPED, Manifest, ModelFile, Workflow, load

PAGE = Path(__file__).parent / "docs" / "workflows.md"
PINNED = "0.3.64"
"""The ComfyUI whose nodes the tests know."""
PROVEN = {
    "validated": "validated",
    "toy": "validated, run on a processor",
    "gpu": "validated, run on a GPU",
}
GIB = 1024**3
HEAD = f"""# The workflows that come with Tessera

Written by `python -m ops.workflows` from the manifests in `agent/workflows/`; a test keeps it true.

How far each was proven:

- **validated**: graph and manifest fit the nodes of ComfyUI {PINNED} with no custom nodes, by its own `object_info`;
- **run on a processor**: a genuine ComfyUI has drawn with it, with toy weights of the same shape;
- **run on a GPU**: a genuine ComfyUI has drawn with it on a GPU, with random weights of full size. That it runs is
  proven, not that it is beautiful.

Nobody has looked at pictures by the published weights in any of these trials.

| workflow | model | task | VRAM | weight in the price | reads | proven | may be sold |
|---|---|---|---|---|---|---|---|
"""


def page() -> str:
    workflows = sorted(load(SHIPPED), key=lambda workflow: (workflow.manifest.kind, workflow.name))
    lists = weights.load(SHIPPED)
    rows = [_row(workflow, lists) for workflow in workflows]
    return HEAD + "\n".join(rows) + "\n\n## Files\n\n" + "\n".join(_files(workflows, lists)) + "\n"


def _row(workflow: Workflow, lists: Weights) -> str:
    told = workflow.manifest
    cells = (
        *(f"`{workflow.name}`: {told.title}", f"{told.kind} `{told.model}`", told.task, f"{told.vram_gib} GiB"),
        *(f"{told.price_weight:g}", _reads(told), PROVEN[told.proven], _sold(told, lists)),
    )
    return f"| {' | '.join(cells)} |"


def _reads(manifest: Manifest) -> str:
    """Languages of prompts."""
    return ", ".join(manifest.languages) if "prompt" in manifest.slots else "no prompt"


def _sold(manifest: Manifest, lists: Weights) -> str:
    found = licences(manifest, lists)
    known = all(lists.licence_of(file.folder, file.name) for file in manifest.files)
    names = ", ".join(f"[{licence.name}]({licence.url})" for licence in found)
    return f"{commercial(found, all_known=known) or 'not known'}: {names}"


def _files(workflows: list[Workflow], lists: Weights) -> list[str]:
    files = {f"{file.folder}/{file.name}": file for workflow in workflows for file in workflow.manifest.files}
    return [
        "| file | size | SHA-256 | licence |",
        "|---|---|---|---|",
        *(_file(files[path], lists) for path in sorted(files)),
    ]


def _file(file: ModelFile, lists: Weights) -> str:
    path = f"{file.folder}/{file.name}"
    known, licence = lists.files.get(path), lists.licence_of(file.folder, file.name)
    if known is None or licence is None:
        return f"| `{path}` | not known | not known | not known |"
    gated = ", gated" if known.gated else ""
    return f"| `{path}` | {known.bytes / GIB:.2f} GiB | `{known.sha256 or 'not published'}` | {licence.name}{gated} |"


def main() -> None:
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
