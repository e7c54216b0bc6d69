"""Another release is put into force only after it has drawn a picture on a copy of the database."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from control_plane.backup import dump
from control_plane.cli import upgrade
from control_plane.cli.parsing import CommandError
from tests.fixtures.backups import estate


def release(home: Path, name: str, says: str) -> Path:
    """An environment whose program says this and no more."""
    program = home / "releases" / name / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o700)
    return program.parents[1]


@pytest.mark.long
async def test_a_release_that_works_draws_its_picture_on_a_copy_and_touches_nothing_else(
    tmp_path: Path, owner_url: str, database_url: str
) -> None:
    house = await estate(tmp_path, owner_url, database_url)
    before = await dump.facts_of(owner_url)
    await upgrade.rehearse(Path(sys.executable), owner_url, house.settings)
    assert before.differences(await dump.facts_of(owner_url)) == []
    assert list((house.settings.data_dir / "spool").iterdir()) == []


@pytest.mark.slow
async def test_a_release_that_does_not_work_says_why_and_changes_nothing(
    tmp_path: Path, owner_url: str, database_url: str
) -> None:
    house = await estate(tmp_path, owner_url, database_url)
    before = await dump.facts_of(owner_url)
    broken = release(tmp_path, "9.9.9", "echo 'migration 9999_wrong failed' >&2; exit 69")
    with pytest.raises(CommandError, match=r"Not upgraded: `-m control_plane migrate` failed.*9999_wrong failed"):
        await upgrade.rehearse(broken / "bin" / "python", owner_url, house.settings)
    (broken / "bin" / "python").write_text(f'#!/bin/sh\n[ "$3" = serve ] && exit 70\nexec {sys.executable} "$@"\n')
    with pytest.raises(CommandError, match="Not upgraded: `serve` failed"):
        await upgrade.rehearse(broken / "bin" / "python", owner_url, house.settings)
    assert before.differences(await dump.facts_of(owner_url)) == []


def test_what_is_in_force_changes_in_one_step_and_goes_back(tmp_path: Path) -> None:
    old, new = release(tmp_path, "0.1.0", "exit 0"), release(tmp_path, "0.2.0", "exit 0")
    with pytest.raises(CommandError, match="There is no release before"):
        upgrade.back(tmp_path)
    upgrade.enforce(tmp_path, old)
    upgrade.enforce(tmp_path, new)
    upgrade.enforce(tmp_path, new)
    assert ((tmp_path / "current").resolve(), (tmp_path / "previous").resolve()) == (new, old)
    assert upgrade.back(tmp_path) == old
    assert ((tmp_path / "current").resolve(), (tmp_path / "previous").resolve()) == (old, new)
    (new / "bin" / "python").write_text("#!/bin/sh\necho 'this Tessera knows 18' >&2\nexit 69\n")
    with pytest.raises(CommandError, match="this Tessera knows 18"):
        upgrade.back(tmp_path)
    assert (tmp_path / "current").resolve() == old


def test_a_tessera_of_another_kind_is_sent_to_the_guide(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"ops/upgrading\.md"):
        upgrade._home(str(tmp_path))
