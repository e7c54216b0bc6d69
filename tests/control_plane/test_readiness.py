"""`/readyz` says of each thing that a process stands on whether it works: why to the operator alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg

from control_plane.api.readiness import Dependency, trouble
from control_plane.store.pulse import KEPT_SECONDS, Pulse
from tests.fixtures.api import Plane, eventually
from tests.fixtures.worker import Answered, serving

NAMES = ["database", "schema", "disk", "store", "policy", "hints"]
STRANGER = {"X-Forwarded-For": "198.51.100.7"}


def results(answered: Answered) -> dict[str, str]:
    return {one["name"]: one["result"] for one in answered.json["dependencies"]}


def sentences(answered: Answered) -> set[str]:
    return {one["name"] for one in answered.json["dependencies"] if one.get("found")}


async def test_every_dependency_is_told_and_what_is_wrong_only_to_the_operator(
    control_plane: Plane, owner_url: str, tmp_path: Path
) -> None:
    context = control_plane.context
    well = await control_plane.call("GET", "/readyz")
    assert (well.status, well.json["status"], list(results(well))) == (200, "ok", NAMES)
    assert set(results(well).values()) == {"ok"}

    context.disk.reserve_bytes = context.disk.free_bytes() * 2
    context.conduct.is_usable = False
    folder = context.settings.artifacts_folder
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("no folder")
    context.pulse._due = 0.0
    near = await control_plane.call("GET", "/readyz")
    assert (near.status, near.json["status"], near.json["disk"]) == (200, "degraded", "low")
    wrong = {"disk", "store", "policy"}
    assert {name for name, result in results(near).items() if result == "note"} == sentences(near) == wrong
    assert str(folder) in str(near.json), "the operator is told where"

    far = await control_plane.call("GET", "/readyz", headers=STRANGER)
    assert results(far) == results(near)
    assert sentences(far) == set()
    assert str(folder) not in far.body.decode()
    for key, tells in ((await control_plane.user_key(("metrics",)), True), (await control_plane.user_key(), False)):
        asked = await control_plane.call("GET", "/readyz", key, headers=STRANGER)
        assert bool(sentences(asked)) == tells, "a key with the scope `metrics` is the operator's"

    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    context.conduct.is_usable, context.disk.reserve_bytes = True, 0
    await eventually(lambda: control_plane.call("GET", "/readyz"), lambda answered: answered.json["status"] == "ok")

    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("insert into schema_migrations (number, name) values (9999, 'of_the_future')")
        answered = await control_plane.call("GET", "/readyz")
        assert (answered.status, results(answered)["schema"]) == (200, "note"), "what only adds is lived with"
        connection.execute("update schema_migrations set needs = 9999 where number = 9999")
    answered = await control_plane.call("GET", "/readyz")
    assert (answered.status, results(answered)["schema"]) == (503, "bad")
    assert int(answered.headers["Retry-After"]) >= 1
    assert "newer Tessera" in str(answered.json["dependencies"])
    assert sentences(await control_plane.call("GET", "/readyz", headers=STRANGER)) == set()


async def test_however_many_ask_the_store_is_tried_once_a_minute(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as service:
        kept = Counted(service.context.store)
        pulse = Pulse(kept)
        found = await asyncio.gather(*(pulse.look() for _ in range(50)))
        assert {one.fault for one in found} == {None}
        assert kept.trials == 1
        assert KEPT_SECONDS >= 60
        assert not [path for path in service.context.settings.artifacts_folder.rglob("*") if path.is_file()]


class Counted:
    """A store, and how often something was begun in it."""

    def __init__(self, store: Any) -> None:
        self._store, self.trials = store, 0

    def stage(self, key: str) -> Any:
        self.trials += 1
        return self._store.stage(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_only_the_database_and_its_schema_take_a_process_out_of_service() -> None:
    for name in NAMES:
        assert trouble([Dependency(name=name, result="note")]) is None  # type: ignore[arg-type]
    assert "tessera migrate" in str(trouble([Dependency(name="schema", result="bad")]))
    assert "database" in str(trouble([Dependency(name="database", result="bad")]))
