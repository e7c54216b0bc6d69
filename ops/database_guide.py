"""`ops/docs/database.md`: every table with its columns, laws and indexes, as `sql/schema.sql` has them.

What a table is for is the comment above it in `sql/migrations`, so it is said once; `PURPOSE` says it for the few that
have none there. `python -m ops.database_guide` writes the page, and a test compares it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "sql" / "schema.sql"
MIGRATIONS = ROOT / "sql" / "migrations"
PAGE = ROOT / "ops" / "docs" / "database.md"
HEAD = """# The database

Written by `python -m ops.database_guide` from `sql/schema.sql` and the comments of `sql/migrations`; not to be edited.
How it works together is in [ARCHITECTURE.md](../../ARCHITECTURE.md#laws), the statements are in `sql/queries`, and
what may be done by hand is little: [operations](operations.md#the-database-by-hand).

Ids are UUIDs that begin with their time (version 7). All times are `timestamptz`. Two roles: the owner runs
`tessera migrate`, the application (a member of `tessera_app`) reads and writes, and can neither change nor delete lines
of the books.
"""
PURPOSE = {
    "plans": "What people can be on: allowance, weight in the queue, limits. `tessera plan set` changes it.",
    "users": "Accounts. One that was merged stays as a name for its lines of the ledger.",
    "switches": "What the operator has paused as a whole (`tessera pause submits`).",
    "models": "What is offered, with defaults and limits; workflows in force write it.",
    "workers": "The machines that were enrolled, and what their credential's hash is.",
    "idempotency_keys": "Which `Idempotency-Key` placed which order, for 24 hours.",
    "invites": "Codes that let somebody in or give something, and how often.",
    "discards": "Files to be removed from the store after the commit that let them go.",
    "incidents": "What is or was wrong, one row from its beginning to its end.",
    "incident_messages": "Where each incident was told, so that the message can be updated and closed.",
    "schema_migrations": "Which migrations this database has.",
}
_MADE = re.compile(
    r"((?:^-- .*\n)*)^create (?:or replace )?(?:unlogged )?(?:table|view) (\w+)\b(?! partition)", re.MULTILINE
)
_TABLE = re.compile(r"^CREATE (UNLOGGED )?TABLE public\.(\w+) \(\n(.*?)\n\)", re.MULTILINE | re.DOTALL)
_VIEW = re.compile(r"^CREATE VIEW public\.(\w+) AS\n", re.MULTILINE)
_KEY = re.compile(r"^ALTER TABLE ONLY public\.(\w+)\n    ADD CONSTRAINT (\w+) (.*?);$", re.MULTILINE | re.DOTALL)
_INDEX = re.compile(r"^CREATE (UNIQUE )?INDEX (\w+) ON (?:ONLY )?public\.(\w+) USING (.*?);$", re.MULTILINE)
_TRIGGER = re.compile(
    r"^CREATE TRIGGER (\w+) (.*?) ON public\.(\w+) .*?EXECUTE FUNCTION public\.(\w+)\(\);$", re.MULTILINE
)
_REFERENCE = re.compile(r"FOREIGN KEY \((\w+)\) REFERENCES public\.(\w+)\(")
_COLUMN = re.compile(r"^(\w+) (.+?)( DEFAULT .+?)?( NOT NULL)?$", re.DOTALL)
_CAST = re.compile(r"::(?:double precision|[a-z_0-9]+)(?:\[\])?")


class Table(msgspec.Struct):
    name: str
    columns: list[tuple[str, str, str, str]]
    """Name, type, default, and whether it may be empty."""
    checks: list[tuple[str, str]]
    is_unlogged: bool


def page() -> str:
    schema = SCHEMA.read_text(encoding="utf-8")
    purposes = PURPOSE | _purposes()
    tables = [table for table in _tables(schema) if not table.name.endswith("_default")]
    order = list(purposes)
    tables.sort(key=lambda table: order.index(table.name))
    parts = [HEAD, "Tables: " + " · ".join(f"[{it.name}](#{it.name})" for it in sorted(tables, key=lambda it: it.name))]
    parts += [_section(table, purposes[table.name], schema) for table in tables]
    parts += [f"## {name}\n\nA view. {purposes[name]}" for name in _VIEW.findall(schema)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _purposes() -> dict[str, str]:
    """What stands above each table and view where it was made first, as one paragraph."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(MIGRATIONS.glob("*.sql")))
    found = {name: _paragraph(said) for said, name in _MADE.findall(text)}
    return {name: said for name, said in found.items() if said}


def _paragraph(comment: str) -> str:
    """A comment as text; lines that stand in by three are a list."""
    text = re.sub(r"^-- ?", "", comment.strip(), flags=re.MULTILINE)
    lists = re.sub(r"^  (\w+) +(.*)$", r"\0- `\1`: \2", text, flags=re.MULTILINE)
    return re.sub(r"\s*\n\s*", " ", lists).replace(" \0", "\n").replace("\0", "")


def _tables(schema: str) -> Iterator[Table]:
    for unlogged, name, body in _TABLE.findall(schema):
        columns, checks = [], []
        for line in re.split(r",\n    (?=\w)", body.removeprefix("    ")):
            if line.startswith("CONSTRAINT "):
                label, _, condition = line.removeprefix("CONSTRAINT ").partition(" ")
                checks.append((label, _plain(condition.removeprefix("CHECK "))))
            else:
                columns.append(_column(line))
        yield Table(name, columns, checks, bool(unlogged))


def _column(line: str) -> tuple[str, str, str, str]:
    found = _COLUMN.match(re.sub(r" CONSTRAINT \w+(?= NOT NULL)", "", line))
    assert found is not None, f"the schema has a column of a new shape: {line}"
    kind = found[2].replace("timestamp with time zone", "timestamptz").replace("public.", "")
    return found[1], kind, _plain((found[3] or "").removeprefix(" DEFAULT ")), "" if found[4] else "yes"


def _plain(expression: str) -> str:
    """An expression without casts, line breaks and the outermost parentheses."""
    bare = " ".join(_CAST.sub("", expression).replace("public.", "").split())
    while bare.startswith("(") and _closes_last(bare):
        bare = bare[1:-1]
    return re.sub(r"\((-?\d+)\)", r"\1", bare)


def _closes_last(text: str) -> bool:
    """Whether the first parenthesis is closed by the last character."""
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return position == len(text) - 1
    return False


def _section(table: Table, purpose: str, schema: str) -> str:
    keys = [(label, " ".join(said.split())) for owner, label, said in _KEY.findall(schema) if owner == table.name]
    refers = {found[1]: found[2] for _, said in keys if (found := _REFERENCE.match(said))}
    rows = "\n".join(
        f"| `{name}` | {kind} | {null} | {_code(default)} | {_leads(refers.get(name))} |"
        for name, kind, default, null in table.columns
    )
    unlogged = " Unlogged: a crash of the server empties it." if table.is_unlogged else ""
    return "\n\n".join(
        part
        for part in (
            f"## {table.name}",
            purpose + unlogged,
            f"| column | type | may be null | default | refers to |\n|---|---|---|---|---|\n{rows}",
            "\n".join(_laws(table, keys, schema)),
        )
        if part
    )


def _laws(table: Table, keys: list[tuple[str, str]], schema: str) -> Iterator[str]:
    for label, said in keys:
        if not said.startswith("FOREIGN KEY"):
            yield f"- {said.split(' (')[0].lower()} ({said.partition('(')[2]} · `{label}`"
    for label, condition in table.checks:
        yield f"- check {_code(condition)} · `{label}`"
    for unique, label, owner, said in _INDEX.findall(schema):
        if owner == table.name:
            yield f"- {'unique index' if unique else 'index'} {_code(_plain(said.removeprefix('btree ')))} · `{label}`"
    for label, when, owner, function in _TRIGGER.findall(schema):
        if owner == table.name:
            yield f"- trigger {when.lower()}: `{function}` · `{label}`"


def _code(text: str) -> str:
    """As code inside a cell of a table; nothing stays nothing."""
    return "`" + text.replace("|", "\\|") + "`" if text else ""


def _leads(table: str | None) -> str:
    return f"[{table}](#{table})" if table else ""


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
