"""The policy at the door: what it refuses becomes nothing, and what is refused is told nowhere but to its sender."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from control_plane import metrics
from control_plane.api.jobs import submit_job
from control_plane.conduct.judgement import Conduct
from control_plane.errors import ModeratedInput
from control_plane.settings import ConfigurationError
from control_plane.wire.input import Picture
from control_plane.wire.job import JobSpec
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.worker import serving

POLICY = """
version = {version}
[categories.gore]
words = ["{word}"]
[inputs]
sha256 = ["{hash}"]
"""
HASH = "ab" * 32


def write(path: Path, *, version: int = 3, word: str = "entrails") -> None:
    """Replaced at once, as careful editors do, so that nobody reads half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(POLICY.format(version=version, word=word, hash=HASH))
    fresh.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "policy.toml")
    return tmp_path / "policy.toml"


@pytest.fixture
async def plane(database_url: str, path: Path) -> AsyncIterator[Plane]:
    async with serving(database_url, path.parent, policy=path) as service:
        yield Plane(service, service.user_id, service.key)


def moderated(category: str) -> float:
    return metrics.registry.get_sample_value("tessera_orders_moderated_total", {"category": category}) or 0


def rows(database_url: str, table: str) -> list[Any]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(f"select * from {table}").fetchall()


async def test_a_refused_order_leaves_nothing_but_a_count(plane: Plane, database_url: str) -> None:
    key = await plane.user_key()
    before = moderated("gore")
    with capture_logs() as logs:
        answered = await plane.call("POST", f"{API}/jobs", key, {"prompt": "spilt Entr4ils, secret plan"})
    assert (answered.status, answered.code, answered.json["category"]) == (422, "moderated-input", "gore")
    assert answered.json["errors"][0]["pointer"] == "/prompt"
    for told in (answered.body.decode(), repr(logs)):
        assert "ntrails" not in told
        assert "Entr4ils" not in told
        assert "secret" not in told
    assert moderated("gore") == before + 1
    for table in ("jobs", "job_specs", "ledger_transfers", "usage_daily", "idempotency_keys"):
        assert rows(database_url, table) == []


async def test_a_dry_run_is_read_by_the_same_rules(plane: Plane) -> None:
    key = await plane.user_key()
    for path in (f"{API}/jobs?dry_run=true", f"{API}/jobs"):
        answered = await plane.call("POST", path, key, {"prompt": "entrails"})
        assert (answered.status, answered.code) == (422, "moderated-input")
    assert (await plane.call("POST", f"{API}/jobs?dry_run=true", key, {"prompt": "a field"})).status == 200


async def test_a_job_remembers_the_version_it_was_read_by(plane: Plane, database_url: str, path: Path) -> None:
    key = await plane.user_key()
    await plane.order(key)
    write(path, version=4)
    await eventually(version(plane), lambda found: found == 4)
    await plane.order(key)
    with psycopg.connect(database_url) as connection:
        found = connection.execute("select policy_version from jobs order by id").fetchall()
    assert found == [(3,), (4,)]


async def test_a_change_of_the_file_is_adopted_and_a_faulty_one_is_not(plane: Plane, path: Path) -> None:
    key = await plane.user_key()
    path.write_text("version = 'a'")
    await eventually(usable, lambda found: found == 0)
    assert (await plane.call("POST", f"{API}/jobs", key, {"prompt": "entrails"})).code == "moderated-input"
    path.unlink()
    assert (await plane.call("POST", f"{API}/jobs", key, {"prompt": "entrails"})).code == "moderated-input"
    write(path, version=5, word="gizzard")
    await eventually(version(plane), lambda found: found == 5)
    assert await usable() == 1
    assert (await plane.call("POST", f"{API}/jobs", key, {"prompt": "entrails"})).status == 201
    assert (await plane.call("POST", f"{API}/jobs", key, {"prompt": "gizzard"})).code == "moderated-input"
    assert (await plane.call("POST", f"{API}/jobs", key, {"prompt": "naked child"})).json["category"] == "minors"


async def test_what_was_accepted_stays_accepted_when_the_rules_change(plane: Plane, path: Path) -> None:
    key, order, idempotent = await plane.user_key(), {"prompt": "a gizzard"}, {"Idempotency-Key": "once"}
    first = await plane.call("POST", f"{API}/jobs", key, order, headers=idempotent)
    write(path, version=4, word="gizzard")
    await eventually(version(plane), lambda found: found == 4)
    again = await plane.call("POST", f"{API}/jobs", key, order, headers=idempotent)
    assert (again.status, again.headers["Idempotent-Replayed"], again.json["id"]) == (201, "true", first.json["id"])
    for headers in ({}, {"Idempotency-Key": "another"}):
        assert (await plane.call("POST", f"{API}/jobs", key, order, headers=headers)).code == "moderated-input"
    other = await plane.user_key()
    assert (await plane.call("POST", f"{API}/jobs", other, order, headers=idempotent)).code == "moderated-input"


async def test_a_negative_prompt_may_exclude_but_not_rule(plane: Plane) -> None:
    key = await plane.user_key()
    order = {"prompt": "a butcher", "negative_prompt": "entrails, nude, child"}
    assert (await plane.call("POST", f"{API}/jobs", key, order)).status == 201
    assert (await plane.call("POST", f"{API}/jobs", key, {**order, "guidance": 1})).status == 201
    for guidance in (0, 0.5):
        answered = await plane.call("POST", f"{API}/jobs", key, {**order, "guidance": guidance})
        assert (answered.code, answered.json["errors"][0]["pointer"]) == ("moderated-input", "/negative_prompt")


def spec(**fields: Any) -> JobSpec:
    given = {"kind": "image", "model": "m", "prompt": "p", "width": 64, "height": 64, "steps": 1, "seed": 0, **fields}
    return JobSpec(**given)


def test_a_blocked_input_is_refused_by_its_hash(path: Path) -> None:
    conduct = Conduct(path)
    with pytest.raises(ModeratedInput) as refused:
        conduct.check(spec(input_image=_picture(HASH)))
    assert refused.value.fields["category"] == "inputs"
    assert conduct.check(spec(input_image=_picture("cd" * 32))) == 3


def _picture(sha256: str) -> Picture:
    return Picture(id=UUID(int=0), mime_type="image/png", width=8, height=8, bytes=99, sha256=sha256)


def test_a_service_does_not_start_with_a_policy_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        Conduct(tmp_path / "nowhere.toml")


def test_a_file_that_has_not_changed_is_not_read_again(path: Path) -> None:
    conduct = Conduct(path)
    before, stat = conduct.policy, path.stat()
    conduct.look()
    assert conduct.policy is before
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    conduct.look()
    assert conduct.policy is not before


def test_the_refusal_is_in_the_document() -> None:
    assert ModeratedInput in submit_job.opt["operation"].problems


def version(plane: Plane) -> Any:
    async def look() -> int:
        return plane.context.conduct.policy.version

    return look


async def usable() -> float | None:
    return metrics.registry.get_sample_value("tessera_policy_usable")
