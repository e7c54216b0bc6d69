"""What goes into an array parameter comes out of PostgreSQL as it was, whatever a person typed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.database import columns
from tests.fixtures.postgres import Postgres

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
"""PostgreSQL holds neither U+0000 nor half of a surrogate pair; the door refuses both."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    text: str | None
    octets: bytes | None
    number: float
    flag: bool
    id: UUID


MEMBERS = st.builds(
    Member,
    text=st.none() | TEXT | st.sampled_from(["NULL", "null", "", '"', "\\", "{}", '",(x', "a,b", " x ", "\n"]),
    octets=st.none() | st.binary(),
    number=st.floats(allow_nan=False),
    flag=st.booleans(),
    id=st.uuids(),
)


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        yield connection


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(members=st.lists(MEMBERS, min_size=1, max_size=20))
def test_an_array_parameter_holds_what_was_put_in(connection: psycopg.Connection, members: list[Member]) -> None:
    found = connection.execute(
        """select * from unnest(%(text)s::text[], %(octets)s::bytea[], %(number)s::float8[], %(flag)s::boolean[],
        %(id)s::uuid[])""",
        columns(members),
    ).fetchall()
    assert found == [(each.text, each.octets, each.number, each.flag, each.id) for each in members]
