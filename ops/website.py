"""Builds the website (`make web`), and writes the types that it has of the API (`make types`).

    python -m ops.website build              always
    python -m ops.website build --if-able    for `make demo` and `make up`: only with Node, and only when it is stale
    python -m ops.website types

Everything works without Node: whoever lacks it is told so in a line and gets the service without its pages. The types
carry the hash of the schemas that they were made from, so that a test can tell a stale file without Node.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SITE = Path(__file__).parents[1] / "frontends" / "website"
OUT = SITE / "out"
LOCK = SITE / "package-lock.json"
TYPES = SITE / "data" / "wire.d.ts"
NODE_MAJOR = 20
INSTALL_SECONDS = 600
BUILD_SECONDS = 900
QUIETLY = ("--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1", "--fetch-timeout=30000")
MADE = ("node_modules", ".next", "out", "next-env.d.ts", "tsconfig.tsbuildinfo")
"""In the folder of the site, but not of its sources."""


class Unable(Exception):
    """It cannot be built here; the message says why and what to do."""


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else installs or builds meanwhile."""
    folder = os.open(SITE, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def build() -> None:
    """Installs what the site is built with, unless it is there, and exports it. Raises `Unable`."""
    print("Building the website; that takes a minute, and again only when it has changed.", flush=True)
    with alone():
        install()
        export()


def install() -> None:
    """What the site is built with, unless it is there. Raises `Unable`."""
    node()
    installed = SITE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < LOCK.stat().st_mtime:
        _run("npm", "ci", *QUIETLY, seconds=INSTALL_SECONDS)


def export() -> None:
    """The pages, from what is installed. Raises `Unable`."""
    _run("npm", "run", "--silent", "build", seconds=BUILD_SECONDS)


def node() -> None:
    """Raises `Unable` unless there is a Node that is young enough."""
    found = shutil.which("node") if shutil.which("npm") else None
    said = (
        subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout.strip()
        if found
        else ""
    )
    major = re.match(r"v(\d+)\.", said)
    if major is None or int(major[1]) < NODE_MAJOR:
        has = f"Node {said} is too old" if said else "there is no Node with npm"
        raise Unable(f"The website was not built: {has} ({NODE_MAJOR} or newer is needed). Everything else works.")


def is_stale() -> bool:
    """Whether a source is younger than what was built of it."""
    page = OUT / "index.html"
    return not page.exists() or any(source.stat().st_mtime > page.stat().st_mtime for source in sources())


def sources() -> Iterator[Path]:
    for top in SITE.iterdir():
        if top.name not in MADE:
            yield from (path for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file())


def schemas() -> dict[str, Any]:
    """What the types are made from: the schemas of the document, without words."""
    from control_plane.app import openapi
    from control_plane.settings import Settings

    document: Any = json.loads(json.dumps(openapi(Settings())))
    bare: dict[str, Any] = _without_words(document["components"]["schemas"])
    return bare


def stamp() -> str:
    """The first line of the types."""
    made_from = hashlib.sha256(json.dumps(schemas(), sort_keys=True).encode()).hexdigest()
    return f"// Made by `make types` from the schemas of `tessera openapi`, {made_from}."


def write_types() -> None:
    """Raises `Unable`."""
    node()
    command = ["node", "scripts/types.mjs"]
    made = subprocess.run(command, cwd=SITE, input=json.dumps(schemas()), capture_output=True, text=True, check=False)
    if made.returncode:
        raise Unable(f"The types were not written: {made.stderr.strip()}")
    TYPES.write_text(f"{stamp()}\n{made.stdout}")


def _without_words(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_words(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_words(inner)
        for key, inner in value.items()
        if not (key == "description" and isinstance(inner, str)) and key not in ("examples", "example")
    }


def _run(*command: str, seconds: float) -> None:
    try:
        subprocess.run(
            command, cwd=SITE, check=True, timeout=seconds, env={**os.environ, "NEXT_TELEMETRY_DISABLED": "1"}
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise Unable(
            f"The website was not built: `{' '.join(command)}` failed ({error}). Everything else works."
        ) from error


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.website")
    parser.add_argument("what", choices=("build", "types"))
    parser.add_argument("--if-able", action="store_true", help="say what is missing instead of failing")
    arguments = parser.parse_args()
    try:
        if arguments.what == "types":
            write_types()
        elif not arguments.if_able:
            build()
        elif is_stale():
            node()
            build()
    except Unable as unable:
        print(unable, file=sys.stderr)
        return 0 if arguments.if_able else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
