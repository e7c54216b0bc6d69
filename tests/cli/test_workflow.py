"""`tessera workflow list` and what `tessera check` says of licences, on a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.database import Database
from control_plane.orders import manifests, shelf
from control_plane.queue.lanes import Board
from control_plane.wire.worker import Capability, EnrollRequest
from control_plane.workers import roster, slots
from control_plane.workers.slots import SlotFacts
from tests.fixtures.operator import Say, Tell, on_database


async def _worker_for(database: Database, model: str) -> None:
    """The shipped workflows are in force, and a worker that was heard just now can make this."""
    await shelf.publish(database, manifests.examine(manifests.folders(Path("/nonexistent"))))
    board = Board(database)
    await board.refresh()
    lane_ids = board.serving([Capability(kind="image", model=model, tasks=("text-to-image",))], 24)
    token = await roster.create_token(database)
    worker = await roster.enroll(database, EnrollRequest(token=token, secret_sha256=token[-64:], name=model))
    facts = SlotFacts(worker_id=worker.id, slot=0, lane_ids=lane_ids, loaded_lane_id=None, vram_gib=24)
    await slots.seen(database, [facts])


def test_what_is_sold_against_its_licence_is_told_by_check(data_dir: Path, say: Say, tell: Tell) -> None:
    assert "No workflow is in force" in say("workflow", "list")
    on_database(data_dir, lambda database: _worker_for(database, "flux-schnell"))
    told = tell("check")
    assert told["problems"] == []
    assert not [note for note in told["notes"] if "licence" in note]
    on_database(data_dir, lambda database: _worker_for(database, "flux-dev"))
    [note] = [note for note in tell("check")["notes"] if "licence" in note]
    assert "flux-dev is sold, and its licence (FLUX.1 [dev] Non-Commercial License) forbids" in note
    assert "pro" in note
    assert f"NOTE: {note}" in say("check")
    rows = {row["name"]: row for row in tell("workflow", "list")}
    assert (rows["flux-dev"]["commercial"], rows["flux-dev"]["state"], rows["flux-dev"]["live_slots"]) == (
        "no",
        "sold",
        1,
    )
    assert (rows["sdxl"]["commercial"], rows["sdxl"]["state"]) == ("conditional", "no worker can run it")
    assert "fits the pinned ComfyUI" in say("workflow", "list")
    say("pause", "model", "flux-dev")
    assert not [note for note in tell("check")["notes"] if "licence" in note]
    assert {row["name"]: row["state"] for row in tell("workflow", "list")}["flux-dev"] == "paused"


def test_unusable_files_are_a_problem_and_name_themselves(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text("title = 1")
    (tmp_path / "mine.json").write_text("{}")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine.toml").write_text("files = 7")
    monkeypatch.setenv("TESSERA_WORKFLOWS", str(tmp_path))
    told = say("check", code=78)
    assert "PROBLEM: The workflow mine cannot be used as it is:" in told
    assert f"PROBLEM: {tmp_path}/weights/mine.toml: Expected `array`" in told
    assert "is no folder" in say("workflow", "check", tmp_path / "nowhere", code=64)
