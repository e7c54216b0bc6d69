"""When something goes wrong: every answer is a problem that helps, and none tells what is nobody's business."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp
import psycopg
import pytest
from psycopg import sql

from control_plane import api
from control_plane.api import guards
from control_plane.api.document import plain_path
from control_plane.api.protocol import HEAD_BYTES_MAX, HEAD_SECONDS, REST_SECONDS, Protocol
from tests.fixtures.api import API, Plane, eventually
from tests.fixtures.postgres import Postgres
from tests.fixtures.worker import enrolled, running, serving

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


async def test_an_address_that_leads_nowhere_is_a_problem(control_plane: Plane) -> None:
    for path in ("/nope", f"{API}/jobs/nonsense", f"{API}/jobs/{'1' * 400}", "/%ff", "/problems", f"{API}/job"):
        answered = await control_plane.call("GET", path)
        assert (answered.status, answered.code) == (404, "not-found"), path
        assert answered.headers["Content-Type"] == "application/problem+json"
        assert set(answered.json) == MEMBERS


async def test_a_method_that_is_not_known_is_told_which_are(control_plane: Plane) -> None:
    answered = await control_plane.call("PUT", f"{API}/jobs", control_plane.admin_key, {})
    assert (answered.status, answered.code) == (405, "method-not-allowed")
    assert {"GET", "POST"} <= set(answered.headers["Allow"].split(", "))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", f"{API}/plans"])
async def test_what_is_open_to_all_can_be_asked_for_without_its_body(path: str, control_plane: Plane) -> None:
    whole, head = [await control_plane.call(method, path) for method in ("GET", "HEAD")]
    assert (head.status, head.body) == (whole.status, b"") == (200, b"")
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    assert (await control_plane.call("HEAD", f"{API}/jobs", control_plane.admin_key)).status == 405


async def test_every_answer_carries_an_id_of_its_own_and_the_headers_of_all(control_plane: Plane) -> None:
    ids = set()
    tried = 0
    for op in api.operations():
        answered = await control_plane.call(op.method, plain_path(op.path).format_map(_Anything()))
        ids.add(answered.headers["X-Request-Id"])
        assert answered.headers["X-Content-Type-Options"] == "nosniff"
        assert answered.headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in answered.headers
        if op.guard is not guards.PUBLIC:
            assert answered.headers["Cache-Control"] == "no-store"
        tried += 1
    assert len(ids) == tried > 15


async def test_the_type_of_a_problem_leads_to_its_page(control_plane: Plane) -> None:
    problem = (await control_plane.call("GET", f"{API}/user/me")).json
    assert problem["type"].startswith(control_plane.url)
    page = await control_plane.call("GET", problem["type"].removeprefix(control_plane.url))
    assert problem["title"] in page.body.decode()


async def test_a_mistake_of_ours_shows_its_id_and_nothing_else(
    control_plane: Plane, owner_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("alter table plans rename column queued_max to renamed")
    answered = await control_plane.call("GET", f"{API}/plans")
    assert (answered.status, answered.code) == (500, "internal")
    assert set(answered.json) == MEMBERS
    assert "queued_max" not in answered.body.decode()
    printed = capsys.readouterr()
    logged = printed.out + printed.err
    assert answered.json["request_id"] in logged
    assert "UndefinedColumn" in logged


async def test_without_a_database_everything_is_unavailable_and_comes_back(
    control_plane: Plane, postgres: Postgres, database_name: str
) -> None:
    key = await control_plane.user_key()
    assert (await control_plane.call("GET", "/readyz")).status == 200
    with _closed(postgres, database_name):
        for method, path, body in (("GET", "/readyz", None), ("POST", f"{API}/jobs", {"prompt": "x"})):
            answered = await control_plane.call(method, path, key, body)
            assert (answered.status, answered.code) == (503, "unavailable"), answered.body
            assert int(answered.headers["Retry-After"]) >= 1
        assert (await control_plane.call("GET", "/healthz")).status == 200
    await eventually(lambda: control_plane.call("GET", "/readyz"), lambda answered: answered.status == 200)
    await control_plane.order(key)


@pytest.mark.slow
async def test_after_a_long_outage_of_the_database_requests_are_served_at_once(
    control_plane: Plane, postgres: Postgres, database_name: str
) -> None:
    with _closed(postgres, database_name):
        await asyncio.sleep(20)  # left to itself, the pool would try again after 30 s
        assert (await control_plane.call("GET", "/readyz")).status == 503
    before = time.monotonic()
    await eventually(lambda: control_plane.call("GET", "/readyz"), lambda answered: answered.status == 200)
    assert time.monotonic() - before < 3


async def test_who_waits_too_long_for_a_lock_is_told_to_try_again(control_plane: Plane, owner_url: str) -> None:
    key = await control_plane.user_key()
    job = await control_plane.order(key)
    with psycopg.connect(owner_url) as connection:
        connection.execute("select from jobs where id = %s for update", (job["id"],))
        answered = await control_plane.call("DELETE", f"{API}/jobs/{job['id']}", key)
    assert (answered.status, answered.code) == (503, "unavailable"), answered.body
    assert int(answered.headers["Retry-After"]) >= 1


async def test_a_database_that_this_code_cannot_live_with_is_not_ready(control_plane: Plane, owner_url: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("insert into schema_migrations (number, name) values (9998, 'of_the_future')")
        assert (await control_plane.call("GET", "/readyz")).status == 200, "it only adds"
        connection.execute("insert into schema_migrations (number, name, needs) values (9999, 'takes_away', 9999)")
    answered = await control_plane.call("GET", "/readyz")
    assert (answered.status, answered.code) == (503, "unavailable")
    assert "tessera migrate" in answered.json["detail"]


async def test_a_request_that_takes_too_long_is_ended(database_url: str, owner_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, request_seconds=0.3) as service:
        with psycopg.connect(owner_url) as connection:
            connection.execute("lock table plans in access exclusive mode")
            before = time.monotonic()
            answered = await service.get(f"{API}/plans")
            assert time.monotonic() - before < 3
            assert (answered.status, answered.code) == (504, "deadline-exceeded")
            assert answered.headers["X-Request-Id"] == answered.json["request_id"]
        assert (await service.get(f"{API}/plans")).status == 200


async def test_a_poll_is_held_beyond_the_deadline_of_other_requests(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, request_seconds=0.3) as service:
        before = time.monotonic()
        assert await service.hands.claim(wait=1.0) == []
        assert time.monotonic() - before >= 1.0


async def test_a_body_that_does_not_come_is_not_waited_for(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, request_seconds=0.3) as service:
        port = service.context.settings.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {API}/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.key}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{".encode())
        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(b"HTTP/1.1 504")
        writer.close()
        await writer.wait_closed()


async def test_a_head_without_end_is_refused(control_plane: Plane) -> None:
    for piece in (b"X-Many: " + b"a" * 1_000 + b"\r\n", b"a" * 1_000):  # many headers, and one that does not end
        async with _connected(control_plane) as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
            sent = 0
            with suppress(ConnectionError):
                while sent < 50 * HEAD_BYTES_MAX and not reader.at_eof():
                    writer.write(piece)
                    await writer.drain()
                    sent += len(piece)
                    await asyncio.sleep(0)
            assert HEAD_BYTES_MAX <= sent < 50 * HEAD_BYTES_MAX


async def test_a_long_head_that_comes_in_pieces_is_fine(control_plane: Plane) -> None:
    async with _connected(control_plane) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: ")
        for _ in range(8):
            writer.write(b"a" * (HEAD_BYTES_MAX // 16))
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.write(b"\r\n\r\n")
        assert b"200 OK" in await reader.read()


@pytest.mark.slow
async def test_a_connection_that_does_not_finish_a_head_is_closed(control_plane: Plane) -> None:
    async with _connected(control_plane) as (silent, _), _connected(control_plane) as (slow, writer):
        writer.write(b"GET /healthz HT")
        before = time.monotonic()
        async with asyncio.timeout(HEAD_SECONDS + 5):
            assert await silent.read() == b""
            assert await slow.read() == b""
        assert time.monotonic() - before > HEAD_SECONDS / 2


async def test_headers_after_a_body_are_not_kept(control_plane: Plane) -> None:
    async with _connected(control_plane) as (reader, writer):
        writer.write(f"POST {API}/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        ours = writer.get_extra_info("sockname")
        [protocol] = [found for found in gc.get_objects() if isinstance(found, Protocol) and found.client == ours]
        writer.write(b"0\r\n")
        for _ in range(500):
            writer.write(b"X-Trailer: " + b"a" * 1_000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        assert len(protocol.headers) == 2
        writer.write(b"\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200" in await reader.read()


@pytest.mark.slow
async def test_a_connection_does_not_stay_for_the_rest_of_an_answered_request(control_plane: Plane) -> None:
    async with _connected(control_plane) as (reader, writer):
        writer.write(f"POST {API}/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        writer.write(b"{")
        async with asyncio.timeout(REST_SECONDS + 5):
            await reader.read()


@asynccontextmanager
async def _connected(plane: Plane) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", plane.context.settings.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_low_on_disk_nothing_new_is_accepted(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, disk_reserve_bytes=2**50) as service:
        plane = Plane(service, service.user_id, service.key)
        answered = await plane.call("POST", f"{API}/jobs", service.key, {"prompt": "x"})
        assert (answered.status, answered.code) == (503, "disk-low")
        assert int(answered.headers["Retry-After"]) >= 1


async def test_held_polls_are_answered_when_the_service_stops(database_url: str, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
        async with running(database_url, tmp_path) as context:
            hands = await enrolled(context, session)
            poll = tasks.create_task(hands.claim(wait=20))
            async with asyncio.timeout(5):
                while not len(context.dispatcher.waiters):
                    await asyncio.sleep(0.01)
            before = time.monotonic()
        assert await poll == []
        assert time.monotonic() - before < 5


class _Anything(dict[str, str]):
    """A value for every parameter of a path."""

    def __missing__(self, name: str) -> str:
        return "0198c5a0-0000-7000-8000-000000000000" if name == "job_id" else "1"


@contextmanager
def _closed(postgres: Postgres, name: str) -> Iterator[None]:
    """The database cannot be reached meanwhile."""
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        allow = sql.SQL("alter database {} allow_connections {}")
        connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
        try:
            yield
        finally:
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))
