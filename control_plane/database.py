"""PostgreSQL: the pool, the named queries, and nothing about what they mean.

Statements live in `sql/queries/<noun>.sql` under a header `-- name :shape` and a sentence; a module binds the ones
it owns once, at its top, with the Struct (or the type of the only column) that its rows become. Shapes: `:one` (row or
None), `:many`, `:value` (the only column of the only row), `:run` (nothing). Every query is prepared and described
against the migrated schema in a test and compared with that type, because building a row validates nothing.
Connections are in autocommit mode: one statement is one transaction, unless `transaction()` says otherwise.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, LiteralString, TypeVar, cast

import msgspec
import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import RowMaker, no_result, scalar_row, tuple_row
from psycopg_pool import AsyncConnectionPool

from control_plane.connection import Connection
from control_plane.errors import Unavailable

Row = TypeVar("Row")
Parameters = Mapping[str, Any]

QUERIES_FOLDER = Path(__file__).parents[1] / "sql" / "queries"
CHECKOUT_SECONDS = 5.0
"""How long a request waits for a connection before it is told that the service is unavailable."""

AT_HAND_SECONDS = 300.0
"""How long a connection is kept at hand before the pool may look at its age and at how many are needed."""
RECONNECT_SECONDS = 5.0
"""How long the pool tries by itself, ever more rarely, to replace a lost connection; from then on a request that finds
none has it try at once. So an outage of whatever length is over a moment after the server is back."""

STATEMENT_FAILURES = frozenset({"40001", "40P01", "55P03", "57014"})
"""Serialisation, deadlock, lock timeout, statement timeout: the statement failed and did nothing. Any other operational
error means that the connection broke and nobody knows whether the statement was committed."""

_PARAMETER = re.compile(r"%\((\w+)\)s")
_HEADER = re.compile(r"^-- (?P<name>[a-z_0-9]+) :(?P<shape>one|many|value|run)$", re.MULTILINE)

# Hot statements reach every row through an index. Plans made while tables were empty must not say otherwise
# (they were 5 to 9 times slower), and compiling them costs more than it gains.
SESSION_OPTIONS = (
    "-c jit=off -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
    " -c plan_cache_mode=force_generic_plan -c timezone=UTC"
    " -c idle_in_transaction_session_timeout=10s -c statement_timeout=20s -c lock_timeout=5s"
)


@cache
def statements(folder: Path = QUERIES_FOLDER) -> dict[str, tuple[str, LiteralString]]:
    """Every named query: `noun.name` → (shape, text with its description)."""
    found: dict[str, tuple[str, LiteralString]] = {}
    for path in sorted(folder.glob("*.sql")):
        parts = _HEADER.split(path.read_text(encoding="utf-8"))
        for name, shape, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            key = f"{path.stem}.{name}"
            if key in found:
                raise ValueError(f"the query {key} stands twice in {path}")
            found[key] = (shape, cast(LiteralString, text.strip()))  # our own files, read as they were reviewed
    return found


def numbered(text: str) -> tuple[bytes, list[str]]:
    """A statement as PostgreSQL takes it, with `$1` for `%(name)s`, and its parameters in that order."""
    names = list(dict.fromkeys(_PARAMETER.findall(text)))
    statement = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text).replace("%%", "%")
    return statement.encode(), names


class Query(Generic[Row]):
    """A named statement and the type that its rows become."""

    registry: dict[str, Query[Any]] = {}

    def __init__(self, name: str, row: type[Row] | None = None) -> None:
        self.name = name
        self.row = row
        self.shape, self.text = statements()[name]
        self._statement, self._names = numbered(self.text)
        self._columns: tuple[str, ...] = ()
        Query.registry[name] = self

    async def many(self, connection: AsyncConnection[Any], parameters: Parameters | None = None) -> list[Row]:
        return await (await self.executed(connection, parameters)).fetchall()

    async def one(self, connection: AsyncConnection[Any], parameters: Parameters | None = None) -> Row | None:
        return await (await self.executed(connection, parameters)).fetchone()

    async def run(self, connection: AsyncConnection[Any], parameters: Parameters | None = None) -> int:
        """The number of rows touched."""
        return (await self.executed(connection, parameters)).rowcount

    async def executed(self, connection: AsyncConnection[Any], parameters: Parameters | None) -> AsyncRawCursor[Row]:
        """Raw, because psycopg would look for `%(name)s` in a long text anew at each execution."""
        values = [parameters[name] for name in self._names] if parameters else None
        return await AsyncRawCursor(connection, row_factory=self._rows()).execute(self._statement, values, prepare=True)

    def _rows(self) -> Any:
        if self.row is None:
            return tuple_row
        return self._structs if issubclass(self.row, msgspec.Struct) else scalar_row

    def _structs(self, cursor: AsyncRawCursor[Any]) -> RowMaker[Any]:
        """psycopg's `class_row`, but for reading the names of the columns anew from every result: they never change."""
        if not self._columns:
            if cursor.description is None:
                return no_result
            self._columns = tuple(column.name for column in cursor.description)
        row, columns = cast(Any, self.row), self._columns
        return lambda values: row(**dict(zip(columns, values, strict=True)))


class PoolUse(msgspec.Struct, frozen=True, kw_only=True):
    """How busy the pool is. `waits` and `failures` count since the start: statements that had to wait for a connection,
    and those that got none."""

    most: int
    lent: int
    idle: int
    waiting: int
    waits: int
    failures: int


class Database:
    """The pool of one process. Requests borrow a connection for a statement, never across a wait for the network.

    A connection that comes back is kept at hand, the last one on top: the next statement finds its server process awake
    and its caches warm, and saves the way through the pool. The pool keeps what it is there for: making connections,
    having requests wait for one, replacing those that broke or have grown old.
    """

    def __init__(self, url: str, *, size: int = 6) -> None:
        self.url = url
        self._pool = AsyncConnectionPool(
            url,
            min_size=2,
            max_size=size,
            open=False,
            timeout=CHECKOUT_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            kwargs={"autocommit": True, "options": SESSION_OPTIONS, "prepare_threshold": 0, **KEEPALIVE},
            check=None,
            connection_class=Connection,
        )
        self._at_hand: list[Connection] = []
        self._wanted = 0
        """Requests that wait for the pool."""
        self._lent_at: dict[Connection, float] = {}
        """When the pool gave a connection out."""

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        while self._at_hand:
            await self._return(self._at_hand.pop())
        await self._pool.close()

    @property
    def use(self) -> PoolUse:
        stats = self._pool.get_stats()
        idle = len(self._at_hand)
        return PoolUse(
            most=self._pool.max_size,
            lent=len(self._lent_at) - idle,
            idle=idle + stats.get("pool_available", 0),
            waiting=stats.get("requests_waiting", 0),
            waits=stats.get("requests_queued", 0),
            failures=stats.get("requests_errors", 0),
        )

    def connection(self) -> Borrowed:
        """A connection for a block. Raises `Unavailable` when there is none, or when it breaks."""
        return Borrowed(self)

    async def borrow(self) -> Connection:
        """What `connection` enters with."""
        if self._at_hand:
            return self._at_hand.pop()
        self._wanted += 1
        try:
            connection = await self._pool.getconn()
        finally:
            self._wanted -= 1
        self._lent_at[connection] = time.monotonic()
        return connection

    async def give_back(self, connection: Connection) -> None:
        """What `connection` ends with: kept at hand, unless somebody waits for it, it is unwell, or it is due."""
        well = connection.pgconn.transaction_status == TransactionStatus.IDLE and not self._pool.closed
        if well and not self._wanted and time.monotonic() - self._lent_at[connection] < AT_HAND_SECONDS:
            self._at_hand.append(connection)
        else:
            await self._return(connection)

    async def _return(self, connection: Connection) -> None:
        self._lent_at.pop(connection, None)
        await self._pool.putconn(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def many(self, query: Query[Row], parameters: Parameters | None = None) -> list[Row]:
        async with self.connection() as connection:
            return await query.many(connection, parameters)

    async def one(self, query: Query[Row], parameters: Parameters | None = None) -> Row | None:
        async with self.connection() as connection:
            return await query.one(connection, parameters)

    async def run(self, query: Query[Any], parameters: Parameters | None = None) -> int:
        async with self.connection() as connection:
            return await query.run(connection, parameters)


class Borrowed:
    """A connection for a block; see `Database.connection`."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Connection:
        try:
            self._connection = await self._database.borrow()
        except psycopg.OperationalError as error:
            raise _unavailable() from error
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.give_back(self._connection)
        if isinstance(error, psycopg.OperationalError) and error.sqlstate not in STATEMENT_FAILURES:
            raise _unavailable() from error


def _unavailable() -> Unavailable:
    return Unavailable("The database cannot be reached just now. Try again in a moment.", retry_after=2)


KEEPALIVE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


def column(members: Sequence[Any], name: str) -> str:
    """One field of every member: the array parameter of a batch statement, as PostgreSQL reads it.

    psycopg would ask every element for its type; for a batch that takes longer than the statement itself.
    """
    return "{" + ",".join([_element(getattr(member, name)) for member in members]) + "}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def texts(member: msgspec.Struct) -> dict[str, str | None]:
    """Every field of a lone member as PostgreSQL reads it: a parameter whose type changed with its value would have the
    statement prepared anew for each of them."""
    found = ((name, getattr(member, name)) for name in member.__struct_fields__)
    return {
        name: f"\\x{value.hex()}" if isinstance(value, bytes) else value if value is None else str(value)
        for name, value in found
    }


def columns(members: Sequence[msgspec.Struct]) -> dict[str, Any]:
    """Every field of every member, one array parameter for each."""
    return {name: column(members, name) for name in members[0].__struct_fields__}
