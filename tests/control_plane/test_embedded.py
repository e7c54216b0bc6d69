"""The embedded server under what a machine under a desk does to it: kills, power cuts, long paths, two programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import psycopg
import pytest

from control_plane import embedded
from control_plane.embedded import Embedded, EmbeddedError
from control_plane.pidfile import exists

WAIT_SECONDS = 20.0
USE_AND_WAIT = """
import sys; from pathlib import Path; from control_plane import embedded
print(embedded.start(Path(sys.argv[1])).pid, flush=True); sys.stdin.read()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster made once; tests that damage one take a copy."""
    folder = tmp_path_factory.mktemp("cluster")
    with using(folder) as server, psycopg.connect(server.owner_url) as connection:
        connection.execute("create table kept (n integer); grant insert, select on kept to tessera_app")
    return folder


@pytest.fixture
def data_dir(made: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-a", f"{made}/.", str(tmp_path)], check=True)
    return tmp_path


@contextmanager
def using(folder: Path) -> Iterator[Embedded]:
    server = embedded.start(folder)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def another_program(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", USE_AND_WAIT, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def rows(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("select n from kept order by n")]


def write(url: str, n: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("insert into kept values (%s)", [n])


def gone(pid: int) -> bool:
    """Within a while; one that has ended and that nobody has asked about yet counts."""
    deadline = monotonic() + WAIT_SECONDS
    while exists(pid):
        if monotonic() > deadline:
            return False
        sleep(0.01)
    return True


def test_the_application_may_use_but_neither_create_nor_truncate_nor_drop(data_dir: Path) -> None:
    with using(data_dir) as server:
        write(server.app_url, 1)
        for statement in (
            "create table mine ()",
            "truncate kept",
            "drop table kept",
            "create role r",
            "delete from kept",
        ):
            with (
                psycopg.connect(server.app_url) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute(statement)
        assert rows(server.app_url) == [1]


def test_it_is_durable_and_listens_on_no_network(data_dir: Path) -> None:
    with using(data_dir) as server, psycopg.connect(server.app_url) as connection:
        for name, value in {"fsync": "on", "synchronous_commit": "on", "listen_addresses": ""}.items():
            assert connection.execute("select current_setting(%s)", [name]).fetchone() == (value,)


def test_the_last_of_two_users_stops_it(data_dir: Path) -> None:
    first, second = embedded.start(data_dir), embedded.start(data_dir)
    pid = first.pid
    assert pid == second.pid
    first.stop()
    first.stop()
    write(second.app_url, 2)
    second.stop()
    assert gone(pid)


def test_another_program_keeps_it_up_until_it_ends(data_dir: Path) -> None:
    with using(data_dir) as server, another_program(data_dir) as program:
        assert program.stdout is not None
        server_pid = server.pid
        assert int(program.stdout.readline()) == server_pid
        url = server.app_url
        server.stop()
        write(url, 3)
        program.kill()
        program.wait(WAIT_SECONDS)
        with using(data_dir) as last:
            assert rows(last.app_url) == [3]
    assert gone(server_pid)


def test_a_server_whose_user_was_killed_is_adopted_and_stopped_in_the_end(data_dir: Path) -> None:
    with another_program(data_dir) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        program.kill()
        program.wait(WAIT_SECONDS)
    with using(data_dir) as server:
        assert server.pid == pid
    assert gone(pid)


def test_what_was_committed_survives_the_kill_of_everything(data_dir: Path) -> None:
    server = embedded.start(data_dir)
    with psycopg.connect(server.app_url) as unfinished:
        write(server.app_url, 4)
        unfinished.execute("insert into kept values (5)")
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        with using(data_dir) as again:
            assert again.pid != killed
            assert rows(again.app_url) == [4]
        with pytest.raises(psycopg.OperationalError):
            unfinished.execute("select 1")
    server.stop()


def test_a_pid_that_a_stranger_got_after_a_power_cut_does_not_block_the_start(data_dir: Path) -> None:
    server = embedded.start(data_dir)
    pidfile = server.folder / "postmaster.pid"
    killed = server.pid
    os.kill(killed, signal.SIGKILL)
    assert gone(killed)
    owner = server.folder.stat().st_uid
    with subprocess.Popen(["sleep", "600"], user=owner if os.geteuid() == 0 else None) as stranger:
        pidfile.write_text("\n".join([str(stranger.pid), *pidfile.read_text().splitlines()[1:]]) + "\n")
        try:
            with using(data_dir) as again:
                assert rows(again.app_url) == []
            assert stranger.poll() is None, "the stranger was harmed"
        finally:
            stranger.kill()
    server.stop()


def test_a_long_path_gets_a_short_socket_that_is_removed_in_the_end(data_dir: Path) -> None:
    deep = data_dir.joinpath(*["a-rather-long-folder-name"] * 5)
    deep.mkdir(parents=True)
    shutil.move(data_dir / "postgres", deep / "postgres")
    with using(deep) as server:
        write(server.app_url, 6)
        with psycopg.connect(server.url(embedded.SUPERUSER)) as connection:
            found = connection.execute("show unix_socket_directories").fetchone()
        assert found is not None
        socket = Path(found[0])
        assert (socket.stat().st_mode & 0o777) == 0o700
    assert not socket.exists()


def test_many_programs_that_start_it_at_once_share_one_server(data_dir: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        servers = list(pool.map(embedded.start, [data_dir] * 6))
    assert len({server.pid for server in servers}) == 1
    for server in servers:
        server.stop()


def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18")
    with using(tmp_path) as server:
        assert server.pid > 0
    assert not (tmp_path / "postgres.new").exists()


def test_a_cluster_of_another_postgresql_is_refused_with_what_to_do(data_dir: Path) -> None:
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 16, and this Tessera brings 18.*tessera db upgrade"):
        embedded.start(data_dir)


def test_a_server_that_does_not_start_says_why(data_dir: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"does not start.*shared_buffers"):
        embedded.start(data_dir, {"shared_buffers": "lots"})


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot hold the embedded PostgreSQL"):
        embedded.start(tmp_path / "file")
