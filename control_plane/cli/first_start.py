"""What `tessera up` tells: the operator's key when it has just been made, the address, and what to try next."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from control_plane.cli import lan, premises

if TYPE_CHECKING:
    from control_plane.database import Database
    from control_plane.settings import Settings

ADMIN, ADMIN_PLAN = "admin", "pro"
SETUP = "/setup"
"""The page of the website."""


async def ensure_admin_key(database: Database, data_dir: Path) -> str | None:
    """Make the operator's account and key when this machine has none (that works). Returns a key just made."""
    if (key := premises.admin_key(data_dir)) and await opens(database, key):
        return None
    key = await _make(database)
    premises.store_admin_key(data_dir, key)
    return key


async def opens(database: Database, key: str) -> bool:
    """Whether a key works."""
    from control_plane.errors import Unauthorized
    from control_plane.people.credentials import Credentials

    try:
        await Credentials(database).api_key(key)
    except Unauthorized:
        return False
    return True


async def _make(database: Database) -> str:
    from control_plane.errors import NotFound
    from control_plane.people import credentials, users

    try:
        user_id = (await users.find(database, ADMIN)).id
    except NotFound:
        user_id = await users.create(database, ADMIN, ADMIN_PLAN)
    scopes = credentials.SCOPES
    return (await credentials.create_key(database, name=ADMIN, user_id=user_id, scopes=scopes)).key


async def setup_path(database: Database) -> str:
    """The path of a link that signs the operator in, once, and leads to the setup; there is an operator."""
    from control_plane import audit
    from control_plane.operator import setup
    from control_plane.people import sessions, users

    names = await setup.operators(database)
    user = await users.find(database, ADMIN if ADMIN in names else names[0])
    made = await sessions.make_link(database, user.id, audit.OPERATOR)
    return f"/auth/link/{made.token}?next={SETUP}"


async def open_setup(database: Database, settings: Settings) -> str | None:
    """The path of such a link, for as long as the setup is open and there is a website to show it."""
    from control_plane.operator import setup

    return await setup_path(database) if has_site(settings) and await setup.is_open(database) else None


def has_site(settings: Settings) -> bool:
    """Whether the website was built."""
    return (settings.site_folder / "index.html").is_file()


def greeting(settings: Settings, url: str, new_key: str | None, setup: str | None = None) -> str:
    """For people; printed once everything answers. `setup`: the path of the link to it."""
    me = command()
    data_dir = settings.data_dir
    lines = [f"Tessera is up at {url}  (data in {data_dir})"]
    if settings.public_url:
        lines[0] = f"Tessera is up at {settings.base_url}, here {url}  (data in {data_dir})"
    if new_key is not None:
        lines += [
            "",
            "Your admin API key, shown only now (kept for this machine in",
            f"{data_dir / premises.ADMIN_KEY}):",
        ]
        lines += ["", f"  {new_key}"]
    if setup is not None:
        lines += ["", "Set it up in your browser, by this link that works once, within a quarter of an hour:", ""]
        lines += [
            f"  {base}{setup}" for base in dict.fromkeys(((settings.public_url and settings.base_url) or url, url))
        ]
        lines += [f"  (a new one: {me} setup)"]
    lines += [
        "",
        "Try, in another terminal:",
        "",
        f'  {me} generate "a lighthouse" -o out.png',
        f"  {me} status",
        *lan.greeting(settings),
        "",
        f"API: {url}/docs   Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)


def command() -> str:
    """How this program is called from where the person stands."""
    found = shutil.which("tessera")
    ours = Path(sys.executable).with_name("tessera")
    if found and Path(found).resolve() == ours.resolve():
        return "tessera"
    if not ours.exists():
        return f"{shlex.quote(sys.executable)} -m control_plane"
    here = Path.cwd()
    return shlex.quote(str(ours.relative_to(here) if ours.is_relative_to(here) else ours))
