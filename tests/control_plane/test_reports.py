"""Whoever can see a thing can report it, once; the operator decides, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from control_plane import audit
from control_plane.conduct import reports
from tests.fixtures.api import API, Plane
from tests.fixtures.worker import serving


@pytest.fixture
async def plane(database_url: str, tmp_path: Path) -> AsyncIterator[Plane]:
    async with serving(database_url, tmp_path) as service:
        admin = Plane(service, service.user_id, "")
        yield Plane(service, service.user_id, await admin.key_of(service.user_id, ["read", "submit", "admin"]))


@pytest.fixture
def rows(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


PROPOSED = "insert into publications (job_id, attempt, index, show_prompt) values (%s, 1, 0, false)"
APPROVED = "update publications set state = 'approved', decided_at = now(), decided_by = 'x' where job_id = %s"


class Complaints:
    """Filing and handling reports by HTTP."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane

    async def file(self, key: str, **fields: object) -> Any:
        return await self.plane.call("POST", f"{API}/reports", key, {"category": "person", **fields})

    async def listed(self, query: str = "") -> list[dict[str, Any]]:
        answered = await self.plane.call("GET", f"{API}/reports{query}", self.plane.admin_key)
        found: list[dict[str, Any]] = answered.json["data"]
        return found

    async def decide(self, report_id: str, verb: str) -> Any:
        return await self.plane.call("POST", f"{API}/admin/reports/{report_id}/{verb}", self.plane.admin_key)


async def test_a_person_reports_what_is_theirs_and_the_operator_sees_it(plane: Plane) -> None:
    complaints, job = Complaints(plane), await plane.service.done()
    filed = await complaints.file(plane.service.key, job_id=job["id"], index=0, text="that is me")
    assert filed.status == 201
    again = await complaints.file(plane.service.key, job_id=job["id"], index=0, text="I said so", category="hate")
    assert again.json == filed.json, "the first one counts"
    whole = await complaints.file(plane.service.key, job_id=job["id"])
    assert whole.json["id"] != filed.json["id"]
    found = await complaints.listed()
    assert [(r["id"], r["index"], r["category"], r["text"], r["state"]) for r in found] == [
        (whole.json["id"], None, "person", "", "open"),
        (filed.json["id"], 0, "person", "that is me", "open"),
    ]
    page = (await plane.call("GET", f"{API}/reports?limit=1", plane.admin_key)).json
    assert (page["has_more"], [r["id"] for r in page["data"]]) == (True, [whole.json["id"]])
    assert [r["id"] for r in await complaints.listed(f"?limit=1&cursor={page['next_cursor']}")] == [filed.json["id"]]


async def test_nobody_reports_what_they_cannot_see(plane: Plane, owner_url: str) -> None:
    complaints, job = Complaints(plane), await plane.service.done()
    stranger = await plane.user_key(["read"])
    missing = await complaints.file(stranger, job_id=uuid4())
    for fields in ({}, {"index": 0}, {"index": 5}):
        answered = await complaints.file(stranger, job_id=job["id"], **fields)
        assert (answered.status, answered.code, answered.json["detail"]) == (404, "not-found", missing.json["detail"])
    assert (await complaints.file(plane.service.key, job_id=job["id"], index=1)).status == 404
    with psycopg.connect(owner_url, autocommit=True) as sql:
        sql.execute(PROPOSED, [job["id"]])
        sql.execute(APPROVED, [job["id"]])
    assert (await complaints.file(stranger, job_id=job["id"])).status == 404
    assert (await complaints.file(stranger, job_id=job["id"], index=0)).status == 201, "it is published"
    assert (await plane.call("GET", f"{API}/reports", stranger)).status == 403


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"text": "x" * 1_001}, "/text"),
        ({"text": "a\x00b"}, "/text"),
        ({"category": "boring"}, "/category"),
        ({"index": -1}, "/index"),
        ({"index": 64}, "/index"),
        ({"job_id": "x"}, "/job_id"),
        ({"more": 1}, "/more"),
    ],
)
async def test_a_report_that_does_not_fit_is_refused(plane: Plane, fields: dict[str, object], pointer: str) -> None:
    answered = await Complaints(plane).file(plane.service.key, **{"job_id": str(uuid4()), **fields})
    assert answered.status == 422
    assert answered.json["errors"][0]["pointer"] in (pointer, "")


async def test_open_reports_have_a_limit(plane: Plane) -> None:
    complaints, key = Complaints(plane), await plane.user_key()
    jobs = [(await plane.order(key))["id"] for _ in range(reports.OPEN_MAX + 1)]
    filed = [await complaints.file(key, job_id=job_id) for job_id in jobs]
    assert {answered.status for answered in filed[:-1]} == {201}
    assert (filed[-1].status, filed[-1].code) == (429, "too-many-reports")
    assert (await complaints.file(key, job_id=jobs[0])).json == filed[0].json, "this one is known"
    assert (await complaints.decide(filed[0].json["id"], "dismiss")).status == 200
    assert (await complaints.file(key, job_id=jobs[-1])).status == 201


async def test_an_upheld_report_quarantines_and_a_dismissed_one_does_not(plane: Plane) -> None:
    complaints, jobs = Complaints(plane), [await plane.service.done() for _ in range(3)]
    filed = [
        (await complaints.file(plane.service.key, job_id=job["id"], index=index)).json["id"]
        for job, index in zip(jobs, (0, None, 0), strict=True)
    ]
    for report_id in filed[:2]:
        assert (await complaints.decide(report_id, "uphold")).json["quarantined"] == [0]
    assert (await complaints.decide(filed[2], "dismiss")).json["quarantined"] == []
    shown = [len((await plane.service.job(job["id"]))["artifacts"]) for job in jobs]
    assert shown == [0, 0, 1]
    states = {report["id"]: report["state"] for report in await complaints.listed()}
    assert [states[report_id] for report_id in filed] == ["upheld", "upheld", "dismissed"]
    for verb in ("uphold", "dismiss"):
        answered = await complaints.decide(filed[2], verb)
        assert (answered.status, answered.code) == (409, "already-handled")
        assert (await complaints.decide(str(uuid4()), verb)).status == 404
    by = {report["handled_by"] for report in await complaints.listed("?state=upheld")}
    assert by == {f"user:{plane.admin_id}"}
    lines = await audit.entries(plane.context.database, kind="report", limit=10)
    assert [line.verb for line in lines] == ["dismiss", "uphold", "uphold"]


async def test_the_application_cannot_rewrite_a_report(plane: Plane, rows: psycopg.Connection[Any]) -> None:
    await Complaints(plane).file(plane.service.key, job_id=str(await plane.service.order()), text="mine")
    for statement in ("update reports set text = ''", "update reports set reporter_id = null", "delete from reports"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows.execute(statement)
    assert rows.execute("select text from reports").fetchall() == [("mine",)]


async def test_two_decisions_at_once_are_one(plane: Plane) -> None:
    complaints, job = Complaints(plane), await plane.service.done()
    report_id = (await complaints.file(plane.service.key, job_id=job["id"], index=0)).json["id"]
    decided = await asyncio.gather(*(complaints.decide(report_id, verb) for verb in ("uphold", "dismiss") * 4))
    assert sorted(answered.status for answered in decided) == [200] + [409] * 7
    [report] = await complaints.listed()
    seen = await plane.service.job(job["id"])
    assert len(seen["artifacts"]) == (0 if report["state"] == "upheld" else 1)
