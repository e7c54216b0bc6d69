"""An update step by step: nothing is built of what hashes wrong, and whatever fails leaves the old agent in force.

The environments are stand-ins whose Python says what a canary would say; that real ones are built, and that an agent
that runs is replaced, is tried by `tests/system/test_install_agent.py`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from aiohttp import web

from agent import homes
from agent.client import agent_version
from agent.credential import Credential
from agent.homes import CURRENT, WHOLE, Home
from agent.installing.steps import Step
from agent.installing.unit import unit
from agent.settings import Settings
from agent.updating import UpdateFailed
from agent.updating.steps import Update, update
from control_plane.wire.release import AgentRelease
from tests.fixtures.machine import Programs

NEW = "9.9+hnew"
WHEEL = f"tessera-{NEW}-py3-none-any.whl"
FILES = {WHEEL: b"a wheel", "requirements.txt": b"aiohttp==1 --hash=sha256:00\n"}


def release(**fields: str) -> AgentRelease:
    honest = {
        "wheel_sha256": hashlib.sha256(FILES[WHEEL]).hexdigest(),
        "requirements_sha256": hashlib.sha256(FILES["requirements.txt"]).hexdigest(),
    }
    return AgentRelease(version=NEW, wheel=WHEEL, protocol_min=1, protocol_max=1, **(honest | fields))


@asynccontextmanager
async def handing_out(wanted: AgentRelease | None) -> AsyncIterator[tuple[str, list[str]]]:
    """Somebody who hands out this agent, or none; and what was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        name = request.path.removeprefix("/install/")
        asked.append(name)
        if wanted is None:
            return web.json_response({"detail": "Install Tessera anew."}, status=503)
        body = msgspec.json.encode(wanted) if name == "agent.json" else FILES[name]
        return web.Response(body=body)

    app = web.Application()
    app.router.add_get("/install/{name}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


class Place:
    """A machine with an agent in force, and one that was built beside it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = Home(folder / "lib")
        self.old, self.new = self.home.environment("1.0+hold"), self.home.environment(NEW)
        self.programs = Programs(folder / "bin")
        self.programs.add("systemctl", "sys.exit(3)")
        self.programs.first(monkeypatch)
        self.settings = Settings(dir=folder / "state")
        self.settings.dir.mkdir()
        for environment in (self.old, self.home.environment("0.9+hancient")):
            self._made(environment)
        self.home.link.symlink_to(self.old.name)

    def _made(self, environment: Path) -> None:
        (environment / "bin").mkdir(parents=True)
        (environment / WHOLE).touch()
        (environment / "pyvenv.cfg").touch()

    def built(self, canary: str) -> None:
        """The new environment, whose agent says this when it is asked for its canary."""
        self._made(self.new)
        Programs(self.new / "bin").add("python", canary)

    def plan(self, url: str, *, dry: bool = False) -> Update:
        credential = Credential(url=url, secret="tsw_x", worker_id=uuid4(), name="den")
        environ = {"PATH": str(Path(sys.executable).parent)}
        return Update(settings=self.settings, credential=credential, home=self.home, environ=environ, dry=dry)

    @property
    def in_force(self) -> str:
        return self.home.link.readlink().name

    @property
    def there(self) -> set[str]:
        return {path.name for path in self.home.folder.iterdir() if not path.is_symlink()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


async def steps(plan: Update) -> list[Step]:
    return [step async for step in update(plan)]


@pytest.mark.parametrize("lie", ["wheel_sha256", "requirements_sha256"])
async def test_what_is_not_what_was_announced_is_not_even_built(place: Place, lie: str) -> None:
    before = place.there
    async with handing_out(release(**{lie: "0" * 64})) as (url, asked):
        with pytest.raises(UpdateFailed, match=r"is not what the control plane announced .* Nothing was changed"):
            await steps(place.plan(url))
    assert WHEEL in asked
    assert (place.in_force, place.there) == ("1.0+hold", before)


async def test_an_agent_that_cannot_be_built_leaves_nothing_behind(place: Place) -> None:
    before = place.there
    async with handing_out(release()) as (url, _):
        plan = msgspec.structs.replace(place.plan(url), environ={"PYTHONHOME": "/nowhere"})
        with pytest.raises(UpdateFailed, match=r"could not be built .* still in force"):
            await steps(plan)
    assert (place.in_force, place.there) == ("1.0+hold", before)


async def test_a_canary_that_lives_puts_the_new_agent_in_force_and_keeps_the_one_before(place: Place) -> None:
    place.built("print('ok    canary         drawn in 0.1 s')")
    async with handing_out(release()) as (url, asked):
        told = await steps(place.plan(url))
    assert asked == ["agent.json"], "what is built already is not fetched again"
    assert any("canary: ok canary drawn in 0.1 s" in step.what for step in told)
    assert place.in_force == NEW
    assert place.there == {"1.0+hold", NEW}
    [asked_python] = Programs(place.new / "bin").calls("python")
    assert asked_python == ["-P", "-m", "agent", "canary", "--dir", str(place.settings.dir)]


@pytest.mark.parametrize(
    ("canary", "told"),
    [
        ("print('BAD   engine         auto'); print('   → It has no brush.'); sys.exit(1)", "auto → It has no brush"),
        ("sys.exit('Traceback: broken')", "Traceback: broken"),
        ("os.kill(os.getpid(), 9)", "it said nothing"),
    ],
)
async def test_a_canary_that_dies_changes_nothing(place: Place, canary: str, told: str) -> None:
    place.built(canary)
    async with handing_out(release()) as (url, _):
        with pytest.raises(UpdateFailed, match=f"canary of the new agent failed: .*{told}"):
            await steps(place.plan(url))
    assert place.in_force == "1.0+hold"
    assert NEW not in place.there
    assert place.old.exists()


async def test_a_service_that_does_not_start_with_the_new_agent_goes_on_with_the_old_one(place: Place) -> None:
    place.built("print('ok')")
    place.programs.add("systemctl", "sys.exit(0 if 'is-active' in args else 'Failed to start')")
    async with handing_out(release()) as (url, _):
        with pytest.raises(UpdateFailed, match="did not start the agent: Failed to start"):
            await steps(place.plan(url))
    assert place.in_force == "1.0+hold"
    assert [call[1] for call in place.programs.calls("systemctl")] == ["is-active", "restart", "restart"]


async def test_a_dry_run_only_tells(place: Place) -> None:
    before = place.there
    async with handing_out(release()) as (url, asked):
        told = await steps(place.plan(url, dry=True))
    assert {step.result for step in told} == {"done", "would"}
    assert asked == ["agent.json"]
    assert (place.in_force, place.there) == ("1.0+hold", before)


async def test_the_agent_that_fits_already_stays(place: Place) -> None:
    async with handing_out(msgspec.structs.replace(release(), version=agent_version())) as (url, _):
        assert len(await steps(place.plan(url))) == 1


async def test_a_control_plane_that_has_no_agent_says_why(place: Place) -> None:
    async with handing_out(None) as (url, _):
        with pytest.raises(UpdateFailed, match="503: Install Tessera anew"):
            await steps(place.plan(url))


def test_only_what_the_installer_has_made_has_a_home(tmp_path: Path) -> None:
    folder = tmp_path / "lib"
    environment = folder / "1.0"
    environment.mkdir(parents=True)
    assert homes.home(str(environment)) is None
    (folder / CURRENT).symlink_to("1.0")
    assert homes.home(str(environment)) is None, "not finished"
    (environment / WHOLE).touch()
    assert homes.home(str(environment)) == homes.home(str(folder / CURRENT)) == Home(folder)


def test_the_service_of_a_clone_runs_this_very_python(tmp_path: Path) -> None:
    assert f"ExecStart={sys.executable} " in unit("https://x", tmp_path, None, containers=False)
