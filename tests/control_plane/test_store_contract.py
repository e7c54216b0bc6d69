"""What every store promises, tried on a folder and on a real S3 server alike."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from control_plane.errors import Unavailable
from control_plane.settings import ConfigurationError, Settings, effective, load
from control_plane.store import (
    BUFFER_BYTES,
    Found,
    Store,
    new_input_key,
    new_key,
    open_store,
    staging_key,
    thumbnail_key,
)
from tests.fixtures.bucket import Bucket
from tests.fixtures.stores import fetch, put
from tests.fixtures.worker import free_port


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(Settings(data_dir=tmp_path, artifacts_url=f"file://{tmp_path}/files"))
    bucket: Bucket = request.getfixturevalue("bucket")
    return open_store(Settings(data_dir=tmp_path, artifacts_url=bucket.url))


async def found(store: Store) -> dict[str, Found]:
    return {file.key: file async for file in store.files()}


async def test_what_was_kept_comes_back_byte_for_byte_whole_or_in_part(store: Store) -> None:
    data = os.urandom(9 * 1024**2 + 17)  # more than one part, up and down
    key = new_key(uuid4(), 3, 1)
    async with store.stage(key) as staged:
        for start in range(0, len(data), 65_536):
            await staged.write(data[start : start + 65_536])
        assert await staged.sha256() == hashlib.sha256(data).digest()
        assert await staged.inspect(lambda file, size: (file.seek(0), file.read(5), size)[1:]) == (data[:5], len(data))
        assert await store.open(key) is None, "nobody sees it before it is kept"
        await staged.keep()
    assert await fetch(store, key) == data
    assert await fetch(store, key, 10, BUFFER_BYTES + 20) == data[10 : BUFFER_BYTES + 20]
    assert await fetch(store, key, len(data) - 1) == data[-1:]
    assert await fetch(store, key, 5, 5) == b""


async def test_nothing_stays_of_a_file_that_was_not_kept(store: Store) -> None:
    async def giving_up() -> None:
        async with store.stage(new_key(uuid4(), 1, 0)) as staged:
            await staged.write(b"x" * BUFFER_BYTES)
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await giving_up()
    assert await found(store) == {}


async def test_every_kind_of_key_has_its_place_and_no_other_name_is_taken(store: Store) -> None:
    job_id, key = uuid4(), new_key(uuid4(), 1, 0)
    for made in (key, thumbnail_key(key), new_input_key(uuid4(), uuid4())):
        await put(store, made.encode(), made)
        assert await fetch(store, made) == made.encode()
    assert set(await found(store)) >= {key, thumbnail_key(key)}
    for foreign in ("", "../x", "/etc/passwd", f"jobs/{job_id}/1/0", f"{key}.part", f"{key}\n", f"jobs/{job_id}/../x"):
        with pytest.raises(ValueError, match="not a key"):
            await put(store, b"x", foreign)
        with pytest.raises(ValueError, match="not a key"):
            await store.open(foreign)
        with pytest.raises(ValueError, match="not a key"):
            await store.delete(foreign)


async def test_deleting_may_be_repeated_and_takes_nothing_else(store: Store) -> None:
    one, two, three = [await put(store, b"x") for _ in range(3)]
    await store.delete(one, new_key(uuid4(), 1, 0), two)
    await store.delete(one)
    await store.delete()
    assert set(await found(store)) == {three}
    assert await store.open(one) is None


async def test_a_survey_tells_what_is_there_and_how_old_it_is(store: Store) -> None:
    assert await found(store) == {}
    keys = {await put(store, b"x") for _ in range(4)}
    listed = await found(store)
    assert set(listed) == keys
    assert [-60 < file.age_seconds < 60 for file in listed.values()] == [True] * 4
    assert not any(file.temporary for file in listed.values())


async def test_many_writers_do_not_disturb_each_other(store: Store) -> None:
    async with asyncio.TaskGroup() as tasks:
        puts = [tasks.create_task(put(store, bytes([number]) * 1_000)) for number in range(12)]
    assert [await fetch(store, one.result()) for one in puts] == [bytes([number]) * 1_000 for number in range(12)]


def test_a_staging_key_follows_from_fence_and_file_and_from_nothing_else() -> None:
    job_id, token, other = UUID(int=1), UUID(int=2), UUID(int=3)
    key = staging_key(job_id, 1, 0, token, b"a" * 32)
    assert key == staging_key(job_id, 1, 0, token, b"a" * 32)
    others = {staging_key(job_id, 1, 0, other, b"a" * 32), staging_key(job_id, 1, 0, token, b"b" * 32)}
    assert key not in others
    assert len(others) == 2
    assert str(token) not in key


async def test_a_bucket_that_does_not_answer_is_unavailable_and_costs_no_patience(
    tmp_path: Path, bucket: Bucket
) -> None:
    nobody = open_store(
        Settings(data_dir=tmp_path, artifacts_url=f"s3://x/?endpoint=http://127.0.0.1:{free_port()}&region=x")
    )
    missing = open_store(Settings(data_dir=tmp_path, artifacts_url=bucket.url.replace(bucket.name, "no-such-bucket")))
    async with asyncio.timeout(25):
        for store in (nobody, missing):
            with pytest.raises(Unavailable):
                await put(store, b"x")
            assert await store.address(new_key(uuid4(), 1, 0)) is None, "nobody is sent where nothing is"
    assert list((tmp_path / "spool").iterdir()) == []


async def test_strangers_in_the_bucket_are_left_alone(bucket: Bucket, tmp_path: Path) -> None:
    store = open_store(Settings(data_dir=tmp_path, artifacts_url=bucket.url))
    bucket.put("some/prefix/README")
    bucket.put("elsewhere/" + new_key(uuid4(), 1, 0))
    key = await put(store, b"x")
    assert set(await found(store)) == {key}
    assert f"some/prefix/{key}" in bucket.names()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://key:secret@bucket/x", "without credentials"),
        ("s3:///x", "must be one of"),
        ("file://folder/x", "must be one of"),
        ("file:///", "must name a folder"),
        ("file:///x?direct=no", "none is allowed"),
        ("s3://bucket/?secret_access_key=hush", "no option 'secret_access_key' here; allowed are direct, endpoint"),
        ("gs://bucket/?endpoint=http://x", "no option 'endpoint'"),
        ("s3://bucket/?direct=maybe", "yes or no"),
        ("s3://bucket/?endpoint=minio:9000", "absolute URL"),
        ("ftp://bucket", "must be one of"),
    ],
)
def test_an_address_that_cannot_be_used_is_explained_and_no_secret_repeated(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised:
        open_store(Settings(artifacts_url=url))
    assert "hush" not in str(raised.value)
    assert "secret@" not in str(raised.value)


def test_without_the_extra_the_operator_is_told_what_to_install() -> None:
    program = (
        "import sys; sys.modules['obstore'] = None\n"
        "from control_plane.settings import ConfigurationError, Settings\n"
        "from control_plane.store import open_store\n"
        "open_store(Settings())\n"
        "try: open_store(Settings(artifacts_url='s3://bucket/x'))\n"
        "except ConfigurationError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "pip install 'tessera[object-store]'" in told


@pytest.mark.parametrize(("url", "at"), [("gs://pictures/x", "gs://pictures/x"), ("az://box/x", "az://box/x")])
def test_other_clouds_are_opened_by_their_own_address(
    url: str, at: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert open_store(Settings(data_dir=tmp_path, artifacts_url=url)).where == at


def test_a_cloud_that_misses_its_account_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ConfigurationError, match="Account must be specified"):
        open_store(Settings(artifacts_url="az://box/x"))


def test_the_place_is_one_setting_and_is_shown_without_what_may_be_secret() -> None:
    settings = load({"TESSERA_ARTIFACTS_URL": "s3://bucket/x?endpoint=https://minio.example"})
    assert effective(settings)["TESSERA_ARTIFACTS_URL"] == "s3://bucket/x"
    with pytest.raises(ConfigurationError, match="TESSERA_ARTIFACTS_DIR and TESSERA_ARTIFACTS_URL"):
        load({"TESSERA_ARTIFACTS_URL": "s3://bucket/x", "TESSERA_ARTIFACTS_DIR": "/srv"})
    with pytest.raises(ConfigurationError, match="TESSERA_ARTIFACTS_URL must be an address like") as raised:
        load({"TESSERA_ARTIFACTS_URL": "s3://key:hush@bucket/x"})
    assert "hush" not in str(raised.value)
