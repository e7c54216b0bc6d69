"""A backup is proven where it lies, shows nothing to strangers, and makes the service again."""

from __future__ import annotations

import sqlite3
import stat
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
import pytest

from control_plane import embedded
from control_plane.backup import BackupError, dump, names, restoring
from control_plane.backup.making import thin_out
from control_plane.backup.places import FolderPlace
from control_plane.backup.sealing import Opener
from control_plane.settings import Settings
from control_plane.store import open_store
from tests.fixtures.backups import JOBS, PLANTED, Estate, estate, violations
from tests.fixtures.bucket import SECRET_KEY, Bucket
from tests.fixtures.postgres import Postgres
from tests.fixtures.queue import one, rows
from tests.fixtures.stores import fetch


@pytest.fixture
async def house(tmp_path: Path, owner_url: str, database_url: str) -> Estate:
    return await estate(tmp_path, owner_url, database_url)


@pytest.fixture
def elsewhere(postgres: Postgres) -> Iterator[str]:
    """An empty database for a restore, as its owner."""
    name = postgres.create()
    yield postgres.url(name, embedded.OWNER)
    postgres.drop(name)


async def restored(house: Estate, url: str, data_dir: Path, **options: bool) -> restoring.Restored:
    chosen = await restoring.choose(house.settings.backup_url or "")
    settings = Settings(data_dir=data_dir)
    data_dir.mkdir(exist_ok=True)
    return await restoring.restore(settings, url, chosen, Opener(house.identity), force=options.get("force", False))


async def test_everything_comes_back_on_an_empty_machine_and_nothing_is_shown_on_the_way(
    house: Estate, elsewhere: str, tmp_path: Path
) -> None:
    before = await dump.facts_of(house.owner_url)
    made = await house.back_up()
    assert (made.verified, made.files, made.files_new, made.sealed) == (True, 3, 3, True)
    assert made.rows == sum(table.rows for table in before.tables.values()) > 3 * JOBS
    lying = list(house.lying())
    assert len(lying) == 5, "a backup, its list, three pictures"
    assert [path for path in lying if PLANTED.encode() in path.read_bytes()] == []
    assert list((house.settings.data_dir / "spool").iterdir()) == []

    told = await restored(house, elsewhere, tmp_path / "new")
    assert (told.files, told.files_missing, told.rows) == (3, [], made.rows)
    after = await dump.facts_of(elsewhere)
    assert before.differences(after) == []
    assert after.tables["jobs"].rows == JOBS
    assert await violations(elsewhere) == 0
    store = open_store(Settings(data_dir=tmp_path / "new"))
    assert {key: await fetch(store, key) for key in house.pictures} == house.pictures
    _belongings_are_back(tmp_path / "new", house)


def _belongings_are_back(data_dir: Path, house: Estate) -> None:
    assert (data_dir / "ca" / "key.pem").read_text() == PLANTED
    assert stat.S_IMODE((data_dir / "admin_key").stat().st_mode) == 0o600
    with closing(sqlite3.connect(data_dir / "bots" / "memory.session")) as session:
        assert session.execute("select words from said").fetchall() == [(PLANTED,)]
    settings = tomllib.loads((data_dir / "restored" / "settings.toml").read_text())
    assert settings["google_client_secret"] == f"{PLANTED}-of-google"
    [etc] = house.settings.backup_also
    assert (data_dir / "restored" / etc.relative_to("/") / "tessera.env").read_text() == PLANTED


async def test_the_next_backup_brings_only_what_is_new_and_tells_what_is_gone(house: Estate) -> None:
    await house.back_up(proof=False)
    fresh, deleted = await house.add_picture(b"fresh"), await house.add_picture(b"soon gone")
    await open_store(house.settings).delete(deleted)
    made = await house.back_up()
    assert (made.files, made.files_new, made.files_missing, made.verified) == (5, 1, [deleted], True)
    assert fresh not in made.files_missing
    with rows(house.owner_url) as sql:
        found = sql.execute(
            """select verified_at is not null, error, files, files_missing, bytes > 10000
            from backups order by started_at"""
        ).fetchall()
    assert found == [(False, None, 3, 0, True), (True, None, 5, 1, True)]


async def test_a_picture_that_is_not_what_its_row_says_fails_the_backup_and_the_failure_is_written_down(
    house: Estate,
) -> None:
    key = next(iter(house.pictures))
    (house.settings.artifacts_folder / key).write_bytes(b"rotten")
    with pytest.raises(BackupError, match=f"the picture {key} is damaged here"):
        await house.back_up(proof=False)
    with rows(house.owner_url) as sql:
        assert one(sql, "select error from backups").endswith(f"the picture {key} is damaged here.")
        assert one(sql, "select verified_at is null and ended_at is not null from backups")


class Rotten(FolderPlace):
    """A disk that loses a bit of the archive on the way."""

    async def put(self, name: str, file: Path) -> None:
        await super().put(name, file)
        if names.is_archive(name):
            whole = bytearray((self.root / name).read_bytes())
            whole[len(whole) // 2] ^= 1
            (self.root / name).write_bytes(whole)


async def test_a_backup_that_arrived_damaged_is_found_at_once(house: Estate) -> None:
    from control_plane.backup import making

    with pytest.raises(BackupError, match="it is damaged"):
        await making.make(house.settings, house.owner_url, Rotten(house.place), "0")
    with rows(house.owner_url) as sql:
        assert one(sql, "select verified_at is null and error like '%%damaged%%' from backups")


async def test_books_that_disagree_are_backed_up_and_told(house: Estate) -> None:
    with rows(house.owner_url) as sql:
        sql.execute("update balances set held = held + 1")
    with pytest.raises(BackupError, match="the books disagree in"):
        await house.back_up(proof=False)
    assert any(map(names.is_archive, (path.name for path in house.lying())))


@pytest.mark.slow
async def test_nothing_that_is_there_is_written_over_unasked(house: Estate, tmp_path: Path) -> None:
    await house.back_up(proof=False)
    with pytest.raises(BackupError, match="is not empty; nothing was changed"):
        await restored(house, house.owner_url, tmp_path / "new")
    with pytest.raises(BackupError, match=r"is in use \(admin_key, artifacts, bots\); nothing was changed"):
        restoring.check_folder(house.settings.data_dir, force=False)
    with rows(house.owner_url) as sql:
        sql.execute("delete from inputs")
        with pytest.raises(BackupError, match="1 other programs use the database"):
            await restored(house, house.owner_url, tmp_path / "new", force=True)
    told = await restored(house, house.owner_url, tmp_path / "new", force=True)
    assert told.files == 3
    with rows(house.owner_url) as sql:
        assert one(sql, "select count(*) from inputs") == 3


async def test_a_closed_backup_opens_with_its_key_alone(house: Estate, elsewhere: str, tmp_path: Path) -> None:
    from pyrage import x25519

    await house.back_up(proof=False)
    house.identity.write_text(str(x25519.Identity.generate()))
    with pytest.raises(BackupError, match="the key is not its own"):
        await restored(house, elsewhere, tmp_path / "new")
    chosen = await restoring.choose(house.place.as_uri())
    with pytest.raises(BackupError, match="--identity FILE"):
        await restoring.restore(Settings(data_dir=tmp_path / "new"), elsewhere, chosen, Opener(None), force=False)
    house.identity.write_text("nothing")
    with pytest.raises(BackupError, match="There is no secret key"):
        Opener(house.identity)
    async with dump.connected(elsewhere) as connection:
        assert await dump.TABLES.one(connection) == 0


async def test_without_a_key_there_is_no_backup_unless_that_is_said(house: Estate) -> None:
    house.settings = msgspec.structs.replace(house.settings, backup_recipient=None)
    with pytest.raises(BackupError, match="`tessera backup key` makes one"):
        await house.back_up()
    house.settings = msgspec.structs.replace(house.settings, backup_recipient="none")
    made = await house.back_up()
    assert (made.sealed, made.verified, made.name.endswith(".tar")) == (False, True, True)


async def test_a_place_that_has_lost_its_backups_is_a_disk_that_is_not_mounted(house: Estate) -> None:
    await house.back_up(proof=False)
    house.place.rename(house.place.with_name("unmounted"))
    with pytest.raises(BackupError, match="Is its disk mounted"):
        await house.back_up()
    house.place.mkdir()
    with pytest.raises(BackupError, match="holds none of the backups"):
        await house.back_up()
    assert (await house.back_up(proof=False, first=True)).files_new == 3


async def test_pictures_go_with_the_last_backup_that_shows_them(house: Estate) -> None:
    place, old = FolderPlace(house.place), "tessera-20200101T000000Z"
    kept = [f"tessera-2020010{day}T000000Z" for day in range(2, 9)]
    for stem in (old, *kept):
        (house.place / f"{stem}.tar.age").write_bytes(b"x")
        (house.place / f"{stem}.files").write_text("aa11\nbb22\n" if stem == old else "bb22\n")
    for sha256 in ("aa11", "bb22", "cc33"):
        file = house.place / names.picture(sha256, sealed=True)
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
    assert await thin_out(place) == [f"{old}.tar.age"]
    left = {str(path.relative_to(house.place)) for path in house.lying()}
    expected = {f"{stem}{end}" for stem in kept for end in (".tar.age", ".files")}
    assert left == expected | {"files/bb/bb22.age", "files/cc/cc33.age"}, "what no list has is not ours to take away"
    assert await thin_out(place) == []


@pytest.mark.slow
async def test_a_bucket_holds_backups_as_well_and_no_secret_of_ours_is_said(
    tmp_path: Path, owner_url: str, database_url: str, elsewhere: str, bucket: Bucket
) -> None:
    house = await estate(tmp_path, owner_url, database_url, backup_url=bucket.url)
    made = await house.back_up()
    assert made.verified
    assert SECRET_KEY not in msgspec.json.encode(made).decode()
    assert len(bucket.names()) == 5
    assert all(name.startswith("some/prefix/") for name in bucket.names())
    told = await restored(house, elsewhere, tmp_path / "new")
    assert (told.files, told.files_missing) == (3, [])
    assert (await dump.facts_of(owner_url)).tables["jobs"] == (await dump.facts_of(elsewhere)).tables["jobs"]


async def test_of_pictures_in_a_bucket_the_backup_holds_the_list(
    tmp_path: Path, owner_url: str, database_url: str, elsewhere: str, bucket: Bucket
) -> None:
    house = await estate(tmp_path, owner_url, database_url, artifacts_url=bucket.url)
    made = await house.back_up(proof=False)
    assert (made.files, made.files_new, made.files_kept) == (3, 0, False)
    settings = Settings(data_dir=tmp_path / "new", artifacts_url=bucket.url)
    settings.data_dir.mkdir()
    chosen = await restoring.choose(house.place.as_uri())
    told = await restoring.restore(settings, elsewhere, chosen, Opener(house.identity), force=False)
    assert (told.files, told.files_missing) == (0, []), "they were in their bucket all the time"


async def test_a_backup_of_a_newer_tessera_says_which_one_it_wants(
    house: Estate, elsewhere: str, tmp_path: Path
) -> None:
    with rows(house.owner_url) as sql:
        sql.execute("insert into schema_migrations (number, name) values (9999, 'future')")
    await house.back_up(proof=False)
    with pytest.raises(BackupError, match="knows 9999_future; this one does not"):
        await restored(house, elsewhere, tmp_path / "new")


async def test_passwords_are_told_to_programs_where_nobody_sees_them() -> None:
    told = dump.environ(f"postgresql://ada:{PLANTED}@db.example:5433/tessera?sslmode=require")
    wanted = {"PGUSER": "ada", "PGPASSWORD": PLANTED, "PGHOST": "db.example", "PGPORT": "5433", "PGSSLMODE": "require"}
    assert {name: told[name] for name in wanted} == wanted


def test_the_application_reads_what_became_of_backups_and_changes_none_of_it(database_url: str) -> None:
    with rows(database_url) as sql:
        assert one(sql, "select count(*) from backups") == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql.execute("update backups set error = null")
