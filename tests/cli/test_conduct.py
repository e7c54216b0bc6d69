"""Files withdrawn, accounts shut out, complaints decided on and the log of all that, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from control_plane import embedded
from control_plane.conduct import gallery, policy, reports
from control_plane.conduct.judgement import Conduct
from control_plane.database import Database
from tests.fixtures.operator import Say, Tell, name, on_database, submit


def sql(data_dir: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    server = embedded.start(data_dir)
    try:
        with psycopg.connect(server.owner_url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        server.stop()


def done(data_dir: Path, user_id: UUID) -> UUID:
    """A job that has succeeded with one file."""
    job_id = submit(data_dir, str(user_id))
    sql(data_dir, "update jobs set state = 'succeeded', attempt = 1, finished_at = now() where id = %s", job_id)
    sql(
        data_dir,
        "insert into artifacts (job_id, attempt, index, key, mime_type, width, height, bytes, sha256)"
        " values (%s, 1, 0, %s, 'image/png', 8, 8, 1, sha256(''))",
        *(job_id, f"jobs/{job_id}"),
    )
    return job_id


def file(data_dir: Path, user_id: UUID, job_id: UUID) -> str:
    """A report of the first file of a job."""

    async def work(database: Database) -> UUID:
        return (await reports.file(database, user_id, job_id, 0, "person", "that is me")).id

    return str(on_database(data_dir, work))


@pytest.fixture
def ada(tell: Tell) -> UUID:
    return UUID(tell("user", "create", name(), "--plan", "pro")["id"])


def test_a_file_is_withdrawn_and_comes_back(say: Say, tell: Tell, data_dir: Path, ada: UUID) -> None:
    job_id = str(done(data_dir, ada))
    assert (
        say("artifact", "quarantine", job_id, "0", "--reason", "a person") == "File 0 is quarantined: nobody sees it.\n"
    )
    assert sql(data_dir, "select visibility from artifacts where job_id = %s", job_id) == [("quarantined",)]
    assert tell("artifact", "restore", job_id, "0") == {"job": job_id, "index": 0, "quarantined": False}
    assert sql(data_dir, "select visibility from artifacts where job_id = %s", job_id) == [("private",)]
    assert say("artifact", "quarantine", job_id, "1", code=64) == (
        "tessera: There is no such file, or its job has not succeeded.\n"
    )
    for words in ((job_id, "x"), (job_id, "64"), ("x", "0")):
        assert "is not" in say("artifact", "quarantine", *words, code=64)
    lines = tell("audit", "list", "--about", f"artifact:{job_id}/0")
    assert [(line["verb"], line["actor_kind"], line["detail"]) for line in lines] == [
        ("restore", "operator", {}),
        ("quarantine", "operator", {"reason": "a person"}),
    ]
    assert "reason=a person" in say("audit", "list", "--about", f"artifact:{job_id}/0")


def test_complaints_are_listed_upheld_and_dismissed(say: Say, tell: Tell, data_dir: Path, ada: UUID) -> None:
    jobs = [done(data_dir, ada) for _ in range(2)]
    filed = [file(data_dir, ada, job_id) for job_id in jobs]
    mine = [report for report in tell("report", "list") if report["id"] in filed]
    assert [(report["id"], report["text"], report["state"]) for report in mine] == [
        (report_id, "that is me", "open") for report_id in reversed(filed)
    ]
    assert say("report", "uphold", filed[0]) == "Upheld; 1 file quarantined.\n"
    assert tell("report", "dismiss", filed[1]) == {"id": filed[1], "state": "dismissed", "quarantined": []}
    assert say("report", "uphold", filed[1], code=1) == ""
    assert "no such report" in say("report", "dismiss", str(uuid4()), code=64)
    assert filed[0] not in say("report", "list")
    assert f"{jobs[0]}/0" in say("report", "list", "--state", "upheld")
    found = sql(data_dir, "select visibility from artifacts where job_id = any(%s) order by job_id", jobs)
    assert found == [("quarantined",), ("private",)]


def test_what_people_want_everybody_to_see_is_approved_or_refused(
    say: Say, tell: Tell, data_dir: Path, ada: UUID
) -> None:
    jobs = [done(data_dir, ada) for _ in range(2)]

    async def propose(database: Database) -> None:
        for job_id in jobs:
            await gallery.propose(database, Conduct(), ada, job_id, 0, show_prompt=False)

    on_database(data_dir, propose)
    ids = {one["job_id"]: one["id"] for one in tell("gallery", "list")}
    first, second = (ids[str(job_id)] for job_id in jobs)
    assert say("gallery", "approve", first) == "Approved: everybody sees it.\n"
    assert tell("gallery", "refuse", second, "--reason", "a person") == {"id": second, "state": "refused"}
    assert say("gallery", "approve", second, code=1) == ""
    assert "no such publication" in say("gallery", "approve", str(uuid4()), code=64)
    assert "a person" in say("gallery", "list", "--state", "refused")
    assert first in say("gallery", "list", "--state", "approved")
    found = sql(data_dir, "select visibility from artifacts where job_id = any(%s) order by job_id", jobs)
    assert found == [("published",), ("private",)]
    lines = tell("audit", "list", "--about", f"artifact:{jobs[1]}/0")
    assert [(line["verb"], line["detail"]["reason"]) for line in lines] == [("refuse", "a person")]


def test_a_suspension_cancels_what_waits_and_is_undone(say: Say, tell: Tell, data_dir: Path, ada: UUID) -> None:
    jobs = [submit(data_dir, str(ada)) for _ in range(3)]
    told = tell("user", "suspend", str(ada), "--reason", "spam")
    assert (told["status"], told["canceled"], told["canceling"]) == ("suspended", 3, 0)
    assert "0 orders were canceled" in say("user", "suspend", str(ada))
    tell("user", "restore", str(ada))
    assert {tell("job", "show", str(job_id))["state"] for job_id in jobs} == {"canceled"}
    lines = tell("audit", "list", "--about", f"user:{ada}")
    assert [(line["verb"], line["detail"]) for line in lines] == [
        ("restore", {}),
        ("suspend", {"reason": "spam"}),
        ("create", {"plan": "pro"}),
    ]


def test_what_an_operator_does_is_written_down(say: Say, tell: Tell, data_dir: Path, ada: UUID) -> None:
    key = tell("key", "create", str(ada))
    tell("key", "revoke", key["id"])
    for words in (("submits",), ("model", "testcard"), ("lane", "1")):
        tell("pause", *words)
        tell("resume", *words)
    tell("job", "cancel", str(submit(data_dir, str(ada))))
    tell("worker", "enroll-token")
    lines = tell("audit", "list", "--limit", "10")
    assert [(line["verb"], line["object_kind"]) for line in lines] == [
        ("create", "enrolment_token"),
        ("cancel", "job"),
        *(("resume", "lane"), ("pause", "lane"), ("resume", "model"), ("pause", "model")),
        *(("resume", "switch"), ("pause", "switch")),
        *(("revoke", "key"), ("create", "key")),
    ]
    assert key["key"] not in json.dumps(lines)
    assert say("audit", "list", "--limit", "1").startswith("AT")
    assert say("audit", "list", "--about", "user:nobody") == "Nothing has been done about that.\n"


def test_a_policy_that_cannot_be_used_is_told_by_check(
    say: Say, tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.toml"
    monkeypatch.setenv("TESSERA_POLICY", str(path))
    path.write_text(policy.DEFAULT.read_text())
    assert not [problem for problem in tell("check")["problems"] if "policy" in problem]
    path.write_text("version = 1\n[categories.a]\npatterns = ['(']\n")
    assert "RE2 does not take the pattern '('" in say("check", code=78)
