"""An archive may come from anywhere: what no backup of ours holds is refused, and nothing of it is left behind."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from control_plane.backup import BackupError, archive, restoring
from control_plane.backup.archive import Member

Add = Callable[[tarfile.TarFile], None]


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Add:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, 4 if kind == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(b"evil"))

    return add


def sparse(tar: tarfile.TarFile) -> None:
    """One byte that says it is a terabyte."""
    info = tarfile.TarInfo("data/hole")
    info.size, info.pax_headers = 1, {"GNU.sparse.size": str(2**40), "GNU.sparse.map": "0,1"}
    tar.addfile(info, io.BytesIO(b"x"))


HOSTILE: dict[str, Add] = {
    "upwards": member("data/../../outside"),
    "from the root": member("/outside"),
    "a symbolic link": member("data/link", tarfile.SYMTYPE, "/etc"),
    "a hard link": member("data/link", tarfile.LNKTYPE, "/etc/passwd"),
    "a device": member("data/null", tarfile.CHRTYPE),
    "a pipe": member("data/pipe", tarfile.FIFOTYPE),
    "a hole": sparse,
}


@pytest.mark.parametrize("add", HOSTILE.values(), ids=HOSTILE)
def test_what_no_backup_holds_is_refused(tmp_path: Path, add: Add) -> None:
    source, folder = tmp_path / "given.tar", tmp_path / "there" / "folder"
    folder.mkdir(parents=True)
    with tarfile.open(source, "w", format=tarfile.PAX_FORMAT) as tar:
        add(tar)
    with pytest.raises(BackupError, match="which no backup does"):
        archive.unpack(source, folder)
    assert {path.name for path in tmp_path.rglob("*")} <= {"given.tar", "there", "folder", "data"}


def test_one_that_unpacks_without_end_is_no_backup(tmp_path: Path) -> None:
    source = tmp_path / "bomb.tar"
    with tarfile.open(source, "w:gz") as tar:
        info = tarfile.TarInfo("data/zeros")
        info.size = 2**24
        tar.addfile(info, io.BytesIO(bytes(2**24)))
    assert source.stat().st_size < 2**16
    with pytest.raises(BackupError, match="cannot be read as a backup"):
        archive.unpack(source, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("name", ["postgres18/postgresql.auto.conf", "artifacts/jobs/x", "up.lock"])
def test_none_puts_files_under_the_embedded_server(tmp_path: Path, name: str) -> None:
    for path in ("data/keys.json", f"data/{name}"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("archive_command = 'evil'")
    with pytest.raises(BackupError, match=f"data/{name.partition('/')[0]}, which no backup does"):
        restoring.check_belongings(tmp_path)


def test_a_list_of_pictures_that_is_none_is_told(tmp_path: Path) -> None:
    archive.pack(tmp_path / "given.tar", [Member(archive.PICTURES, b"{}")])
    (tmp_path / archive.PICTURES).write_bytes(b"{}")
    with pytest.raises(BackupError, match="list of pictures"):
        archive.pictures(tmp_path)
