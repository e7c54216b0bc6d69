"""What the bots remember by themselves: for its user alone, through a restart, and not for ever."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from frontends.bots.dialogue.state import State
from frontends.bots.memory import KEEP_SECONDS, Memory
from tests.fixtures.theatre import Theatre, scene


def _ordered() -> State:
    stage = Theatre(scene())
    stage.command("generate", "a lighthouse")
    stage.settle()
    return stage.state


def test_a_conversation_is_the_same_after_a_restart_and_busy_as_long_as_something_is_open(tmp_path: Path) -> None:
    state, idle = _ordered(), State(scene=scene(subject="7"))
    memory = Memory(tmp_path / "bots.sqlite", 0.0)
    memory.save(state, 0.0)
    memory.save(idle, 0.0)
    memory.close()
    assert (tmp_path / "bots.sqlite").stat().st_mode & 0o777 == 0o600
    memory = Memory(tmp_path / "bots.sqlite", 1.0)
    assert (memory.load(state.scene.id), memory.load(idle.scene.id)) == (state, idle)
    assert memory.busy() == [state]
    memory.close()


def test_what_is_over_is_forgotten_after_a_month_and_what_is_open_is_not(tmp_path: Path) -> None:
    state, idle = _ordered(), State(scene=scene(subject="7"))
    memory = Memory(tmp_path / "bots.sqlite", 0.0)
    memory.save(state, 0.0)
    memory.save(idle, 0.0)
    memory.close()
    memory = Memory(tmp_path / "bots.sqlite", KEEP_SECONDS + 1.0)
    assert memory.load(idle.scene.id) is None
    assert memory.load(state.scene.id) == state
    memory.close()


def test_what_another_version_has_written_stops_nobody(tmp_path: Path) -> None:
    file = tmp_path / "bots.sqlite"
    memory = Memory(file, 0.0)
    memory.save(_ordered(), 0.0)
    memory.close()
    with sqlite3.connect(file) as database:
        database.execute("update conversations set state = ?", (b'{"scene": 5}',))
    database.close()
    memory = Memory(file, 0.0)
    assert memory.busy() == []
    assert memory.load(scene().id) is None
    memory.close()


def test_the_bots_that_somebody_has_started_are_known_the_last_one_first(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "bots.sqlite", 0.0)
    memory.meet("telegram", "42", "paint", "42", 1.0)
    memory.meet("telegram", "42", "film", "42", 2.0)
    memory.meet("discord", "42", "ink", "9", 3.0)
    assert list(memory.met("telegram", "42")) == ["film", "paint"]
    memory.part("telegram", "42", "film")
    assert memory.met("telegram", "42") == {"paint": "42"}
    memory.close()


def test_of_who_has_left_nothing_stays_in_the_file_nor_beside_it(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "bots.sqlite", 0.0)
    mine, other = _ordered(), State(scene=scene(subject="7"))
    subject = mine.scene.subject
    for state in (mine, other):
        memory.save(state, 100.0)
        memory.meet("telegram", state.scene.subject, "paint", "9", 100.0)
    assert memory.people(100.0) == []
    assert sorted(memory.people(101.0)) == sorted([("telegram", subject), ("telegram", "7")])
    assert memory.leave("telegram", subject) == [mine.scene.id]
    assert memory.people(101.0) == [("telegram", "7")]
    assert (memory.load(mine.scene.id), memory.load(other.scene.id)) == (None, other)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"lighthouse" not in kept
    assert b"paint" in kept
    memory.close()
