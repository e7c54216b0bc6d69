"""People, workers and backlogs, written by SQL: what would take minutes through the front door takes seconds.

Rows are those that the service itself would have written (the constraints see to that); a backlog may come with its
artifacts, so that a completion finds the files that it checks for.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import msgspec
import psycopg
from psycopg import sql

from tests.fixtures import books

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
SPEC = json.dumps(
    {
        "kind": "image",
        "model": "testcard",
        "prompt": "a red fox sitting in fresh snow at dawn, volumetric light, 85mm",
        "width": 512,
        "height": 512,
        "steps": 28,
        "seed": 1,
        "count": 1,
    }
)

BULK_MIN = 50_000
"""From this many on it is quicker to make the indexes again afterwards."""

Connection = psycopg.Connection[Any]


class Credential(msgspec.Struct, frozen=True):
    id: str
    """Of the user or the worker."""
    secret: str


def users(connection: Connection, count: int) -> list[Credential]:
    """Customers, each with an API key."""
    names = [f"bench-{secrets.token_hex(6)}" for _ in range(count)]
    found = connection.execute(
        "insert into users (name, plan) select unnest(%s::text[]), 'house' returning id::text", [names]
    ).fetchall()
    made = []
    for (user_id,) in found:
        key_id = "".join(secrets.choice(ALPHABET) for _ in range(12))
        made.append((key_id, f"tsk_{key_id}_{secrets.token_hex(32)}", user_id))
    connection.execute(
        "insert into api_keys (id, secret_sha256, user_id, name, scopes)"
        " select k.id, k.hash, k.user_id, 'bench', array['read', 'submit']"
        " from unnest(%s::text[], %s::bytea[], %s::uuid[]) as k (id, hash, user_id)",
        [[one[0] for one in made], [_sha256(one[1]) for one in made], [one[2] for one in made]],
    )
    return [Credential(user_id, secret) for _, secret, user_id in made]


def workers(connection: Connection, count: int) -> list[Credential]:
    """Workers with credentials of their own, as enrolled."""
    tokens = [f"tsw_{secrets.token_hex(32)}" for _ in range(count)]
    found = connection.execute(
        "insert into workers (name, secret_sha256)"
        " select 'bench-' || n, hash from unnest(%s::bytea[]) with ordinality as w (hash, n) order by n"
        " returning id::text, secret_sha256",
        [[_sha256(token) for token in tokens]],
    ).fetchall()
    ids = {bytes(digest): worker_id for worker_id, digest in found}
    return [Credential(ids[_sha256(token)], token) for token in tokens]


def backlog(connection: Connection, jobs: int, *, first_tag: float = 0.0, files: bool = False) -> None:
    """`jobs` queued pictures of all users, in one lane. With `files`, the first attempt of each has its artifact."""
    connection.execute("select ensure_partitions(2)")
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")  # no foreign keys to look up
        connection.execute(
            "with u as materialized (select array_agg(id) as ids from users),"
            " j as (insert into jobs (id, user_id, lane_id, tag, cost)"
            "   select uuid7(), u.ids[1 + g %% cardinality(u.ids)], l.id, %s + g, 1"
            "   from generate_series(1, %s) as g, u, lanes l where l.kind = 'image' and l.model = 'testcard'"
            "   returning id)"
            " insert into job_specs (job_id, spec) select id, %s::jsonb from j",
            [first_tag, jobs, SPEC],
        )
    books.write_up(connection)
    if files:
        artifacts(connection)


def artifacts(connection: Connection) -> None:
    """The file that the next attempt of every waiting job will be asked for."""
    connection.execute(
        "insert into artifacts (job_id, attempt, index, key, mime_type, width, height, bytes, sha256)"
        " select id, attempt + 1, 0, id::text || attempt, 'image/png', 512, 512, 1, sha256(id::text::bytea)"
        " from jobs where state = 'queued' on conflict do nothing"
    )


def bulk(connection: Connection, jobs: int, *, first_tag: float = 0.0) -> None:
    """Queued jobs by the hundred thousand, for claims alone: without specs and files."""
    connection.execute("select ensure_partitions(2)")
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")
        indexes = _without_indexes(connection) if jobs >= BULK_MIN else []
        connection.execute(
            "with u as materialized (select array_agg(id) as ids from users)"
            " insert into jobs (id, user_id, lane_id, tag, cost)"
            " select uuid7(), u.ids[1 + g %% cardinality(u.ids)], l.id, %s + g, 1"
            " from generate_series(1, %s) as g, u, lanes l where l.kind = 'image' and l.model = 'testcard'",
            [first_tag, jobs],
        )
        for index in indexes:
            connection.execute(index)
    books.write_up(connection)


def _without_indexes(connection: Connection) -> list[LiteralString]:
    """Drops the indexes of jobs; gives back what makes them again."""
    found = connection.execute(
        "select indexname, indexdef from pg_indexes where tablename = 'jobs' and indexname <> 'jobs_pkey'"
    ).fetchall()
    for name, _ in found:
        connection.execute(sql.SQL("drop index {}").format(sql.Identifier(name)))
    return [definition for _, definition in found]


def end_leases(connection: Connection) -> None:
    """Forget the leases that a load left behind when it stopped in the middle."""
    connection.execute(
        "update jobs set state = 'canceled', finished_at = now(), worker_id = null, slot = null, claim_id = null,"
        " lease_token = null, phase = null, lease_expires_at = null where state = 'running'"
    )


@contextmanager
def paused(connection: Connection) -> Iterator[None]:
    """Nothing is given out meanwhile."""
    connection.execute("update lanes set paused_at = now()")
    yield
    connection.execute("update lanes set paused_at = null")


def queued(connection: Connection) -> int:
    """How many jobs wait."""
    row = connection.execute("select count(*) from jobs where state = 'queued'").fetchone()
    return int(row[0]) if row else 0


def ended(connection: Connection) -> int:
    """How many jobs are over."""
    found = connection.execute("select count(*) from jobs where finished_at is not null").fetchone()
    assert found is not None
    return int(found[0])


def settle(connection: Connection) -> None:
    """What autovacuum would have done by the time a service has been up for a while. It leaves alone what is
    small."""
    filled = connection.execute(
        "select oid::regclass::text from pg_class where relkind = 'r' and pg_relation_size(oid) > 81920"
    ).fetchall()
    for (table,) in filled:
        connection.execute(sql.SQL("vacuum (analyze) {}").format(sql.SQL(table)))
    connection.execute("checkpoint")


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
