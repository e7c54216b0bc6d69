from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from control_plane.errors import DiskLow
from control_plane.store import BUFFER_BYTES, FolderStore, Staged, new_key
from tests.fixtures.stores import fetch, put


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "artifacts")


def files(store: FolderStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


async def test_what_was_kept_comes_back_byte_for_byte_with_its_hash(store: FolderStore) -> None:
    data = os.urandom(2 * BUFFER_BYTES + 17)
    key = new_key(uuid4(), 3, 1)
    async with store.stage(key) as staged:
        for start in range(0, len(data), 65_536):
            await staged.write(data[start : start + 65_536])
        assert staged.bytes == len(data)
        assert await staged.sha256() == hashlib.sha256(data).digest()
        assert await staged.inspect(lambda file, size: (file.seek(0), file.read(5), size)[1:]) == (data[:5], len(data))
        await staged.keep()
    assert await fetch(store, key) == data
    assert await fetch(store, key, 10, BUFFER_BYTES + 20) == data[10 : BUFFER_BYTES + 20]


async def test_files_are_for_this_account_alone(store: FolderStore) -> None:
    key = await put(store, b"x")
    path = store.root / key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in path.parents[:4]} == {0o700}


async def test_nothing_stays_of_a_file_that_was_not_kept(store: FolderStore) -> None:
    async with store.stage(new_key(uuid4(), 1, 0)) as staged:
        await staged.write(b"x" * BUFFER_BYTES)
        assert len(files(store)) == 1
    with suppress(ZeroDivisionError):
        async with store.stage(new_key(uuid4(), 1, 0)) as staged:
            await staged.write(b"x")
            raise ZeroDivisionError
    assert files(store) == []


async def test_nothing_stays_open_or_behind_when_the_writer_is_cancelled(store: FolderStore) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        writing = asyncio.create_task(put(store, os.urandom(8 * BUFFER_BYTES)))
        await asyncio.sleep(0.0005)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert not [name for name in files(store) if name.endswith(".part")]
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "key",
    [
        "",
        "../outside",
        "jobs/../../outside",
        "/etc/passwd",
        "jobs/01890000-0000-7000-8000-000000000001/1/0",
        "jobs/01890000-0000-7000-8000-000000000001/1/0-0123456789abcdef.part",
        "jobs/01890000-0000-7000-8000-000000000001/1/0-0123456789abcdef\n",
        "jobs/01890000-0000-7000-8000-000000000001/1/../0-0123456789abcdef",
        "jobs/01890000-0000-7000-8000-000000000001/０/0-0123456789abcdef",
        "jobs/01890000-0000-7000-8000-000000000001\x00/1/0-0123456789abcdef",
        "C:\\jobs",
    ],
)
async def test_a_key_that_was_not_made_here_is_refused(store: FolderStore, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        await put(store, b"x", key)
    with pytest.raises(ValueError, match="not a key"):
        await store.open(key)
    with pytest.raises(ValueError, match="not a key"):
        await store.delete(key)
    assert not store.root.exists()


async def test_a_symbolic_link_in_the_tree_leads_nowhere(store: FolderStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    job_id = uuid4()
    (store.root / "jobs").mkdir(parents=True)
    (store.root / "jobs" / str(job_id)).symlink_to(outside)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        await put(store, b"x", new_key(job_id, 1, 0))
    assert list(outside.iterdir()) == []

    key = await put(store, b"x")
    (tmp_path / "secret").write_bytes(b"secret")
    (store.root / key).unlink()
    (store.root / key).symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="Too many levels"):
        await store.open(key)
    await store.delete(key)
    assert (tmp_path / "secret").exists()


async def test_deleting_takes_the_empty_folders_too_and_may_be_repeated(store: FolderStore) -> None:
    job_id = uuid4()
    one, two = await put(store, b"1", new_key(job_id, 1, 0)), await put(store, b"2", new_key(job_id, 2, 0))
    await store.delete(one)
    await store.delete(one)
    assert await store.open(one) is None
    assert files(store) == [two]
    await store.delete(two, one)
    assert list((store.root / "jobs").iterdir()) == []


async def test_a_file_is_read_to_its_end_though_it_is_deleted_meanwhile(store: FolderStore) -> None:
    data = os.urandom(3 * BUFFER_BYTES)
    key = await put(store, data)
    opened = await store.open(key)
    assert opened is not None
    parts = []
    async for part in opened.read(0, len(data)):
        await store.delete(key)
        parts.append(part)
    opened.close()
    assert b"".join(parts) == data


async def test_many_writers_and_a_sweep_of_the_same_folders_do_not_disturb_each_other(store: FolderStore) -> None:
    job_id = uuid4()
    kept = 0

    async def churn(index: int) -> None:
        nonlocal kept
        for attempt in range(1, 31):
            key = new_key(job_id, 1 + attempt % 2, index)
            await put(store, b"x" * 100, key)
            kept += 1
            await store.delete(key)

    async with asyncio.TaskGroup() as tasks:
        for index in range(6):
            tasks.create_task(churn(index))
    assert kept == 180
    assert files(store) == []


async def test_a_full_disk_is_said_to_be_one() -> None:
    with open("/dev/full", "r+b", buffering=0) as full:  # a device on which every write finds no room
        staged = Staged(full, lambda label: asyncio.sleep(0))
        with pytest.raises(DiskLow):
            await staged.write(b"x" * BUFFER_BYTES)


async def test_the_survey_tells_whole_files_from_temporary_ones_and_ignores_strangers(store: FolderStore) -> None:
    key = await put(store, b"x")
    (store.root / "README").write_text("not ours")
    async with store.stage(new_key(uuid4(), 1, 0)) as staged:
        await staged.write(b"x" * BUFFER_BYTES)
        found = {(file.key == key, file.temporary) async for file in store.files()}
        assert found == {(True, False), (False, True)}
        assert [-1 < file.age_seconds < 60 async for file in store.files()] == [True, True]
