"""Two control planes are restarted one after the other while customers order, agents work and a reader follows.

In front stands what any load balancer does: each new connection goes to one that takes it. Clients repeat as our own
programs do and in no other way; whatever they still saw as an error would end the test.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from control_plane.states import TERMINAL
from control_plane.wire.event import Opened
from tests.fixtures.crowd import Crowd, Reader, keys_and_tokens, until
from tests.fixtures.history import History, contradictions, counts
from tests.fixtures.queue import Rows, add_user, broken_laws, one
from tests.fixtures.services import Services

CUSTOMERS, AGENTS = 3, 3
ENOUGH = 25
"""Orders acknowledged before, between and after the restarts."""


@asynccontextmanager
async def balanced(urls: list[str]) -> AsyncIterator[str]:
    """One address for all of them. A connection goes to the next that takes it, and ends when that one ends it."""
    turns = itertools.count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(turns)
        for n in range(len(urls)):
            parts = urlsplit(urls[(first + n) % len(urls)])
            try:
                there, back = await asyncio.open_connection(parts.hostname, parts.port)
            except OSError:
                continue
            await asyncio.gather(pump(reader, back), pump(there, writer))
            return
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname()[:2])


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()


@pytest.mark.long
async def test_a_restart_of_one_after_the_other_is_seen_by_nobody(database_url: str, tmp_path: Path, sql: Rows) -> None:
    users = [add_user(sql) for _ in range(CUSTOMERS)]
    keys, tokens = await keys_and_tokens(database_url, users, AGENTS)
    history = History(tmp_path / "history.jsonl")
    shared = (tmp_path / "artifacts").as_uri()
    ended: list[int] = []
    with Services(database_url, tmp_path, count=2, TESSERA_ARTIFACTS_URL=shared) as services:
        await services.ready()
        async with balanced(services.urls) as url, asyncio.TaskGroup() as tasks:
            crowd, reader = Crowd(history, [url]), Reader(url, keys[0])
            following = tasks.create_task(reader.run())
            await until(lambda: bool(reader.opened))
            for n, key in enumerate(keys):
                tasks.create_task(crowd.customer(n, key))
            for n, token in enumerate(tokens):
                tasks.create_task(crowd.agent(n, token))
            for n in range(2):
                enough = len(crowd.acknowledged) + ENOUGH
                await until(lambda: len(crowd.acknowledged) >= enough)  # noqa: B023
                ended.append(await asyncio.to_thread(services.restart, n))
                await services.ready()
            enough = len(crowd.acknowledged) + ENOUGH
            await until(lambda: len(crowd.acknowledged) >= enough)
            crowd.quiet.set()
            await until(lambda: one(sql, "select count(*) from jobs where finished_at is null") == 0)
            ends = one(sql, "select count(*) from jobs where user_id = %s", users[0])
            await until(lambda: len(last_of(reader)) == ends)
            crowd.done.set()
            following.cancel()
        for n in range(2):
            assert "Traceback" not in services.said(n), services.said(n)[-4_000:]
    history.close()
    assert ended == [0, 0]
    told = counts(history.lines())
    assert contradictions(history.lines(), sql) == []
    assert broken_laws(sql) == {}
    assert told["fail complete"] == 0, "a lease was lost"
    assert one(sql, "select count(*) from jobs") == told["ok submit"] >= 3 * ENOUGH, "an order was placed twice"
    assert one(sql, "select count(*) from attempts where outcome = 'lost'") == 0
    opened = [msgspec.json.decode(data, type=Opened) for data in reader.opened]
    assert len(opened) >= 2, "the stream was never broken"
    assert all(one.resumed for one in opened[1:])
    assert max(Counter(id for id, _, _ in reader.heard).values()) == 1, "an event was told twice"
    assert max(last_of(reader).values()) == 1


def last_of(reader: Reader) -> Counter[str]:
    """How often the end of each job was heard of."""
    names = {f"job.{state}" for state in TERMINAL}
    return Counter(msgspec.json.decode(data)["job"]["id"] for _, name, data in reader.heard if name in names)
