"""Versions side by side: what a recorded release said is read by today's code, what today's code says fits what that
release knew, and its queries go on being understood by today's schema. Written by `python -m ops.record`.

A recorded file that does not fit any more is a promise broken: only before its release is out may it be written anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it brings no types
import msgspec
import psycopg
import pytest
from psycopg import pq

from ops import record
from tests.fixtures import specimens
from tests.sql.test_queries import numbered

WIRE = sorted([*record.FOLDER.glob("worker-*.json"), *record.FOLDER.glob("api-*.json")])
QUERIES = sorted(record.FOLDER.glob("queries-*.json"))
TODAY = record.every(worker=True) | record.every(worker=False)


def told(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def read(name: str, message: Any) -> None:
    """As whoever gets it does, byte for byte."""
    msgspec.json.decode(json.dumps(message).encode(), type=TODAY[name])


def open_to_more(schema: Any) -> Any:
    """A program of ours, and every client that keeps to the documents, passes over fields that it does not know."""
    if isinstance(schema, dict):
        kept = {name: open_to_more(value) for name, value in schema.items() if name != "additionalProperties"}
        extra = schema.get("additionalProperties")
        return kept | ({"additionalProperties": open_to_more(extra)} if isinstance(extra, dict) else {})
    return [open_to_more(item) for item in schema] if isinstance(schema, list) else schema


def test_there_is_a_record_of_every_kind() -> None:
    assert any(path.name == "worker-1.json" for path in WIRE)
    assert any(path.name == "api-1.json" for path in WIRE)
    assert QUERIES
    assert sum(len(told(path)["messages"]) for path in WIRE) > 100


@pytest.mark.parametrize("path", WIRE, ids=lambda path: path.stem)
def test_what_a_release_said_is_read_today(path: Path) -> None:
    unread = {}
    for name, message in told(path)["messages"].items():
        if name not in TODAY:
            unread[name] = "is gone"
            continue
        for how in ("least", "whole"):
            try:
                read(name, message[how])
            except msgspec.MsgspecError as error:
                unread[f"{name}, {how}"] = str(error)
    assert unread == {}


@pytest.mark.parametrize("path", WIRE, ids=lambda path: path.stem)
def test_what_is_said_today_is_read_by_a_release_that_passes_over_what_it_does_not_know(path: Path) -> None:
    recorded = told(path)
    shared = open_to_more(recorded["$defs"])
    unread = {}
    for name, message in recorded["messages"].items():
        if name.endswith(" request") and not path.name.startswith("worker"):
            continue  # what the public sends to an older service is refused by name, as ever
        check = jsonschema.Draft202012Validator({**open_to_more(message["schema"]), "$defs": shared})
        for said in (specimens.least(TODAY[name]), specimens.whole(TODAY[name])):
            if faults := [error.message for error in check.iter_errors(said)]:
                unread[name] = faults[:3]
    assert unread == {}


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_the_schema_of_today_understands_the_queries_of_a_release(path: Path, database_url: str) -> None:
    refused = {}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, text in told(path).items():
            prepared = connection.pgconn.prepare(b"", numbered(text)[0].encode())
            if prepared.status != pq.ExecStatus.COMMAND_OK:
                refused[name] = prepared.error_message.decode()
    assert refused == {}


def test_the_watch_over_the_wire_notices_what_would_break_it() -> None:
    """A field that is asked for anew, one that is gone, one that became something else."""

    class Before(msgspec.Struct, forbid_unknown_fields=True):
        name: str
        size: int = 0

    class Harder(msgspec.Struct, forbid_unknown_fields=True):
        name: str
        colour: str
        size: int = 0

    class Less(msgspec.Struct, forbid_unknown_fields=True):
        name: str

    for kind, how in ((Harder, specimens.least), (Less, specimens.whole)):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(how(Before), type=kind)
    msgspec.convert(specimens.whole(Before), type=Before)
