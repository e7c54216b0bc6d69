"""Lists: every job once and in order, narrowed to what fits, and no cursor that leads anywhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import cursors
from control_plane.errors import Invalid
from control_plane.jobs import listing
from control_plane.jobs.listing import Filters
from control_plane.signing import SigningKeys
from tests.fixtures.api import API, Plane


def _keys(*keys: bytes) -> SigningKeys:
    made = SigningKeys()
    made.replace(keys, 0.0)
    return made


KEYS = _keys(b"k" * 32)


async def _all(plane: Plane, key: str, limit: int = 2, **filters: object) -> list[str]:
    """Ids of every page, and no page beyond the limit."""
    seen: list[str] = []
    query = "".join(f"&{name}={quote(str(value))}" for name, value in filters.items())
    cursor = ""
    while True:
        answered = await plane.call("GET", f"{API}/jobs?limit={limit}{query}{cursor}", key)
        assert answered.status == 200, answered.body
        page = answered.json
        assert len(page["data"]) <= limit
        assert page["has_more"] is (page["next_cursor"] is not None)
        seen += [job["id"] for job in page["data"]]
        if not page["has_more"]:
            return seen
        cursor = f"&cursor={page['next_cursor']}"


async def _placed(plane: Plane, key: str, orders: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [await plane.order(key, **order) for order in orders]


async def test_a_list_goes_either_way_and_each_filter_takes_what_fits(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    orders: list[dict[str, Any]] = [
        {"kind": "video" if n % 3 == 2 else "image", "metadata": {"colour": "blue" if n % 2 else "a=b&c"}}
        for n in range(9)
    ]
    jobs = await _placed(control_plane, key, orders)
    ids = [job["id"] for job in jobs]
    for job_id in (ids[1], ids[4]):
        await control_plane.call("DELETE", f"{API}/jobs/{job_id}", key)
    assert await _all(control_plane, key) == ids[::-1]
    assert await _all(control_plane, key, order="oldest") == ids
    assert await _all(control_plane, key, order="oldest", kind="video") == ids[2::3]
    assert await _all(control_plane, key, status="canceled") == [ids[4], ids[1]]
    assert await _all(control_plane, key, status="succeeded") == []
    assert await _all(control_plane, key, model="testcard", kind="image", status="canceled", order="oldest") == [
        ids[1],
        ids[4],
    ]
    assert await _all(control_plane, key, model="another") == []
    assert await _all(control_plane, key, metadata="colour=blue", order="oldest") == ids[1::2]
    assert await _all(control_plane, key, metadata="colour=a=b&c", order="oldest") == ids[0::2]
    assert await _all(control_plane, key, metadata="colour=green") == []


async def test_a_list_begins_and_ends_at_instants_of_the_database(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    jobs = await _placed(control_plane, key, ({} for _ in range(4)))
    ids = [job["id"] for job in jobs]
    times = [job["created_at"] for job in jobs]
    assert await _all(control_plane, key, order="oldest", created_after=times[1]) == ids[1:]
    assert await _all(control_plane, key, order="oldest", created_before=times[2]) == ids[:2]
    assert await _all(control_plane, key, created_after=times[1], created_before=times[3]) == ids[2:0:-1]
    hour = datetime.fromisoformat(times[0]) + timedelta(hours=1)
    assert await _all(control_plane, key, created_before=hour.isoformat()) == ids[::-1]
    assert await _all(control_plane, key, created_after="9999-12-31T23:59:59Z") == []
    assert await _all(control_plane, key, created_before="0001-01-01T00:00:00Z") == []
    for value in ("yesterday", "2026-01-01", "2026-01-01T00:00:00"):
        refused = await control_plane.call("GET", f"{API}/jobs?created_after={value}", key)
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "created_after")


async def test_jobs_that_come_meanwhile_neither_repeat_nor_hide_others(control_plane: Plane) -> None:
    key = await control_plane.user_key()
    ids = [job["id"] for job in await _placed(control_plane, key, ({} for _ in range(4)))]
    first = (await control_plane.call("GET", f"{API}/jobs?limit=2", key)).json
    await control_plane.order(key)
    rest = (await control_plane.call("GET", f"{API}/jobs?limit=9&cursor={first['next_cursor']}", key)).json
    assert [job["id"] for job in first["data"] + rest["data"]] == ids[::-1]


async def test_a_cursor_that_was_changed_or_is_of_another_list_is_refused_by_name(control_plane: Plane) -> None:
    key, other = await control_plane.user_key(), await control_plane.user_key()
    for owner in (key, other):
        await _placed(control_plane, owner, ({} for _ in range(3)))
    path = f"{API}/jobs?limit=1"
    cursor: str = (await control_plane.call("GET", f"{path}&status=queued", key)).json["next_cursor"]
    right = await control_plane.call("GET", f"{path}&status=queued&cursor={cursor}", key)
    assert right.status == 200
    changed = ("A" if cursor[-2] != "A" else "B").join((cursor[:-2], cursor[-1]))
    wrong = [
        (key, f"{path}&cursor={cursor}"),
        (key, f"{path}&status=canceled&cursor={cursor}"),
        (key, f"{path}&status=queued&order=oldest&cursor={cursor}"),
        (key, f"{path}&status=queued&metadata=a=b&cursor={cursor}"),
        (other, f"{path}&status=queued&cursor={cursor}"),
        (key, f"{path}&status=queued&cursor={changed}"),
        (key, f"{path}&status=queued&cursor={cursor[:-1]}"),
        (key, f"{path}&status=queued&cursor={uuid4().hex}"),
        (key, f"{path}&status=queued&cursor="),
        (key, f"{path}&status=queued&cursor=%00"),
    ]
    for caller, address in wrong:
        refused = await control_plane.call("GET", address, caller)
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "cursor"), address


async def test_a_page_that_would_look_at_too_many_jobs_ends_and_the_next_goes_on(
    control_plane: Plane, owner_url: str
) -> None:
    key = await control_plane.user_key()
    needle = await control_plane.order(key, metadata={"wanted": "yes"})
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(  # thousands that do not fit, on top of the one that does
            """with made as (insert into jobs (id, user_id, lane_id, cost, state, finished_at)
                select uuid7(), j.user_id, j.lane_id, 1, 'canceled', now() from jobs j, generate_series(1, %s)
                where j.id = %s returning id)
            insert into job_specs (job_id, spec)
            select made.id, s.spec from made, job_specs s where s.job_id = %s""",
            (2 * listing.REACH + 100, needle["id"], needle["id"]),
        )
    path, pages = f"{API}/jobs?metadata=wanted=yes", 0
    found: list[str] = []
    cursor = ""
    while True:
        page = (await control_plane.call("GET", path + cursor, key)).json
        pages, found = pages + 1, found + [job["id"] for job in page["data"]]
        if not page["has_more"]:
            break
        assert found == []
        cursor = f"&cursor={page['next_cursor']}"
    assert (pages, found) == (3, [needle["id"]])
    assert (await control_plane.call("GET", f"{path}&order=oldest&limit=1", key)).json["data"][0]["id"] == needle["id"]


@given(position=st.binary(max_size=40), filters=st.lists(st.text(max_size=10), max_size=3))
def test_a_cursor_comes_back_as_it_was_sealed_also_by_an_older_key(position: bytes, filters: Sequence[str]) -> None:
    cursor = cursors.seal(KEYS, position, "jobs", *filters)
    assert len(cursor) <= cursors.CURSOR_LENGTH_MAX
    rotated = _keys(b"n" * 32, b"k" * 32)
    for keys in (KEYS, rotated):
        assert cursors.unseal(keys, cursor, "jobs", *filters) == position
    with pytest.raises(Invalid):
        cursors.unseal(_keys(b"n" * 32), cursor, "jobs", *filters)
    with pytest.raises(Invalid):
        cursors.unseal(KEYS, cursor, "jobs", *filters, "another filter")


@given(cursor=st.text(max_size=80))
def test_whatever_is_sent_as_a_cursor_is_refused_and_never_breaks(cursor: str) -> None:
    with pytest.raises(Invalid):
        cursors.unseal(KEYS, cursor, "jobs")


@given(at=st.integers(0, 31), bit=st.integers(0, 7))
def test_no_bit_of_a_cursor_can_be_changed(at: int, bit: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(cursors.seal(KEYS, uuid4().bytes, "jobs") + "=="))
    raw[at] ^= 1 << bit
    with pytest.raises(Invalid):
        cursors.unseal(KEYS, base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), "jobs")


@given(one=st.builds(Filters, status=st.sampled_from([None, "queued"]), metadata=st.none() | st.just(("a", "b"))))
def test_different_filters_are_different_lists(one: Filters) -> None:
    cursor = cursors.seal(KEYS, UUID(int=1).bytes, "jobs", one)
    for other in (Filters(), Filters(order="oldest"), Filters(metadata=("a", "c")), Filters(status="queued")):
        if other == one:
            assert cursors.unseal(KEYS, cursor, "jobs", other) == UUID(int=1).bytes
        else:
            with pytest.raises(Invalid):
                cursors.unseal(KEYS, cursor, "jobs", other)
