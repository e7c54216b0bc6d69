"""`tessera up` as a person runs it: start, order, stop, start again; and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from PIL import Image

from ops import website
from tests.system.processes import ROOT, Program, answers, left_of, program, wait_until

UP = ("control_plane", "up", "--port", "0")
QUICK = {"TESSERA_AGENT_TESTCARD_SECONDS": "0.2", "TESSERA_DISK_RESERVE_BYTES": "0"}


@contextmanager
def up(data_dir: Path, *words: str, **environ: str) -> Iterator[Program]:
    chosen = {"TESSERA_DATA_DIR": str(data_dir), **QUICK, **environ}
    with program(data_dir.parent / "said", *UP, *words, **chosen) as running:
        yield running


def tessera(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "TESSERA_DATA_DIR": str(data_dir), "TESSERA_DISK_RESERVE_BYTES": "0"}
    command = [sys.executable, "-m", "control_plane", *words]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def address(running: Program) -> str:
    return str(running.saying(r"Tessera is up at (\S+)")[1])


def stop(running: Program, number: signal.Signals = signal.SIGINT) -> None:
    running.process.send_signal(number)
    assert running.end() == 0, running.said


def children(running: Program) -> list[psutil.Process]:
    return [child for child in psutil.Process(running.process.pid).children() if "postgres" not in child.name()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that has been used once."""
    data_dir = tmp_path_factory.mktemp("made") / "data"
    with up(data_dir) as running:
        running.saying("agent.started")
        stop(running)
    return data_dir


@pytest.fixture
def data_dir(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    subprocess.run(["cp", "-a", str(made), str(copy)], check=True)
    return copy


@pytest.mark.slow
def test_the_first_start_makes_a_key_with_which_ordering_just_works(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with up(data_dir) as running:
        url = address(running)
        key = running.saying(r"\n  (tsk_[0-9a-z]{12}_[0-9a-f]{64})\n")[1]
        assert (data_dir / "admin_key").read_text().strip() == key
        if (website.OUT / "index.html").exists():
            running.saying(rf"\n  {url}/auth/link/[\w-]{{43}}\?next=/setup\n")
        assert stat.S_IMODE((data_dir / "admin_key").stat().st_mode) == 0o600
        running.saying("no ComfyUI answers at http://127.0.0.1:8188")
        ordered = tessera(data_dir, "generate", "a lighthouse", "--size", "128x128", "-o", str(tmp_path / "out.png"))
        assert ordered.returncode == 0, ordered.stderr + running.said
        with Image.open(tmp_path / "out.png") as image:
            assert image.size == (128, 128)
            assert "trainedAlgorithmicMedia" in image.info["XML:com.adobe.xmp"]
        asked = urllib.request.Request(f"{url}/api/v1/jobs", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(asked) as answer:
            [job] = json.load(answer)["data"]
        assert job["provenance"]["engine"] == "testcard"
        assert job["provenance"]["seeds"] == [job["seed"]]
        told = json.loads(tessera(data_dir, "status", "--json").stdout)
        assert (told["running"], told["address"], told["workers"]) == (True, url, {"idle": 1})
        second = tessera(data_dir, "up", "--port", "0")
        assert second.returncode == 69
        assert f"running already on {data_dir} (process {running.process.pid}, {url})" in second.stderr
        stop(running)
    assert left_of(data_dir) == []
    assert not answers(url)
    assert [path for path in data_dir.rglob("*") if path.is_socket()] == []
    assert not (data_dir / "address").exists()


@pytest.mark.slow
def test_a_kill_leaves_a_house_that_the_next_start_puts_in_order(data_dir: Path, tmp_path: Path) -> None:
    with up(data_dir) as running:
        url = address(running)
        running.saying("agent.started")
        running.process.kill()
        running.process.wait()
    wait_until(lambda: not [line for line in left_of(data_dir) if "postgres" not in line], "the children end, too")
    wait_until(lambda: not answers(url), "a process that is torn down loses its name before its sockets")
    with up(data_dir) as running:
        address(running)
        assert "tsk_" not in running.said
        ordered = tessera(data_dir, "generate", "x", "--size", "64x64", "-o", str(tmp_path / "out.png"))
        assert ordered.returncode == 0, ordered.stderr + running.said
        assert json.loads(tessera(data_dir, "status", "--json").stdout)["workers"] == {"idle": 1}
        stop(running, signal.SIGTERM)
    assert left_of(data_dir) == []


@pytest.mark.slow
def test_what_dies_is_started_again(data_dir: Path, tmp_path: Path) -> None:
    with up(data_dir) as running:
        url = address(running)
        running.saying("agent.started")
        for child in children(running):
            child.kill()
        wait_until(lambda: running.said.count("it starts again") >= 2, "both are started again")
        wait_until(lambda: len(children(running)) == 2, "both run")
        server = int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(server, signal.SIGKILL)
        running.saying("The database has died; it is started again.")
        ordered = tessera(data_dir, "generate", "x", "--size", "64x64", "-o", str(tmp_path / "out.png"))
        if ordered.returncode == 69:  # the control plane itself was still on its way
            wait_until(lambda: answers(url), "it answers")
            ordered = tessera(data_dir, "generate", "x", "--size", "64x64", "-o", str(tmp_path / "out.png"))
        assert ordered.returncode == 0, ordered.stderr + running.said
        stop(running)
    assert left_of(data_dir) == []


@pytest.mark.slow
def test_the_first_ctrl_c_waits_for_the_picture_and_the_second_does_not(data_dir: Path, tmp_path: Path) -> None:
    with up(data_dir, TESSERA_AGENT_TESTCARD_SECONDS="600") as running:
        address(running)
        with program(tmp_path, "control_plane", "generate", "x", TESSERA_DATA_DIR=str(data_dir)) as order:
            order.saying("running")
            running.process.send_signal(signal.SIGINT)
            running.saying("what is being made is finished first")
            order.saying("running, 0 %|step")
            assert running.process.poll() is None
            stop(running)
    assert left_of(data_dir) == []
    with up(data_dir, "--no-agent") as running:
        address(running)
        [job] = json.loads(tessera(data_dir, "job", "list", "--json").stdout)
        assert job["state"] == "queued"
        stop(running)


@pytest.mark.slow
def test_a_local_agent_that_was_revoked_stays_away(data_dir: Path, tmp_path: Path) -> None:
    with up(data_dir) as running:
        address(running)
        running.saying("agent.started")
        assert tessera(data_dir, "worker", "revoke", "local").returncode == 0
        running.saying("The local agent has ended .* and is not started again")
        stop(running)
    with up(data_dir) as running:
        running.saying("The local agent was revoked. To enrol it anew, remove ")
        stop(running)


@pytest.mark.slow
def test_a_local_agent_that_was_drained_works_again_when_it_is_resumed(data_dir: Path, tmp_path: Path) -> None:
    with up(data_dir) as running:
        address(running)
        running.saying("agent.started")
        assert tessera(data_dir, "worker", "drain", "local").returncode == 0
        running.saying("The local agent is drained; it starts again when it is resumed.")
        assert "drain" in tessera(data_dir, "worker", "list").stdout
        assert tessera(data_dir, "worker", "resume", "local").returncode == 0
        ordered = tessera(data_dir, "generate", "x", "--size", "64x64", "-o", str(tmp_path / "out.png"))
        assert ordered.returncode == 0, ordered.stderr + running.said
        assert tessera(data_dir, "worker", "drain", "local").returncode == 0
        wait_until(lambda: running.said.count("The local agent is drained") == 2, "it rests again")
        stop(running)
    assert left_of(data_dir) == []


def test_a_port_in_use_is_a_sentence_with_its_cure(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = tessera(tmp_path / "data", "up", "--port", str(port))
    assert refused.returncode == 69
    assert refused.stderr == (
        f"tessera: Port {port} is in use. Choose another with --port (0 = any free one), or stop what uses it.\n"
    )
    assert left_of(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--plain-http", "--host", "203.0.113.1"), "This machine has no address 203.0.113.1."),
        (("--plain-http", "--host", "no such host"), "no such host is not an address"),
        (("--port", "99999"), "TESSERA_PORT is '99999', but must be a whole number from 0 to 65535."),
        (("--data-dir", "/proc/nothing"), "cannot be used as the data folder"),
    ],
)
def test_what_cannot_work_is_a_sentence(tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    refused = tessera(tmp_path / "data", "up", *words)
    assert refused.returncode in (69, 78)
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr
    assert left_of(tmp_path) == []
