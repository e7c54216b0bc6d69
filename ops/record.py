"""`python -m ops.record`: writes down what this release says and asks, for the tests of the releases after it.

    tests/recorded/worker-1.json       every message between agent and control plane, by version of the protocol
    tests/recorded/api-1.json          every message of the public API, by its version
    tests/recorded/queries-0.1.0.json  every named query, by release: the schema of the next one must understand it

Of each message: its schema, one that says the least, and one that says everything. Run it before a release, and never
again for the same one once that is out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from control_plane import api
from control_plane.api.document import API_VERSION
from control_plane.api.operation import Nothing, Operation
from control_plane.database import statements
from control_plane.wire import PROTOCOL_VERSION
from tests.fixtures import specimens

FOLDER = Path(__file__).parents[1] / "tests" / "recorded"
WORKER = "/api/v1/worker/"
TEMPLATE = "#/$defs/{name}"


def messages(op: Operation) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """What is sent and what is answered, as far as it is JSON."""
    if op.body is not Nothing:
        yield "request", op.body
    for status, answer in op.answers.items():
        if isinstance(answer, type) and issubclass(answer, msgspec.Struct):
            yield str(status), answer


def is_worker(op: Operation) -> bool:
    return op.path.startswith(WORKER)


def every(*, worker: bool) -> dict[str, type[msgspec.Struct]]:
    """`POST /api/v1/jobs request` → its type, of today."""
    chosen = [op for op in api.operations() if is_worker(op) == worker]
    return {f"{op.method} {op.path} {role}": kind for op in chosen for role, kind in messages(op)}


def recorded(kinds: dict[str, type[msgspec.Struct]]) -> dict[str, Any]:
    """As it is written."""
    schemas, shared = msgspec.json.schema_components(kinds.values(), ref_template=TEMPLATE)
    told = {
        name: {"schema": schema, "least": specimens.least(kind), "whole": specimens.whole(kind)}
        for (name, kind), schema in zip(kinds.items(), schemas, strict=True)
    }
    return {"messages": told, "$defs": shared}


def main() -> None:
    queries = {name: text for name, (_, text) in statements().items()}
    for name, content in {
        f"worker-{PROTOCOL_VERSION}": recorded(every(worker=True)),
        f"api-{API_VERSION}": recorded(every(worker=False)),
        f"queries-{version('tessera')}": queries,
    }.items():
        text = json.dumps(content, indent=1, sort_keys=True, default=str)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
