"""Installing the service: what is written is what systemd and Windows take, and what cannot be done is said."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agent import credential
from agent.credential import Credential
from agent.installing import logon
from agent.installing.steps import Place, Step, install, remove
from agent.installing.unit import SYSTEM_UNIT, quoted, system_unit, systemctl, unit
from agent.settings import Settings
from tests.fixtures.machine import Programs

ROOT = Path(__file__).parents[2]
TASKS = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
CREDENTIAL = Credential(url="https://tessera.example", secret="tsw_" + "0" * 64, worker_id=uuid4(), name="den")
BOOLEANS = {"true", "false"}
SCHEMA = {
    "Task": {"RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"},
    "RegistrationInfo": {"Author", "Description"},
    "Triggers": {"LogonTrigger"},
    "LogonTrigger": {"Enabled", "UserId"},
    "Principals": {"Principal"},
    "Principal": {"UserId", "LogonType", "RunLevel"},
    "Settings": {
        *("AllowStartOnDemand", "RestartOnFailure", "MultipleInstancesPolicy", "DisallowStartIfOnBatteries"),
        *("StopIfGoingOnBatteries", "AllowHardTerminate", "StartWhenAvailable", "NetworkProfileName"),
        *("RunOnlyIfNetworkAvailable", "WakeToRun", "Enabled", "Hidden", "DeleteExpiredTaskAfter", "IdleSettings"),
        *("NetworkSettings", "RunOnlyIfIdle", "Priority", "ExecutionTimeLimit"),
    },
    "RestartOnFailure": {"Interval", "Count"},
    "Actions": {"Exec"},
    "Exec": {"Command", "Arguments", "WorkingDirectory"},
}
"""What may stand in what (MS-TSCH 2.5, as far as it is used)."""
VALUES = {
    "LogonType": {"S4U", "Password", "InteractiveToken", "InteractiveTokenOrPassword"},
    "RunLevel": {"LeastPrivilege", "HighestAvailable"},
    "MultipleInstancesPolicy": {"Parallel", "Queue", "IgnoreNew", "StopExisting"},
    **dict.fromkeys(
        (
            *("AllowStartOnDemand", "DisallowStartIfOnBatteries", "StopIfGoingOnBatteries", "AllowHardTerminate"),
            *("StartWhenAvailable", "RunOnlyIfNetworkAvailable", "Enabled"),
        ),
        BOOLEANS,
    ),
}


def as_windows_reads_it(content: bytes) -> ET.Element:
    """Fails where the Task Scheduler would refuse."""
    assert content.startswith(b"\xff\xfe"), "schtasks reads UTF-16 with its mark"
    task = ET.fromstring(content)
    assert (task.tag, task.get("version")) == (TASKS + "Task", "1.2")
    for element in task.iter():
        name, children = element.tag.removeprefix(TASKS), [child.tag.removeprefix(TASKS) for child in element]
        assert set(children) <= SCHEMA.get(name, set()), name
        assert len(children) == len(set(children)), name
        assert name not in VALUES or element.text in VALUES[name], name
    text = {element.tag.removeprefix(TASKS): element.text or "" for element in task.iter()}
    assert re.fullmatch(r"P(\d+D)?T?(\d+[HMS])*", text["ExecutionTimeLimit"])
    assert re.fullmatch(r"PT\d+M", text["Interval"])
    assert 1 <= int(text["Count"]) <= 255
    principals = {principal.get("id") for principal in task.iter(TASKS + "Principal")}
    assert {actions.get("Context") for actions in task.iter(TASKS + "Actions")} <= principals
    return task


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A systemd and a login manager that do as they are told."""
    found = Programs(tmp_path / "bin")
    found.alone(monkeypatch)
    found.add("systemctl", "")
    found.add("loginctl", "")
    return found


def place(folder: Path, *, dry: bool = False, wsl: bool = False, systemd: bool = True, interop: bool = True) -> Place:
    """A machine whose files lie under `root`."""
    root = folder / "root"
    files = {
        "proc/version": "Linux version 5.15.167.4-microsoft-standard-WSL2" if wsl else "Linux version 6.1.0-9-amd64",
        "proc/1/comm": "systemd\n" if systemd else "init(Ubuntu)\n",
        "etc/wsl.conf": "[boot]\nsystemd=true # as it must be\n",
    }
    if interop:
        files["proc/sys/fs/binfmt_misc/WSLInterop"] = "enabled\ninterpreter /init\n"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    settings = Settings(dir=folder / "state & more")
    settings.dir.mkdir(exist_ok=True)
    units = folder / "home" / ".config" / "systemd" / "user"
    return Place(settings=settings, units=units, config=folder / "agent.toml", distribution=None, dry=dry, root=root)


def windows(programs: Programs, *, user: str = "DEN\\Ada & Bob") -> None:
    """What WSL2 lets through to Windows."""
    programs.add("wslpath", "print('\\\\\\\\wsl.localhost\\\\Ubuntu-24.04' + args[-1].replace('/', '\\\\'))")
    programs.add("wslinfo", "print('mirrored')")
    programs.add("whoami.exe", f"sys.stdout.buffer.write({user!r}.encode('utf-16-le') + b'\\r\\x00\\n\\x00')")
    programs.add("schtasks.exe", "print('SUCCESS: done.')")


async def steps(place: Place, *, going: bool = False) -> list[Step]:
    return [step async for step in (remove(place) if going else install(place, CREDENTIAL))]


async def test_the_unit_is_written_for_its_owner_alone_enabled_and_started(tmp_path: Path, programs: Programs) -> None:
    it = place(tmp_path)
    done = await steps(it)
    assert [step.result for step in done] == ["done"] * 5
    assert it.unit_file.stat().st_mode & 0o777 == 0o600
    assert programs.calls("systemctl") == [
        ["--user", "daemon-reload"],
        ["--user", "enable", "tessera-agent.service"],
        ["--user", "restart", "--no-block", "tessera-agent.service"],
    ]
    assert programs.calls("loginctl")[0][0] == "enable-linger"
    assert CREDENTIAL.secret not in it.unit_file.read_text()
    again = it.unit_file.read_bytes()
    await steps(it)
    assert it.unit_file.read_bytes() == again


@pytest.mark.parametrize("containers", [False, True])
def test_systemd_understands_the_unit(tmp_path: Path, containers: bool) -> None:
    verify = shutil.which("systemd-analyze")
    text = unit("https://tessera.example/%2f", tmp_path / "a folder; $HOME 100%", tmp_path / "c", containers=containers)
    assert ("NoNewPrivileges=yes" in text) != containers, "Podman's helpers must be allowed to gain rights"
    for line in ("Type=notify", "WatchdogSec=60", "Restart=on-failure", "OOMPolicy=continue", "KillMode=process"):
        assert f"\n{line}\n" in text
    assert '"' + str(tmp_path / "a folder; $$HOME 100%%") + '"' in text
    if verify is None:
        pytest.skip("there is no systemd-analyze here")
    path = tmp_path / "tessera-agent.service"
    path.write_text(text)
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [verify, "verify", "--user", "--man=no", str(path)], env=environment, capture_output=True, text=True
    )
    assert "tessera-agent" not in ran.stderr, ran.stderr


@given(st.text(min_size=1).filter(lambda word: word.isprintable()))
def test_a_word_of_the_unit_stays_one_word(word: str) -> None:
    """Read back by the rules of systemd.service(5)."""
    told = quoted(word)
    if told.startswith('"'):
        told = re.sub(r'\\(["\\])', r"\1", told[1:-1])
    else:
        assert not re.search(r"[\s\"';]", told)
        told = told.replace("\\\\", "\\")
    assert told.replace("%%", "%").replace("$$", "$") == word


async def test_a_service_of_the_system_is_what_is_shipped_and_wants_no_session(
    tmp_path: Path, programs: Programs
) -> None:
    it = structs.replace(place(tmp_path), system=True)
    assert {step.result for step in await steps(it)} == {"done"}
    assert it.unit_file == tmp_path / "root" / SYSTEM_UNIT.relative_to("/")
    assert it.unit_file.read_text() == system_unit() == (ROOT / "ops/systemd/tessera-agent.service").read_text()
    assert it.unit_file.stat().st_mode & 0o777 == 0o644
    assert programs.calls("systemctl") == [
        ["daemon-reload"],
        ["enable", "tessera-agent.service"],
        ["restart", "--no-block", "tessera-agent.service"],
    ]
    assert programs.calls("loginctl") == []
    assert {step.result for step in await steps(it, going=True)} == {"done"}
    assert not it.unit_file.exists()
    assert ["disable", "--now", "tessera-agent.service"] in programs.calls("systemctl")
    assert systemctl("start", system=False) == ("systemctl", "--user", "start")

    in_a_container = structs.replace(it, settings=Settings(dir=it.settings.dir, comfyui_image="tessera-comfyui"))
    [refused] = await steps(in_a_container)
    assert (refused.result, "Leave --system away" in refused.cure) == ("failed", True)


async def test_what_the_owner_may_not_do_is_said_with_the_line_that_does_it(tmp_path: Path, programs: Programs) -> None:
    programs.add("loginctl", "print('Could not enable linger: Access denied'); sys.exit(1)")
    assert "sudo loginctl enable-linger" in (await steps(place(tmp_path)))[-1].cure
    programs.add("systemctl", "print('Failed to connect to bus: No medium found'); sys.exit(1)")
    done = await steps(place(tmp_path))
    assert (done[-1].result, "Failed to connect to bus" in done[-1].what) == ("failed", True)
    assert "Log in as this user" in done[-1].cure


async def test_a_dry_run_tells_all_and_does_nothing(tmp_path: Path, programs: Programs) -> None:
    windows(programs)
    it = place(tmp_path, dry=True, wsl=True)
    told = await steps(it)
    assert {step.result for step in told} == {"would"}
    text = "\n".join(step.what for step in told)
    for part in ("ExecStart=", "systemctl --user enable", "loginctl enable-linger", "<LogonTrigger>", "schtasks.exe"):
        assert part in text
    assert not programs.calls("systemctl") + programs.calls("loginctl") + programs.calls("schtasks.exe")
    assert not it.units.exists()
    assert not list(it.settings.dir.iterdir())


async def test_in_wsl2_a_task_of_windows_keeps_the_distribution_alive(tmp_path: Path, programs: Programs) -> None:
    windows(programs)
    it = place(tmp_path, wsl=True)
    done = await steps(it)
    assert [step.result for step in done] == ["done"] * 6, done
    file = it.settings.dir / "keep-alive.xml"
    create, run = programs.calls("schtasks.exe")
    name = "Tessera agent (Ubuntu-24.04)"
    path = "\\\\wsl.localhost\\Ubuntu-24.04" + str(file).replace("/", "\\")
    assert create == ["/Create", "/F", "/TN", name, "/XML", path]
    assert run == ["/Run", "/TN", name]
    task = as_windows_reads_it(file.read_bytes())
    assert [user.text for user in task.iter(TASKS + "UserId")] == ["DEN\\Ada & Bob"] * 2
    [words] = [words.text for words in task.iter(TASKS + "Arguments")]
    assert words == "--headless wsl.exe -d Ubuntu-24.04 --exec sleep infinity"


async def test_without_interop_or_leave_there_is_a_line_to_paste(tmp_path: Path, programs: Programs) -> None:
    windows(programs)
    last = (await steps(place(tmp_path, wsl=True, interop=False)))[-1]
    assert last.result == "note"
    assert "Register-ScheduledTask" in last.cure
    assert not programs.calls("schtasks.exe")
    programs.add("schtasks.exe", "print('ERROR: Access is denied.'); sys.exit(1)")
    shutil.rmtree(tmp_path / "root")
    last = (await steps(place(tmp_path, wsl=True)))[-1]
    assert "Access is denied" in last.what
    assert "-d Ubuntu-24.04 --exec sleep infinity'" in last.cure


async def test_wsl_without_systemd_is_told_how_to_get_it(tmp_path: Path, programs: Programs) -> None:
    [only] = await steps(place(tmp_path, wsl=True, systemd=False))
    assert (only.result, "systemd=true" in only.cure) == ("failed", True)


async def test_it_is_taken_away_again_and_twice_is_no_error(tmp_path: Path, programs: Programs) -> None:
    windows(programs)
    it = place(tmp_path, wsl=True)
    await steps(it)
    for _ in range(2):
        assert {step.result for step in await steps(it, going=True)} <= {"done", "note"}
    assert not it.unit_file.exists()
    assert not (it.settings.dir / "keep-alive.xml").exists()
    assert ["--user", "disable", "--now", "tessera-agent.service"] in programs.calls("systemctl")
    assert programs.calls("schtasks.exe")[-1] == ["/Delete", "/F", "/TN", "Tessera agent (Ubuntu-24.04)"]


def test_the_command_tells_what_it_would_do_and_wants_a_machine_that_is_enrolled(tmp_path: Path) -> None:
    def command(*options: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "agent", "install-service", "--dir", str(tmp_path), *options]
        home = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
        return subprocess.run(words, cwd=ROOT, env=home, capture_output=True, text=True)

    refused = command("--dry-run")
    assert (refused.returncode, "tessera-agent enroll" in refused.stderr) == (78, True)
    credential.save(CREDENTIAL, tmp_path / "credential.json")
    told = command("--dry-run", "--json")
    assert told.returncode == 0, told.stderr
    assert {step["result"] for step in json.loads(told.stdout)} == {"would"}
    assert f"write {tmp_path}/.config/systemd/user/tessera-agent.service" in json.loads(told.stdout)[0]["what"]
    failed = command()
    assert (failed.returncode, "there is no systemctl" in failed.stdout) == (1, True)
    (tmp_path / "credential.json").chmod(0o644)
    assert "can be read by others" in command("--dry-run").stderr


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=40)


@given(distribution=NAMES, user=NAMES)
def test_whatever_names_there_are_windows_can_read_the_task(distribution: str, user: str) -> None:
    task = as_windows_reads_it(logon.xml(distribution, user))
    assert [element.text for element in task.iter(TASKS + "UserId")] == [user, user]
    assert not set('\\/:*?"<>|') & set(logon.task_name(distribution))
    line = logon.powershell(distribution)
    assert "\n" not in line
    literals = re.findall(r"'((?:[^']|'')*)'", line)
    assert [literal.replace("''", "'") for literal in literals] == [
        logon.task_name(distribution),
        logon.arguments(distribution),
    ]
