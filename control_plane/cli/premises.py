"""What `tessera up` keeps in the data folder for the other commands on this machine.

`up.lock` is held by the one that runs, and says who it is; the kernel lets go of it whatever happens to the process.
`address` is where it listens, `shared_address` how other machines come with `--lan`,
 `admin_key` the operator's API key (0600), so that `tessera generate` just works.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from control_plane.cli.parsing import EX_CONFIG, EX_UNAVAILABLE, CommandError

ADDRESS, SHARED_ADDRESS, ADMIN_KEY, LOCK = "address", "shared_address", "admin_key", "up.lock"


@contextmanager
def occupied(data_dir: Path) -> Iterator[None]:
    """Be the one `tessera up` of this folder, or say who is."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandError(
            f"{data_dir} cannot be used as the data folder ({error.strerror})."
            " Choose another with --data-dir or TESSERA_DATA_DIR.",
            EX_CONFIG,
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(lock, 32).decode().strip()
        os.close(lock)
        raise CommandError(_running_already(data_dir, pid), EX_UNAVAILABLE) from None
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        forget_address(data_dir)
        os.close(lock)


def running(data_dir: Path) -> int:
    """The process id of the `tessera up` of this folder, or 0."""
    try:
        with open(data_dir / LOCK) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read().strip() or 0)
    except OSError:
        pass
    return 0


def announce(data_dir: Path, url: str, shared_url: str | None = None) -> None:
    """`shared_url`: for other machines."""
    _write(data_dir / ADDRESS, url, 0o644)
    if shared_url is not None:
        _write(data_dir / SHARED_ADDRESS, shared_url, 0o644)


def forget_address(data_dir: Path) -> None:
    (data_dir / ADDRESS).unlink(missing_ok=True)
    (data_dir / SHARED_ADDRESS).unlink(missing_ok=True)


def shared_address(data_dir: Path) -> str | None:
    return _read(data_dir / SHARED_ADDRESS)


def address(data_dir: Path) -> str | None:
    return _read(data_dir / ADDRESS)


def store_admin_key(data_dir: Path, key: str) -> None:
    _write(data_dir / ADMIN_KEY, key, 0o600)


def admin_key(data_dir: Path) -> str | None:
    return _read(data_dir / ADMIN_KEY)


def store_secret(file: Path, secret: str) -> None:
    """For its user alone."""
    _write(file, secret, 0o600)


def secret(file: Path) -> str | None:
    return _read(file)


def _write(file: Path, text: str, mode: int) -> None:
    """Whole or not at all, and never readable by more people than meant, not even for a moment."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:
        out.write(text + "\n")
    fresh.replace(file)


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def _running_already(data_dir: Path, pid: str) -> str:
    where = address(data_dir)
    return (
        f"Tessera is running already on {data_dir}"
        f" (process {pid or 'unknown'}{f', {where}' if where else ''})."
        " Use it, stop it with Ctrl-C there, or choose another --data-dir."
    )
