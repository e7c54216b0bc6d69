"""What `tessera doctor` looks at: one check each, with what was found and, where something is to be done, what.

Nothing is changed but a small file that is written where files lie, and taken away again. A database that does not
answer ends only what needs it.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from control_plane import migrate
from control_plane.database import Database, Query
from control_plane.sandbox import drawing
from control_plane.settings import ConfigurationError, Settings
from control_plane.store import open_store
from control_plane.store.checkup import examine
from control_plane.watch import bots, certificate, channels
from control_plane.watch.facts import Room
from control_plane.watch.troubles import DISK_SHARE_MIN, GIB, certificate_trouble
from control_plane.workers import roster
from control_plane.workers.roster import Listed

PYTHON_MIN = (3, 11)
CLOCK_OFF_SECONDS = 5.0
PRIVATE_BITS = stat.S_IRWXG | stat.S_IRWXO
SECRETS = ("admin_key", "bots/credentials", "backup_key", "authority")
"""In the data folder, for its user alone."""

Verdict = Literal["ok", "note", "bad"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    result: Verdict
    """`note`: it works, but better is possible. `bad`: the service cannot keep its promises like that."""
    found: str
    cure: str = ""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says of itself."""

    version: str
    role: str
    owns: bool
    """Whether the role of the service may change the schema, which it should not."""
    now: datetime
    applied: int
    needs: int
    """The least migration that code must know to work with it."""


SERVER = Query("watch.server", Server)


async def in_database(database: Database, settings: Settings, here: datetime) -> list[Check]:
    """`here`: this machine's clock, when the question was sent."""
    server = await database.one(SERVER)
    assert server is not None, "it always has a row"
    found = [
        Check(name="database", result="ok", found=f"PostgreSQL {server.version}, as {server.role}"),
        _role(server),
        _migrations(server),
        _clock((here - server.now).total_seconds()),
    ]
    found += [tls] if (tls := await _tls(settings, server.now)) is not None else []
    return [*found, *_workers(await roster.list_all(database, settings.lease_seconds))]


async def of_machine(settings: Settings) -> list[Check]:
    """All that needs no database."""
    return [
        python(),
        *_address(settings),
        _port(settings),
        _disk(settings),
        await _store(settings),
        _secrets(settings.data_dir),
        *_sandbox(settings),
        _site(settings),
        _told(settings),
        *await _bots(settings),
    ]


def python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= PYTHON_MIN:
        return Check(name="python", result="ok", found=version)
    wanted = ".".join(map(str, PYTHON_MIN))
    return Check(name="python", result="bad", found=version, cure=f"Install Python {wanted} or newer.")


def _role(server: Server) -> Check:
    if not server.owns:
        return Check(name="roles", result="ok", found=f"{server.role} may use the tables, and not change them")
    cure = "Let TESSERA_DATABASE_URL name a role that is only granted tessera_app; the owner is for `tessera migrate`."
    return Check(name="roles", result="note", found=f"{server.role} owns the schema", cure=cure)


def _migrations(server: Server) -> Check:
    known = migrate.migrations()
    found = f"{server.applied} of {len(known)} migrations"
    standing = migrate.standing(server.applied, server.needs, known)
    if standing == "current":
        return Check(name="schema", result="ok", found=found)
    return Check(
        name="schema", result="note" if standing == "beside" else "bad", found=found, cure=migrate.CURES[standing]
    )


def _clock(off_seconds: float) -> Check:
    found = f"{off_seconds:+.1f} s from the database's"
    if abs(off_seconds) < CLOCK_OFF_SECONDS:
        return Check(name="clock", result="ok", found=found)
    cure = "Jobs go by the database's, so nothing is lost; set this one right with `timedatectl set-ntp true`."
    return Check(name="clock", result="note", found=found, cure=cure)


async def _tls(settings: Settings, now: datetime) -> Check | None:
    found = await certificate.look(settings, now)
    if found is None:
        return None
    if (trouble := certificate_trouble(found)) is None:
        return Check(name="tls", result="ok", found=f"{found.host}, good for {found.days:.0f} days")
    cure = 'See ops/docs/runbook.md, "The certificate ends".'
    return Check(name="tls", result="bad" if found.days is None or found.days < 1 else "note", found=trouble, cure=cure)


def _workers(listed: list[Listed]) -> Iterator[Check]:
    if not listed:
        cure = "Enrol a machine: tessera worker enroll-token"
        yield Check(name="workers", result="note", found="none enrolled", cure=cure)
        return
    versions = sorted({one.worker.agent_version for one in listed if one.worker.live})
    live = sum(one.worker.live for one in listed)
    found = f"{live} of {len(listed)} there{', version ' if versions else ''}{', '.join(versions)}"
    if not live:
        yield Check(name="workers", result="note", found=found, cure="On one of them: tessera-agent run")
    elif len(versions) > 1:
        cure = "Bring them to one version: `tessera-agent update` on each."
        yield Check(name="workers", result="note", found=found, cure=cure)
    else:
        yield Check(name="workers", result="ok", found=found)


def _address(settings: Settings) -> list[Check]:
    url = settings.public_url
    if url is None:
        cure = "Right for this machine alone. Others need TESSERA_PUBLIC_URL, with https."
        return [Check(name="address", result="note", found=settings.base_url, cure=cure)]
    if url.startswith("https://"):
        return [Check(name="address", result="ok", found=url)]
    cure = "Passwords and pictures can be read on the way. Put a proxy with TLS in front, or use `tessera up --lan`."
    return [Check(name="address", result="note", found=url, cure=cure)]


def _port(settings: Settings) -> Check:
    """Whether somebody listens there; who that is, `/healthz` says."""
    where = f"{settings.host}:{settings.port}"
    with socket.socket() as probe:
        probe.settimeout(1.0)
        taken = probe.connect_ex(("127.0.0.1", settings.port)) == 0
    if taken:
        return Check(name="port", result="ok", found=f"something answers at {where}")
    cure = "Right while the service is stopped. Else: `tessera up`, or `systemctl start tessera@8000`."
    return Check(name="port", result="note", found=f"nobody answers at {where}", cure=cure)


def _disk(settings: Settings) -> Check:
    folder = settings.data_dir
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    use = shutil.disk_usage(folder)
    room = Room(free_bytes=use.free, bytes=use.total, reserve_bytes=settings.disk_reserve_bytes)
    found = f"{room.share:.0%} free ({room.free_bytes / GIB:.1f} GiB)"
    cure = 'See ops/docs/runbook.md, "The disk is nearly full".'
    if room.free_bytes < room.reserve_bytes:
        return Check(name="disk", result="bad", found=found, cure=f"Orders are refused. {cure}")
    if room.share < DISK_SHARE_MIN:
        return Check(name="disk", result="note", found=found, cure=cure)
    return Check(name="disk", result="ok", found=found)


async def _store(settings: Settings) -> Check:
    try:
        looked = await examine(open_store(settings))
    except ConfigurationError as error:
        return Check(name="store", result="bad", found="cannot be opened", cure=str(error))
    if looked.fault is not None:
        cure = "Let the user of the service write there, or choose another place (TESSERA_ARTIFACTS_DIR, …_URL)."
        return Check(name="store", result="bad", found=looked.fault, cure=cure)
    return Check(name="store", result="ok", found=f"{looked.where} can be written and read")


def _secrets(data_dir: Path) -> Check:
    paths = [found for name in SECRETS for found in _files(data_dir / name)]
    open_ones = [path for path in paths if path.stat().st_mode & PRIVATE_BITS]
    if not open_ones:
        return Check(name="secrets", result="ok", found=f"{len(paths)} files, for their user alone")
    shown = ", ".join(str(path) for path in open_ones[:3])
    return Check(name="secrets", result="bad", found=f"others may read {shown}", cure=f"chmod 600 {shown}")


def _files(path: Path) -> list[Path]:
    """Secret files; certificates are for everybody."""
    found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return [file for file in found if file.suffix not in (".crt", ".pem") and os.access(file, os.F_OK)]


def _sandbox(settings: Settings) -> Iterator[Check]:
    if not settings.sandbox:
        yield Check(name="sandbox", result="ok", found="off: another process draws what test keys order, or none")
        return
    lacking = drawing.missing()
    if not lacking:
        yield Check(name="sandbox", result="ok", found="draws pictures and films")
        return
    cure = "Install it, or set TESSERA_SANDBOX=false where no test key is used."
    yield Check(name="sandbox", result="note", found=f"not installed: {', '.join(lacking)}", cure=cure)


def _site(settings: Settings) -> Check:
    if (settings.site_folder / "index.html").exists():
        return Check(name="website", result="ok", found=str(settings.site_folder))
    node = shutil.which("node")
    cure = "Build it: make web" if node else "Install Node 20 or newer and build it (make web), or do without."
    return Check(name="website", result="note", found="not built", cure=cure)


def _told(settings: Settings) -> Check:
    try:
        found = channels.parse(settings.notify)
    except ConfigurationError as error:
        return Check(name="notices", result="bad", found="cannot be sent", cure=str(error))
    if found:
        names = ", ".join(channel.name.partition("-")[0] for channel in found)
        return Check(name="notices", result="ok", found=f"go to {names}; `tessera incident test` tries them")
    cure = "Set TESSERA_NOTIFY, so that you hear of what is wrong without looking."
    return Check(name="notices", result="note", found="nobody is told", cure=cure)


async def _bots(settings: Settings) -> list[Check]:
    found = await bots.look(bots.address(settings))
    return [
        Check(name="bot", result="ok", found=f"{bot.name} is ready")
        if bot.ready
        else Check(
            name="bot", result="bad", found=f"{bot.name}: {bot.why}", cure='See the runbook, "A bot does not answer".'
        )
        for bot in found or ()
    ]
