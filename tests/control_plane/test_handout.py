"""The agent that a control plane hands out: what is in the wheel, and that it is enough."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest

from control_plane.release.handout import FILLED_IN, handout
from control_plane.release.line import enroll_line, install_line
from control_plane.release.wheel import CARGO, PARTS, ROOT, Unpackable, Wheel, pack
from control_plane.settings import Settings

LOCKED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def wheel() -> Wheel:
    return pack()


def opened(wheel: Wheel) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(wheel.content))


def copied(folder: Path) -> Path:
    """A tree with just what is packed."""
    for part in (*PARTS, *CARGO):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
        copy(ROOT / part, folder / part)
    return folder


def test_the_wheel_holds_the_agent_and_the_wire_and_nothing_else_of_ours(wheel: Wheel) -> None:
    names = opened(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"agent", "control_plane", f"tessera-{wheel.version}.dist-info"}
    assert {"agent/cli.py", "agent/workflows/sdxl.json", "control_plane/wire/worker.py"} <= set(names)
    foreign = [name for name in names if name.startswith("control_plane/") and "/wire/" not in name]
    assert foreign == ["control_plane/__init__.py"]
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]
    assert set(CARGO.values()) <= set(names), "a machine builds its container from these"


def test_its_record_is_true_of_every_file(wheel: Wheel) -> None:
    with opened(wheel) as archive:
        record = archive.read(f"tessera-{wheel.version}.dist-info/RECORD").decode()
        rows = {name: (digest, size) for name, digest, size in csv.reader(record.splitlines())}
        assert set(rows) == set(archive.namelist())
        for name, (digest, size) in rows.items():
            content = archive.read(name)
            right = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={right}", str(len(content))) or name.endswith("/RECORD")
    assert len(rows) > 100


def test_the_same_agent_is_the_same_wheel_and_another_one_has_another_name(wheel: Wheel, tmp_path: Path) -> None:
    tree = copied(tmp_path)
    assert pack(tree) == wheel
    (tree / "agent" / "__pycache__").mkdir(exist_ok=True)
    (tree / "agent" / "__pycache__" / "log.cpython-311.pyc").write_bytes(b"never the same")
    assert pack(tree) == wheel
    with (tree / "agent" / "log.py").open("a") as file:
        file.write("# another\n")
    other = pack(tree)
    assert other.name != wheel.name
    assert re.fullmatch(r"tessera-[\d.]+\+h[0-9a-f]{10}-py3-none-any\.whl", other.name)


def test_the_agent_runs_from_what_is_packed(wheel: Wheel, tmp_path: Path) -> None:
    opened(wheel).extractall(tmp_path / "site")
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "agent", "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"tessera-agent {wheel.version}\n"


def test_what_is_missing_is_said_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(Unpackable, match="Install Tessera anew"):
        pack(tmp_path)
    tree = copied(tmp_path)
    with pytest.raises(Unpackable, match=r"requirements-agent\.lock cannot be read"):
        handout(tree)


def test_its_libraries_are_those_of_the_lock_hashed_and_from_no_index_of_ours() -> None:
    text = handout().requirements.decode()
    own = dict(LOCKED.findall(text))
    common = dict(LOCKED.findall((ROOT / "ops" / "requirements.lock").read_text()))
    assert {name: version for name, version in own.items() if name in common and common[name] != version} == {}
    wanted = {
        re.split(r"[^A-Za-z0-9-]", requirement)[0]
        for requirement in requires("tessera") or []
        if re.search(r"extra == ['\"](agent|gpu)['\"]", requirement)
    }
    assert wanted >= {"aiohttp", "msgspec", "pillow", "structlog"}
    assert wanted <= set(own)
    assert not re.search(r"https?:|--index|--find-links", text)
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", text.strip()))
    assert not own.keys() & {"litestar", "psycopg", "uvicorn"}, "the agent stays small"


def test_the_installer_knows_where_it_came_from_whatever_the_address_is() -> None:
    assert handout().installer.count(FILLED_IN) == 1
    script = handout().script(Settings(public_url="https://it's.example/a'b")).decode()
    ran = subprocess.run(
        ["sh", "-c", script.replace('\nmain "$@"', '\nprintf %s "$url"')], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "https://it's.example/a'b"


def test_the_line_says_what_is_not_safe() -> None:
    open_to_all = Settings(public_url="http://192.168.1.5:8000")
    assert install_line("tse_1", open_to_all).endswith("| TESSERA_AGENT_TOKEN=tse_1 sh -s -- --plain-http")
    assert enroll_line("tse_1", open_to_all).endswith(" --plain-http")
    closed = Settings(public_url="https://tessera.example")
    assert install_line("tse_1", closed) == (
        "curl -fsS https://tessera.example/install/agent.sh | TESSERA_AGENT_TOKEN=tse_1 sh"
    )
