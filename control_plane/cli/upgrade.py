"""`tessera upgrade`: another release put into force, after it has shown on a copy of the database that it works.

    backup ─ new environment ─ rehearsal: copy, migrate, serve, one picture ─ migrate ─ `current` points to it

Releases live side by side in `<home>/releases/<name>`, and `<home>/current` points to the one in force, as
`ops/install.sh` lays them out. The rehearsal runs on a copy of the database in a server of its own; until it has drawn
a picture, nothing that people use was touched, so there is nothing to roll back.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from control_plane.cli import printing
from control_plane.cli.operating import owned_database, settings, translated
from control_plane.cli.parsing import EX_CONFIG, EX_FAILED, CommandError, command

if TYPE_CHECKING:
    from control_plane.settings import Settings

EXTRAS = "control-plane,object-store,embedded"
BOTS, BOTS_LIBRARY = "bots", "hikari"
"""The extra that bots need, a file in a release that has it, and how it is known."""
CANARY = "canary"
"""The account that orders the picture of the rehearsal; it exists in the copy alone."""
READY_SECONDS, BEAT_SECONDS = 60.0, 0.1
STEP_SECONDS = 1_800.0
SAID_LINES = 8


def add(commands: Any) -> None:
    made = command(
        commands,
        "upgrade",
        _upgrade,
        help="put another release into force, after it has shown that it works",
        description=(
            "Back up, install the wheel into an environment beside the one in force, try it on a copy of the database "
            "(migrate, serve, draw a picture), and only then migrate the database and point `current` to it. Whatever "
            "goes wrong before leaves the service as it is."
        ),
        examples=(
            "  tessera upgrade tessera-0.2.0-py3-none-any.whl --requirements requirements.lock\n"
            "      --requirements requirements-bots.lock                     where bots run\n"
            "  tessera upgrade --back        the release before is in force again, if the schema allows"
        ),
    )
    made.add_argument("wheel", metavar="WHEEL", nargs="?", help="the release as a file")
    made.add_argument(
        "--requirements",
        metavar="FILE",
        action="append",
        default=[],
        help="the exact versions of libraries, with hashes (pip); repeat it for those of bots",
    )
    made.add_argument("--home", metavar="FOLDER", help="where releases live (default: where this one does)")
    made.add_argument("--no-backup", action="store_true", help="do not back up before")
    made.add_argument("--back", action="store_true", help="point `current` to the release that was in force before")


def _upgrade(arguments: argparse.Namespace) -> int:
    import asyncio

    home = _home(arguments.home)
    if arguments.back:
        return _tell(arguments, home, back(home))
    if arguments.wheel is None:
        raise CommandError("Give the release: tessera upgrade tessera-….whl", EX_CONFIG)
    wheel = Path(arguments.wheel).expanduser().absolute()
    if not wheel.is_file():
        raise CommandError(f"There is no file {wheel}.", EX_CONFIG)
    chosen = settings()
    if not arguments.no_backup:
        printing.note("Backing up …")
        run([sys.executable, "-m", "control_plane", "backup"], os.environ)
    printing.note("Making the new environment …")
    release = build(home, wheel, arguments.requirements)
    with translated(), owned_database(chosen) as url:
        printing.note("Rehearsing on a copy of the database …")
        asyncio.run(rehearse(release / "bin" / "python", url, chosen))
        printing.note("Migrating …")
        run([str(release / "bin" / "python"), "-m", "control_plane", "migrate"], os.environ)
    enforce(home, release)
    return _tell(arguments, home, release)


def build(home: Path, wheel: Path, requirements: Sequence[str]) -> Path:
    """The environment of that wheel; one that was made whole before is taken again. Bots that run here run there."""
    name = wheel.name.split("-")[1] + "-" + sha256(wheel.read_bytes()).hexdigest()[:12]
    release = home / "releases" / name
    if (release / "whole").exists():
        return release
    base = getattr(sys, "_base_executable", None) or sys.executable
    run([base, "-m", "venv", "--clear", str(release)], os.environ)
    pip = [str(release / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q"]
    bots = find_spec(BOTS_LIBRARY) is not None
    for lock in requirements:
        run([*pip, "--require-hashes", "--no-deps", "-r", str(Path(lock).expanduser().absolute())], os.environ)
    extras = f"{EXTRAS},{BOTS}" if bots else EXTRAS
    run([*pip, "--no-deps", str(wheel)] if requirements else [*pip, f"{wheel}[{extras}]"], os.environ)
    if bots:
        _check_bots(release)
    (release / "whole").touch()
    return release


def _check_bots(release: Path) -> None:
    """Or they would not start any more. Raises `CommandError`."""
    if not any(release.glob(f"lib/python*/site-packages/{BOTS_LIBRARY}")):
        raise CommandError(
            "Not upgraded: bots run from the release in force, and the new one would lack their libraries. Add"
            " --requirements requirements-bots.lock",
            EX_CONFIG,
        )
    (release / BOTS).touch()


async def rehearse(python: Path, url: str, chosen: Settings) -> None:
    """Have that release migrate a copy of the database, serve it, and draw a picture. Raises `CommandError`."""
    import asyncio

    from control_plane.backup import rehearsing
    from control_plane.cli.listening import free_port

    async with rehearsing.copied(url, chosen.data_dir) as copy:
        port = free_port("127.0.0.1", 0)
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")},
            "TESSERA_DATABASE_URL": copy.app_url,
            "TESSERA_OWNER_DATABASE_URL": copy.owner_url,
            "TESSERA_DATA_DIR": str(copy.folder),
            "TESSERA_PORT": str(port),
            "TESSERA_DISK_RESERVE_BYTES": "0",
        }
        program = [str(python), "-m", "control_plane"]
        await asyncio.to_thread(run, [*program, "migrate"], environ)
        await asyncio.to_thread(_picture, program, environ, f"http://127.0.0.1:{port}", copy.folder)


def _picture(program: list[str], environ: Mapping[str, str], url: str, folder: Path) -> None:
    run([*program, "user", "create", CANARY, "--plan", "free"], environ)
    key = json.loads(run([*program, "key", "create", CANARY, "--test", "--json"], environ))["key"]
    said = folder / "said"
    with (
        said.open("wb") as out,
        subprocess.Popen([*program, "serve"], env=dict(environ), stdout=out, stderr=out) as server,
    ):
        try:
            _ready(server, url, said)
            told = {**environ, "TESSERA_URL": url, "TESSERA_API_KEY": key}
            run([*program, "generate", CANARY, "--size", "64x64", "-o", str(folder / "picture.png")], told)
        finally:
            server.terminate()
            server.wait(READY_SECONDS)
    if not (folder / "picture.png").exists():
        raise CommandError("The new release drew no picture. The old one is still in force; nothing was changed.")


def _ready(server: subprocess.Popen[bytes], url: str, said: Path) -> None:
    from time import sleep

    from control_plane.cli.ready import answers

    deadline = monotonic() + READY_SECONDS
    while not answers(f"{url}/readyz"):
        if server.poll() is not None or monotonic() > deadline:
            raise CommandError(_failed("serve", said.read_text(errors="replace")), EX_FAILED)
        sleep(BEAT_SECONDS)


def enforce(home: Path, release: Path) -> None:
    """In one step: at every moment `current` is one of the two. The one before stays, as `previous`."""
    current = home / "current"
    if current.is_symlink() and current.resolve() != release.resolve():
        _link(home / "previous", current.resolve())
    _link(current, release)


def back(home: Path) -> Path:
    """The release before in force again. Raises `CommandError`, also when it does not know this schema."""
    previous = home / "previous"
    if not previous.is_symlink() or not previous.exists():
        raise CommandError(f"There is no release before in {home}.")
    release = previous.resolve()
    run([str(release / "bin" / "python"), "-m", "control_plane", "migrate"], os.environ)  # says so if it cannot
    enforce(home, release)
    return release


def run(words: list[str], environ: Mapping[str, str]) -> str:
    """One step; what it says. Raises `CommandError` with its last words."""
    try:
        ran = subprocess.run(
            words, env=dict(environ), cwd="/", capture_output=True, text=True, check=False, timeout=STEP_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(_failed(Path(words[0]).name, str(error)), EX_FAILED) from error
    if ran.returncode:
        raise CommandError(_failed(" ".join(words[1:4]), ran.stderr or ran.stdout), EX_FAILED)
    return ran.stdout


def _failed(step: str, said: str) -> str:
    told = " ".join(said.strip().splitlines()[-SAID_LINES:])
    return f"Not upgraded: `{step}` failed. The release that was in force still is. It said: {told}"


def _link(link: Path, target: Path) -> None:
    fresh = link.with_name(link.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _home(given: str | None) -> Path:
    home = Path(given).expanduser().absolute() if given else Path(sys.prefix).resolve().parents[1]
    if not (home / "releases").is_dir():
        raise CommandError(
            f"{home} holds no `releases`, so this Tessera was not installed by ops/install.sh. ops/upgrading.md says"
            " how to upgrade a clone, a container, or an environment of your own.",
            EX_CONFIG,
        )
    return home


def _tell(arguments: argparse.Namespace, home: Path, release: Path) -> int:
    if arguments.json:
        printing.as_json({"release": release.name, "home": str(home)})
        return 0
    print(f"{release.name} is in force: {home / 'current'} points to it. Restart what runs, one after the other:")
    print("  sudo systemctl restart 'tessera@*' tessera-bots")
    print("Should it disappoint: tessera upgrade --back, and restart again.")
    return 0
