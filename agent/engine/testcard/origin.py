"""What a test card was made with: the same versions draw the same bytes."""

from __future__ import annotations

from agent.engine.origin import installed, installed_version
from control_plane.wire.job import JobSpec
from control_plane.wire.provenance import Provenance


def provenance(spec: JobSpec, seed: int) -> Provenance:
    """Of one file of an order."""
    ours = installed_version()
    return Provenance(
        engine="testcard",
        engine_version=ours,
        agent_version=ours,
        libraries=installed("pillow", "av") if spec.kind == "video" else installed("pillow"),
        device="CPU",
        seeds=[seed],
    )
