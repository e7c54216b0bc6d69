"""`python -m tests.bench [--quick] [--only NAME]… [--json FILE]`: runs the race and prints the table."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import sys
import time
from pathlib import Path

import msgspec

from tests.bench import wrk
from tests.bench.report import Row, heading, render
from tests.bench.scratch import Scratch, scratch

PARTS = {
    "throughput": "claim and complete, claims alone, submits; against procrastinate, bare Litestar, pgqueuer",
    "latency": "from submit to lease on an idle system; against procrastinate",
    "depth": "claims at a backlog of a million, and under an old snapshot",
    "polls": "a thousand agents that wait: who is woken, and memory",
    "events": "from an event to an open stream, beside a thousand of them, and memory",
    "steady": "200 orders a second with everything on",
    "agent": "the real agent: idle gap, memory, CPU",
    "comfyui": "what driving ComfyUI costs beside a direct client: overhead, idle gap, cancel",
    "bots": "twelve bots: how soon they are up and answer with 240 dialogues open, memory",
    "recovery": "killed and silenced agents, a killed control plane, a killed PostgreSQL",
}
PEERS = ("procrastinate", "pgqueuer", "asyncpg")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="The race; see tests/bench/__init__.py.")
    parser.add_argument("--quick", action="store_true", help="one short round of everything, in two minutes")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="NAME", help=f"one of {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file as well")
    arguments = parser.parse_args()
    wanted = arguments.only or list(PARTS)
    if complaint := _missing(wanted):
        print(complaint, file=sys.stderr)
        return 1
    began = time.monotonic()
    found: dict[str, list[Row]] = {}
    with scratch(quick=arguments.quick) as ground:
        print(heading(), flush=True)
        for name in wanted:
            started = time.monotonic()
            found[name] = _measured(name, ground)
            print(
                "\n".join(map(render, found[name])), f"\n    {name} took {time.monotonic() - started:.0f} s", flush=True
            )
    rows = [row for part in found.values() for row in part]
    missed = [row.name for row in rows if row.reached is False]
    print(f"\n{sum(row.reached is True for row in rows)} reached, {len(missed)} not, {time.monotonic() - began:.0f} s.")
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": _machine(), "parts": found})))
    return 0


def _measured(name: str, ground: Scratch) -> list[Row]:
    """The rows of one part; one that breaks is a row as well and does not take the others with it."""
    part = importlib.import_module(f"tests.bench.{name}")
    try:
        rows: list[Row] = part.measure(ground)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return [Row(name=name, value=type(error).__name__, target="to run", reached=False, notes=lines[-10:])]
    return rows


def _missing(wanted: list[str]) -> str | None:
    if {"throughput", "latency"} & set(wanted):
        if [name for name in PEERS if importlib.util.find_spec(name) is None]:
            return "The peers are not installed: pip install 'tessera[bench]' (`make bench` does it)."
        try:
            wrk.check()
        except wrk.Missing as missing:
            return str(missing)
    return None


def _machine() -> dict[str, str]:
    return {"cores": str(os.cpu_count()), "system": platform.platform(), "python": platform.python_version()}


if __name__ == "__main__":
    sys.exit(main())
