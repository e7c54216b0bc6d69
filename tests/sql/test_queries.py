"""Every named query fits the migrated schema, and what it returns fits the Python type that is bound to it.

PostgreSQL itself says what a statement takes and gives: each one is prepared under the rights of the application and
described, and the description is compared with the fields of the Struct.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import psycopg
import pytest
from psycopg import pq

import control_plane
from control_plane.database import Query, statements

NAMES = sorted(statements())

KINDS: dict[str, tuple[str, ...]] = {
    "bool": ("bool",),
    "int2": ("int",),
    "int4": ("int",),
    "int8": ("int",),
    "float4": ("float",),
    "float8": ("float",),
    "text": ("str",),
    "cidr": ("ipv4network|ipv6network",),
    "uuid": ("uuid",),
    "bytea": ("bytes",),
    "timestamptz": ("datetime",),
    "date": ("date",),
    "jsonb": ("dict", "any"),
}
"""PostgreSQL type → what the field may be. What is missing (numeric, say) has no business in a result."""


def import_everything() -> None:
    """Binding happens at import; a module of a frontend extra may be missing, nothing else."""
    for module in pkgutil.walk_packages(control_plane.__path__, "control_plane."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


import_everything()


def numbered(text: str) -> tuple[str, list[str]]:
    """The statement as PostgreSQL takes it, and its parameters in order."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    for number, name in enumerate(names, 1):
        text = text.replace(f"%({name})s", f"${number}")
    return text.replace("%%", "%"), names


def described(connection: psycopg.Connection[Any], text: str) -> list[tuple[str, str]]:
    """(name, type) of every column of the result."""
    statement, _ = numbered(text)
    prepared = connection.pgconn.prepare(b"", statement.encode())
    assert prepared.status == pq.ExecStatus.COMMAND_OK, prepared.error_message.decode()
    found = connection.pgconn.describe_prepared(b"")
    columns = []
    for index in range(found.nfields):
        name = found.fname(index)
        assert name is not None
        columns.append((name.decode(), type_name(connection, found.ftype(index))))
    return columns


def type_name(connection: psycopg.Connection[Any], oid: int) -> str:
    """`int4`, and `_int4` for its arrays."""
    row = connection.execute("select typname from pg_type where oid = %s", [oid]).fetchone()
    assert row is not None
    return str(row[0])


def kind(hint: Any) -> str:
    """What a field holds, in one word; `list of` for arrays; optional or not makes no difference here."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return kind(arguments[0])
    if origin in (Union, UnionType):
        return "|".join(sorted(kind(argument) for argument in arguments if argument is not type(None)))
    if origin is Literal:
        return "|".join({type(argument).__name__ for argument in arguments})
    if origin in (list, tuple):
        return f"list of {kind(arguments[0])}"
    return str(getattr(origin or hint, "__name__", hint)).lower()


def fitting(postgres_type: str) -> set[str]:
    if postgres_type.startswith("_"):
        return {f"list of {name}" for name in fitting(postgres_type[1:])}
    assert postgres_type in KINDS, f"a result of the type {postgres_type}: cast it"
    return set(KINDS[postgres_type])


@pytest.fixture(scope="module")
def connection(postgres: Any, template: str) -> Iterator[psycopg.Connection[Any]]:
    name = postgres.create(template)
    with psycopg.connect(postgres.url(name), autocommit=True) as connection:
        yield connection
    postgres.drop(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_query_fits_the_schema_and_its_rows_fit_their_type(connection: psycopg.Connection[Any], name: str) -> None:
    shape, text = statements()[name]
    columns = described(connection, text)
    bound = Query.registry[name]
    if shape == "run":
        assert bound.row is None, "a statement that is only run has no rows"
        return
    assert bound.row is not None, f"{name} returns {columns}, but no type is bound"
    if issubclass(bound.row, msgspec.Struct):
        fields = {field: kind(hint) for field, hint in get_type_hints(bound.row, include_extras=True).items()}
        assert [column for column, _ in columns] == list(dict.fromkeys(column for column, _ in columns))
        assert {column for column, _ in columns} == set(fields)
    else:
        assert len(columns) == 1
        fields = {columns[0][0]: kind(bound.row)}
    unfit = {column: (fields[column], given) for column, given in columns if fields[column] not in fitting(given)}
    assert unfit == {}, "(the field, what PostgreSQL gives)"


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_says_its_type(name: str) -> None:
    _, text = statements()[name]
    bare = [match for match in re.findall(r"%\(\w+\)s(?:::)?", text) if not match.endswith("::")]
    assert bare == []
    assert re.findall(r"%(?![(%])", text.replace("%%", "")) == [], "a stray per cent sign"


@pytest.mark.parametrize("name", NAMES)
def test_a_query_is_a_described_lowercase_statement_with_explicit_columns(name: str) -> None:
    _, text = statements()[name]
    sentence, body = text.split("\n", 1)
    assert sentence.startswith("-- "), "the line below the header says what it is for"
    code = "\n".join(line.split("--")[0] for line in body.splitlines())
    code = re.sub(r"'[^']*'|%\(\w+\)s", "", code)
    assert code == code.lower()
    assert re.findall(r"select \*|returning \*", code) == []
    assert code.rstrip().endswith(";")
    assert code.count(";") == 1


def test_every_query_is_bound_and_bound_once() -> None:
    assert sorted(Query.registry) == NAMES
    bindings = [name for path in sources() for name in bound_in(path)]
    assert sorted(bindings) == NAMES, "bound twice, or bound where nobody imports it"


def test_every_call_gives_exactly_the_parameters() -> None:
    """Where a call spells its parameters out, they are the statement's."""
    seen = 0
    for path in sources():
        tree = ast.parse(path.read_text())
        names = {target.id: name for target, name in bindings_in(tree)}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            for query, literal in zip(call.args, call.args[1:], strict=False):
                if not (isinstance(query, ast.Name) and query.id in names and isinstance(literal, ast.Dict)):
                    continue
                if not all(isinstance(key, ast.Constant) for key in literal.keys):
                    continue
                given = {key.value for key in literal.keys if isinstance(key, ast.Constant)}
                assert given == set(numbered(statements()[names[query.id]][1])[1]), (path.name, names[query.id])
                seen += 1
    assert seen >= 20


def sources() -> list[Path]:
    return sorted(Path(control_plane.__path__[0]).rglob("*.py"))


def bindings_in(tree: ast.Module) -> Iterator[tuple[ast.Name, str]]:
    """Every `NAME = Query("noun.name", …)` of a module."""
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Query"):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        first = value.args[0]
        if isinstance(target, ast.Name) and isinstance(first, ast.Constant):
            yield target, str(first.value)


def bound_in(path: Path) -> list[str]:
    return [name for _, name in bindings_in(ast.parse(path.read_text()))]


def test_a_writing_query_changes_something_on_behalf_of_somebody() -> None:
    """An update or a delete without a condition touches every row; none of ours does."""
    for name, (_, text) in statements().items():
        code = re.sub(r"--.*|for (no key )?update|do update", "", text)
        for part in re.split(r"\b(?:update|delete from)\b", code)[1:]:
            assert " where " in part.replace("\n", " "), name
