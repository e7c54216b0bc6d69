"""How the control plane serves the export: what a page may run, what is kept how long, what is not there."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.api import site as serving_site
from ops import website
from tests.fixtures.worker import Service, serving

INLINE = 'self.__next_f.push([1,"a < b"])'
PAGE = f"<!doctype html><title>Pictures</title><script>{INLINE}</script><script src=/_next/static/a-1f.js></script>"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "_next" / "static").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Landing</title>")
    (folder / "create.html").write_text(PAGE)
    (folder / "create.html.gz").write_bytes(gzip.compress(PAGE.encode()))
    (folder / "404.html").write_text("<!doctype html><title>Nothing here</title>")
    (folder / "_next" / "static" / "a-1f.js").write_text("1")
    (tmp_path / "secret.txt").write_text("mine")
    return folder


@pytest.fixture
async def service(database_url: str, tmp_path: Path, export: Path) -> AsyncIterator[Service]:
    async with serving(database_url, tmp_path / "plane", site=export) as service:
        yield service


async def test_a_page_runs_what_came_with_it_and_nothing_else(service: Service) -> None:
    page = await service.get("/create")
    assert (page.status, page.body) == (200, PAGE.encode())
    digest = base64.b64encode(hashlib.sha256(INLINE.encode()).digest()).decode()
    policy = page.headers["Content-Security-Policy"]
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_pages_are_asked_for_again_and_files_with_a_hash_in_their_name_are_not(service: Service) -> None:
    page, script = await service.get("/create"), await service.get("/_next/static/a-1f.js")
    assert page.headers["Cache-Control"] == "no-cache"
    assert "immutable" in script.headers["Cache-Control"]
    again = await service.get("/create", **{"If-None-Match": page.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert (await service.get("/create", **{"If-None-Match": '"other"'})).status == 200


async def test_what_was_packed_beforehand_is_sent_packed_to_who_takes_it(service: Service) -> None:
    plain = await service.get("/create", **{"Accept-Encoding": "identity"})
    packed = await service.get("/create", **{"Accept-Encoding": "br;q=0, gzip;q=0.5"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert "Accept-Encoding" in packed.headers["Vary"]
    refused = await service.get("/create", **{"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refused.headers


async def test_a_person_gets_a_page_for_nothing_and_a_program_its_problem(service: Service) -> None:
    person = await service.get("/nowhere", Accept="text/html,*/*")
    assert (person.status, b"Nothing here" in person.body) == (404, True)
    program = await service.get("/nowhere")
    assert (program.status, program.code) == (404, "not-found")
    machine = await service.get("/api/v1/nowhere", Accept="text/html")
    assert machine.code == "not-found"
    assert (await service.get("/docs", Accept="text/html")).status == 200


@pytest.mark.parametrize(
    "path", ["/404.html", "/create.html.gz", "/../secret.txt", "/%2e%2e/secret.txt", "/index.html/", "//create"]
)
async def test_nothing_but_the_export_can_be_reached(service: Service, path: str) -> None:
    assert (await service.get(path)).status in (301, 307, 404)


async def test_without_an_export_everything_else_works(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path / "plane", site=tmp_path / "none") as service:
        front = await service.get("/")
        assert (front.status, b"It is up" in front.body) == (200, True)
        assert (await service.get("/nowhere", Accept="text/html")).code == "not-found"


def test_pictures_from_a_bucket_may_be_shown_where_there_is_one() -> None:
    assert "https:" in serving_site.policy(b"", elsewhere=True)
    assert "https:" not in serving_site.policy(b"", elsewhere=False)


def test_the_types_of_the_site_are_those_of_the_api() -> None:
    said = website.TYPES.read_text().partition("\n")[0]
    assert said == website.stamp(), "the API has changed: run `make types`"


def test_what_the_site_is_built_with_is_pinned_for_every_kind_of_machine_and_no_address_is_recorded() -> None:
    packages = json.loads(website.LOCK.read_text())["packages"]
    missing = []
    for place, package in packages.items():
        for name in package.get("dependencies", {}) | package.get("optionalDependencies", {}):
            above = [place.rpartition("/node_modules/")[0], place, ""]
            homes = [f"{home}/node_modules/{name}".lstrip("/") for home in above]
            if not any(packages.get(home, {}).get("version") for home in homes):
                missing.append(f"{place} needs {name}")
    assert missing == []
    assert len(packages) > 50
    assert "://" not in website.LOCK.read_text()
